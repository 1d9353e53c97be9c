//! `pointsman retry`: once more by hand, with all that was skipped because of it.

use crate::client::{Client, Connection};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::shown;
use pointsman_protocol::api::RetryResponse;
use pointsman_scheduler::ids::TaskId;

/// Run a task that failed once more, and what was skipped because of it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Like t12
    task: TaskId,
}

pub fn retry(args: &Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let client = Client::new(connection)?;
    crate::with_runtime(async {
        let answer = client.post(&format!("/v1/tasks/{}/retry", args.task)).await?;
        if output.json {
            output.raw(&answer.text);
        } else {
            let done: RetryResponse = answer.read()?;
            output.line(format!("{}: {} to run again", args.task, shown::n_tasks(done.n_revived)));
        }
        Ok(Exit::Ok)
    })
}
