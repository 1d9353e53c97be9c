//! Output of attempts: workers upload it, clients read it byte by byte.

use super::answer::Failure;
use super::body::RawBody;
use super::query::{Query, path_id};
use super::tasks::unknown;
use super::{App, stopping};
use crate::logs::{STREAM_MAX, Stream};
use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use pointsman_protocol::problem::Problem;
use pointsman_protocol::worker::LOG_CHUNK_MAX;
use pointsman_scheduler::{AttemptRef, TaskId, Term, WorkerId};
use std::time::Duration;

/// Bytes in one answer at most.
const READ_MAX: u64 = 1 << 20;
/// How long a follower waits for news.
const FOLLOW_HOLD: Duration = Duration::from_secs(5);
const FOLLOW_LOOK: Duration = Duration::from_millis(200);

/// Where the next read goes on.
pub const OFFSET_HEADER: HeaderName = HeaderName::from_static("pointsman-log-offset");
/// Whether the attempt has ended and all of it was read.
pub const COMPLETE_HEADER: HeaderName = HeaderName::from_static("pointsman-log-complete");

/// Whether the script wrote more than was kept; what is left out is marked in its place.
pub const TRUNCATED_HEADER: HeaderName = HeaderName::from_static("pointsman-log-truncated");

fn stream(query: &mut Query) -> Result<Stream, Failure> {
    let name = query.take("stream").unwrap_or_else(|| "stdout".to_owned());
    Stream::find(&name).ok_or_else(|| {
        let problem = format!("{name:?} is neither stdout nor stderr");
        Failure(Problem::bad_parameter("stream", problem))
    })
}

pub async fn read(
    State(app): State<App>,
    Path(id): Path<String>,
    mut query: Query,
) -> Result<impl IntoResponse, Failure> {
    let id: TaskId = path_id(&id)?;
    let number: Option<u32> = query.parse("attempt")?;
    let stream = stream(&mut query)?;
    let offset: u64 = query.parse("offset")?.unwrap_or(0);
    let follow: bool = query.parse("follow")?.unwrap_or(false);
    query.finish()?;
    let deadline = tokio::time::Instant::now() + FOLLOW_HOLD;
    let mut stopped = app.stopped.clone();
    loop {
        let (attempt, has_ended) = find_attempt(&app, id, number)?;
        let logs = app.logs.clone();
        let piece = match attempt {
            None => crate::logs::Piece::default(),
            Some(attempt) => {
                tokio::task::spawn_blocking(move || logs.read(attempt, stream, offset, READ_MAX))
                    .await
                    .map_err(|_| Failure(Problem::new(500, "defect", "reading the log failed")))?
                    .map_err(|error| log_failed(&error))?
            }
        };
        let next = offset.saturating_add(piece.bytes.len() as u64);
        let is_complete = has_ended && next >= piece.total;
        let is_news = !piece.bytes.is_empty() || is_complete;
        let is_over = tokio::time::Instant::now() >= deadline || *stopped.borrow();
        if !follow || is_news || is_over {
            let headers = [
                (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
                (OFFSET_HEADER, next.to_string()),
                (COMPLETE_HEADER, is_complete.to_string()),
                (TRUNCATED_HEADER, piece.truncated.to_string()),
            ];
            return Ok((headers, piece.bytes));
        }
        tokio::select! {
            () = tokio::time::sleep(FOLLOW_LOOK) => {}
            () = stopping(&mut stopped) => {}
        }
    }
}

/// The asked attempt, else the newest; and whether nothing more will come.
fn find_attempt(
    app: &App,
    id: TaskId,
    number: Option<u32>,
) -> Result<(Option<AttemptRef>, bool), Failure> {
    let model = app.model.read();
    let task = model.tasks.get(&id).ok_or_else(|| unknown(id))?;
    let attempts = &task.status.attempts;
    let attempt = match number {
        None => attempts.last(),
        Some(number) => Some(attempts.iter().find(|it| it.number == number).ok_or_else(|| {
            let problem = format!("{id} has no attempt {number}");
            Failure(Problem::new(404, "unknown_attempt", problem).with_field("attempt"))
        })?),
    };
    let has_ended = match attempt {
        None => task.status.state.is_terminal(),
        Some(attempt) => attempt.ended.is_some(),
    };
    Ok((attempt.map(|attempt| attempt.reference(id)), has_ended))
}

fn log_failed(error: &std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::StorageFull {
        tracing::warn!("no room for output beside what is kept for the store");
        let detail = "the volume is nearly full; what is left is kept for the store";
        return Failure(Problem::new(507, "no_room_for_output", detail).with_retry_after(10));
    }
    tracing::error!(%error, "failed to read or write a log");
    Failure(Problem::new(500, "log_failed", format!("the log cannot be read or written: {error}")))
}

pub async fn write(
    State(app): State<App>,
    Path(worker): Path<String>,
    mut query: Query,
    RawBody(body): RawBody,
) -> Result<StatusCode, Failure> {
    let worker: WorkerId = path_id(&worker)?;
    let need = |name: &'static str, value: Option<u64>| {
        value.ok_or_else(|| Failure(Problem::bad_parameter(name, "is missing")))
    };
    let task = need("task", query.parse("task")?)?;
    let attempt = need("attempt", query.parse("attempt")?)?;
    let term = need("term", query.parse("term")?)?;
    let offset = need("offset", query.parse("offset")?)?;
    let stream = stream(&mut query)?;
    let truncated: bool = query.parse("truncated")?.unwrap_or(false);
    query.finish()?;
    if body.len() > LOG_CHUNK_MAX {
        let problem = format!("a piece of log has at most {LOG_CHUNK_MAX} bytes");
        return Err(Failure(Problem::new(413, "too_large", problem)));
    }
    let attempt = AttemptRef {
        task: TaskId(task),
        attempt: u32::try_from(attempt)
            .map_err(|_| Failure(Problem::bad_parameter("attempt", "is out of range")))?,
        term: Term(term),
    };
    if offset.saturating_add(body.len() as u64) > STREAM_MAX {
        let problem = format!("a stream of output is kept up to {STREAM_MAX} bytes");
        return Err(Failure(Problem::new(413, "too_large", problem).with_field("offset")));
    }
    let is_its_own = {
        let model = app.model.read();
        model.tasks.get(&attempt.task).is_some_and(|task| {
            let is_it = |it: &pointsman_scheduler::record::Attempt| {
                it.reference(attempt.task) == attempt && it.worker == worker
            };
            task.status.attempts.iter().any(is_it)
        })
    };
    if !is_its_own {
        let problem = format!("{worker} has no such attempt of {}", attempt.task);
        return Err(Failure(Problem::new(404, "unknown_attempt", problem)));
    }
    let logs = app.logs.clone();
    let write = move || {
        logs.write(attempt, stream, offset, &body)?;
        if truncated { logs.note_truncated(attempt, stream) } else { Ok(()) }
    };
    tokio::task::spawn_blocking(write)
        .await
        .map_err(|_| Failure(Problem::new(500, "defect", "writing the log failed")))?
        .map_err(|error| log_failed(&error))?;
    Ok(StatusCode::NO_CONTENT)
}
