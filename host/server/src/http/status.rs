//! The global table, the configuration in force, liveness and readiness.

use super::App;
use super::answer::{Answered, Failure, ok};
use super::query::{NoQuery, Query};
use super::tasks::reasons;
use crate::bottlenecks;
use crate::driver::NoAnswer;
use crate::read_model::{ReadModel, Task};
use axum::extract::State;
use pointsman_protocol::api::{
    BottlenecksView, ConfigStatus, ConfigView, EndReasonView, Page, SetAsideView, StatusRow,
    StatusView,
};
use pointsman_protocol::events::PublicEvent;
use pointsman_protocol::problem::Problem;
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::TaskId;
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::record::{TaskState, WorkerState};
use pointsman_store::SetAside;

pub async fn show(State(app): State<App>, mut query: Query) -> Answered<StatusView> {
    let limit = query.limit()?;
    query.finish()?;
    let (ids, pending) = {
        let model = app.model.read();
        let ids = rows(&model, limit);
        let is_pending =
            |id: &&TaskId| model.in_state[TaskState::Pending as usize].contains_key(id);
        let pending: Vec<TaskId> = ids.iter().filter(is_pending).copied().collect();
        (ids, pending)
    };
    let reasons = reasons(&app, pending).await;
    let model = app.model.read();
    let is_live = |worker: &&crate::read_model::Worker| worker.state == WorkerState::Live;
    let row = |id: &TaskId| Some(row(&model, model.tasks.get(id)?, reasons.get(id)));
    ok(StatusView {
        at: Timestamp(app.clock.now()),
        term: app.term.0,
        counts: model.counts(),
        n_workers_live: model.workers.values().filter(is_live).count() as u64,
        n_workers: model.workers.len() as u64,
        set_aside: app.set_aside.iter().map(set_aside_view).collect(),
        config: ConfigStatus::clone(&app.config_status.load()),
        tasks: ids.iter().filter_map(row).collect(),
        next_cursor: None,
    })
}

fn set_aside_view(it: &SetAside) -> SetAsideView {
    SetAsideView {
        at: it.at.clone(),
        kind: it.kind.clone(),
        key: it.key.clone(),
        problem: it.problem.clone(),
        outcome: it.outcome.clone(),
    }
}

/// Placed tasks first, then waiting ones, then those that ended last, to which up to a quarter of
/// the rows is kept.
fn rows(model: &ReadModel, limit: usize) -> Vec<TaskId> {
    let n_ended = limit / 4;
    let of = |state: TaskState| {
        let all = model.in_state[state as usize].range(TaskId(0));
        all.map(|(id, ())| id)
    };
    let mut ended: Vec<TaskId> = TaskState::ALL
        .into_iter()
        .filter(|state| state.is_terminal())
        .flat_map(|state| of(state).rev().take(limit))
        .collect();
    ended.sort_unstable_by_key(|id| {
        let task = model.tasks.get(id);
        std::cmp::Reverse((task.and_then(|task| task.status.ended), *id))
    });
    let open = [TaskState::Running, TaskState::Assigned, TaskState::Pending];
    let open = open.into_iter().flat_map(of);
    let mut rows: Vec<TaskId> = open.take(limit - ended.len().min(n_ended)).collect();
    ended.truncate(limit - rows.len());
    rows.extend(ended);
    rows
}

fn row(model: &ReadModel, task: &Task, reason: Option<&Reason>) -> StatusRow {
    let worker = task.status.attempts.last().map(|attempt| attempt.worker);
    let known = worker.and_then(|id| model.workers.get(&id));
    let heartbeat = known.and_then(|worker| worker.last_heartbeat);
    let why_ended = task.status.end_reason.as_deref().map(|it| EndReasonView::from(it).code);
    StatusRow {
        task: task.added.id,
        name: task.added.spec.name.clone(),
        status: task.status.state.into(),
        worker,
        worker_name: known.map(|worker| worker.record.name.clone()),
        worker_state: known.map(|worker| worker.state.into()),
        progress: task.feedback.as_ref().and_then(|feedback| feedback.progress),
        reason: reason
            .map(|reason| reason.code().to_owned())
            .or_else(|| why_ended.map(|code| code.into_owned())),
        last_heartbeat: heartbeat.map(Timestamp),
    }
}

/// The configuration in force, and what is wrong with the file if that is another one.
pub async fn config(State(app): State<App>, _: NoQuery) -> Answered<ConfigView> {
    let config = app.config.load();
    let status = app.config_status.load();
    let refused = status.refused.as_ref().map(|refused| refused.text.clone());
    ok(ConfigView { effective: config.effective(), refused })
}

/// Where work is held up.
pub async fn bottlenecks(State(app): State<App>, _: NoQuery) -> Answered<BottlenecksView> {
    ok(bottlenecks::look(&app.model.read(), app.clock.now()))
}

/// What changed lately apart from tasks, newest first.
pub async fn activity(State(app): State<App>, mut query: Query) -> Answered<Page<PublicEvent>> {
    let limit = query.limit()?;
    query.finish()?;
    ok(Page { items: app.events.activity(limit), next_cursor: None })
}

/// The process lives.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// It takes work: its driver runs and its store can be written.
pub async fn readyz(State(app): State<App>) -> Result<&'static str, Failure> {
    if app.driver.has_ended() {
        return Err(Failure::from(NoAnswer::Stopping));
    }
    match app.store.failure() {
        None => Ok("ready\n"),
        Some((_, error)) => {
            Err(Failure(Problem::store_unavailable(format!("the store fails: {error}"))))
        }
    }
}
