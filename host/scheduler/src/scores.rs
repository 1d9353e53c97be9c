//! Scores of workers, asked for as seldom as the scoring policy allows: for `node-local` policies an
//! index per scoring key follows the workers' changes; others are asked about all candidates.
//!
//! In a round with many like tasks every placement changes one worker, which would be one call each.
//! So each call also asks about the workers that come next, as they will be after such a start: what
//! was foreseen is used if the worker's columns turn out to be those, bit for bit.

use crate::columns::WorkerColumn;
use crate::index::{WorkerIndex, WorkerKey};
use crate::policies::{CallError, MAX_ROWS, Policies, ScoringProfile};
use crate::record::PolicyStamp;
use crate::resources::Request;
use crate::worker::{Started, Worker, WorkerIdx, Workers};
use rustc_hash::{FxHashMap, FxHashSet};

/// The values of the task columns that the scoring policy needs, as bits.
type ScoringKey = Vec<u64>;

#[derive(Debug, Default)]
pub(crate) struct Scores {
    stamp: PolicyStamp,
    tables: FxHashMap<ScoringKey, Table>,
    /// Keys seen once: answered by a scan.
    seen: FxHashSet<ScoringKey>,
    n_uses: u64,
    batch: Batch,
}

#[derive(Debug)]
struct Table {
    index: WorkerIndex,
    /// Number of the first change in the workers' log that is not yet taken in.
    followed_to: u64,
    last_used: u64,
    foreseen: Foreseen,
}

/// Scores of workers as they will be after one more start.
#[derive(Debug, Default)]
struct Foreseen {
    workers: Vec<WorkerIdx>,
    /// As many per worker as the policy needs columns.
    values: Vec<f64>,
    scores: Vec<f64>,
}

/// Workers asked about ahead in one call.
const MAX_FORESEEN: usize = 32;
/// Above so many changed workers nothing is looked up.
const FEW: usize = 4;

/// Buffers that are used again and again.
#[derive(Debug, Default)]
struct Batch {
    rows: Vec<WorkerIdx>,
    /// Asked about ahead, behind the rows.
    ahead: Vec<WorkerIdx>,
    columns: Vec<Vec<f64>>,
    scores: Vec<f64>,
}

/// More tables than this: the least recently used one goes.
const MAX_TABLES: usize = 64;
const MAX_SEEN: usize = 1024;

/// The best workers for a request, best first: at most two.
pub(crate) type Best = [Option<WorkerKey>; 2];

impl Scores {
    /// The two best workers that fit and that `accept` takes.
    ///
    /// # Errors
    /// As the policy's call; with `NextRung` the caller asks again with the new profile.
    pub fn best(
        &mut self,
        workers: &Workers,
        policies: &mut dyn Policies,
        profile: &ScoringProfile,
        wanted: &Wanted,
        mut accept: impl FnMut(&WorkerKey) -> bool,
    ) -> Result<Best, CallError> {
        let (task_columns, request) = (wanted.task_columns, &wanted.request);
        if profile.stamp != self.stamp {
            self.tables.clear();
            self.seen.clear();
            self.stamp = profile.stamp;
        }
        let mut best: Best = [None, None];
        let mut take = |key: &WorkerKey| {
            if accept(key) {
                let slot = usize::from(best[0].is_some());
                best[slot] = Some(*key);
            }
            best[1].is_none()
        };
        if profile.node_local && self.is_worth_a_table(task_columns) {
            let table = self.follow(workers, policies, profile, wanted)?;
            table.index.for_each_fitting(request, take);
        } else {
            let keys = self.scan(workers, policies, profile, task_columns, request)?;
            let mut go_on = true;
            for key in &keys {
                go_on = go_on && take(key);
            }
        }
        Ok(best)
    }

    /// Without task columns there is one key; other keys get a table when seen again.
    fn is_worth_a_table(&mut self, task_columns: &[f64]) -> bool {
        if task_columns.is_empty() {
            return true;
        }
        let key = scoring_key(task_columns);
        if self.tables.contains_key(&key) || self.seen.remove(&key) {
            return true;
        }
        if self.seen.len() >= MAX_SEEN {
            self.seen.clear();
        }
        self.seen.insert(key);
        false
    }

