//! Getting out of a damaged store what can be read, into a new one. The old one is not touched.

use super::backup::refuse_existing;
use super::lock::Lock;
use super::log;
use super::opening::{beside, create, damaged, file_error, open_damaged, remove_if_there};
use super::reading::{Reader, raw_row};
use super::{SqliteStore, open_error, put_meta, write_all};
use crate::coalesce::Coalesced;
use crate::encoding::seal::Key;
use crate::mending::mend;
use crate::parts::{BadRow, Parts, Table};
use crate::store::StoreError;
use pointsman_scheduler::spec::DEFAULT;
use pointsman_scheduler::{JobId, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a salvage brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Salvaged {
    pub n_jobs: usize,
    pub n_tasks: usize,
    /// Tasks among them that stand for lost ones, or whose state was lost.
    pub n_tasks_mended: usize,
    pub n_workers: usize,
    /// What was lost, by table and key, and what stands in its place.
    pub lost: Vec<String>,
}

const UNREADABLE: &str = "it lies in a part of the file that cannot be read";
/// Tables with numbers for keys.
const NUMBERED: [Table; 4] = [Table::Job, Table::Task, Table::TaskStatus, Table::Worker];
/// Keys beyond those found that are tried where the end of a table cannot be read.
const MAX_PROBES: i64 = 50_000_000;

/// Reads what can be read of the store at `path` into a new one at `out`.
///
/// # Errors
/// If a host has the store open, if `out` exists, or if nothing can be read.
pub fn salvage(path: &Path, out: &Path) -> Result<Salvaged, StoreError> {
    refuse_existing(out)?;
    let _lock = Lock::take(path)?;
    let copy = beside(out, ".copy");
    let remove_copy = || {
        [copy.clone(), beside(&copy, "-wal"), beside(&copy, "-shm")]
            .iter()
            .try_for_each(|path| remove_if_there(path))
    };
    remove_copy()?;
    let outcome = copy_files(path, &copy).and_then(|n_frames_lost| {
        let mut salvaged = Salvaged::default();
        if n_frames_lost > 0 {
            salvaged.lost.push(format!("log: {n_frames_lost} pages of writes are damaged"));
        }
        let (parts, term) = read_all(&copy, &mut salvaged)?;
        write_new(out, parts, term, &mut salvaged)?;
        Ok(salvaged)
    });
    remove_copy()?;
    outcome
}

/// SQLite may write to what it opens, so it gets a copy. Of the log, all whole frames.
fn copy_files(path: &Path, copy: &Path) -> Result<u64, StoreError> {
    let failed = |error: std::io::Error| file_error(path, &error);
    std::fs::copy(path, copy).map_err(failed)?;
    log::copy_whole_frames(path, copy).map_err(failed)
}

/// What can be read, and the last term.
fn read_all(copy: &Path, salvaged: &mut Salvaged) -> Result<(Parts, i64), StoreError> {
    let (connection, version) = open_damaged(copy)?;
    let reader = Reader { connection: &connection, path: copy, version };
    let mut parts = Parts::default();
    let mut number = |name: &str| match reader.meta(name) {
        Ok(number) => number,
        Err(_) => {
            salvaged.lost.push(format!("meta {name:?}: taken from what was found"));
            0
        }
    };
    let term = number("term");
    parts.last.job = number("last_job") as u64;
    parts.last.task = number("last_task") as u64;
    parts.last.worker = number("last_worker") as u32;
    for table in NUMBERED {
        let up_to = match table {
            Table::Job => parts.last.job as i64,
            Table::Worker => parts.last.worker.into(),
            Table::Task | Table::TaskStatus => parts.last.task as i64,
            Table::Queue | Table::IdempotencyKey => 0,
        };
        for (from, to) in read_numbered(reader, table, up_to, &mut parts)? {
            salvaged.lost.push(format!("{} {from} to {to}: {UNREADABLE}", table.name()));
        }
    }
    for table in [Table::Queue, Table::IdempotencyKey] {
        if !read_texts(reader, table, &mut parts)? {
            salvaged.lost.push(format!("{}: some, {UNREADABLE}", table.name()));
        }
    }
    let attempts = parts.statuses.values().flat_map(|status| &status.attempts);
    let term = attempts.map(|attempt| attempt.term.0 as i64).fold(term, i64::max);
    sort(&mut parts);
    Ok((parts, term))
}

fn sort(parts: &mut Parts) {
    parts.jobs.sort_by_key(|job| job.id);
    parts.added.sort_by_key(|task| task.id);
    parts.workers.sort_by_key(|worker| worker.id);
    parts.queues.sort_by(|a, b| a.name.cmp(&b.name));
    let last = &mut parts.last;
    last.job = parts.jobs.last().map_or(last.job, |job| last.job.max(job.id.0));
    last.task = parts.added.last().map_or(last.task, |task| last.task.max(task.id.0));
    last.worker = parts.workers.last().map_or(last.worker, |it| last.worker.max(it.id.0));
}

/// Reads row after row; where that breaks, key after key, until it goes on. The ranges of keys that
/// cannot be read, whether there were rows or not.
fn read_numbered(
    reader: Reader,
    table: Table,
    up_to: i64,
    parts: &mut Parts,
) -> Result<Vec<(i64, i64)>, StoreError> {
    let (columns, name) = (reader.columns(table), table.name());
    let mut next = 0;
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    let Ok(mut one) =
        reader.connection.prepare(&format!("SELECT {columns} FROM {name} WHERE id = ?"))
    else {
        return Ok(vec![(1, up_to)]);
    };
    loop {
        if scan(reader, table, &mut next, parts)? {
            return Ok(ranges);
        }
        let first = next;
        loop {
            if next > up_to || next - first > MAX_PROBES {
                return Ok(ranges);
            }
            let probed = one.query_row([next], |row| raw_row(table, row));
            next += 1;
            match probed {
                Ok(raw) => {
                    reader.take(raw, parts)?;
                    break;
                }
                Err(rusqlite::Error::QueryReturnedNoRows) => {}
                Err(_) => match ranges.last_mut() {
                    Some((_, to)) if *to == next - 2 => *to = next - 1,
                    Some(_) | None => ranges.push((next - 1, next - 1)),
                },
            }
        }
    }
}

/// True: the table ends here.
fn scan(
    reader: Reader,
    table: Table,
    next: &mut i64,
    parts: &mut Parts,
) -> Result<bool, StoreError> {
    let (columns, name) = (reader.columns(table), table.name());
    let sql = format!("SELECT {columns} FROM {name} WHERE id >= ? ORDER BY id");
    let Ok(mut statement) = reader.connection.prepare(&sql) else { return Ok(false) };
    let Ok(mut rows) = statement.query([*next]) else { return Ok(false) };
    loop {
        match rows.next() {
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
            Ok(Some(row)) => {
                let Ok(raw) = raw_row(table, row) else { return Ok(false) };
                if let Key::Number(id) = raw.key {
                    *next = id + 1;
                }
                reader.take(raw, parts)?;
            }
        }
    }
}

/// From both ends towards the damage. False: there is some.
fn read_texts(reader: Reader, table: Table, parts: &mut Parts) -> Result<bool, StoreError> {
    let mut seen: BTreeSet<Key> = BTreeSet::new();
    for order in ["ASC", "DESC"] {
        let sql =
            format!("SELECT {} FROM {} ORDER BY 1 {order}", reader.columns(table), table.name());
        let Ok(mut statement) = reader.connection.prepare(&sql) else { return Ok(false) };
        let Ok(mut rows) = statement.query([]) else { return Ok(false) };
        loop {
            match rows.next() {
                Ok(None) => return Ok(order == "ASC"),
                Err(_) => break,
                Ok(Some(row)) => {
                    let Ok(raw) = raw_row(table, row) else { break };
                    if !seen.insert(raw.key.clone()) {
                        return Ok(false);
                    }
                    reader.take(raw, parts)?;
                }
            }
        }
    }
    Ok(false)
}

/// Whatever others show to have been there: put among the bad rows.
fn note_missing(parts: &mut Parts) {
    let mut missing: BTreeSet<(Table, Key)> = BTreeSet::new();
    let known_bad: BTreeSet<(Table, Key)> =
        parts.bad.iter().map(|row| (row.table, row.key.clone())).collect();
    let number = |id: u64| Key::Number(id as i64);
    let ids: BTreeSet<u64> = parts.added.iter().map(|task| task.id.0).collect();
    for id in parts.statuses.keys().filter(|id| !ids.contains(&id.0)) {
        missing.insert((Table::Task, number(id.0)));
    }
    for task in &parts.added {
        if !parts.statuses.contains_key(&task.id) {
            missing.insert((Table::TaskStatus, number(task.id.0)));
        }
        if parts.jobs.binary_search_by_key(&task.job, |job| job.id).is_err() {
            missing.insert((Table::Job, number(task.job.0)));
        }
    }
    let placed = parts.statuses.values().filter_map(|status| status.current());
    for worker in placed.map(|attempt| attempt.worker) {
        if parts.workers.binary_search_by_key(&worker, |it| it.id).is_err() {
            missing.insert((Table::Worker, number(worker.0.into())));
        }
    }
    let mut by_job: BTreeMap<JobId, Vec<u64>> = BTreeMap::new();
    for task in &parts.added {
        by_job.entry(task.job).or_default().push(task.id.0);
    }
    let mut claimed: BTreeSet<u64> = BTreeSet::new();
    for job in parts.jobs.iter().filter(|job| job.name != DEFAULT) {
        let of_job = by_job.get(&job.id).map_or(&[][..], Vec::as_slice);
        let (Some(first), Some(last)) = (of_job.first(), of_job.last()) else { continue };
        let mut n_missing = u64::from(job.n_tasks).saturating_sub(of_job.len() as u64);
        let inside = (*first..=*last).filter(|id| !ids.contains(id));
        let above = (last + 1..).take_while(|id| !ids.contains(id) && *id <= parts.last.task);
        let below = (1..*first).rev().take_while(|id| !ids.contains(id));
        for id in inside.chain(above).chain(below) {
            if n_missing == 0 {
                break;
            }
            if claimed.insert(id) {
                n_missing -= 1;
                missing.insert((Table::Task, number(id)));
            }
        }
    }
    missing.retain(|it| !known_bad.contains(it));
    parts.bad.extend(missing.into_iter().map(|(table, key)| BadRow {
        table,
        key,
        body: Vec::new(),
        problem: UNREADABLE.to_owned(),
    }));
}

/// Jobs with fewer tasks than they had, where nothing tells which.
fn fit_jobs(parts: &mut Parts, lost: &mut Vec<String>) {
    let mut n_tasks: BTreeMap<JobId, u32> = BTreeMap::new();
    for task in &parts.added {
        *n_tasks.entry(task.job).or_default() += 1;
    }
    parts.jobs.retain_mut(|job| {
        let n_left = n_tasks.get(&job.id).copied().unwrap_or(0);
        if job.name == DEFAULT || n_left == job.n_tasks {
            return true;
        }
        let (id, n) = (job.id.0, job.n_tasks);
        lost.push(format!("job {id}: only {n_left} of its {n} tasks can be told"));
        job.n_tasks = n_left;
        n_left > 0
    });
}

fn write_new(
    out: &Path,
    mut parts: Parts,
    term: i64,
    salvaged: &mut Salvaged,
) -> Result<(), StoreError> {
    note_missing(&mut parts);
    let mut mended = mend(parts);
    fit_jobs(&mut mended.parts, &mut salvaged.lost);
    let is_orphan = |id: &pointsman_scheduler::TaskId| mended.orphans.contains(id);
    mended.parts.statuses.retain(|id, _| !is_orphan(id));
    for (row, outcome) in &mended.set_aside {
        let (table, key) = (row.table.name(), &row.key);
        salvaged.lost.push(format!("{table} {key}: {}; {outcome}", row.problem));
    }
    let parts = mended.parts;
    let changed = mended.changed.iter().filter(|it| matches!(it, Record::Task(..)));
    salvaged.n_tasks_mended = changed.count();
    salvaged.n_jobs = parts.jobs.len();
    salvaged.n_tasks = parts.added.len();
    salvaged.n_workers = parts.workers.len();
    let last = parts.last;
    let mut records: Vec<Record> = parts.jobs.into_iter().map(Record::Job).collect();
    records.extend(parts.added.into_iter().map(Record::TaskAdded));
    records.extend(parts.statuses.into_iter().map(|(id, status)| Record::Task(id, status)));
    records.extend(parts.workers.into_iter().map(Record::Worker));
    records.extend(parts.queues.into_iter().map(Record::Queue));
    records.extend(parts.keys.into_iter().map(Record::Key));
    create(out)?;
    let mut store = SqliteStore::open(out)?;
    let failed = |error: rusqlite::Error| open_error(out, &error);
    let transaction = store.connection.transaction().map_err(failed)?;
    let records: Vec<&Record> = records.iter().collect();
    put_meta(&transaction, "term", term)
        .and_then(|()| write_all(&transaction, &Coalesced::of(&records), last, Default::default()))
        .and_then(|()| transaction.commit())
        .map_err(failed)?;
    drop(store);
    // As a host will read it.
    SqliteStore::open(out)?.reader().read().and_then(
        |parts| match crate::mending::inconsistencies(&parts).first() {
            None => Ok(()),
            Some(first) => Err(damaged(out, format!("what can be read does not fit: {first}"))),
        },
    )?;
    remove_if_there(&super::lock::path_of(out))
}
