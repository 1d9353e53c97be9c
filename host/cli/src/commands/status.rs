//! `pointsman status`: what runs where, and what waits; of everything or of one job.

use crate::client::{Client, Connection};
use crate::exit::{Exit, Failure};
use crate::output::{Colour, Output, Table};
use crate::shown;
use pointsman_protocol::api::{
    ConfigStatus, CriticalPathView, JobView, Page, PathTaskView, StatusView, TaskView, WireJobState,
};
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::ids::{JobId, TaskId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Show what runs where and what waits
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show it again every second, until interrupted or, with --job, until the job has ended
    #[arg(long)]
    watch: bool,
    /// One job with its tasks, like j3
    #[arg(long, value_name = "ID")]
    job: Option<JobId>,
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rows that fit a screen.
const ROWS_SHOWN: usize = 40;

pub fn status(args: &Args, connection: &Connection, output: Output) -> Result<Exit, Failure> {
    let client = Client::new(connection)?;
    crate::with_runtime(async {
        let mut has_begun = false;
        loop {
            let shown = match args.job {
                Some(job) => show_job(&client, &job.to_string(), args.watch, output).await,
                None => show_all(&client, args.watch, output).await,
            };
            match shown {
                // A host that restarts is looked at again.
                Err(failure) if has_begun && failure.exit == Exit::Unreachable => {
                    output.tell_failure(&failure);
                }
                Err(failure) => return Err(failure),
                Ok(has_ended) if has_ended || !args.watch => return Ok(Exit::Ok),
                Ok(_) => {}
            }
            has_begun = true;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })
}

fn begin(watches: bool, output: Output) {
    if watches {
        output.clear();
    }
}

async fn show_all(client: &Client, watches: bool, output: Output) -> Result<bool, Failure> {
    let answer = client.get("/v1/status", &[]).await?;
    if output.json {
        output.raw(&answer.text);
        return Ok(false);
    }
    let status: StatusView = answer.read()?;
    begin(watches, output);
    output.line(format!(
        "{}; {} of {} workers live",
        shown::counts(status.counts),
        status.n_workers_live,
        status.n_workers
    ));
    tell_config(&status.config, output);
    if !status.set_aside.is_empty() {
        let n = status.set_aside.len();
        let text = format!("{n} damaged records of the store were set aside; --json tells which");
        output.parts(&[(Colour::Red, &text)]);
    }
    if status.tasks.is_empty() {
        return Ok(false);
    }
    let mut table =
        Table::new(&["TASK", "STATUS", "LAST HEARTBEAT", "WORKER", "PROGRESS", "NAME", "WHY"]);
    for row in status.tasks.iter().take(ROWS_SHOWN) {
        let worker = row.worker_name.clone().or(row.worker.map(|id| id.to_string()));
        let heartbeat = row.last_heartbeat.map(|then| shown::ago(then, status.at));
        table.row([
            (Colour::Plain, row.task.to_string()),
            (shown::task_colour(row.status), row.status.to_string()),
            (Colour::Plain, shown::or_dash(heartbeat)),
            (row.worker_state.map_or(Colour::Plain, shown::worker_colour), shown::or_dash(worker)),
            (Colour::Plain, shown::percent(row.progress)),
            (Colour::Plain, row.name.clone()),
            (Colour::Grey, row.reason.clone().unwrap_or_default()),
        ]);
    }
    output.table(&table);
    let n_live = status.counts.pending + status.counts.assigned + status.counts.running;
    if n_live > ROWS_SHOWN as u64 {
        output.line(format!("… and {} more; --json shows them", n_live - ROWS_SHOWN as u64));
    }
    Ok(false)
}

/// What keeps the configuration file from being in force as it is.
fn tell_config(config: &ConfigStatus, output: Output) {
    if let Some(refused) = &config.refused {
        let what = "configuration refused";
        output.parts(&[
            (Colour::Red, what),
            (Colour::Plain, "; what was in force before is so still"),
        ]);
        refused.text.lines().for_each(|line| output.line(format!("  {line}")));
    } else if let Some(why) = &config.waiting {
        output.line(format!("configuration waits: {why}"));
    }
    if !config.at_next_start.is_empty() {
        let keys = config.at_next_start.join(", ");
        output.line(format!("configuration that takes effect at the next start: {keys}"));
    }
}

async fn show_job(
    client: &Client,
    id: &str,
    watches: bool,
    output: Output,
) -> Result<bool, Failure> {
    let answer = client.get(&format!("/v1/jobs/{id}"), &[]).await?;
    let job: JobView = answer.read()?;
    let has_ended = job.state != WireJobState::Running;
    if output.json {
        output.raw(&answer.text);
        return Ok(has_ended);
    }
    let tasks = tasks_of(client, id).await?;
    // A host tells it of jobs of up to 100,000 tasks.
    let path = client.read(&format!("/v1/jobs/{id}/critical-path"), &[("limit", "1000")]).await;
    let path: Option<CriticalPathView> = match path {
        Err(failure) if failure.exit != Exit::Refused => return Err(failure),
        path => path.ok(),
    };
    let slacks: BTreeMap<TaskId, String> =
        path.iter().flat_map(|it| &it.tasks).map(|task| (task.id, slack(task))).collect();
    begin(watches, output);
    output.parts(&[
        (Colour::Plain, &format!("{} ({}) ", job.id, job.name)),
        (shown::job_colour(job.state), job.state.word()),
        (Colour::Plain, &format!(": {}", shown::counts(job.counts))),
    ]);
    if let Some(path) = &path {
        output.line(tell_path(path));
    }
    let mut table =
        Table::new(&["TASK", "STATUS", "ATTEMPTS", "WORKER", "TOOK", "SLACK", "NAME", "WHY"]);
    for task in &tasks {
        let last = task.attempts.last();
        let worker = last.map(|it| it.worker_name.clone().unwrap_or(it.worker.to_string()));
        let took = last.and_then(|it| it.started.zip(it.ended));
        table.row([
            (Colour::Plain, task.id.to_string()),
            (shown::task_colour(task.state), task.state.to_string()),
            (Colour::Plain, last.map_or(0, |it| it.number).to_string()),
            (Colour::Plain, shown::or_dash(worker)),
            (
                Colour::Plain,
                shown::or_dash(took.map(|(from, to): (Timestamp, _)| shown::between(from, to))),
            ),
            (Colour::Plain, shown::or_dash(slacks.get(&task.id).cloned())),
            (Colour::Plain, task.name.clone()),
            (Colour::Grey, why(task)),
        ]);
    }
    output.table(&table);
    Ok(has_ended)
}

fn tell_path(path: &CriticalPathView) -> String {
    let span = |ms: f64| shown::span_ms(ms.round() as u64);
    let mut told = format!("critical path {}", span(path.length_ms));
    if let Some(finish) = path.projected_finish {
        told += &format!(", {} to go: the end is at {finish} at the earliest", span(path.left_ms));
    }
    if path.n_unknown > 0 {
        let n = path.n_unknown;
        told += &format!("; {n} tasks of unknown length count as nothing");
    }
    told
}

fn slack(task: &PathTaskView) -> String {
    match task.is_on_path {
        true => "critical".to_owned(),
        false => shown::span_ms(task.slack_ms.round() as u64),
    }
}

fn why(task: &TaskView) -> String {
    let waits = task.reason.as_ref().map(|reason| reason.text.clone());
    let ended = task.end_reason.as_ref().map(|reason| reason.text.clone());
    waits.or(ended).unwrap_or_default()
}

/// All of them, page by page.
async fn tasks_of(client: &Client, job: &str) -> Result<Vec<TaskView>, Failure> {
    let mut tasks = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("job", job), ("limit", "1000")];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page: Page<TaskView> = client.read("/v1/tasks", &query).await?;
        tasks.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(tasks);
        }
    }
}
