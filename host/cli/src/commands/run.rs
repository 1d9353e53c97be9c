//! `pointsman run`: one script from the command line, with its output, to its end.

use super::logs::{self, Stream};
use super::serve::end_asked;
use super::submit::{first_task, new_key, outcome, send};
use crate::client::{Client, Connection};
use crate::exit::{BadInput, Exit, Failure};
use crate::output::Output;
use crate::{shown, waiting};
use anyhow::anyhow;
use pointsman_protocol::api::{SubmitResponse, WireTaskState};
use pointsman_protocol::submission::Submission;
use pointsman_scheduler::ids::TaskId;
use serde_json::{Map, Value, json};
use std::io::Write;

/// Run one script and show its output; exit with 1 if it did not succeed
///
/// Interrupting it cancels the task.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run by /bin/sh -c on a worker
    script: String,
    /// Name of the task [default: made up]
    #[arg(long)]
    name: Option<String>,
    /// Cores, like 0.5
    #[arg(long)]
    cpu: Option<f64>,
    /// Like 512MiB or 2GB
    #[arg(long)]
    memory: Option<String>,
    #[arg(long)]
    queue: Option<String>,
    /// Like 30s or 1h30m
    #[arg(long)]
    timeout: Option<String>,
    /// How often it is tried again after a failure of its own
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// A variable of its environment; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = super::pair)]
    env: Vec<(String, String)>,
}

pub fn run(args: Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let key = new_key()?;
    let json = submission(args, &key).to_string();
    Submission::from_json(json.as_bytes()).bad_input()?;
    let client = Client::new(connection)?;
    crate::with_runtime(async {
        let response: SubmitResponse = send(&client, &json, &key).await?.read()?;
        let id = first_task(&response)?;
        tokio::select! {
            ended = follow(&client, id, output) => ended,
            () = end_asked()? => {
                client.post(&format!("/v1/tasks/{id}/cancel")).await?;
                Err(anyhow!("interrupted; {id} is cancelled").into())
            }
        }
    })
}

async fn follow(client: &Client, id: TaskId, output: Output) -> Result<Exit, Failure> {
    if !output.json {
        let (out, err) = tokio::join!(
            logs::follow(client, id, Stream::Stdout),
            logs::follow(client, id, Stream::Stderr)
        );
        out.and(err)?;
    }
    let (answer, view) = waiting::task(client, id).await?;
    if output.json {
        output.raw(&answer.text);
    } else if let Some(why) = &view.end_reason {
        // Standard output is the script's.
        writeln!(std::io::stderr(), "{id} {}: {}", view.state, shown::harmless(&why.text))?;
    }
    Ok(outcome(view.state == WireTaskState::Succeeded))
}

fn submission(args: Args, key: &str) -> Value {
    let mut task = Map::new();
    let name = args.name.unwrap_or_else(|| format!("run-{}", &key[..8]));
    task.insert("task_name".to_owned(), json!(name));
    task.insert("script".to_owned(), json!(args.script));
    let mut resources = Map::new();
    resources.extend(args.cpu.map(|cpu| ("cpu".to_owned(), json!(cpu))));
    resources.extend(args.memory.map(|memory| ("memory".to_owned(), json!(memory))));
    if !resources.is_empty() {
        task.insert("resources".to_owned(), Value::Object(resources));
    }
    task.extend(args.queue.map(|queue| ("queue".to_owned(), json!(queue))));
    task.extend(args.timeout.map(|timeout| ("timeout".to_owned(), json!(timeout))));
    task.extend(args.retries.map(|retries| ("max_retries".to_owned(), json!(retries))));
    if !args.env.is_empty() {
        let env: Map<String, Value> =
            args.env.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        task.insert("env".to_owned(), Value::Object(env));
    }
    Value::Object(task)
}
