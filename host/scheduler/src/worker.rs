//! Workers: capacity, what they hold, when they were last heard of, and their columns.

use crate::columns::WorkerColumn;
use crate::event::Measurements;
use crate::history::History;
use crate::ids::{TaskId, WorkerId};
use crate::record::{WorkerRecord, WorkerState};
use crate::resources::{Devices, Free, FreeBound, Request};
use crate::spec::TaskSpec;
use crate::time::Time;
use rustc_hash::FxHashMap;
use std::collections::{BTreeSet, VecDeque};

/// Index of a worker in this process's tables; never reused while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerIdx(pub u32);

impl WorkerIdx {
    pub fn slot(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub record: WorkerRecord,
    /// Live, suspect, draining or lost; the record keeps the durable part of it.
    pub state: WorkerState,
    /// Number of the process's life; None until it has registered in this term.
    pub life: Option<u64>,
    /// Life and number of its last registration in this term, also once it is lost.
    pub registered: Option<(u64, u64)>,
    /// Host time of the last report, or of the start of a new full window.
    pub last_seen: Time,
    /// When its silence is looked at next; timers armed for another time do not count.
    pub check_at: Time,
    pub free: Free,
    /// Current attempts.
    pub holds: BTreeSet<TaskId>,
    pub measurements: Measurements,
    pub hot_samples: u32,
    pub predicted: Predicted,
    pub history: History,
    pub dispatched: f64,
    pub weight: f64,
    pub cost: f64,
    /// Attempts in a row that failed soon after their start.
    pub quick_failures: u32,
    /// Quarantines since the last success.
    pub n_quarantines: u32,
    /// Gets no work before this time.
    pub quarantined_until: Option<Time>,
    /// In this term: when a task was last placed here, and the youngest that was.
    pub last_start: Option<Time>,
    pub newest_started: TaskId,
    /// No start in the lowest band before this time.
    pub restricted_until: Time,
    /// Counts changes of anything a column is computed from.
    pub version: u64,
}

/// A start that has not happened yet: at most one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Started {
    pub request: Request,
    pub n: usize,
}

/// What is foretold of a worker; NaN where nothing is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Predicted {
    /// In the order of [`WorkerColumn::PREDICTED`].
    pub values: [f64; 5],
    pub horizon_ms: f64,
}

impl Default for Predicted {
    fn default() -> Predicted {
        Predicted { values: [f64::NAN; 5], horizon_ms: f64::NAN }
    }
}

impl Predicted {
    /// Whether both say the same, to the bit.
    pub fn is_same(&self, other: &Predicted) -> bool {
        let bits = |it: &Predicted| (it.values.map(f64::to_bits), it.horizon_ms.to_bits());
        bits(self) == bits(other)
    }
}

/// Measured use above this counts as hot.
const HOT: f64 = 0.85;

impl Worker {
    pub fn new(record: WorkerRecord, now: Time) -> Worker {
        let number = |label: &str| record.labels.get(label).and_then(|text| text.parse().ok());
        let positive = |value: &f64| value.is_finite() && *value > 0.0;
        Worker {
            state: record.state,
            life: None,
            registered: None,
            last_seen: now,
            check_at: Time::NEVER,
            free: Free::all_of(&record.capacity),
            holds: BTreeSet::new(),
            measurements: Measurements::default(),
            hot_samples: 0,
            predicted: Predicted::default(),
            history: History::default(),
            dispatched: 0.0,
            weight: number("weight").filter(positive).unwrap_or(1.0),
            cost: number("cost").filter(|cost: &f64| cost.is_finite()).unwrap_or(0.0),
            quick_failures: 0,
            n_quarantines: 0,
            quarantined_until: None,
            last_start: None,
            newest_started: TaskId(0),
            restricted_until: Time::ZERO,
            version: 0,
            record,
        }
    }

    pub fn is_placeable(&self) -> bool {
        self.state == WorkerState::Live && self.life.is_some() && self.quarantined_until.is_none()
    }

    pub fn has_labels(&self, requires: &std::collections::BTreeMap<String, String>) -> bool {
        requires.iter().all(|(name, value)| self.record.labels.get(name) == Some(value))
    }

    /// Whether a task could run here if nothing else did.
    pub fn could_run(&self, spec: &TaskSpec) -> bool {
        self.record.capacity.could_ever_fit(&spec.request) && self.has_labels(&spec.requires)
    }

