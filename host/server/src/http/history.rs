//! What was measured and reported over time, page by page.

use super::App;
use super::answer::{Answered, Failure, ok};
use super::query::Query;
use crate::history::{HistoryDesk, ms_from, time_of};
use axum::extract::State;
use pointsman_protocol::api::{FeedbackRow, MeasurementRow, Page};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::{TaskId, Time};
use pointsman_store::History;
use pointsman_store::history::{self, Cursor, FedRow, HistoryError, MeasuredRow, Selection};
use std::str::FromStr;

/// Rows of a page at most, and unless asked otherwise.
pub const LIMIT_MAX: usize = 10_000;
pub const LIMIT_DEFAULT: usize = 1_000;

pub async fn measurements(
    State(app): State<App>,
    mut query: Query,
) -> Answered<Page<MeasurementRow>> {
    let selection = selection(&mut query)?;
    query.finish()?;
    let page = read(&app, move |history| history.measurements(&selection)).await?;
    ok(shown(page, measurement_row))
}

pub async fn feedback(State(app): State<App>, mut query: Query) -> Answered<Page<FeedbackRow>> {
    let selection = selection(&mut query)?;
    let task: Option<TaskId> = query.parse("task")?;
    query.finish()?;
    let page = read(&app, move |history| history.feedback(&selection, task)).await?;
    ok(shown(page, feedback_row))
}

fn selection(query: &mut Query) -> Result<Selection, Failure> {
    let limit = query.limit_within(LIMIT_DEFAULT, LIMIT_MAX)?;
    let after: Option<CursorText> = query.parse("cursor")?;
    let from: Option<Timestamp> = query.parse("from")?;
    let to: Option<Timestamp> = query.parse("to")?;
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        let problem =
            Problem::new(400, "inverted_span", format!("to: {to} is before from, {from}"));
        let remedy = "give an end of the span that is not before its beginning";
        return Err(Failure(problem.with_field("to").with_remedy(remedy)));
    }
    Ok(Selection {
        worker: query.take("worker"),
        from_ms: ms_from(from.map_or(Time::ZERO, |it| it.0)),
        to_ms: to.map_or(u64::MAX, |it| ms_from(it.0)),
        after: after.map(|it| it.0),
        limit,
    })
}

async fn read<T: Send + 'static>(
    app: &App,
    ask: impl FnOnce(&History) -> Result<T, HistoryError> + Send + 'static,
) -> Result<T, Failure> {
    let desk: &HistoryDesk = app.history.as_ref().ok_or_else(|| {
        let problem = Problem::new(404, "no_history", "this host keeps no history");
        Failure(problem.with_remedy("set history.enabled = true and restart it"))
    })?;
    match desk.read(ask).await {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(error)) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a question was not answered"
            );
            let problem = Problem::new(500, "history_failed", "the history cannot be read");
            Err(Failure(problem.with_remedy("see the host's log; a damaged file is set aside")))
        }
        None => Err(Failure(Problem::new(500, "defect", "the question was broken off"))),
    }
}

/// `AT-SEQ`: milliseconds since the Unix epoch, and the place among rows of that time.
struct CursorText(Cursor);

impl FromStr for CursorText {
    type Err = String;

    fn from_str(text: &str) -> Result<CursorText, String> {
        let read = text.split_once('-').and_then(|(at_ms, seq)| {
            let cursor = Cursor { at_ms: at_ms.parse().ok()?, seq: seq.parse().ok()? };
            // Only as it is written here.
            (cursor_text(cursor) == text).then_some(CursorText(cursor))
        });
        read.ok_or_else(|| format!("{text:?} is no cursor; send next_cursor of the page before"))
    }
}

fn cursor_text(cursor: Cursor) -> String {
    format!("{}-{}", cursor.at_ms, cursor.seq)
}

fn shown<T, R>(page: history::Page<T>, row: fn(T) -> R) -> Page<R> {
    let next_cursor = page.next.map(cursor_text);
    Page { items: page.rows.into_iter().map(row).collect(), next_cursor }
}

fn measurement_row(row: MeasuredRow) -> MeasurementRow {
    MeasurementRow {
        at: Timestamp(time_of(row.at_ms)),
        worker_name: row.worker_name,
        measurements: row.measurements.into(),
    }
}

fn feedback_row(row: FedRow) -> FeedbackRow {
    FeedbackRow {
        at: Timestamp(time_of(row.at_ms)),
        task: row.task,
        task_name: row.task_name,
        attempt: row.attempt,
        worker_name: row.worker_name,
        feedback: (&row.feedback).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_was_written_and_nothing_else_does() {
        for cursor in [(0, 0), (1_790_000_000_123, 7), (u64::MAX, u64::MAX)] {
            let cursor = Cursor { at_ms: cursor.0, seq: cursor.1 };
            assert_eq!(cursor_text(cursor).parse::<CursorText>().map(|it| it.0), Ok(cursor));
        }
        for text in ["", "1", "-", "1-", "-1", "01-2", "1-2-3", "+1-2", "1--2", "t12", "1-2 "] {
            assert!(text.parse::<CursorText>().is_err(), "{text:?}");
        }
    }
}
