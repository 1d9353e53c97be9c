//! Tasks: lists, one task, why it waits, cancelling, retrying.

use super::App;
use super::answer::{Answered, Failure, ok, unexpected};
use super::body::NoBody;
use super::query::{NoQuery, Query, path_id};
use axum::Json;
use axum::extract::{Path, State};
use pointsman_protocol::api::{
    CancelTaskResponse, ExplanationView, Page, PlacedView, RetryResponse, TaskView, WireTaskState,
};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::record::TaskState;
use pointsman_scheduler::{Answer, Event, TaskId};
use std::collections::BTreeMap;
use std::str::FromStr;

use crate::policy_desk::Terms;
use crate::read_model::TaskFilter;

pub async fn list(State(app): State<App>, mut query: Query) -> Answered<Page<TaskView>> {
    let limit = query.limit()?;
    let after: Option<TaskId> = query.parse("cursor")?;
    let filter = TaskFilter {
        state: query.parse::<WireTaskState>("state")?.map(TaskState::from),
        queue: query.take("queue"),
        worker: query.parse("worker")?,
        job: query.parse("job")?,
        text: query.take("text"),
        submitted_after: query.parse::<Timestamp>("submitted_after")?.map(|it| it.0),
        submitted_before: query.parse::<Timestamp>("submitted_before")?.map(|it| it.0),
    };
    let attempts: Option<Attempts> = query.parse("attempts")?;
    query.finish()?;
    let (ids, pending, next) = {
        let model = app.model.read();
        let page = model.page(&filter, after, limit);
        let ids: Vec<TaskId> = page.tasks.iter().map(|task| task.added.id).collect();
        let is_pending = |task: &&&crate::read_model::Task| task.status.state == TaskState::Pending;
        let pending = page.tasks.iter().filter(is_pending).map(|it| it.added.id).collect();
        (ids, pending, page.next)
    };
    let reasons = reasons(&app, pending).await;
    let model = app.model.read();
    let next_cursor = next.map(|id| id.to_string());
    let row = |id: &TaskId| match attempts.unwrap_or(Attempts::Last) {
        Attempts::Last => model.task_row(*id, reasons.get(id)),
        Attempts::All => model.task_row_with_attempts(*id, reasons.get(id)),
    };
    let items = ids.iter().filter_map(row).collect();
    ok(Page { items, next_cursor })
}

/// Which attempts a row brings.
#[derive(Debug, Clone, Copy)]
enum Attempts {
    Last,
    All,
}

impl FromStr for Attempts {
    type Err = String;

    fn from_str(text: &str) -> Result<Attempts, String> {
        match text {
            "last" => Ok(Attempts::Last),
            "all" => Ok(Attempts::All),
            _ => Err(format!("{text:?} is neither \"last\" nor \"all\"")),
        }
    }
}

/// Reasons of waiting tasks, asked of the driver once; without it lists go on without reasons.
pub(super) async fn reasons(app: &App, pending: Vec<TaskId>) -> BTreeMap<TaskId, Reason> {
    if pending.is_empty() {
        return BTreeMap::new();
    }
    let asked = app.driver.query(move |scheduler, _, _| {
        let reason = |id: TaskId| scheduler.reason(id).map(|reason| (id, reason));
        pending.into_iter().filter_map(reason).collect()
    });
    match tokio::time::timeout(REASON_PATIENCE, asked).await {
        Ok(Ok(reasons)) => reasons,
        Ok(Err(_)) | Err(_) => BTreeMap::new(),
    }
}

/// A planning round takes less; lists do not wait for a busy host.
const REASON_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);

pub async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
    _: NoQuery,
) -> Answered<TaskView> {
    let id: TaskId = path_id(&id)?;
    let reasons = reasons(&app, vec![id]).await;
    let view = app.model.read().task_whole(id, reasons.get(&id));
    view.map(Json).ok_or_else(|| unknown(id))
}

pub(super) fn unknown(id: TaskId) -> Failure {
    Failure(Problem::new(404, "unknown_task", format!("no task {id}")))
}

pub async fn explain(
    State(app): State<App>,
    Path(id): Path<String>,
    _: NoQuery,
) -> Answered<ExplanationView> {
    let id: TaskId = path_id(&id)?;
    let explained =
        app.driver.query(move |scheduler, policies, now| scheduler.explain(now, id, policies));
    let explanation = explained.await?.ok_or_else(|| unknown(id))?;
    let mut terms = app.policies.terms(explanation.scoring_policy, &explanation.workers).await;
    let of_placement = match &explanation.placed {
        Some(placed) => Some(app.policies.terms_of_placement(placed).await),
        None => None,
    };
    let model = app.model.read();
    let mut view = ExplanationView::new(&explanation, &*model, |verdict| {
        terms.by_worker.remove(&verdict.worker).unwrap_or_default()
    });
    view.terms_missing = terms.missing;
    if let (Some(placed), Some(terms)) = (&mut view.placed, of_placement) {
        show_terms(placed, terms);
    }
    ok(view)
}

fn show_terms(placed: &mut PlacedView, mut terms: Terms) {
    placed.terms = terms.by_worker.remove(&placed.worker).unwrap_or_default();
    if let Some(second) = &mut placed.second {
        second.terms = terms.by_worker.remove(&second.worker).unwrap_or_default();
    }
    placed.terms_missing = terms.missing;
}

pub async fn cancel(
    State(app): State<App>,
    Path(id): Path<String>,
    _: NoQuery,
    _: NoBody,
) -> Answered<CancelTaskResponse> {
    let task: TaskId = path_id(&id)?;
    match app.driver.request(|request| Event::CancelTask { request, task }).await? {
        Answer::Cancelled { state, stopping } => {
            ok(CancelTaskResponse { state: state.into(), stopping })
        }
        Answer::Refused(refusal) => Err(Failure::from(&refusal)),
        other => Err(unexpected(&other)),
    }
}

pub async fn retry(
    State(app): State<App>,
    Path(id): Path<String>,
    _: NoQuery,
    _: NoBody,
) -> Answered<RetryResponse> {
    let task: TaskId = path_id(&id)?;
    match app.driver.request(|request| Event::RetryTask { request, task }).await? {
        Answer::Retried { n_revived } => ok(RetryResponse { n_revived }),
        Answer::Refused(refusal) => Err(Failure::from(&refusal)),
        other => Err(unexpected(&other)),
    }
}