    /// Brings the key's table up to date with the workers.
    fn follow(
        &mut self,
        workers: &Workers,
        policies: &mut dyn Policies,
        profile: &ScoringProfile,
        wanted: &Wanted,
    ) -> Result<&Table, CallError> {
        let task_columns = wanted.task_columns;
        let key = scoring_key(task_columns);
        self.n_uses += 1;
        if self.tables.len() >= MAX_TABLES && !self.tables.contains_key(&key) {
            let oldest = self.tables.iter().min_by_key(|(_, table)| table.last_used);
            let oldest = oldest.map(|(key, _)| key.clone()).expect("there are tables");
            self.tables.remove(&oldest);
        }
        let table = self.tables.entry(key).or_insert_with(|| Table {
            index: WorkerIndex::new(),
            followed_to: u64::MAX,
            last_used: 0,
            foreseen: Foreseen::default(),
        });
        table.last_used = self.n_uses;
        self.batch.rows.clear();
        match workers.changes_since(table.followed_to) {
            Some(changed) => self.batch.rows.extend(changed),
            None => {
                table.index = WorkerIndex::new();
                self.batch.rows.extend(workers.iter().map(|(idx, _)| idx));
            }
        }
        if self.batch.rows.len() > 1 {
            self.batch.rows.sort_unstable();
            self.batch.rows.dedup();
        }
        self.batch.rows.retain(|idx| {
            let is_placeable = workers.get(*idx).is_placeable();
            if !is_placeable {
                table.index.remove(*idx);
            }
            is_placeable
        });
        table.take_foreseen(&mut self.batch.rows, workers, profile);
        self.batch.ahead.clear();
        if !self.batch.rows.is_empty() {
            table.look_ahead(&mut self.batch, wanted);
        }
        let started = Started { request: wanted.request, n: 1 };
        if let Err(error) = self.batch.ask(workers, policies, profile, task_columns, &started) {
            // Half-taken changes would be lost: start anew with whoever answers next.
            table.followed_to = u64::MAX;
            return Err(error);
        }
        for (idx, score) in self.batch.rows.iter().zip(&self.batch.scores) {
            let worker = workers.get(*idx);
            table.index.insert(key_of(*idx, worker, *score), worker.free.bound());
        }
        if !self.batch.ahead.is_empty() {
            table.foreseen.keep(&self.batch);
        }
        table.followed_to = workers.log_end();
        Ok(table)
    }

    /// Asks about every worker that fits; best first.
    fn scan(
        &mut self,
        workers: &Workers,
        policies: &mut dyn Policies,
        profile: &ScoringProfile,
        task_columns: &[f64],
        request: &Request,
    ) -> Result<Vec<WorkerKey>, CallError> {
        let fits = |worker: &Worker| worker.is_placeable() && worker.free.fits(request);
        self.batch.rows.clear();
        self.batch
            .rows
            .extend(workers.iter().filter(|(_, worker)| fits(worker)).map(|(idx, _)| idx));
        self.batch.ahead.clear();
        self.batch.ask(workers, policies, profile, task_columns, &Started::default())?;
        let scored = self.batch.rows.iter().zip(&self.batch.scores);
        let mut keys: Vec<WorkerKey> =
            scored.map(|(idx, score)| key_of(*idx, workers.get(*idx), *score)).collect();
        keys.sort_unstable_by(WorkerKey::compare);
        Ok(keys)
    }
}

/// What a task wants of a worker.
pub(crate) struct Wanted<'a> {
    pub task_columns: &'a [f64],
    pub request: Request,
    /// Tasks that are queued with it: how far it pays to look ahead.
    pub n_queued: usize,
}

