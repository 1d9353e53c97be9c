//! `pointsman policy`: what serves each slot, another choice, and back; and a policy's way there, from a
//! new project to a file that is measured.

mod bench;
mod check;
mod list;
mod new;
mod project;
mod series;
mod subject;

use crate::client::{Answer, Client, Connection, RequestError};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use anyhow::anyhow;
use pointsman_protocol::api::WireSlot;
use reqwest::Method;
use serde_json::json;

/// Write, check and measure policies; list them, put another one in force, or go back
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    New(new::Args),
    Check(check::Args),
    Bench(bench::Args),
    #[command(flatten)]
    Host(Order),
}

/// What a running host is asked.
#[derive(Debug, clap::Subcommand)]
enum Order {
    /// What serves each slot, what could, and what was refused
    List,
    /// Put a policy in force, without any pause
    Use {
        /// scoring, queue or rescheduling
        slot: WireSlot,
        /// A standard policy, or a file of the policies folder without .wasm
        name: String,
    },
    /// Back to the policy that served before
    Rollback {
        /// scoring, queue or rescheduling
        slot: WireSlot,
    },
    /// Look at the policies folder now
    Reload,
}

/// A host answers after 30 s at most, whether it has decided or not. This many answers are waited for.
const PATIENCE: usize = 10;

/// Waits until the policy serves or is refused: a large one takes a minute to compile.
async fn choose(client: &Client, slot: WireSlot, name: &str) -> Result<Answer, Failure> {
    let (path, body) = (format!("/v1/policies/{slot}"), json!({ "component": name }).to_string());
    for n_asked in 0..PATIENCE {
        match client.send_json(Method::PUT, &path, body.clone(), &[]).await {
            Err(RequestError::Refused(problem)) if problem.code == "undecided" => {}
            answer => return Ok(answer?),
        }
        if n_asked == 0 {
            eprintln!(
                "{name} is still being looked at; waiting for the outcome. It is chosen whether or not \
                 this command waits: \"pointsman policy list\" shows what becomes of it."
            );
        }
    }
    Err(anyhow!(
        "{name} is chosen and still being looked at; see \"pointsman policy list\" for what becomes of \
         it. What served goes on serving"
    )
    .into())
}

pub fn policy(args: &Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let order = match &args.action {
        Action::New(args) => return new::new(args, output),
        Action::Check(args) => return check::check(args, output),
        Action::Bench(args) => return bench::bench(args, output),
        Action::Host(order) => order,
    };
    let client = Client::new(connection)?;
    crate::with_runtime(async {
        let answer = match order {
            Order::List => client.get("/v1/policies", &[]).await?,
            Order::Use { slot, name } => choose(&client, *slot, name).await?,
            Order::Rollback { slot } => {
                client.post(&format!("/v1/policies/{slot}/rollback")).await?
            }
            Order::Reload => client.post("/v1/policies/reload").await?,
        };
        if output.json {
            output.raw(&answer.text);
        } else {
            list::tell(&answer.read()?, output);
        }
        Ok(Exit::Ok)
    })
}
