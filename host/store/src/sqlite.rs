//! SQLite in WAL mode with `synchronous=FULL`: a commit that returned survives a power cut.
//!
//! The unchanging part of a task and its status lie in tables of their own, so that an update writes
//! little. One process at a time: the lock is held as long as the store is open.

mod opening;

use crate::coalesce::{Coalesced, LastIds};
use crate::encoding::Stored;
use crate::store::{Store, StoreError};
use pointsman_scheduler::record::{
    JobRecord, KeyRecord, QueueRecord, Snapshot, TaskAdded, TaskStatus, WorkerRecord,
};
use pointsman_scheduler::{JobId, Record, TaskId, Term, WorkerId};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    term: Term,
    last: LastIds,
}

impl SqliteStore {
    /// Opens the database at `path`, or makes it where there is none.
    ///
    /// # Errors
    /// If another process has it open, if it is damaged, or if a newer build wrote it. The file is
    /// then left as it is.
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        let mut store = SqliteStore {
            connection: opening::open(path)?,
            path: path.to_owned(),
            term: Term(0),
            last: LastIds::default(),
        };
        store.read_meta()?;
        Ok(store)
    }

    fn read_meta(&mut self) -> Result<(), StoreError> {
        let number = |name: &str| -> Result<i64, StoreError> {
            self.connection
                .query_row("SELECT value FROM meta WHERE name = ?", [name], |row| row.get(0))
                .optional()
                .map_err(|error| open_error(&self.path, &error))?
                .ok_or_else(|| StoreError::Damaged {
                    path: self.path.clone(),
                    problem: format!("its {name} is missing"),
                })
        };
        self.term = Term(number("term")? as u64);
        self.last = LastIds {
            job: number("last_job")? as u64,
            task: number("last_task")? as u64,
            worker: number("last_worker")? as u32,
        };
        Ok(())
    }

    /// All rows of a table with an integer key.
    fn rows<T: Stored>(
        &self,
        table: &str,
        mut take: impl FnMut(i64, T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let failed = |error: rusqlite::Error| open_error(&self.path, &error);
        let sql = format!("SELECT id, body FROM {table} ORDER BY id");
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let id: i64 = row.get(0).map_err(failed)?;
            let body = row.get_ref(1).and_then(|body| Ok(body.as_blob()?)).map_err(failed)?;
            take(id, T::decode(body, || format!("{table} {id} in {}", self.path.display()))?)?;
        }
        Ok(())
    }

    fn load_tasks(&self) -> Result<Vec<(TaskAdded, TaskStatus)>, StoreError> {
        let mut tasks: Vec<(TaskAdded, TaskStatus)> = Vec::new();
        self.rows("task", |id, added: TaskAdded| {
            let added = TaskAdded { id: TaskId(id as u64), ..added };
            tasks.push((added, TaskStatus { next_attempt: 1, ..TaskStatus::default() }));
            Ok(())
        })?;
        self.rows("task_status", |id, status: TaskStatus| {
            let position = tasks.binary_search_by_key(&TaskId(id as u64), |(added, _)| added.id);
            let position = position.map_err(|_| StoreError::Damaged {
                path: self.path.clone(),
                problem: format!("task {id} has a status but no specification"),
            })?;
            tasks[position].1 = status;
            Ok(())
        })?;
        Ok(tasks)
    }

    fn load_queues(&self) -> rusqlite::Result<Vec<QueueRecord>> {
        let mut statement =
            self.connection.prepare("SELECT name, paused FROM queue ORDER BY name")?;
        let rows = statement
            .query_map([], |row| Ok(QueueRecord { name: row.get(0)?, paused: row.get(1)? }))?;
        rows.collect()
    }

    fn load_keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        let failed = |error: rusqlite::Error| open_error(&self.path, &error);
        let mut statement =
            self.connection.prepare("SELECT key, body FROM idempotency_key").map_err(failed)?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))
            .map_err(failed)?;
        let mut keys = Vec::new();
        for row in rows {
            let (key, body) = row.map_err(failed)?;
            let record = KeyRecord::decode(&body, || {
                format!("idempotency key {key:?} in {}", self.path.display())
            })?;
            keys.push(KeyRecord { key, ..record });
        }
        Ok(keys)
    }
}

impl Store for SqliteStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        let mut jobs = Vec::new();
        self.rows("job", |id, job: JobRecord| {
            jobs.push(JobRecord { id: JobId(id as u64), ..job });
            Ok(())
        })?;
        let mut workers = Vec::new();
        self.rows("worker", |id, worker: WorkerRecord| {
            workers.push(WorkerRecord { id: WorkerId(id as u32), ..worker });
            Ok(())
        })?;
        Ok(Snapshot {
            jobs,
            tasks: self.load_tasks()?,
            workers,
            queues: self.load_queues().map_err(|error| open_error(&self.path, &error))?,
            keys: self.load_keys()?,
            last_job: self.last.job,
            last_task: self.last.task,
            last_worker: self.last.worker,
        })
    }

    fn begin_term(&mut self) -> Result<Term, StoreError> {
        let term = Term(self.term.0 + 1);
        self.connection
            .execute("UPDATE meta SET value = ? WHERE name = 'term'", [term.0 as i64])
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
        let transaction =
            self.connection.transaction().map_err(|error| write_error(&self.path, &error))?;
        write_all(&transaction, &coalesced, last, self.last)
            .and_then(|()| transaction.commit())
            .map_err(|error| write_error(&self.path, &error))?;
        self.last = last;
        Ok(())
    }
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
        transaction
            .prepare_cached("INSERT OR REPLACE INTO queue VALUES (?, ?)")?
            .execute(params![queue.name, queue.paused])?;
    }
    for (key, record) in &coalesced.keys {
        match record {
            Some(record) => {
                record.encode(&mut body);
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
            transaction
                .prepare_cached("UPDATE meta SET value = ? WHERE name = ?")?
                .execute(params![value as i64, name])?;
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
                record.encode(body);
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
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse { path },
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
