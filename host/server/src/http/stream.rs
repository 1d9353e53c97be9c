//! The event stream (SSE): a snapshot, then numbered events, resumable from a number.

use super::answer::Failure;
use super::query::Query;
use super::{App, stopping};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use pointsman_protocol::events::{EventBody, PublicEvent, Snapshot};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::timestamp::Timestamp;
use std::collections::VecDeque;
use std::convert::Infallible;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Events read at once.
const BATCH: usize = 1000;
/// Jobs and tasks in a snapshot at most.
const SNAPSHOT_ROWS: usize = 1000;

pub async fn events(
    State(app): State<App>,
    headers: HeaderMap,
    mut query: Query,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let after: Option<u64> = query.parse("after")?;
    query.finish()?;
    let resumed = headers.get("last-event-id").map(|value| {
        let number = value.to_str().ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| Failure(Problem::bad_parameter("Last-Event-ID", "is no number")))
    });
    let after = match resumed {
        Some(number) => Some(number?),
        None => after,
    };
    let room = app.readers.clone().try_acquire_owned().map_err(|_| {
        let detail = "as many readers follow the events as the host takes";
        Failure(Problem::new(503, "too_many_readers", detail).with_retry_after(5))
    })?;
    let newest = app.events.subscribe();
    let stopped = app.stopped.clone();
    let reader = Reader { newest, stopped, app, after, waiting: VecDeque::new(), _room: room };
    let stream = futures_util::stream::unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

/// One reader's place in the stream. It holds a bounded number of events: the rest stays in the ring.
struct Reader {
    app: App,
    newest: watch::Receiver<u64>,
    /// None: a snapshot comes next.
    after: Option<u64>,
    waiting: VecDeque<Event>,
    stopped: watch::Receiver<bool>,
    _room: OwnedSemaphorePermit,
}

impl Reader {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            let Some(after) = self.after else {
                let snapshot = snapshot(&self.app);
                self.after = Some(snapshot.n);
                return Event::default()
                    .event("snapshot")
                    .id(snapshot.n.to_string())
                    .json_data(&snapshot)
                    .ok();
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
                    self.show_policies(&mut events);
                    let to_sse = |event: &PublicEvent| {
                        Event::default().id(event.n.to_string()).json_data(event).ok()
                    };
                    self.waiting.extend(events.iter().filter_map(to_sse));
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
}

impl Reader {
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