    pub fn take(&mut self, now: Time, task: TaskId, request: &Request) -> Devices {
        self.last_start = Some(now);
        self.newest_started = self.newest_started.max(task);
        self.holds.insert(task);
        self.free.take(request)
    }

    pub fn measure(&mut self, now: Time, measurements: Measurements) {
        let is_hot = |used: Option<f64>| used.is_some_and(|used| used > HOT);
        if is_hot(measurements.cpu_used) || is_hot(measurements.memory_used) {
            self.hot_samples = self.hot_samples.saturating_add(1);
        } else {
            self.hot_samples = 0;
        }
        self.history.note(now, &measurements);
        self.measurements = measurements;
    }

    /// Committed share of the scarcest resource, millionths.
    pub fn load(&self) -> u32 {
        let capacity = &self.record.capacity;
        let share = |free: u64, total: u64| {
            if total == 0 { 0 } else { ((total - free) as u128 * 1_000_000 / total as u128) as u32 }
        };
        share(self.free.cpu_milli, capacity.cpu_milli)
            .max(share(self.free.memory, capacity.memory))
            .max(share(self.gpu_free_milli(), self.gpu_total_milli()))
    }

    fn gpu_free_milli(&self) -> u64 {
        self.free.gpu_milli.iter().map(|milli| u64::from(*milli)).sum()
    }

    fn gpu_total_milli(&self) -> u64 {
        u64::from(self.record.capacity.gpus) * 1000
    }

    /// The value of a column; NaN if missing.
    pub fn column(&self, column: WorkerColumn) -> f64 {
        self.column_after(column, &Started::default())
    }

    /// The value that a column will have after one more start, bit for bit.
    pub fn column_after(&self, column: WorkerColumn, started: &Started) -> f64 {
        let capacity = &self.record.capacity;
        let measured = &self.measurements;
        let free_cpu = self.free.cpu_milli - started.request.cpu_milli;
        let free_memory = self.free.memory - started.request.memory;
        let free_gpu = self.gpu_free_milli() - u64::from(started.request.gpu_milli);
        let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let committed = |free: u64, total: u64| {
            if total == 0 { 0.0 } else { (total - free) as f64 / total as f64 }
        };
        match column {
            WorkerColumn::CpuCapacity => capacity.cpu_milli as f64 / 1000.0,
            WorkerColumn::CpuFree => free_cpu as f64 / 1000.0,
            WorkerColumn::MemoryCapacity => capacity.memory as f64,
            WorkerColumn::MemoryFree => free_memory as f64,
            WorkerColumn::GpuCapacity => f64::from(capacity.gpus),
            WorkerColumn::GpuFree => free_gpu as f64 / 1000.0,
            WorkerColumn::CpuUsed => or_nan(measured.cpu_used),
            WorkerColumn::MemoryUsed => or_nan(measured.memory_used),
            WorkerColumn::IopsUsed | WorkerColumn::IopsLoad => or_nan(measured.iops_used),
            WorkerColumn::CpuLoad => {
                committed(free_cpu, capacity.cpu_milli).max(measured.cpu_used.unwrap_or(0.0))
            }
            WorkerColumn::MemoryLoad => {
                committed(free_memory, capacity.memory).max(measured.memory_used.unwrap_or(0.0))
            }
            WorkerColumn::GpuLoad => committed(free_gpu, self.gpu_total_milli()),
            WorkerColumn::RttMs => or_nan(measured.rtt_ms),
            WorkerColumn::Connections => or_nan(measured.connections.map(f64::from)),
            WorkerColumn::Running => (self.holds.len() + started.n) as f64,
            WorkerColumn::Dispatched => match started.n {
                0 => self.dispatched,
                _ => self.dispatched + 1.0 / self.weight,
            },
            WorkerColumn::Weight => self.weight,
            WorkerColumn::Cost => self.cost,
            WorkerColumn::HotSamples => f64::from(self.hot_samples),
            WorkerColumn::CpuFitted => self.history.cpu.fitted,
            WorkerColumn::CpuSlope => self.history.cpu.slope,
            WorkerColumn::CpuSlopeError => self.history.cpu.slope_error,
            WorkerColumn::MemoryFitted => self.history.memory.fitted,
            WorkerColumn::MemorySlope => self.history.memory.slope,
            WorkerColumn::MemorySlopeError => self.history.memory.slope_error,
            WorkerColumn::PredictedCpuUsed => self.predicted.values[0],
            WorkerColumn::PredictedMemoryUsed => self.predicted.values[1],
            WorkerColumn::PredictedIopsUsed => self.predicted.values[2],
            WorkerColumn::PredictedRttMs => self.predicted.values[3],
            WorkerColumn::PredictedConnections => self.predicted.values[4],
            WorkerColumn::PredictedMs => self.predicted.horizon_ms,
        }
    }
}

