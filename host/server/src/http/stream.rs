//! The event stream (SSE): a snapshot, then numbered events, resumable from a number.

use super::App;
use super::answer::Failure;
use super::query::Query;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use pointsman_protocol::events::Snapshot;
use pointsman_protocol::problem::Problem;
use pointsman_protocol::timestamp::Timestamp;
use std::collections::VecDeque;
use std::convert::Infallible;

/// Events read at once.
const BATCH: usize = 500;
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
    let reader = Reader { newest: app.events.subscribe(), app, after, waiting: VecDeque::new() };
    let stream = futures_util::stream::unfold(reader, async |mut reader| {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

/// One reader's place in the stream. It holds a bounded number of events: the rest stays in the ring.
struct Reader {
    app: App,
    newest: tokio::sync::watch::Receiver<u64>,
    /// None: a snapshot comes next.
    after: Option<u64>,
    waiting: VecDeque<Event>,
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
                Ok((events, reached)) => {
                    self.after = Some(reached);
                    let to_sse = |event: &pointsman_protocol::events::PublicEvent| {
                        Event::default().id(event.n.to_string()).json_data(event).ok()
                    };
                    self.waiting.extend(events.iter().filter_map(to_sse));
                    if reached == after {
                        self.newest.changed().await.ok()?;
                    }
                }
            }
        }
    }
}

fn snapshot(app: &App) -> Snapshot {
    let model = app.model.read();
    let now = app.clock.now();
    let jobs = model.jobs.keys().rev().take(SNAPSHOT_ROWS);
    let tasks = model.tasks.keys().rev().take(SNAPSHOT_ROWS);
    Snapshot {
        n: app.events.newest(),
        at: Timestamp(now),
        term: app.term.0,
        counts: model.counts(),
        jobs: jobs.filter_map(|id| model.job_view(*id)).collect(),
        tasks: tasks.filter_map(|id| model.task_row(*id, None)).collect(),
        truncated: model.jobs.len() > SNAPSHOT_ROWS || model.tasks.len() > SNAPSHOT_ROWS,
        workers: model.workers.keys().filter_map(|id| model.worker_view(*id, now)).collect(),
        queues: model.queues.keys().filter_map(|name| model.queue_view(name)).collect(),
        policies: app.policies.view(),
    }
}
