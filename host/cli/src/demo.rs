//! The demonstration. It owns a folder, a host and three worker processes, all of this same binary,
//! and uses nothing but the public API. Each change is made as an operator makes it, and counts only
//! when the host says that it happened.

mod stage;
mod processes;
mod scenes;
mod news;
mod tally;

use crate::client::{Client, Connection};
use crate::commands::serve::end_asked;
use crate::commands::submit::{new_key, send};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::{shown, waiting};
use anyhow::anyhow;
use pointsman_protocol::api::{JobView, SubmitResponse, WireJobState};
use processes::Processes;
use scenes::Scenes;
use stage::Stage;
use std::time::{Duration, Instant};
use tally::Tally;

/// Part of what the recording holds: see `examples/workflow/README.md`.
const WORKFLOW: &str = include_str!("../../../examples/workflow/airrflow.json");

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The whole run, many times over.
const PATIENCE: Duration = Duration::from_secs(300);
/// For the last change to be seen after the job has ended.
const LAST_PATIENCE: Duration = Duration::from_secs(15);

/// Plays it to its end.
///
/// # Errors
/// If something does not start, or a change does not happen.
pub async fn play(keep: bool, output: Output) -> Result<Exit, Failure> {
    let mut stage = Stage::lay_out()?;
    let mut processes = Processes::new(keep)?;
    let played = tokio::select! {
        played = perform(&stage, &mut processes, output) => played,
        () = end_asked()? => Err(Failure::from(anyhow!("interrupted"))),
    };
    let is_good = matches!(played, Ok(Exit::Ok));
    if keep && is_good {
        stage.keep();
        processes.leave(&stage, output);
        return played;
    }
    processes.end().await;
    if !is_good {
        stage.keep();
        output.line(format!("the logs are in {}", stage.folder().display()));
    }
    played
}

async fn perform(
    stage: &Stage,
    processes: &mut Processes,
    output: Output,
) -> Result<Exit, Failure> {
    let say = |text: String| {
        if !output.json {
            output.line(text);
        }
    };
    let address = processes.start_host(stage).await?;
    let pid = shown::or_dash(processes.host_pid());
    say(format!("host at {address}, process {pid}; its panel: {address}/"));
    let client = Client::new(&Connection { host: Some(address.clone()), token_file: None })?;
    processes.start_workers(stage, &address)?;
    wait_for_workers(&client, processes).await?;
    for (name, pid) in processes.worker_pids() {
        say(format!("{name}, process {pid}, with {} cores", stage::WORKER_CPU));
    }
    let sent = send(&client, WORKFLOW, &new_key()?).await?;
    let submitted: SubmitResponse = sent.read()?;
    let job = submitted.job.to_string();
    say(format!(
        "submitted {job}: a recorded Nextflow run of nf-core/airrflow, {} tasks, time scaled by {}",
        submitted.tasks.len(),
        stage::TIME_SCALE
    ));
    let mut scenes = Scenes::new(&client).await?;
    let ended = follow(&client, &job, stage, processes, &mut scenes).await?;
    scenes.wait_for_the_rest(&client, LAST_PATIENCE).await?;
    let tally = Tally::count(&client, &ended, scenes.into_acts(), WORKFLOW).await?;
    if output.json {
        output.raw(&tally.to_json());
    } else {
        tally.tell(output);
    }
    Ok(if tally.is_complete() { Exit::Ok } else { Exit::NotSucceeded })
}

async fn wait_for_workers(client: &Client, processes: &mut Processes) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        let status: pointsman_protocol::api::StatusView = client.read("/v1/status", &[]).await?;
        if status.n_workers_live == stage::N_WORKERS as u64 {
            return Ok(());
        }
        processes.check()?;
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(anyhow!("the workers did not register within a minute").into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Shows the job until it has ended, with the scenes at their times.
async fn follow(
    client: &Client,
    job: &str,
    stage: &Stage,
    processes: &mut Processes,
    scenes: &mut Scenes,
) -> Result<JobView, Failure> {
    let begun = Instant::now();
    let path = format!("/v1/jobs/{job}");
    let mut view: JobView = client.read(&path, &[]).await?;
    let mut progress = Progress::of_job(&view.name, u64::from(view.n_tasks));
    let mut news = news::News::subscribe(client.clone(), begun);
    while view.state == WireJobState::Running {
        progress.update(view.counts);
        let fraction = view.counts.succeeded as f64 / f64::from(view.n_tasks.max(1));
        if let Some(told) = scenes.play(client, job, fraction, stage, processes).await? {
            progress.note(&news::timed(begun, &told));
        }
        for told in news.take() {
            progress.note(&told);
        }
        scenes.look(client).await?;
        if begun.elapsed() > PATIENCE {
            let counts = shown::counts(view.counts);
            return Err(anyhow!("the job has not ended after {PATIENCE:?}: {counts}").into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
        view = waiting::patient_get(client, &path, Some(&progress)).await?.read()?;
    }
    progress.update(view.counts);
    progress.finish();
    Ok(view)
}
