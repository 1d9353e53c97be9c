//! `pointsman config`: checking a file, and showing what is in force.

use crate::client::{Client, Connection};
use crate::exit::{BadInput, Exit, Failure};
use crate::output::{Colour, Output};
use anyhow::Context;
use pointsman_server::config::{Config, DEFAULT_TOML};
use serde::Deserialize;
use std::path::PathBuf;

/// Check a configuration, or show one
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Say all that is wrong with a file; exit with 2 if something is
    Check { file: PathBuf },
    /// Show every key with its value: those of a file, or those in force in the host
    Show {
        /// A file, with the defaults for what it leaves out
        file: Option<PathBuf>,
        /// The defaults, with their explanations
        #[arg(long, conflicts_with_all = ["file", "effective"])]
        default: bool,
        /// What is in force in the host
        #[arg(long, conflicts_with = "file")]
        effective: bool,
    },
}

#[derive(Debug, Deserialize)]
struct InForce {
    effective: toml::Value,
    /// What is wrong with the file's newest content.
    refused: Option<String>,
}

pub fn config(args: &Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    match &args.action {
        Action::Check { file } => {
            Config::load(file).bad_input()?;
            output.line(format!("{}: nothing is wrong", file.display()));
        }
        Action::Show { default: true, .. } => output.text(DEFAULT_TOML),
        Action::Show { file: Some(file), .. } => {
            let config = Config::load(file).bad_input()?;
            if output.json {
                output.raw(&config.effective().to_string());
            } else {
                output.text(&config.effective_toml());
            }
        }
        Action::Show { .. } => return show_in_force(connection, output),
    }
    Ok(Exit::Ok)
}

fn show_in_force(connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let client = Client::new(connection)?;
    crate::with_runtime(async {
        let answer = client.get("/v1/config", &[]).await?;
        if output.json {
            output.raw(&answer.text);
            return Ok(Exit::Ok);
        }
        let in_force: InForce = answer.read()?;
        let toml = toml::to_string_pretty(&in_force.effective);
        output.text(&toml.context("the configuration cannot be shown")?);
        if let Some(problem) = in_force.refused {
            let note = "the file has another content now, which was refused:";
            output.parts(&[(Colour::Red, &format!("# {note}"))]);
            problem.lines().for_each(|line| output.line(format!("# {line}")));
        }
        Ok(Exit::Ok)
    })
}
