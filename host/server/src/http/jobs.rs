//! Jobs: submission, lists, cancelling. A single task is submitted here too.

use super::App;
use super::answer::{Answered, Failure, ok, unexpected};
use super::body::{NoBody, RawBody, off_thread};
use super::query::{NoQuery, Query, path_id};
use crate::job_path::JobLegs;
use crate::traces::{Submitted, Tracer};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use pointsman_protocol::api::{
    CancelJobResponse, CriticalPathView, JobView, Lookup, Page, SubmitResponse,
};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::submission::{Submission, TASKS_MAX};
use pointsman_protocol::traceparent;
use pointsman_scheduler::event::Key;
use pointsman_scheduler::spec::TraceContext;
use pointsman_scheduler::{Answer, Event, JobId};
use sha2::{Digest, Sha256};

pub async fn submit(
    State(app): State<App>,
    _: NoQuery,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<(StatusCode, Json<SubmitResponse>), Failure> {
    let key = idempotency_key(&headers, &body)?;
    let came = app.clock.now();
    let trace = trace(&app, &headers);
    let submission = off_thread(body, Submission::from_json).await??;
    let submission = match trace {
        Some(trace) => submission.in_trace(trace),
        None => submission,
    };
    let is_single = matches!(submission, Submission::Task(_));
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
            if let (Some(tracer), Some(trace), Some(first), false) =
                (&app.tracer, trace, tasks.first(), repeated)
            {
                let (first, n_tasks, answered) = (*first, tasks.len(), app.clock.now());
                let job = Some(job).filter(|_| !is_single);
                tracer.note_submitted(Submitted { trace, job, first, n_tasks, came, answered });
            }
            let names = names.iter().map(String::as_str);
            let response = SubmitResponse::new(job, names, &tasks, repeated);
            let status = if repeated { StatusCode::OK } else { StatusCode::CREATED };
            Ok((status, Json(response)))
        }
        Answer::Refused(refusal) => Err(Failure(Problem::submission_refused(&refusal))),
        other => Err(unexpected(&other)),
    }
}

/// The submitter's, else one that begins here if there are traces. A header that is none is ignored, as the
/// standard demands.
fn trace(app: &App, headers: &HeaderMap) -> Option<TraceContext> {
    let given = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let given = given.and_then(traceparent::parse);
    given.or_else(|| app.tracer.as_ref().map(Tracer::begin))
}

fn idempotency_key(headers: &HeaderMap, body: &[u8]) -> Result<Option<Key>, Failure> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let is_key = |key: &&str| {
        (1..=200).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let key = value.to_str().ok().filter(is_key);
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

/// The longest chain of the job, as far as it is known now, and the tasks with the least slack.
pub async fn critical_path(
    State(app): State<App>,
    Path(id): Path<String>,
    mut query: Query,
) -> Answered<CriticalPathView> {
    let id: JobId = path_id(&id)?;
    let limit = query.limit()?;
    query.finish()?;
    let now = app.clock.now();
    let computed = tokio::task::spawn_blocking(move || {
        let legs = {
            let model = app.model.read();
            let n_tasks = model.jobs.get(&id).ok_or_else(|| unknown(id))?.tasks.len();
            if n_tasks > TASKS_MAX {
                let problem = format!(
                    "{id} has {n_tasks} tasks; the critical path is told of at most {TASKS_MAX}"
                );
                return Err(Failure(Problem::new(422, "too_many_tasks", problem)));
            }
            JobLegs::of(&model, id, now).ok_or_else(|| unknown(id))?
        };
        let path = legs.path();
        let model = app.model.read();
        Ok(legs.view(&path, limit, |task| model.task_name(task).unwrap_or_default()))
    });
    computed.await.expect("reading a model does not panic").map(Json)
}

fn unknown(id: JobId) -> Failure {
    Failure(Problem::new(404, "unknown_job", format!("no job {id}")))
}

pub async fn cancel(
    State(app): State<App>,
    Path(id): Path<String>,
    _: NoQuery,
    _: NoBody,
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
