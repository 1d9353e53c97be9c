//! What is asked of the tables. Each question reads them in the order of time, from a place on, as far as
//! it has to.

use super::{Column, Cursor, FedRow, MeasuredRow, Page, Selection};
use pointsman_scheduler::event::{Feedback, Measurements};
use pointsman_scheduler::{TaskId, WorkerId};
use rusqlite::{Connection, OptionalExtension, Row, params};

const MEASURED: &str =
    "at_ms, seq, worker.id, worker.name, cpu_used, memory_used, iops_used, rtt_ms,
    connections FROM measurement JOIN worker ON worker.key = measurement.worker";

const FED: &str = "at_ms, seq, task, task_name, attempt, worker.name, phase, progress, duration_ms,
    cpu_usage, memory_mb FROM feedback LEFT JOIN worker ON worker.key = feedback.worker";

pub(super) fn measurements(
    connection: &Connection,
    selection: &Selection,
) -> rusqlite::Result<Page<MeasuredRow>> {
    let Some(bounds) = Bounded::of(connection, selection)? else { return Ok(nothing()) };
    let sql = format!(
        "SELECT {MEASURED} WHERE (at_ms, seq) > (?1, ?2) AND at_ms < ?3
         AND (?4 IS NULL OR measurement.worker = ?4) ORDER BY at_ms, seq LIMIT ?5"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let Bounded { after, to, worker, n_asked } = bounds;
    let rows = statement.query_map(params![after.0, after.1, to, worker, n_asked], |row| {
        Ok((cursor(row)?, measured(row)?))
    })?;
    page(rows, selection.limit)
}

pub(super) fn feedback(
    connection: &Connection,
    selection: &Selection,
    task: Option<TaskId>,
) -> rusqlite::Result<Page<FedRow>> {
    let Some(bounds) = Bounded::of(connection, selection)? else { return Ok(nothing()) };
    let sql = format!(
        "SELECT {FED} WHERE (at_ms, seq) > (?1, ?2) AND at_ms < ?3
         AND (?4 IS NULL OR feedback.worker = ?4) AND (?5 IS NULL OR task = ?5)
         ORDER BY at_ms, seq LIMIT ?6"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let Bounded { after, to, worker, n_asked } = bounds;
    let task = task.map(|task| task.0 as i64);
    let rows = statement
        .query_map(params![after.0, after.1, to, worker, task, n_asked], |row| {
            Ok((cursor(row)?, fed(row)?))
        })?;
    page(rows, selection.limit)
}

pub(super) fn means(
    connection: &Connection,
    column: Column,
    from_ms_exclusive: u64,
    to_ms_inclusive: u64,
) -> rusqlite::Result<Vec<(WorkerId, f64)>> {
    let column = column.name();
    let sql = format!(
        "SELECT worker.id, mean FROM worker JOIN (
             SELECT worker AS key, avg({column}) AS mean FROM measurement
             WHERE at_ms > ? AND at_ms <= ? AND {column} IS NOT NULL GROUP BY worker
         ) AS means ON means.key = worker.key
         WHERE worker.id IS NOT NULL ORDER BY worker.id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let span = [signed(from_ms_exclusive), signed(to_ms_inclusive)];
    let rows = statement.query_map(span, |row| Ok((WorkerId(row.get(0)?), row.get(1)?)))?;
    rows.collect()
}

pub(super) fn recent(
    connection: &Connection,
    since_ms: u64,
    limit: usize,
) -> rusqlite::Result<Vec<MeasuredRow>> {
    let sql = format!("SELECT {MEASURED} WHERE at_ms >= ? ORDER BY at_ms DESC, seq DESC LIMIT ?");
    let mut statement = connection.prepare_cached(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map([signed(since_ms), limit], measured)?;
    let mut rows = rows.collect::<rusqlite::Result<Vec<MeasuredRow>>>()?;
    rows.reverse();
    Ok(rows)
}

/// A selection as the tables know it.
struct Bounded {
    after: (i64, i64),
    to: i64,
    worker: Option<i64>,
    /// One more than is wanted tells whether there is more.
    n_asked: i64,
}

impl Bounded {
    /// None: nothing is selected, as nobody of that name ever measured.
    fn of(connection: &Connection, selection: &Selection) -> rusqlite::Result<Option<Bounded>> {
        let mut worker = None;
        if let Some(name) = &selection.worker {
            let mut key = connection.prepare_cached("SELECT key FROM worker WHERE name = ?")?;
            worker = key.query_row([name], |row| row.get(0)).optional()?;
            if worker.is_none() {
                return Ok(None);
            }
        }
        // Before the first row of that time.
        let from = (signed(selection.from_ms), -1);
        let behind = |it: Cursor| (signed(it.at_ms), signed(it.seq));
        let after = selection.after.map_or(from, |it| behind(it).max(from));
        let n_asked = i64::try_from(selection.limit.max(1)).unwrap_or(i64::MAX).saturating_add(1);
        Ok(Some(Bounded { after, to: signed(selection.to_ms), worker, n_asked }))
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn nothing<T>() -> Page<T> {
    Page { rows: Vec::new(), next: None }
}

fn page<T>(
    rows: impl Iterator<Item = rusqlite::Result<(Cursor, T)>>,
    limit: usize,
) -> rusqlite::Result<Page<T>> {
    let limit = limit.max(1);
    let mut page = nothing();
    let mut last = None;
    for row in rows {
        let (cursor, row) = row?;
        if page.rows.len() == limit {
            page.next = last;
            break;
        }
        last = Some(cursor);
        page.rows.push(row);
    }
    Ok(page)
}

fn cursor(row: &Row) -> rusqlite::Result<Cursor> {
    Ok(Cursor { at_ms: row.get::<_, i64>(0)? as u64, seq: row.get::<_, i64>(1)? as u64 })
}

fn measured(row: &Row) -> rusqlite::Result<MeasuredRow> {
    Ok(MeasuredRow {
        at_ms: row.get::<_, i64>(0)? as u64,
        worker: row.get::<_, Option<u32>>(2)?.map(WorkerId),
        worker_name: row.get(3)?,
        measurements: Measurements {
            cpu_used: row.get(4)?,
            memory_used: row.get(5)?,
            iops_used: row.get(6)?,
            rtt_ms: row.get(7)?,
            connections: row.get(8)?,
        },
    })
}

fn fed(row: &Row) -> rusqlite::Result<FedRow> {
    Ok(FedRow {
        at_ms: row.get::<_, i64>(0)? as u64,
        task: TaskId(row.get::<_, i64>(2)? as u64),
        task_name: row.get(3)?,
        attempt: row.get(4)?,
        worker_name: row.get(5)?,
        feedback: Feedback {
            phase: row.get(6)?,
            progress: row.get(7)?,
            duration_ms: row.get::<_, i64>(8)? as u64,
            cpu_usage: row.get(9)?,
            memory_mb: row.get(10)?,
        },
    })
}
