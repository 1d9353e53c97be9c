//! Workers: their protocol, and what operators see and do.

use super::App;
use super::answer::{Answered, Failure, ok, unexpected};
use super::query::{Query, path_id};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pointsman_protocol::api::WorkerView;
use pointsman_protocol::problem::Problem;
use pointsman_protocol::worker::{
    CommandsResponse, Intervals, RegisterRequest, RegisterResponse, SyncRequest, SyncResponse,
};
use pointsman_scheduler::{Answer, Event, Refusal, WorkerId};
use sha2::{Digest, Sha256};

/// From TERM to KILL.
const KILL_GRACE_MS: u64 = 10_000;

fn intervals(app: &App) -> Intervals {
    let config = app.config.load();
    let heartbeat = &config.settings.heartbeat;
    let ms = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Intervals {
        interval_ms: ms(heartbeat.interval),
        lease_ms: ms(heartbeat.lost_after),
        kill_grace_ms: KILL_GRACE_MS,
    }
}

fn body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Failure> {
    body.map(|Json(body)| body).map_err(|rejection| {
        let status = rejection.status().as_u16();
        let code = if status == 413 { "too_large" } else { "bad_body" };
        Failure(Problem::new(status, code, rejection.body_text()))
    })
}

pub async fn register(
    State(app): State<App>,
    request: Result<Json<RegisterRequest>, JsonRejection>,
) -> Answered<RegisterResponse> {
    let wire = body(request)?;
    let token_hash = Sha256::digest(wire.token.as_bytes()).into();
    let registration = wire.into_registration(token_hash)?;
    let made = |request| Event::Register { request, registration };
    match app.driver.request(made).await? {
        Answer::Registered { worker, stale } => ok(RegisterResponse {
            worker,
            term: app.term.0,
            intervals: intervals(&app),
            stale: stale.into_iter().map(Into::into).collect(),
        }),
        Answer::Refused(refusal) => Err(Failure::from(&refusal)),
        other => Err(unexpected(&other)),
    }
}

pub async fn sync(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Result<Json<SyncRequest>, JsonRejection>,
) -> Answered<SyncResponse> {
    let worker: WorkerId = path_id(&id)?;
    let wire = body(request)?;
    let (seq, acked) = (wire.seq, wire.acked_command);
    app.outboxes.acknowledge(worker, acked);
    let report = wire.into_report(worker);
    match app.driver.request(|request| Event::Sync { request, report }).await? {
        Answer::Synced { stale } => ok(SyncResponse {
            seq,
            term: app.term.0,
            intervals: intervals(&app),
            stale: stale.into_iter().map(Into::into).collect(),
        }),
        Answer::Refused(refusal) => Err(Failure::from(&refusal)),
        other => Err(unexpected(&other)),
    }
}

pub async fn commands(
    State(app): State<App>,
    Path(id): Path<String>,
    mut query: Query,
) -> Answered<CommandsResponse> {
    let worker: WorkerId = path_id(&id)?;
    let after: u64 = query.parse("after")?.unwrap_or(0);
    // The life is named so that a log of requests tells processes apart.
    query.take("life");
    query.finish()?;
    if !app.model.read().workers.contains_key(&worker) {
        return Err(Failure::from(&Refusal::UnknownWorker(worker)));
    }
    let hold = app.config.load().settings.heartbeat.interval;
    let commands = app.outboxes.poll(worker, after, hold).await;
    ok(CommandsResponse { term: app.term.0, commands })
}

pub async fn list(State(app): State<App>, query: Query) -> Answered<Vec<WorkerView>> {
    query.finish()?;
    let model = app.model.read();
    let now = app.clock.now();
    ok(model.workers.keys().filter_map(|id| model.worker_view(*id, now)).collect())
}

pub async fn drain(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    set_draining(app, &id, true).await
}

pub async fn resume(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    set_draining(app, &id, false).await
}

async fn set_draining(app: App, id: &str, draining: bool) -> Result<StatusCode, Failure> {
    let worker: WorkerId = path_id(id)?;
    let made = |request| Event::DrainWorker { request, worker, draining };
    match app.driver.request(made).await? {
        Answer::WorkerDraining => Ok(StatusCode::NO_CONTENT),
        Answer::Refused(refusal) => Err(Failure::from(&refusal)),
        other => Err(unexpected(&other)),
    }
}
