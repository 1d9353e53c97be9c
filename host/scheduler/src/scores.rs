//! Scores of workers, asked for as seldom as the scoring policy allows: for `node-local` policies an
//! index per scoring key follows the workers' changes; others are asked about all candidates.

use crate::columns::WorkerColumn;
use crate::index::{WorkerIndex, WorkerKey};
use crate::policies::{CallError, MAX_ROWS, Policies, ScoringProfile};
use crate::record::PolicyStamp;
use crate::resources::Request;
use crate::worker::{Worker, WorkerIdx, Workers};
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
}

/// Buffers that are used again and again.
#[derive(Debug, Default)]
struct Batch {
    rows: Vec<WorkerIdx>,
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
        task_columns: &[f64],
        request: &Request,
        mut accept: impl FnMut(&WorkerKey) -> bool,
    ) -> Result<Best, CallError> {
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
            let table = self.follow(workers, policies, profile, task_columns)?;
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
        task_columns: &[f64],
    ) -> Result<&Table, CallError> {
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
        if let Err(error) = self.batch.ask(workers, policies, profile, task_columns) {
            // Half-taken changes would be lost: start anew with whoever answers next.
            table.followed_to = u64::MAX;
            return Err(error);
        }
        for (idx, score) in self.batch.rows.iter().zip(&self.batch.scores) {
            let worker = workers.get(*idx);
            table.index.insert(key_of(*idx, worker, *score), worker.free.bound());
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
        self.batch.ask(workers, policies, profile, task_columns)?;
        let scored = self.batch.rows.iter().zip(&self.batch.scores);
        let mut keys: Vec<WorkerKey> =
            scored.map(|(idx, score)| key_of(*idx, workers.get(*idx), *score)).collect();
        keys.sort_unstable_by(WorkerKey::compare);
        Ok(keys)
    }
}

impl Batch {
    /// Scores all `rows`, in calls of bounded size.
    fn ask(
        &mut self,
        workers: &Workers,
        policies: &mut dyn Policies,
        profile: &ScoringProfile,
        task_columns: &[f64],
    ) -> Result<(), CallError> {
        if self.rows.len() <= MAX_ROWS {
            if self.rows.is_empty() {
                self.scores.clear();
                return Ok(());
            }
            fill_worker_columns(workers, &profile.needs_worker, &self.rows, &mut self.columns);
            return policies.score(task_columns, &self.columns, self.rows.len(), &mut self.scores);
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