/// All workers, with a log of changes that indexes follow.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    all: Vec<Worker>,
    by_id: FxHashMap<WorkerId, WorkerIdx>,
    by_token: FxHashMap<[u8; 32], WorkerIdx>,
    /// Workers that changed, oldest first; the first entry has the number `log_start`.
    log: VecDeque<WorkerIdx>,
    log_start: u64,
    /// Those whose free capacity grew or that became placeable since the last planning round.
    pub touched: BTreeSet<WorkerIdx>,
    pub last_id: u32,
}

/// Indexes that fell further behind are built anew.
const MAX_LOG: usize = 100_000;

impl Workers {
    pub fn add(&mut self, worker: Worker) -> WorkerIdx {
        let idx = WorkerIdx(self.all.len() as u32);
        self.by_id.insert(worker.record.id, idx);
        self.by_token.insert(worker.record.token_hash, idx);
        self.last_id = self.last_id.max(worker.record.id.0);
        self.all.push(worker);
        self.note_change(idx);
        idx
    }

    pub fn find(&self, id: WorkerId) -> Option<WorkerIdx> {
        self.by_id.get(&id).copied()
    }

    pub fn find_token(&self, token_hash: &[u8; 32]) -> Option<WorkerIdx> {
        self.by_token.get(token_hash).copied()
    }

    pub fn get(&self, idx: WorkerIdx) -> &Worker {
        &self.all[idx.slot()]
    }

    /// For changes that no column or fit depends on.
    pub fn get_mut(&mut self, idx: WorkerIdx) -> &mut Worker {
        &mut self.all[idx.slot()]
    }

    /// For changes that a column or a fit may depend on.
    pub fn change(&mut self, idx: WorkerIdx) -> &mut Worker {
        self.note_change(idx);
        &mut self.all[idx.slot()]
    }

    fn note_change(&mut self, idx: WorkerIdx) {
        self.all[idx.slot()].version += 1;
        self.log.push_back(idx);
        if self.log.len() > MAX_LOG {
            self.log.pop_front();
            self.log_start += 1;
        }
    }

    /// In the order of their tables, which is that of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (WorkerIdx, &Worker)> {
        self.all.iter().enumerate().map(|(slot, worker)| (WorkerIdx(slot as u32), worker))
    }

    pub fn log_end(&self) -> u64 {
        self.log_start + self.log.len() as u64
    }

    /// The changes from number `from` on; None if they are not kept any more, or not yet made.
    pub fn changes_since(&self, from: u64) -> Option<impl Iterator<Item = WorkerIdx> + '_> {
        let skipped = usize::try_from(from.checked_sub(self.log_start)?).ok()?;
        if skipped > self.log.len() { None } else { Some(self.log.range(skipped..).copied()) }
    }

    /// The largest capacity of any worker that is not lost, amount by amount.
    pub fn largest_capacity(&self) -> FreeBound {
        self.bound(
            |worker| worker.state != WorkerState::Lost,
            |worker| Free::all_of(&worker.record.capacity).bound(),
        )
    }

    /// The largest free amounts on placeable workers.
    pub fn best_free(&self) -> FreeBound {
        self.bound(Worker::is_placeable, |worker| worker.free.bound())
    }

    fn bound(
        &self,
        counts: impl Fn(&Worker) -> bool,
        amount: impl Fn(&Worker) -> FreeBound,
    ) -> FreeBound {
        self.all
            .iter()
            .filter(|worker| counts(worker))
            .map(amount)
            .fold(FreeBound::default(), FreeBound::max)
    }

    /// The least dispatched per unit of weight among placeable workers: where a joining one starts.
    pub fn least_dispatched(&self) -> f64 {
        let placeable = self.all.iter().filter(|worker| worker.is_placeable());
        let least = placeable.map(|worker| worker.dispatched).fold(f64::INFINITY, f64::min);
        if least.is_finite() { least } else { 0.0 }
    }
}
