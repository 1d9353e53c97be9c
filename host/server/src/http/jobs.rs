//! Jobs: submission, lists, cancelling. A single task is submitted here too.

use super::App;
use super::answer::{Answered, Failure, ok, unexpected};
use super::body::{RawBody, off_thread};
use super::query::{NoQuery, Query, path_id};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use pointsman_protocol::api::{CancelJobResponse, JobView, Page, SubmitResponse};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::submission::Submission;
use pointsman_scheduler::event::Key;
use pointsman_scheduler::{Answer, Event, JobId};
use sha2::{Digest, Sha256};

pub async fn submit(
    State(app): State<App>,
    _: NoQuery,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<(StatusCode, Json<SubmitResponse>), Failure> {
    let key = idempotency_key(&headers, &body)?;
    let submission = off_thread(body, Submission::from_json).await??;
    let names: Vec<String> = match &submission {
        Submission::Job(job) => job.tasks.iter().map(|task| task.name.clone()).collect(),
        Submission::Task(task) => vec![task.name.clone()],
    };
    let answer = app
        .driver
        .request(move |request| match submission {
            Submission::Job(job) => Event::SubmitJob { request, key, job },
            Submission::Task(task) => Event::SubmitTask { request, key, task },
        })
        .await?;
    match answer {
        Answer::Submitted { job, tasks, repeated } => {
            let names = names.iter().map(String::as_str);
            let response = SubmitResponse::new(job, names, &tasks, repeated);
            let status = if repeated { StatusCode::OK } else { StatusCode::CREATED };
            Ok((status, Json(response)))
        }
        Answer::Refused(refusal) => Err(Failure(Problem::submission_refused(&refusal))),
        other => Err(unexpected(&other)),
    }
}

fn idempotency_key(headers: &HeaderMap, body: &[u8]) -> Result<Option<Key>, Failure> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=200).contains(&key.len()));
    let key = key.ok_or_else(|| {
        let problem = "is not 1 to 200 visible ASCII characters";
        Failure(Problem::bad_parameter("Idempotency-Key", problem))
    })?;
    Ok(Some(Key { key: key.to_owned(), body_hash: Sha256::digest(body).into() }))
}

pub async fn list(State(app): State<App>, mut query: Query) -> Answered<Page<JobView>> {
    let limit = query.limit()?;
    let after: Option<JobId> = query.parse("cursor")?;
    query.finish()?;
    let model = app.model.read();
    let from = JobId(after.map_or(0, |id| id.0.saturating_add(1)));
    let mut ids: Vec<JobId> = model.jobs.range(from..).map(|(id, _)| *id).take(limit + 1).collect();
    let has_more = ids.len() > limit;
    ids.truncate(limit);
    let next_cursor = if has_more { ids.last().map(ToString::to_string) } else { None };
    let items = ids.into_iter().filter_map(|id| model.job_view(id)).collect();
    ok(Page { items, next_cursor })
}

pub async fn show(State(app): State<App>, Path(id): Path<String>, _: NoQuery) -> Answered<JobView> {
    let id: JobId = path_id(&id)?;
    let view = app.model.read().job_view(id);
    view.map(Json).ok_or_else(|| unknown(id))
}

fn unknown(id: JobId) -> Failure {
    Failure(Problem::new(404, "unknown_job", format!("no job {id}")))
}

pub async fn cancel(
    State(app): State<App>,
    Path(id): Path<String>,
    _: NoQuery,
) -> Answered<CancelJobResponse> {
    let job: JobId = path_id(&id)?;
    match app.driver.request(|request| Event::CancelJob { request, job }).await? {
        Answer::JobCancelled { n_cancelled, n_stopping } => {
            ok(CancelJobResponse { n_cancelled, n_stopping })
        }
        Answer::Refused(refusal) => Err(Failure::from(&refusal)),
        other => Err(unexpected(&other)),
    }
}
