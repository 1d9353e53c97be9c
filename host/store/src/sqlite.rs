//! SQLite in WAL mode with `synchronous=FULL`: a commit that returned survives a power cut.
//!
//! The unchanging part of a task and its status lie in tables of their own, so that an update writes
//! little. Every row carries a checksum. One host at a time: a lock is held as long as the store is
//! open, and each commit looks whether its term still is the last. Others may read meanwhile.

mod lock;
mod log;
mod opening;
mod reading;
mod upgrade;
mod check;
mod backup;
mod salvage;

pub use backup::{Backup, backup};
pub use check::{Checked, check};
pub use salvage::{Salvaged, salvage};

use crate::coalesce::{Coalesced, LastIds};
use crate::encoding::Stored;
use crate::encoding::seal::{self, Key};
use crate::mending::{inconsistencies, mend};
use crate::parts::{BadRow, Parts};
use crate::store::{SetAside, Store, StoreError};
use lock::Lock;
use opening::{SCHEMA_VERSION, damaged};
use pointsman_scheduler::record::Snapshot;
use pointsman_scheduler::{Record, Term};
use reading::{Reader, meta_sum, queue_sum};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, params};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    term: Term,
    last: LastIds,
    set_aside: Vec<SetAside>,
    /// Something was deleted since the file was last looked at for free pages.
    may_shrink: bool,
    /// Pages were given back, in the log so far.
    has_shrunk: bool,
    /// After the connection: it is closed first.
    _lock: Lock,
}

/// More rows that cannot be read are no single accident: then the file is refused whole.
const MAX_SET_ASIDE: usize = 100;
/// Free pages that are kept for what comes, at least, and as a part of all.
const MIN_FREE_PAGES: u32 = 64;
const FREE_PART: u32 = 16;
/// Pages given back at once.
const PAGES_AT_ONCE: u64 = 512;

impl SqliteStore {
    /// Opens the database at `path`, or makes it where there is none.
    ///
    /// # Errors
    /// If another process has it open, if it is damaged, or if a newer build wrote it. The file is
    /// then left as it is.
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        let (connection, lock) = opening::open(path)?;
        let reader = Reader { connection: &connection, path, version: SCHEMA_VERSION };
        let term = Term(reader.meta("term")? as u64);
        let last = reader.last_ids()?;
        // Before anything is written to it.
        reader.check_pages()?;
        Ok(SqliteStore {
            path: path.to_owned(),
            term,
            last,
            set_aside: Vec::new(),
            // A host that ended may not have come to it.
            may_shrink: true,
            has_shrunk: false,
            connection,
            _lock: lock,
        })
    }

    fn reader(&self) -> Reader<'_> {
        Reader { connection: &self.connection, path: &self.path, version: SCHEMA_VERSION }
    }

    /// Puts the bad rows aside, and what stands for them in their place; refuses what is more than
    /// a few accidents.
    fn mend(&mut self, parts: Parts) -> Result<Parts, StoreError> {
        let told: Vec<String> = parts.bad.iter().take(3).map(describe).collect();
        let (n_bad, told) = (parts.bad.len(), told.join("; "));
        if n_bad > MAX_SET_ASIDE {
            return Err(damaged(&self.path, format!("{n_bad} rows cannot be read: {told}; …")));
        }
        let mended = mend(parts);
        if !mended.orphans.is_empty() {
            let problem = format!("{told}; no job is known that it belongs to");
            return Err(damaged(&self.path, problem));
        }
        if let Some(first) = inconsistencies(&mended.parts).first() {
            return Err(damaged(&self.path, format!("{told}; and {first}")));
        }
        let failed = |error: rusqlite::Error| open_error(&self.path, &error);
        let transaction = self.connection.transaction().map_err(failed)?;
        put_aside(&transaction, &mended.set_aside)
            .and_then(|()| {
                let records: Vec<&Record> = mended.changed.iter().collect();
                write_all(&transaction, &Coalesced::of(&records), self.last, self.last)
            })
            .and_then(|()| transaction.commit())
            .map_err(failed)?;
        for (row, outcome) in &mended.set_aside {
            let (table, key, problem) = (row.table.name(), &row.key, &row.problem);
            tracing::error!(table, %key, problem, outcome, "a record of the store was set aside");
        }
        Ok(mended.parts)
    }
}

fn describe(row: &BadRow) -> String {
    format!("{} {} cannot be read: {}", row.table.name(), row.key, row.problem)
}

