//! `pointsman import`: recorded workloads from elsewhere as job files.

use crate::exit::{BadInput, Exit, Failure};
use crate::output::print_bytes;
use anyhow::Context;
use pointsman_simulator::export::{scaled, to_job_json};
use pointsman_simulator::import::wfcommons;
use pointsman_simulator::seconds::Scale;
use std::path::PathBuf;

/// Turn a recorded workload into a job file
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    format: Format,
}

#[derive(Debug, clap::Subcommand)]
enum Format {
    /// A WfCommons instance (WfFormat 1.5, gzipped or not): names, edges, run times, memory and
    /// cores are kept, each script sleeps as long as the recorded one ran
    Wfcommons {
        file: PathBuf,
        /// Factor for all run times
        #[arg(long, default_value = "1")]
        scale: Scale,
        /// Where to write the job [default: standard output]
        #[arg(short, long = "output", value_name = "FILE")]
        to: Option<PathBuf>,
    },
}

pub fn import(args: &Args) -> Result<Exit, Failure> {
    let Format::Wfcommons { file, scale, to } = &args.format;
    let job = wfcommons::read(file).with_context(|| file.display().to_string()).bad_input()?;
    let json = to_job_json(&scaled(&job, *scale).spec);
    match to {
        Some(path) => std::fs::write(path, json)
            .with_context(|| format!("failed to write {}", path.display()))?,
        None => print_bytes(json.as_bytes()),
    }
    Ok(Exit::Ok)
}
