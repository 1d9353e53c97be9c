//! Reading all rows. A row whose seal is broken is put among the bad ones; pages that cannot be read
//! end the reading, with a word on where they lie.

use super::open_error;
use super::opening::damaged;
use crate::coalesce::LastIds;
use crate::encoding::Stored;
use crate::encoding::seal::{self, Key};
use crate::parts::{BadRow, Parts, Table};
use crate::store::{SetAside, StoreError};
use pointsman_scheduler::record::{
    JobRecord, KeyRecord, QueueRecord, TaskAdded, TaskStatus, WorkerRecord,
};
use pointsman_scheduler::{JobId, TaskId, WorkerId};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};
use std::path::Path;
use std::sync::Arc;

/// Reads a file of one format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub connection: &'a Connection,
    pub path: &'a Path,
    /// Of the tables.
    pub version: u32,
}

/// Lines of SQLite's check that are told.
const LINES_TOLD: usize = 3;

/// A row as it lies there.
pub(super) struct RawRow {
    pub table: Table,
    pub key: Key,
    /// Of a queue: whether it is paused, and the sum.
    pub body: Vec<u8>,
}

impl Reader<'_> {
    /// All rows.
    pub fn read(self) -> Result<Parts, StoreError> {
        let mut parts = Parts { last: self.last_ids()?, ..Parts::default() };
        for table in [
            Table::Job,
            Table::Task,
            Table::TaskStatus,
            Table::Worker,
            Table::Queue,
            Table::IdempotencyKey,
        ] {
            self.each_row(table, |raw| self.take(raw, &mut parts))?;
        }
        Ok(parts)
    }

    fn each_row(
        self,
        table: Table,
        mut take: impl FnMut(RawRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let failed = |error: rusqlite::Error| self.read_error(&error);
        let sql = format!("SELECT {} FROM {} ORDER BY 1", self.columns(table), table.name());
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            take(raw_row(table, row).map_err(failed)?)?;
        }
        Ok(())
    }

    pub fn columns(self, table: Table) -> &'static str {
        match table {
            Table::Job | Table::Task | Table::TaskStatus | Table::Worker => "id, body",
            Table::IdempotencyKey => "key, body",
            Table::Queue if self.version == 1 => "name, paused, 0",
            Table::Queue => "name, paused, sum",
        }
    }

    /// Puts the row among the parts.
    pub fn take(self, raw: RawRow, parts: &mut Parts) -> Result<(), StoreError> {
        let RawRow { table, key, body } = &raw;
        let outcome = match (table, key) {
            (Table::Job, Key::Number(id)) => self.decode(&raw).map(|job: JobRecord| {
                parts.jobs.push(JobRecord { id: JobId(*id as u64), ..job });
            }),
            (Table::Task, Key::Number(id)) => self.decode(&raw).map(|mut task: TaskAdded| {
                if let Some(neighbour) = parts.added.last() {
                    Arc::make_mut(&mut task.spec).share_with(&neighbour.spec);
                }
                parts.added.push(TaskAdded { id: TaskId(*id as u64), ..task });
            }),
            (Table::TaskStatus, Key::Number(id)) => self.decode(&raw).map(|status: TaskStatus| {
                parts.statuses.insert(TaskId(*id as u64), status);
            }),
            (Table::Worker, Key::Number(id)) => self.decode(&raw).map(|worker: WorkerRecord| {
                parts.workers.push(WorkerRecord { id: WorkerId(*id as u32), ..worker });
            }),
            (Table::IdempotencyKey, Key::Text(key)) => self.decode(&raw).map(|it: KeyRecord| {
                parts.keys.push(KeyRecord { key: key.clone(), ..it });
            }),
            (Table::Queue, Key::Text(name)) => self.queue(&raw, name).map(|it| {
                parts.queues.push(it);
            }),
            (_, Key::Number(_) | Key::Text(_)) => Err(self.unreadable(&raw, "its key is none")),
        };
        match outcome {
            Err(StoreError::Unreadable { problem, .. }) => {
                let (table, key, body) = (*table, key.clone(), body.clone());
                parts.bad.push(BadRow { table, key, body, problem });
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn decode<T: Stored>(self, raw: &RawRow) -> Result<T, StoreError> {
        let what = || format!("{} {} in {}", raw.table.name(), raw.key, self.path.display());
        let body = match self.version {
            1 => &raw.body,
            _ => seal::open(raw.table.name(), &raw.key, &raw.body)
                .ok_or_else(|| self.unreadable(raw, "its checksum is wrong"))?,
        };
        T::decode(body, what)
    }

    fn queue(self, raw: &RawRow, name: &str) -> Result<QueueRecord, StoreError> {
        let (paused, sum) = raw.body.split_at_checked(1).unwrap_or_default();
        let is_whole = self.version == 1
            || sum == seal::sum("queue", &raw.key, paused).to_le_bytes().as_slice();
        if !is_whole {
            return Err(self.unreadable(raw, "its checksum is wrong"));
        }
        Ok(QueueRecord { name: name.to_owned(), paused: paused == [1] })
    }

    fn unreadable(self, raw: &RawRow, problem: &str) -> StoreError {
        let what = format!("{} {} in {}", raw.table.name(), raw.key, self.path.display());
        StoreError::Unreadable { what, problem: problem.to_owned() }
    }

    pub fn last_ids(self) -> Result<LastIds, StoreError> {
        Ok(LastIds {
            job: self.meta("last_job")? as u64,
            task: self.meta("last_task")? as u64,
            worker: self.meta("last_worker")? as u32,
        })
    }

    pub fn meta(self, name: &str) -> Result<i64, StoreError> {
        let columns = if self.version == 1 { "value, 0" } else { "value, sum" };
        let (value, sum): (i64, i64) = self
            .connection
            .query_row(&format!("SELECT {columns} FROM meta WHERE name = ?"), [name], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()
            .map_err(|error| self.read_error(&error))?
            .ok_or_else(|| damaged(self.path, format!("its {name} is missing")))?;
        if self.version > 1 && sum != meta_sum(name, value) {
            return Err(damaged(self.path, format!("the checksum of its {name} is wrong")));
        }
        Ok(value)
    }

    /// What was set aside at this start and before.
    pub fn set_aside(self) -> Result<Vec<SetAside>, StoreError> {
        if self.version == 1 {
            return Ok(Vec::new());
        }
        let read = || -> rusqlite::Result<Vec<SetAside>> {
            let mut statement = self
                .connection
                .prepare("SELECT at, kind, key, problem, outcome FROM set_aside ORDER BY id")?;
            let rows = statement.query_map([], |row| {
                Ok(SetAside {
                    at: row.get(0)?,
                    kind: row.get(1)?,
                    key: row.get(2)?,
                    problem: row.get(3)?,
                    outcome: row.get(4)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(|error| self.read_error(&error))
    }

    /// Looks at every page, also at those that no row lies in.
    pub fn check_pages(self) -> Result<(), StoreError> {
        let problems = self.page_problems("quick_check").map_err(|it| self.read_error(&it))?;
        if problems.is_empty() { Ok(()) } else { Err(damaged(self.path, told(&problems))) }
    }

    /// What SQLite's check says, each with the byte it is about.
    pub fn page_problems(self, check: &str) -> rusqlite::Result<Vec<String>> {
        let page: u32 = self.connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let mut statement = self.connection.prepare(&format!("PRAGMA {check}(20)"))?;
        let mut lines: Vec<String> = Vec::new();
        for line in statement.query_map([], |row| row.get(0))? {
            match line {
                Ok(line) => lines.push(line),
                // It gives up where it cannot read on; what it has found by then counts.
                Err(_) if !lines.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        let lines = lines.iter().flat_map(|text| text.lines());
        let is_problem = |line: &&str| *line != "ok" && !line.starts_with("*** in database");
        Ok(lines.filter(is_problem).map(|line| with_offset(line, page.into())).collect())
    }

    /// Damage is told with its place.
    pub fn read_error(self, error: &rusqlite::Error) -> StoreError {
        let told_by_sqlite = open_error(self.path, error);
        if error.sqlite_error_code() != Some(ErrorCode::DatabaseCorrupt) {
            return told_by_sqlite;
        }
        match self.page_problems("quick_check") {
            Ok(problems) if !problems.is_empty() => damaged(self.path, told(&problems)),
            Ok(_) | Err(_) => told_by_sqlite,
        }
    }
}

pub(super) fn raw_row(table: Table, row: &Row) -> rusqlite::Result<RawRow> {
    let key = match row.get_ref(0)? {
        ValueRef::Integer(number) => Key::Number(number),
        ValueRef::Text(text) => Key::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Key::Text(String::new()),
    };
    let body = match table {
        Table::Queue => {
            let (paused, sum): (i64, i64) = (row.get(1)?, row.get(2)?);
            let mut body = vec![u8::try_from(paused).unwrap_or(u8::MAX)];
            body.extend((sum as u32).to_le_bytes());
            body
        }
        Table::Job | Table::Task | Table::TaskStatus | Table::Worker | Table::IdempotencyKey => {
            row.get_ref(1)?.as_bytes().unwrap_or_default().to_vec()
        }
    };
    Ok(RawRow { table, key, body })
}

pub(super) fn meta_sum(name: &str, value: i64) -> i64 {
    seal::sum("meta", &Key::Text(name.to_owned()), &value.to_le_bytes()).into()
}

pub(super) fn queue_sum(name: &str, paused: bool) -> i64 {
    seal::sum("queue", &Key::Text(name.to_owned()), &[u8::from(paused)]).into()
}

fn told(problems: &[String]) -> String {
    let mut told = problems[..problems.len().min(LINES_TOLD)].join("; ");
    if problems.len() > LINES_TOLD {
        told.push_str("; and more");
    }
    told
}

/// SQLite numbers pages from 1.
fn with_offset(line: &str, page: u64) -> String {
    let lower = line.to_lowercase();
    let number = lower.split("page ").nth(1).and_then(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().ok()
    });
    match number {
        Some(number) if number > 0 => format!("at byte {}: {line}", (number - 1) * page),
        Some(_) | None => line.to_owned(),
    }
}
