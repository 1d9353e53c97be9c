//! Keeping the bounds: what is too old or too much is deleted, oldest first, in pieces that hold nobody up,
//! and what that frees is given back to the file system, but for a part that is kept for what comes.

use super::Bounds;
use crate::sqlite::give_back_pages;
use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use std::time::{SystemTime, UNIX_EPOCH};

/// Rows of a kind that are deleted at once, at least.
const PIECE: usize = 5_000;
/// Free pages that are kept, at least, and as a part of all. A steady history frees as much as it takes.
const MIN_FREE_PAGES: u32 = 256;
const FREE_PART: u32 = 8;

/// Rows that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub measurements: u64,
    pub feedback: u64,
}

#[derive(Debug)]
pub(super) struct Tidied {
    pub kept: Kept,
    pub has_more: bool,
}

pub(super) fn kept(connection: &Connection) -> rusqlite::Result<Kept> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?")?;
    let mut of = |name: &str| statement.query_row([name], |row| row.get::<_, i64>(0));
    let (measurements, feedback) = (of("n_measurements")?, of("n_feedback")?);
    Ok(Kept { measurements: measurements.max(0) as u64, feedback: feedback.max(0) as u64 })
}

/// Rows were added, or deleted.
pub(super) fn count(
    transaction: &Transaction,
    n_measurements: i64,
    n_feedback: i64,
) -> rusqlite::Result<()> {
    let sql = "UPDATE meta SET value = value + ? WHERE name = ?";
    let mut statement = transaction.prepare_cached(sql)?;
    for (n, name) in [(n_measurements, "n_measurements"), (n_feedback, "n_feedback")] {
        if n != 0 {
            statement.execute(params![n, name])?;
        }
    }
    Ok(())
}

/// One piece of work; at least `n_least` rows of a kind, if there are as many too many.
pub(super) fn tidy(
    connection: &mut Connection,
    bounds: Bounds,
    n_least: usize,
) -> rusqlite::Result<Tidied> {
    let piece = PIECE.max(n_least) as i64;
    let oldest = oldest_kept(bounds);
    let before = kept(connection)?;
    let n_old = |table| count_older(connection, table, oldest, piece);
    let beyond = |n: u64| i64::try_from(n.saturating_sub(bounds.rows)).unwrap_or(i64::MAX);
    let measurements = n_old("measurement")?.max(beyond(before.measurements)).min(piece);
    let feedback = n_old("feedback")?.max(beyond(before.feedback)).min(piece);
    if measurements == 0 && feedback == 0 {
        return Ok(Tidied { kept: before, has_more: give_back(connection)? });
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let n_measurements = delete_oldest(&transaction, "measurement", measurements)?;
    let n_feedback = delete_oldest(&transaction, "feedback", feedback)?;
    forget_names(&transaction)?;
    count(&transaction, -n_measurements, -n_feedback)?;
    let kept = kept(&transaction)?;
    transaction.commit()?;
    Ok(Tidied { kept, has_more: n_measurements + n_feedback > 0 })
}

/// Milliseconds since the Unix epoch.
fn oldest_kept(bounds: Bounds) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.saturating_sub(bounds.keep).as_millis()).unwrap_or(i64::MAX)
}

/// Up to `max`.
fn count_older(
    connection: &Connection,
    table: &str,
    oldest: i64,
    max: i64,
) -> rusqlite::Result<i64> {
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM {table} WHERE at_ms < ? ORDER BY at_ms LIMIT ?)"
    );
    connection.prepare_cached(&sql)?.query_row([oldest, max], |row| row.get(0))
}

/// How many there were.
fn delete_oldest(transaction: &Transaction, table: &str, n: i64) -> rusqlite::Result<i64> {
    if n == 0 {
        return Ok(0);
    }
    let sql = format!(
        "DELETE FROM {table} WHERE (at_ms, seq) IN
         (SELECT at_ms, seq FROM {table} ORDER BY at_ms, seq LIMIT ?)"
    );
    transaction.prepare_cached(&sql)?.execute([n]).map(|n| n as i64)
}

/// Names of which no row is left.
fn forget_names(transaction: &Transaction) -> rusqlite::Result<()> {
    // Each part is NULL where there is no row.
    let sql = "DELETE FROM worker WHERE last_ms < min(
        coalesce((SELECT at_ms FROM measurement ORDER BY at_ms LIMIT 1), 9223372036854775807),
        coalesce((SELECT at_ms FROM feedback ORDER BY at_ms LIMIT 1), 9223372036854775807))";
    transaction.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// Whether there was something to give back; the file gets smaller at the next checkpoint.
fn give_back(connection: &Connection) -> rusqlite::Result<bool> {
    let pragma = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u32>(0));
    let n_free = pragma("PRAGMA freelist_count")?;
    let n_pages = pragma("PRAGMA page_count")?;
    if n_free <= MIN_FREE_PAGES.max(n_pages / FREE_PART) {
        return Ok(false);
    }
    give_back_pages(connection)?;
    Ok(pragma("PRAGMA freelist_count")? < n_free)
}
