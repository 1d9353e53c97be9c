//! The event stream: a snapshot, then numbered events, resumable from a number. As server-sent events,
//! or over a WebSocket if the request asks for one.

mod sse;
mod socket;

use super::answer::Failure;
use super::query::Query;
use super::{App, stopping};
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use pointsman_protocol::events::{EventBody, PublicEvent, Snapshot};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::timestamp::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Events read at once.
const BATCH: usize = 1000;
/// Jobs and tasks in a snapshot at most: a reader that never takes it holds it in memory.
const SNAPSHOT_ROWS: usize = 100;

pub async fn events(
    State(app): State<App>,
    headers: HeaderMap,
    mut query: Query,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let after: Option<u64> = query.parse("after")?;
    query.finish()?;
    let resumed = headers.get("last-event-id").map(|value| {
        let text = value.to_str().ok().filter(|text| text.bytes().all(|it| it.is_ascii_digit()));
        let number = text.and_then(|text| text.parse().ok());
        number.ok_or_else(|| Failure(Problem::bad_parameter("Last-Event-ID", "is no number")))
    });
    let after = match resumed {
        Some(number) => Some(number?),
        None => after,
    };
    if !headers.contains_key(header::UPGRADE) {
        let reader = Reader::enter(app, after).ok_or_else(|| Failure(too_many_readers()))?;
        return Ok(sse::answer(reader).into_response());
    }
    let socket = socket.map_err(|rejection| {
        let problem = Problem::new(400, "bad_upgrade", rejection.body_text());
        let remedy = "ask for a WebSocket of version 13, or leave out the header Upgrade";
        Failure(problem.with_field("Upgrade").with_remedy(remedy))
    })?;
    Ok(socket::answer(socket, Reader::enter(app, after)))
}

fn too_many_readers() -> Problem {
    let detail = "as many readers follow the events as the host takes";
    Problem::new(503, "too_many_readers", detail).with_retry_after(5)
}

/// What a reader is told at once.
enum News {
    /// It replaces everything that was told before.
    Snapshot(Box<Snapshot>),
    Events(Vec<PublicEvent>),
}

/// One reader's place in the stream. It holds no events: those wait in the ring.
struct Reader {
    app: App,
    newest: watch::Receiver<u64>,
    /// None: a snapshot comes next.
    after: Option<u64>,
    stopped: watch::Receiver<bool>,
    _room: OwnedSemaphorePermit,
}

impl Reader {
    /// None: there are as many as the host takes.
    fn enter(app: App, after: Option<u64>) -> Option<Reader> {
        let room = app.readers.clone().try_acquire_owned().ok()?;
        let newest = app.events.subscribe();
        let stopped = app.stopped.clone();
        Some(Reader { newest, stopped, app, after, _room: room })
    }

    /// Waits for what comes next; None once the host stops. May be given up at any time: nothing is
    /// passed over.
    async fn next(&mut self) -> Option<News> {
        loop {
            let Some(after) = self.after else {
                let snapshot = snapshot(&self.app);
                self.after = Some(snapshot.n);
                return Some(News::Snapshot(Box::new(snapshot)));
            };
            let read = {
                let model = self.app.model.read();
                self.app.events.read(&model, after, BATCH)
            };
            match read {
                // Too far behind, or the host is another one: begin anew.
                Err(_) => self.after = None,
                Ok((mut events, reached)) => {
                    self.after = Some(reached);
                    if !events.is_empty() {
                        self.show_policies(&mut events);
                        return Some(News::Events(events));
                    }
                    if reached == after {
                        tokio::select! {
                            changed = self.newest.changed() => changed.ok()?,
                            () = stopping(&mut self.stopped) => return None,
                        }
                    }
                }
            }
        }
    }

    /// A change of a slot shows who serves it now.
    fn show_policies(&self, events: &mut [PublicEvent]) {
        let mut policies = None;
        for event in events {
            if let EventBody::Policy { slot, policy, .. } = &mut event.body {
                let view = policies.get_or_insert_with(|| self.app.policies.view());
                let serving = view.slots.iter().find(|serving| Some(serving.slot) == *slot);
                *policy = serving.cloned().map(Box::new);
            }
        }
    }
}

fn snapshot(app: &App) -> Snapshot {
    let model = app.model.read();
    let now = app.clock.now();
    let jobs = model.jobs.keys().rev().take(SNAPSHOT_ROWS);
    let tasks = model.tasks.range(pointsman_scheduler::TaskId(0)).rev().take(SNAPSHOT_ROWS);
    Snapshot {
        n: app.events.newest(),
        at: Timestamp(now),
        term: app.term.0,
        counts: model.counts(),
        jobs: jobs.filter_map(|id| model.job_view(*id)).collect(),
        tasks: tasks.filter_map(|(id, _)| model.task_row(id, None)).collect(),
        truncated: model.jobs.len() > SNAPSHOT_ROWS || model.tasks.len() > SNAPSHOT_ROWS,
        workers: model.workers.keys().filter_map(|id| model.worker_view(*id, now)).collect(),
        queues: model.queues.keys().filter_map(|name| model.queue_view(name)).collect(),
        policies: app.policies.view(),
    }
}
