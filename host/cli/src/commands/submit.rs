//! `pointsman submit`: a job file, checked here first, then taken by the host exactly once.

use crate::client::{Answer, Client, Connection};
use crate::exit::{BadInput, Exit, Failure};
use crate::output::{Colour, Output};
use crate::{shown, waiting};
use anyhow::Context;
use pointsman_protocol::api::{
    JobView, Page, SubmitResponse, TaskView, WireJobState, WireTaskState,
};
use pointsman_protocol::submission::Submission;
use pointsman_protocol::traceparent;
use pointsman_scheduler::ids::TaskId;
use reqwest::Method;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Submit a job or a single task
#[derive(Debug, clap::Args)]
pub struct Args {
    /// JSON or TOML; - reads standard input
    file: PathBuf,
    /// Wait for the end, and exit with 1 if it did not succeed
    #[arg(long)]
    wait: bool,
    /// Repeating a submission with the same key does nothing twice [default: a new key]
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
}

pub fn submit(args: Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let (submission, json) = read(&args.file)?;
    let client = Client::new(connection)?;
    crate::with_runtime(async {
        let key = args.key.map_or_else(new_key, Ok)?;
        let answer = send(&client, &json, &key).await?;
        let response: SubmitResponse = answer.read()?;
        match (output.json, args.wait) {
            (true, true) => {}
            (true, false) => output.raw(&answer.text),
            (false, _) => tell_submitted(&submission, &response, output),
        }
        match submission {
            _ if !args.wait => Ok(Exit::Ok),
            Submission::Job(_) => wait_for_job(&client, &response.job.to_string(), output).await,
            Submission::Task(_) => {
                let id = first_task(&response)?;
                let (answer, view) = waiting::task(&client, id).await?;
                if output.json {
                    output.raw(&answer.text);
                } else {
                    tell_task_end(&view, output);
                }
                Ok(outcome(view.state == WireTaskState::Succeeded))
            }
        }
    })
}

/// The file, checked, and as JSON for the host. Other endings than these two are told apart by
/// content: JSON begins with a bracket that TOML cannot begin a job with.
fn read(path: &Path) -> Result<(Submission, String), Failure> {
    let mut text = String::new();
    let is_stdin = path.as_os_str() == "-";
    if is_stdin {
        std::io::stdin().read_to_string(&mut text).context("failed to read standard input")
    } else {
        let read = std::fs::read_to_string(path).map(|read| text = read);
        read.map(|()| 0).with_context(|| format!("failed to read {}", path.display()))
    }
    .bad_input()?;
    let is_toml = match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml") => true,
        Some("json") => false,
        _ => !text.trim_start_matches('\u{feff}').trim_start().starts_with(['{', '[']),
    };
    let name = if is_stdin { "standard input".to_owned() } else { path.display().to_string() };
    if is_toml {
        let submission = Submission::from_toml(&text).with_context(|| name.clone()).bad_input()?;
        let value: toml::Value = toml::from_str(&text).with_context(|| name).bad_input()?;
        let json = serde_json::to_string(&value).map_err(anyhow::Error::from)?;
        Ok((submission, json))
    } else {
        let submission =
            Submission::from_json(text.as_bytes()).with_context(|| name).bad_input()?;
        Ok((submission, text))
    }
}

/// A key that nobody else uses.
pub fn new_key() -> Result<String, Failure> {
    let mut random = [0u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .context("failed to read random bytes")?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

const TRIES: u32 = 5;

/// Repeats what broke off: with the same key nothing is done twice.
pub async fn send(client: &Client, json: &str, key: &str) -> Result<Answer, Failure> {
    // Whoever submits from within a trace goes on with it.
    let trace = std::env::var("TRACEPARENT").ok().filter(|it| traceparent::parse(it).is_some());
    let mut headers = vec![("idempotency-key", key)];
    headers.extend(trace.as_deref().map(|trace| ("traceparent", trace)));
    let mut n_tries = 1;
    loop {
        let sent = client.send_json(Method::POST, "/v1/jobs", json.to_owned(), &headers).await;
        match sent {
            Ok(answer) => return Ok(answer),
            Err(error) if n_tries < TRIES && error.may_have_counted() => {
                n_tries += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

pub fn first_task(response: &SubmitResponse) -> Result<TaskId, Failure> {
    let first = response.tasks.first().context("the host's answer names no task")?;
    Ok(first.id)
}

fn tell_submitted(submission: &Submission, response: &SubmitResponse, output: Output) {
    let again = if response.repeated { " (was submitted before with this key)" } else { "" };
    match submission {
        Submission::Job(job) => output.line(format!(
            "submitted {} ({}) with {} tasks{again}",
            response.job,
            job.name,
            response.tasks.len()
        )),
        Submission::Task(task) => {
            let id = response.tasks.first().map(|task| task.id);
            output.line(format!("submitted {} ({}){again}", shown::or_dash(id), task.name));
        }
    }
}

async fn wait_for_job(client: &Client, id: &str, output: Output) -> Result<Exit, Failure> {
    let (answer, view) = waiting::job(client, id).await?;
    if output.json {
        output.raw(&answer.text);
    } else {
        tell_job_end(&view, output);
        if view.state != WireJobState::Succeeded {
            tell_culprits(client, id, output).await?;
        }
    }
    Ok(outcome(view.state == WireJobState::Succeeded))
}

pub fn outcome(is_success: bool) -> Exit {
    if is_success { Exit::Ok } else { Exit::NotSucceeded }
}

fn tell_job_end(job: &JobView, output: Output) {
    let took = job.ended.map_or_else(String::new, |ended| {
        format!(" after {}", shown::between(job.submitted, ended))
    });
    output.parts(&[
        (Colour::Plain, &format!("{} ({}) ", job.id, job.name)),
        (shown::job_colour(job.state), job.state.word()),
        (Colour::Plain, &format!("{took}: {}", shown::counts(job.counts))),
    ]);
}

pub fn tell_task_end(task: &TaskView, output: Output) {
    let why = task.end_reason.as_ref().map_or_else(String::new, |why| format!(": {}", why.text));
    output.parts(&[
        (Colour::Plain, &format!("{} ({}) ", task.id, task.name)),
        (shown::task_colour(task.state), task.state.word()),
        (Colour::Plain, &why),
    ]);
}

/// Failed tasks that are named at the end of a job.
const CULPRITS: &str = "10";

/// The tasks that failed by themselves, with where to read more.
async fn tell_culprits(client: &Client, job: &str, output: Output) -> Result<(), Failure> {
    let query = [("job", job), ("state", "FAILED"), ("limit", CULPRITS)];
    let failed: Page<TaskView> = client.read("/v1/tasks", &query).await?;
    for task in &failed.items {
        tell_task_end(task, output);
        output.line(format!("  read its output: pointsman logs {0}, or --stderr", task.id));
    }
    Ok(())
}
