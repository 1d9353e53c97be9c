//! Waiting for jobs and tasks to end, over restarts of the host.

use crate::client::{Answer, Client, RequestError};
use crate::exit::Failure;
use crate::progress::Progress;
use pointsman_protocol::api::{JobView, TaskView, WireJobState};
use pointsman_scheduler::ids::TaskId;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A host that restarts is waited for this long.
const OUTAGE_MAX: Duration = Duration::from_secs(120);

/// Asks again while the host is away for a while.
///
/// # Errors
/// If it refuses, or stays away.
pub async fn patiently<T>(
    ask: impl AsyncFn() -> Result<T, RequestError>,
    progress: Option<&Progress>,
) -> Result<T, Failure> {
    let begun = Instant::now();
    let mut is_told = false;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !error.is_passing() || begun.elapsed() > OUTAGE_MAX {
            return Err(error.into());
        }
        if let Some(progress) = progress.filter(|_| !is_told) {
            progress.note("the host does not answer; waiting for it to come back");
        }
        is_told = true;
        tokio::time::sleep(LOOK_EVERY * 5).await;
    }
}

/// # Errors
/// As [`patiently`].
pub async fn patient_get(
    client: &Client,
    path: &str,
    progress: Option<&Progress>,
) -> Result<Answer, Failure> {
    patiently(async || client.get(path, &[]).await, progress).await
}

/// Until the job has ended: its last view.
pub async fn job(client: &Client, id: &str) -> Result<(Answer, JobView), Failure> {
    let path = format!("/v1/jobs/{id}");
    let mut answer = patient_get(client, &path, None).await?;
    let mut view: JobView = answer.read()?;
    let mut progress = Progress::of_job(&view.name, u64::from(view.n_tasks));
    while view.state == WireJobState::Running {
        progress.update(view.counts);
        tokio::time::sleep(LOOK_EVERY).await;
        answer = patient_get(client, &path, Some(&progress)).await?;
        view = answer.read()?;
    }
    progress.finish();
    Ok((answer, view))
}

/// Until the task has ended: its last view.
pub async fn task(client: &Client, id: TaskId) -> Result<(Answer, TaskView), Failure> {
    let path = format!("/v1/tasks/{id}");
    loop {
        let answer = patient_get(client, &path, None).await?;
        let view: TaskView = answer.read()?;
        if view.state.is_terminal() {
            return Ok((answer, view));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
