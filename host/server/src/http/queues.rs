//! Queues: lists, pausing, resuming.

use super::App;
use super::answer::{Answered, Failure, ok, unexpected};
use super::body::NoBody;
use super::query::{NoQuery, Query};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use pointsman_protocol::api::QueueView;
use pointsman_scheduler::{Answer, Event};

pub async fn list(State(app): State<App>, query: Query) -> Answered<Vec<QueueView>> {
    query.finish()?;
    let model = app.model.read();
    ok(model.queues.keys().filter_map(|name| model.queue_view(name)).collect())
}

pub async fn pause(
    State(app): State<App>,
    Path(name): Path<String>,
    _: NoQuery,
    _: NoBody,
) -> Result<StatusCode, Failure> {
    set_paused(app, name, true).await
}

pub async fn resume(
    State(app): State<App>,
    Path(name): Path<String>,
    _: NoQuery,
    _: NoBody,
) -> Result<StatusCode, Failure> {
    set_paused(app, name, false).await
}

async fn set_paused(app: App, queue: String, paused: bool) -> Result<StatusCode, Failure> {
    match app.driver.request(|request| Event::PauseQueue { request, queue, paused }).await? {
        Answer::QueuePaused => Ok(StatusCode::NO_CONTENT),
        Answer::Refused(refusal) => Err(Failure::from(&refusal)),
        other => Err(unexpected(&other)),
    }
}