fn put_aside(transaction: &Transaction, rows: &[(BadRow, String)]) -> rusqlite::Result<()> {
    for (row, outcome) in rows {
        let (table, key) = (row.table.name(), row.key.to_string());
        transaction.execute(
            "INSERT INTO set_aside (kind, key, problem, outcome, body) VALUES (?, ?, ?, ?, ?)",
            params![table, key, row.problem, outcome, row.body],
        )?;
        match &row.key {
            Key::Number(id) => {
                transaction.execute(&format!("DELETE FROM {table} WHERE id = ?"), [id])?
            }
            Key::Text(text) => {
                let column = if table == "queue" { "name" } else { "key" };
                transaction.execute(&format!("DELETE FROM {table} WHERE {column} = ?"), [text])?
            }
        };
    }
    Ok(())
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        let mut parts = self.reader().read()?;
        if !parts.bad.is_empty() {
            parts = self.mend(parts)?;
        }
        self.set_aside = self.reader().set_aside()?;
        Ok(parts.into_snapshot())
    }

    fn begin_term(&mut self) -> Result<Term, StoreError> {
        let term = Term(self.term.0 + 1);
        put_meta(&self.connection, "term", term.0 as i64)
            .map_err(|error| open_error(&self.path, &error))?;
        self.term = term;
        Ok(term)
    }

    fn commit(&mut self, term: Term, records: &[&Record]) -> Result<(), StoreError> {
        if term != self.term {
            return Err(StoreError::OldTerm { ours: term, current: self.term });
        }
        let coalesced = Coalesced::of(records);
        let last = self.last.after(&coalesced);
        let failed = |error: rusqlite::Error| write_error(&self.path, &error);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(failed)?;
        // The lock keeps other hosts off. This holds even if somebody removed its file.
        let current = stored_term(&transaction).map_err(failed)?;
        if current != term {
            return Err(StoreError::OldTerm { ours: term, current });
        }
        write_all(&transaction, &coalesced, last, self.last)
            .and_then(|()| transaction.commit())
            .map_err(failed)?;
        self.last = last;
        self.may_shrink |= coalesced.forgets();
        Ok(())
    }

    fn set_aside(&self) -> Vec<SetAside> {
        self.set_aside.clone()
    }

    fn tidy(&mut self) -> Result<bool, StoreError> {
        if !self.may_shrink {
            return Ok(false);
        }
        let failed = |error: rusqlite::Error| write_error(&self.path, &error);
        let count = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, u32>(0));
        let n_free = count("PRAGMA freelist_count").map_err(failed)?;
        let n_pages = count("PRAGMA page_count").map_err(failed)?;
        if n_free > MIN_FREE_PAGES.max(n_pages / FREE_PART) {
            give_back_pages(&self.connection).map_err(failed)?;
            if count("PRAGMA freelist_count").map_err(failed)? < n_free {
                self.has_shrunk = true;
                return Ok(true);
            }
        }
        self.may_shrink = false;
        if std::mem::take(&mut self.has_shrunk) {
            // The file gets smaller when the log is copied into it, unless a reader is in the way.
            let copied = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
            copied.map_err(failed)?;
        }
        Ok(false)
    }
}

pub(crate) fn give_back_pages(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})"))?;
    // One page a step.
    let mut steps = statement.query([])?;
    while steps.next()?.is_some() {}
    Ok(())
}

fn stored_term(connection: &Connection) -> rusqlite::Result<Term> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = 'term'")?;
    statement.query_row([], |row| row.get::<_, i64>(0)).map(|term| Term(term as u64))
}

fn put_meta(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta (name, value, sum) VALUES (?, ?, ?)")?
        .execute(params![name, value, meta_sum(name, value)])?;
    Ok(())
}

fn put_queue(connection: &Connection, name: &str, paused: bool) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO queue (name, paused, sum) VALUES (?, ?, ?)")?
        .execute(params![name, paused, queue_sum(name, paused)])?;
    Ok(())
}

fn write_all(
    transaction: &Transaction,
    coalesced: &Coalesced,
    last: LastIds,
    known: LastIds,
) -> rusqlite::Result<()> {
    let mut body = Vec::new();
    let jobs = coalesced.jobs.iter().map(|(id, job)| (id.0 as i64, *job));
    write_rows(transaction, "job", jobs, &mut body)?;
    let added = coalesced.added.iter().map(|task| (task.id.0 as i64, Some(*task)));
    write_rows(transaction, "task", added, &mut body)?;
    let statuses = coalesced.tasks.iter().map(|(id, status)| (id.0 as i64, *status));
    write_rows(transaction, "task_status", statuses, &mut body)?;
    for (id, _) in coalesced.tasks.iter().filter(|(_, status)| status.is_none()) {
        transaction.prepare_cached("DELETE FROM task WHERE id = ?")?.execute([id.0 as i64])?;
    }
    let workers = coalesced.workers.iter().map(|(id, worker)| (i64::from(id.0), *worker));
    write_rows(transaction, "worker", workers, &mut body)?;
    for queue in &coalesced.queues {
        put_queue(transaction, &queue.name, queue.paused)?;
    }
    for (key, record) in &coalesced.keys {
        match record {
            Some(record) => {
                seal::seal("idempotency_key", &Key::Text((*key).to_owned()), *record, &mut body);
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO idempotency_key VALUES (?, ?)")?
                    .execute(params![key, body])?;
            }
            None => {
                transaction
                    .prepare_cached("DELETE FROM idempotency_key WHERE key = ?")?
                    .execute([key])?;
            }
        }
    }
    for (name, value, before) in [
        ("last_job", last.job, known.job),
        ("last_task", last.task, known.task),
        ("last_worker", u64::from(last.worker), u64::from(known.worker)),
    ] {
        if value != before {
            put_meta(transaction, name, value as i64)?;
        }
    }
    Ok(())
}

fn write_rows<'a, T: Stored + 'a>(
    transaction: &Transaction,
    table: &str,
    rows: impl Iterator<Item = (i64, Option<&'a T>)>,
    body: &mut Vec<u8>,
) -> rusqlite::Result<()> {
    let sql = format!("INSERT OR REPLACE INTO {table} VALUES (?, ?)");
    let mut insert = transaction.prepare_cached(&sql)?;
    let mut delete = transaction.prepare_cached(&format!("DELETE FROM {table} WHERE id = ?"))?;
    for (id, record) in rows {
        match record {
            Some(record) => {
                seal::seal(table, &Key::Number(id), record, body);
                insert.execute(params![id, *body])?;
            }
            None => {
                delete.execute([id])?;
            }
        }
    }
    Ok(())
}

fn open_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::InUse { path, holder: "another process".to_owned() }
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Damaged { path, problem: error.to_string() }
        }
        _ => StoreError::Open { path, problem: error.to_string() },
    }
}

/// Damage does not heal; everything else may: a full disk, a read-only mount, a bad cable.
fn write_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            StoreError::Damaged { path: path.to_owned(), problem: error.to_string() }
        }
        _ => StoreError::Write { problem: error.to_string() },
    }
}
