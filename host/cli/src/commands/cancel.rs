//! `pointsman cancel`: a task or a whole job.

use crate::client::{Client, Connection};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::shown;
use pointsman_protocol::api::{CancelJobResponse, CancelTaskResponse};
use pointsman_scheduler::ids::{JobId, TaskId};

/// Cancel a task or a job
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A task like t12, or a job like j3
    id: String,
}

pub fn cancel(args: &Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let id = &args.id;
    let kind = if id.parse::<JobId>().is_ok() {
        "jobs"
    } else if id.parse::<TaskId>().is_ok() {
        "tasks"
    } else {
        let problem = "is neither a task like t12 nor a job like j3";
        return Err(Failure::usage(format!("{id:?} {problem}")));
    };
    let client = Client::new(connection)?;
    crate::with_runtime(async {
        let answer = client.post(&format!("/v1/{kind}/{id}/cancel")).await?;
        if output.json {
            output.raw(&answer.text);
        } else if kind == "jobs" {
            let done: CancelJobResponse = answer.read()?;
            let n_cancelled = shown::n_tasks(done.n_cancelled);
            output.line(format!("{id}: {n_cancelled} cancelled, {} told to stop", done.n_stopping));
        } else {
            let done: CancelTaskResponse = answer.read()?;
            let what = if done.stopping { ", told to stop" } else { "" };
            output.line(format!("{id} {}{what}", done.state));
        }
        Ok(Exit::Ok)
    })
}
