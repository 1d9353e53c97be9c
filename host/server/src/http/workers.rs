//! Workers: their protocol, and what operators see and do.

use super::answer::{Answered, Failure, ok, unexpected};
use super::body::{JsonBody, NoBody};
use super::query::{NoQuery, Query, path_id};
use super::{App, stopping};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pointsman_protocol::api::{StandingsView, WorkerView};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::timestamp::Timestamp;
use pointsman_protocol::worker::{
    CommandsResponse, Intervals, RegisterRequest, RegisterResponse, SyncRequest, SyncResponse,
};
use pointsman_scheduler::{Answer, Event, WorkerId};
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

pub async fn register(
    State(app): State<App>,
    _: NoQuery,
    JsonBody(wire): JsonBody<RegisterRequest>,
) -> Answered<RegisterResponse> {
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
    _: NoQuery,
    JsonBody(mut wire): JsonBody<SyncRequest>,
) -> Answered<SyncResponse> {
    let worker: WorkerId = path_id(&id)?;
    let (seq, acked) = (wire.seq, wire.acked_command);
    let limits = wire.take_limits();
    let report = wire.into_report(worker);
    match app.driver.request(|request| Event::Sync { request, report }).await? {
        Answer::Synced { stale } => {
            // Only now is it known to come from the life that is registered.
            app.outboxes.acknowledge(worker, acked);
            if let Some(limits) = limits
                && !app.model.read().has_limits(worker, &limits)
            {
                app.model.write().note_limits(worker, limits);
            }
            ok(SyncResponse {
                seq,
                term: app.term.0,
                intervals: intervals(&app),
                stale: stale.into_iter().map(Into::into).collect(),
            })
        }
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
    let life: Option<u64> = query.parse("life")?;
    let life = life.ok_or_else(|| {
        Failure(Problem::bad_parameter("life", "is missing; send that of the registration"))
    })?;
    query.finish()?;
    let hold = app.config.load().settings.heartbeat.interval;
    let mut stopped = app.stopped.clone();
    let commands = tokio::select! {
        polled = app.outboxes.poll(worker, life, after, hold) => {
            polled.map_err(|refusal| Failure::from(&refusal))?
        }
        () = stopping(&mut stopped) => Vec::new(),
    };
    ok(CommandsResponse { term: app.term.0, commands })
}

pub async fn list(State(app): State<App>, query: Query) -> Answered<Vec<WorkerView>> {
    query.finish()?;
    let model = app.model.read();
    let now = app.clock.now();
    ok(model.workers.keys().filter_map(|id| model.worker_view(*id, now)).collect())
}

/// How the scoring policy sees each of them.
pub async fn scores(State(app): State<App>, _: NoQuery) -> Answered<StandingsView> {
    let asked = app.driver.query(|scheduler, policies, now| scheduler.standings(now, policies));
    let standings = asked.await?;
    let mut terms = app.policies.terms(standings.policy, &standings.workers).await;
    let model = app.model.read();
    let at = Timestamp(app.clock.now());
    let mut view = StandingsView::new(at, &standings, &*model, |verdict| {
        terms.by_worker.remove(&verdict.worker).unwrap_or_default()
    });
    view.terms_missing = terms.missing;
    ok(view)
}

pub async fn drain(
    State(app): State<App>,
    Path(id): Path<String>,
    _: NoQuery,
    _: NoBody,
) -> Result<StatusCode, Failure> {
    set_draining(app, &id, true).await
}

pub async fn resume(
    State(app): State<App>,
    Path(id): Path<String>,
    _: NoQuery,
    _: NoBody,
) -> Result<StatusCode, Failure> {
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