impl Table {
    /// Takes in those rows that have become what was foreseen, and out of `rows`.
    fn take_foreseen(
        &mut self,
        rows: &mut Vec<WorkerIdx>,
        workers: &Workers,
        profile: &ScoringProfile,
    ) {
        if rows.len() > FEW || self.foreseen.workers.is_empty() {
            return;
        }
        rows.retain(|idx| {
            let worker = workers.get(*idx);
            match self.foreseen.score(*idx, worker, profile) {
                Some(score) => {
                    self.index.insert(key_of(*idx, worker, score), worker.free.bound());
                    false
                }
                None => true,
            }
        });
    }

    /// Adds the workers that come next for the same request.
    fn look_ahead(&self, batch: &mut Batch, wanted: &Wanted) {
        let n = wanted.n_queued.saturating_sub(1).min(MAX_FORESEEN);
        if n == 0 || batch.rows.len() > FEW {
            return;
        }
        let Batch { rows, ahead, .. } = batch;
        self.index.for_each_fitting(&wanted.request, |key| {
            if !rows.contains(&key.worker) {
                ahead.push(key.worker);
            }
            ahead.len() < n
        });
    }
}

impl Foreseen {
    fn score(&self, idx: WorkerIdx, worker: &Worker, profile: &ScoringProfile) -> Option<f64> {
        let at = self.workers.iter().position(|it| *it == idx)?;
        let n_columns = profile.needs_worker.len();
        let foreseen = &self.values[at * n_columns..(at + 1) * n_columns];
        let is_so = profile
            .needs_worker
            .iter()
            .zip(foreseen)
            .all(|(column, value)| worker.column(*column).to_bits() == value.to_bits());
        is_so.then(|| self.scores[at])
    }

    fn keep(&mut self, batch: &Batch) {
        let n_rows = batch.rows.len();
        self.workers.clone_from(&batch.ahead);
        self.scores.clear();
        self.scores.extend_from_slice(&batch.scores[n_rows..]);
        self.values.clear();
        for row in n_rows..n_rows + batch.ahead.len() {
            self.values.extend(batch.columns.iter().map(|column| column[row]));
        }
    }
}

impl Batch {
    /// Scores all `rows`, in calls of bounded size, and those `ahead` as they will be after a start.
    fn ask(
        &mut self,
        workers: &Workers,
        policies: &mut dyn Policies,
        profile: &ScoringProfile,
        task_columns: &[f64],
        started: &Started,
    ) -> Result<(), CallError> {
        if self.rows.len() + self.ahead.len() <= MAX_ROWS {
            if self.rows.is_empty() {
                self.scores.clear();
                return Ok(());
            }
            fill_worker_columns(workers, &profile.needs_worker, &self.rows, &mut self.columns);
            for (values, column) in self.columns.iter_mut().zip(&profile.needs_worker) {
                let after = |idx: &WorkerIdx| workers.get(*idx).column_after(*column, started);
                values.extend(self.ahead.iter().map(after));
            }
            let n_rows = self.rows.len() + self.ahead.len();
            return policies.score(task_columns, &self.columns, n_rows, &mut self.scores);
        }
        let mut all = Vec::with_capacity(self.rows.len());
        for rows in self.rows.chunks(MAX_ROWS) {
            fill_worker_columns(workers, &profile.needs_worker, rows, &mut self.columns);
            policies.score(task_columns, &self.columns, rows.len(), &mut self.scores)?;
            all.extend_from_slice(&self.scores);
        }
        self.scores = all;
        Ok(())
    }
}

pub(crate) fn fill_worker_columns(
    workers: &Workers,
    needed: &[WorkerColumn],
    rows: &[WorkerIdx],
    columns: &mut Vec<Vec<f64>>,
) {
    columns.resize_with(needed.len(), Vec::new);
    for (values, column) in columns.iter_mut().zip(needed) {
        values.clear();
        values.extend(rows.iter().map(|idx| workers.get(*idx).column(*column)));
    }
}

fn key_of(idx: WorkerIdx, worker: &Worker, score: f64) -> WorkerKey {
    WorkerKey { score, load: worker.load(), worker: idx }
}

fn scoring_key(task_columns: &[f64]) -> ScoringKey {
    task_columns.iter().map(|value| value.to_bits()).collect()
}
