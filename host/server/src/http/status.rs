//! The global table, the configuration in force, liveness and readiness.

use super::App;
use super::answer::{Answered, Failure, ok};
use super::query::Query;
use axum::extract::State;
use pointsman_protocol::api::{StatusRow, StatusView};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::record::{TaskState, WorkerState};

/// Rows at most: placed tasks first, then waiting ones.
const ROWS: usize = 1000;

pub async fn show(State(app): State<App>, query: Query) -> Answered<StatusView> {
    query.finish()?;
    let model = app.model.read();
    let now = app.clock.now();
    let states = [TaskState::Running, TaskState::Assigned, TaskState::Pending];
    let ids = states.into_iter().flat_map(|state| &model.in_state[state as usize]);
    let rows = ids.take(ROWS).filter_map(|id| model.tasks.get(id)).map(|task| {
        let worker = task.status.current().map(|attempt| attempt.worker);
        let known = worker.and_then(|id| model.workers.get(&id));
        let heartbeat = known.and_then(|worker| worker.last_heartbeat);
        StatusRow {
            task: task.added.id,
            name: task.added.spec.name.clone(),
            status: task.status.state.into(),
            worker,
            worker_name: known.map(|worker| worker.record.name.clone()),
            worker_state: known.map(|worker| worker.state.into()),
            progress: task.feedback.as_ref().and_then(|feedback| feedback.progress),
            reason: None,
            last_heartbeat: heartbeat.map(Timestamp),
        }
    });
    let is_live = |worker: &&crate::read_model::Worker| worker.state == WorkerState::Live;
    ok(StatusView {
        at: Timestamp(now),
        term: app.term.0,
        counts: model.counts(),
        n_workers_live: model.workers.values().filter(is_live).count() as u64,
        n_workers: model.workers.len() as u64,
        tasks: rows.collect(),
        next_cursor: None,
    })
}

/// The configuration in force, and what is wrong with the file if that is another one.
pub async fn config(State(app): State<App>, query: Query) -> Answered<serde_json::Value> {
    query.finish()?;
    let config = app.config.load();
    let problem = app.config_problem.load();
    ok(serde_json::json!({
        "effective": config.effective(),
        "refused": **problem,
    }))
}

/// The process lives.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// It takes work: its store can be written.
pub async fn readyz(State(app): State<App>) -> Result<&'static str, Failure> {
    match app.store.failure() {
        None => Ok("ready\n"),
        Some((_, error)) => {
            Err(Failure(Problem::store_unavailable(format!("the store fails: {error}"))))
        }
    }
}
