//! The thread: writes what waits about once a second, and tidies in between. Rows that cannot be written are
//! dropped and counted; a damaged file is set aside while the host runs, too.

use super::tidying::{self, Kept};
use super::waiting::Taken;
use super::{Fed, Measured, Shared, file, is_damage, lock};
use pointsman_scheduler::WorkerId;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is appended is written within this, unless the disk is slow.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) fn spawn(shared: Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let writer = Writer { shared, is_failing: false };
    std::thread::Builder::new().name("history".to_owned()).spawn(move || writer.run())
}

struct Writer {
    shared: Arc<Shared>,
    /// The last attempt to write failed, and that was told.
    is_failing: bool,
}

impl Writer {
    fn run(mut self) {
        let mut due = Instant::now();
        loop {
            if self.shared.is_damaged.load(Ordering::Acquire) {
                self.begin_anew("a reader came upon damage");
            }
            let taken = self.shared.waiting.take(due);
            self.write(&taken);
            self.shared.waiting.note_done(taken.n_asked);
            if taken.is_last {
                self.settle();
                return;
            }
            due = Instant::now() + PERIOD;
            self.tidy(due, taken.measured.len().max(taken.fed.len()));
        }
    }

    fn write(&mut self, taken: &Taken) {
        let mut written = self.try_write(taken);
        if let Err(error) = &written
            && is_damage(error)
            && self.begin_anew(&error.to_string())
        {
            written = self.try_write(taken);
        }
        match written {
            Ok(kept) => {
                self.shared.figures.note_kept(kept.measurements, kept.feedback);
                if std::mem::take(&mut self.is_failing) {
                    tracing::info!("the history is written again");
                }
            }
            Err(error) => {
                self.shared.figures.note_dropped(taken.measured.len(), taken.fed.len());
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "failed to write the history; what is measured is dropped");
                }
            }
        }
    }

    fn try_write(&self, taken: &Taken) -> rusqlite::Result<Kept> {
        let mut connection = lock(&self.shared.writer);
        if taken.measured.is_empty() && taken.fed.is_empty() {
            return tidying::kept(&connection);
        }
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let keys = note_workers(&transaction, taken)?;
        write_measured(&transaction, &taken.measured, &keys)?;
        write_fed(&transaction, &taken.fed, &keys)?;
        tidying::count(&transaction, taken.measured.len() as i64, taken.fed.len() as i64)?;
        let kept = tidying::kept(&transaction)?;
        transaction.commit()?;
        Ok(kept)
    }

    /// Brings the log into the file: from then on a power cut takes nothing.
    fn settle(&self) {
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        if let Err(error) = lock(&self.shared.writer).execute_batch(sql) {
            tracing::debug!(%error, "the history's log stays beside it");
        }
    }

    /// At least as much as was written, so that the bounds are kept however fast rows come.
    fn tidy(&mut self, due: Instant, n_written: usize) {
        loop {
            let bounds = self.shared.bounds();
            let tidied = tidying::tidy(&mut lock(&self.shared.writer), bounds, n_written);
            match tidied {
                Ok(tidied) => {
                    self.shared.figures.note_kept(tidied.kept.measurements, tidied.kept.feedback);
                    if !tidied.has_more {
                        return;
                    }
                }
                Err(error) if is_damage(&error) => {
                    self.begin_anew(&error.to_string());
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "the history does not get smaller now");
                    return;
                }
            }
            if Instant::now() >= due || self.shared.waiting.is_urgent() {
                return;
            }
        }
    }

    /// Sets the file aside. False: that does not work, and there is nowhere to write to.
    fn begin_anew(&mut self, problem: &str) -> bool {
        let (Some(path), Some(reader)) = (&self.shared.path, &self.shared.reader) else {
            return false;
        };
        let (mut writer, mut reader) = (lock(&self.shared.writer), lock(reader));
        // What a reader came upon meanwhile was the same file.
        self.shared.is_damaged.store(false, Ordering::Release);
        let mut anew = || {
            // Both have to be closed before: closing removes the log by its name.
            *writer = Connection::open_in_memory()?;
            *reader = Connection::open_in_memory()?;
            file::set_aside(path, problem)?;
            *writer = file::open(path)?;
            *reader = file::open_beside(path)?;
            Ok::<(), Box<dyn std::error::Error>>(())
        };
        let begun = anew();
        if let Err(error) = &begun {
            tracing::error!(error, "there is no history until the host is restarted");
        }
        begun.is_ok()
    }
}

