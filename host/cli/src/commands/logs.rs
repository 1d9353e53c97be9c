//! `pointsman logs`: the output of a task, byte by byte, also while it runs.

use crate::client::{Client, Connection};
use crate::exit::{Exit, Failure};
use crate::output::print_bytes;
use crate::waiting;
use anyhow::Context;
use pointsman_protocol::api::TaskView;
use pointsman_scheduler::ids::TaskId;
use std::io::Write;
use std::time::Duration;

/// Show the output of a task
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Like t12
    task: TaskId,
    /// Go on until the task has ended, over its attempts
    #[arg(short, long)]
    follow: bool,
    /// Number of the attempt [default: the newest]
    #[arg(long, value_name = "N")]
    attempt: Option<u32>,
    /// Standard error instead of standard output
    #[arg(long)]
    stderr: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

pub fn logs(args: &Args, connection: &Connection) -> Result<Exit, Failure> {
    let client = Client::new(connection)?;
    let stream = if args.stderr { Stream::Stderr } else { Stream::Stdout };
    let print = |bytes: &[u8]| {
        print_bytes(bytes);
        Ok(())
    };
    crate::with_runtime(async {
        match (args.follow, args.attempt) {
            (true, None) => follow_into(&client, args.task, stream, print).await?,
            (follows, attempt) => {
                copy(&client, args.task, attempt, stream, follows, print).await?;
            }
        }
        Ok(Exit::Ok)
    })
}

/// Copies a stream to the one of the same name until the task has ended.
pub async fn follow(client: &Client, task: TaskId, stream: Stream) -> Result<(), Failure> {
    follow_into(client, task, stream, |bytes| {
        match stream {
            Stream::Stdout => print_bytes(bytes),
            Stream::Stderr => std::io::stderr().write_all(bytes)?,
        }
        Ok(())
    })
    .await
}

/// How often a task without a running attempt is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// One attempt after the other: each has its own output, beginning at 0.
async fn follow_into(
    client: &Client,
    task: TaskId,
    stream: Stream,
    mut write: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let path = format!("/v1/tasks/{task}");
    let mut view: TaskView = client.read(&path, &[]).await?;
    let mut last_copied = 0;
    loop {
        let next = view.attempts.iter().find(|attempt| attempt.number > last_copied);
        match next.map(|attempt| attempt.number) {
            Some(number) => {
                copy(client, task, Some(number), stream, true, &mut write).await?;
                last_copied = number;
            }
            None if view.state.is_terminal() => return Ok(()),
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
        view = waiting::patient_get(client, &path, None).await?.read()?;
    }
}

/// One attempt's stream: what is there, or with `follows` all until it has ended.
async fn copy(
    client: &Client,
    task: TaskId,
    attempt: Option<u32>,
    stream: Stream,
    follows: bool,
    mut write: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let attempt = attempt.map(|number| number.to_string());
    let path = format!("/v1/tasks/{task}/log");
    let mut offset = "0".to_owned();
    loop {
        let mut query = vec![("stream", stream.name()), ("offset", &offset)];
        query.extend(attempt.as_deref().map(|number| ("attempt", number)));
        if follows {
            query.push(("follow", "true"));
        }
        let ask = async || client.get_response(&path, &query).await;
        let response = if follows { waiting::patiently(ask, None).await? } else { ask().await? };
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned).with_context(|| format!("the answer lacks the header {name}"))
        };
        let next = header("pointsman-log-offset")?;
        let is_complete = header("pointsman-log-complete")? == "true";
        // A host of an earlier release does not say.
        let is_truncated = header("pointsman-log-truncated").is_ok_and(|it| it == "true");
        let Ok(bytes) = response.bytes().await else {
            // The same piece again, or an error that says why not.
            continue;
        };
        write(&bytes)?;
        if is_complete || (bytes.is_empty() && !follows) {
            if is_truncated {
                eprintln!("{task} wrote more than is kept: its middle is left out");
            }
            return Ok(());
        }
        offset = next;
    }
}