/// The keys of all workers that are named. A name belongs to the worker that had it last.
fn note_workers<'a>(
    transaction: &Transaction,
    taken: &'a Taken,
) -> rusqlite::Result<BTreeMap<&'a str, i64>> {
    let of_fed = |fed: &'a Fed| fed.worker.as_ref().map(|(id, name)| (name, *id, fed.at_ms));
    let measured = taken.measured.iter().map(|it| (&it.worker_name, it.worker, it.at_ms));
    let mut newest: BTreeMap<&str, (WorkerId, u64)> = BTreeMap::new();
    for (name, id, at_ms) in measured.chain(taken.fed.iter().filter_map(of_fed)) {
        let known = newest.entry(name).or_insert((id, at_ms));
        if at_ms >= known.1 {
            *known = (id, at_ms);
        }
    }
    let mut disown =
        transaction.prepare_cached("UPDATE worker SET id = NULL WHERE id = ? AND name <> ?")?;
    let mut note = transaction.prepare_cached(
        "INSERT INTO worker (name, id, last_ms) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE
         SET id = ?2, last_ms = max(last_ms, ?3) RETURNING key",
    )?;
    let mut keys = BTreeMap::new();
    for (name, (id, at_ms)) in newest {
        disown.execute(params![id.0, name])?;
        let key = note.query_row(params![name, id.0, at_ms as i64], |row| row.get(0))?;
        keys.insert(name, key);
    }
    Ok(keys)
}

fn write_measured(
    transaction: &Transaction,
    measured: &[Measured],
    keys: &BTreeMap<&str, i64>,
) -> rusqlite::Result<()> {
    let mut insert =
        transaction.prepare_cached("INSERT INTO measurement VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
    let mut sorted: Vec<&Measured> = measured.iter().collect();
    sorted.sort_by_key(|it| (it.at_ms, it.worker));
    let mut places = Places::new(transaction, "measurement");
    for Measured { at_ms, worker_name, measurements: it, .. } in sorted {
        let (at, seq) = places.next(*at_ms)?;
        let (key, rtt_ms, connections) = (keys[worker_name.as_str()], it.rtt_ms, it.connections);
        let (cpu, memory, iops) = (it.cpu_used, it.memory_used, it.iops_used);
        insert.execute(params![at, seq, key, cpu, memory, iops, rtt_ms, connections])?;
    }
    Ok(())
}

fn write_fed(
    transaction: &Transaction,
    fed: &[Fed],
    keys: &BTreeMap<&str, i64>,
) -> rusqlite::Result<()> {
    let mut insert = transaction
        .prepare_cached("INSERT INTO feedback VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
    let mut sorted: Vec<&Fed> = fed.iter().collect();
    sorted.sort_by_key(|it| it.at_ms);
    let mut places = Places::new(transaction, "feedback");
    for row in sorted {
        let (at, seq) = places.next(row.at_ms)?;
        let worker = row.worker.as_ref().map(|(_, name)| keys[name.as_str()]);
        let it = &row.feedback;
        insert.execute(params![
            at,
            seq,
            row.task.0 as i64,
            row.task_name,
            row.attempt,
            worker,
            it.phase,
            it.progress,
            it.duration_ms as i64,
            it.cpu_usage,
            it.memory_mb,
        ])?;
    }
    Ok(())
}

/// Where rows go: behind all that have the same time.
struct Places<'a> {
    transaction: &'a Transaction<'a>,
    table: &'static str,
    last: Option<(i64, i64)>,
}

impl<'a> Places<'a> {
    fn new(transaction: &'a Transaction<'a>, table: &'static str) -> Places<'a> {
        Places { transaction, table, last: None }
    }

    fn next(&mut self, at_ms: u64) -> rusqlite::Result<(i64, i64)> {
        let at = i64::try_from(at_ms).unwrap_or(i64::MAX);
        let seq = match self.last {
            Some((last_at, last_seq)) if last_at == at => last_seq + 1,
            Some(_) | None => {
                let table = self.table;
                let sql =
                    format!("SELECT seq FROM {table} WHERE at_ms = ? ORDER BY seq DESC LIMIT 1");
                let mut newest = self.transaction.prepare_cached(&sql)?;
                let newest: Option<i64> = newest.query_row([at], |row| row.get(0)).optional()?;
                newest.map_or(0, |seq| seq + 1)
            }
        };
        self.last = Some((at, seq));
        Ok((at, seq))
    }
}
