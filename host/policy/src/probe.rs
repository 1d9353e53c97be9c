//! The trial calls of a candidate: golden batches that any policy must answer, and answer alike on
//! a fresh and on a used instance.

use crate::admission::Refusal;
use crate::bindings::types::Manifest;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::manifest::Profile;
use crate::native::Native;
use pointsman_scheduler::columns::{ColumnInfo, Presence, Range};
use pointsman_scheduler::policies::{NO_WORKER, Proposal};
use pointsman_scheduler::record::PolicyStamp;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// What the largest trial call took.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Trial {
    pub rows: usize,
    pub took: Duration,
    /// Where calls are limited by fuel.
    pub fuel: Option<u64>,
    /// Bytes of linear memory that the guest holds.
    pub memory: usize,
}

const MANY: usize = 1_000;
const NOW_MS: f64 = 1_700_000_000_000.25;

/// A batch of rows with what is special about it.
struct Batch {
    what: &'static str,
    n_rows: usize,
    value: fn(kind: ValueKind, row: usize, column: usize) -> f64,
}

const BATCHES: [Batch; 5] = [
    Batch { what: "no rows", n_rows: 0, value: ordinary },
    Batch { what: "one row", n_rows: 1, value: ordinary },
    Batch { what: "1,000 rows", n_rows: MANY, value: ordinary },
    Batch { what: "missing values", n_rows: 7, value: missing },
    Batch { what: "extreme values", n_rows: 12, value: extreme },
];

/// What values a column can take.
#[derive(Clone, Copy)]
struct ValueKind {
    least: f64,
    largest: f64,
    can_be_missing: bool,
}

/// Calls `used` with every batch, twice, then a fresh instance; the answers must agree bit by bit.
///
/// # Errors
/// What is wrong, and with which batch.
pub(crate) fn probe(
    used: &mut Instance,
    profile: &Profile,
    start: &dyn Fn() -> Result<(Instance, Manifest), Refusal>,
    manifest: &Manifest,
) -> Result<Trial, String> {
    let mut trial = Trial::default();
    let mut first = Vec::new();
    for batch in applicable(profile) {
        first.push(call(used, profile, batch)?);
        if batch.n_rows == MANY {
            trial = measure(used, profile, MANY)?;
        }
    }
    let (mut fresh, again) = start().map_err(|refusal| refusal.reason)?;
    if again != *manifest {
        return Err("configure answered differently the second time".to_owned());
    }
    // Backwards, so that the instances have seen different things before each call.
    for (batch, expected) in applicable(profile).zip(&first).collect::<Vec<_>>().into_iter().rev() {
        for instance in [&mut fresh, &mut *used] {
            if call(instance, profile, batch)? != *expected {
                return Err(format!(
                    "its answer depends on earlier calls, seen with {}; a policy keeps no state",
                    batch.what
                ));
            }
        }
    }
    Ok(trial)
}

/// The median of several calls with `n_rows` ordinary rows.
///
/// # Errors
/// The call failed.
pub(crate) fn measure(
    instance: &mut Instance,
    profile: &Profile,
    n_rows: usize,
) -> Result<Trial, String> {
    const N_CALLS: usize = 21;
    check_size(profile, n_rows)?;
    let batch = Batch { what: "ordinary rows", n_rows, value: ordinary };
    let arguments = Arguments::of(profile, &batch);
    let mut times = Vec::with_capacity(N_CALLS);
    for _ in 0..N_CALLS {
        let begun = Instant::now();
        arguments.call(instance, profile).map_err(|failure| failure.message)?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(Trial {
        rows: n_rows,
        took: times[N_CALLS / 2],
        fuel: instance.fuel_used(),
        memory: instance.memory_used(),
    })
}

/// Batches of a forecaster are bounded in numbers, not in rows alone.
fn check_size(profile: &Profile, n_rows: usize) -> Result<(), String> {
    match profile {
        Profile::Scoring(_) | Profile::Queue(_) | Profile::Rescheduling(_) => Ok(()),
        Profile::Forecasting(profile) if n_rows <= profile.max_rows() => Ok(()),
        Profile::Forecasting(profile) => Err(format!(
            "a call has at most {} rows of {} lists; more workers come in further calls",
            profile.max_rows(),
            profile.n_lists()
        )),
    }
}

/// As [`measure`], of a policy of the host's own; None: it has nothing to answer.
pub(crate) fn measure_native(native: Native, n_rows: usize) -> Option<Duration> {
    // A call takes less than the clock can tell, so each sample is of many.
    const N_SAMPLES: usize = 21;
    let n_calls = (20_000 / (n_rows + 20)).max(1) as u32;
    let profile = native.profile(PolicyStamp::default())?;
    let batch = Batch { what: "ordinary rows", n_rows, value: ordinary };
    let Arguments { tasks, workers, .. } = Arguments::of(&profile, &batch);
    let mut answer = Vec::new();
    let mut times = Vec::with_capacity(N_SAMPLES);
    for _ in 0..N_SAMPLES {
        let begun = Instant::now();
        for _ in 0..n_calls {
            match native {
                Native::Scoring(it) => it.score(black_box(&workers), n_rows, &mut answer),
                Native::Queue(it) => it.rank(NOW_MS, black_box(&tasks), n_rows, &mut answer),
                Native::NoRescheduling | Native::NoForecasting => return None,
            }
            black_box(&answer);
        }
        times.push(begun.elapsed() / n_calls);
    }
    times.sort_unstable();
    Some(times[N_SAMPLES / 2])
}

fn applicable(profile: &Profile) -> impl Iterator<Item = &'static Batch> {
    // `rank` is never called without rows.
    let least = match profile {
        Profile::Queue(_) => 1,
        Profile::Scoring(_) | Profile::Rescheduling(_) | Profile::Forecasting(_) => 0,
    };
    BATCHES.iter().filter(move |batch| batch.n_rows >= least)
}

/// An answer that compares bit by bit.
#[derive(PartialEq)]
enum Answer {
    Numbers(Vec<u64>),
    Proposals(Vec<Proposal>),
}

/// What one call is given.
struct Arguments {
    n_rows: usize,
    task: Vec<f64>,
    tasks: Vec<Vec<f64>>,
    on_worker: Vec<u32>,
    workers: Vec<Vec<f64>>,
}

impl Arguments {
    fn of(profile: &Profile, batch: &Batch) -> Arguments {
        let n_rows = batch.n_rows;
        let is_missing = match profile {
            Profile::Rescheduling(_) => is_missing_while_waiting,
            Profile::Scoring(_) | Profile::Queue(_) | Profile::Forecasting(_) => {
                is_missing_when_ready
            }
        };
        let columns =
            |lists: &[ColumnInfo], n_rows| columns(lists, is_missing, n_rows, batch.value);
        let task_lists = profile.task_lists();
        // Rescheduling has many tasks on few workers.
        let n_workers = match profile {
            Profile::Scoring(_) | Profile::Forecasting(_) => n_rows,
            Profile::Queue(_) | Profile::Rescheduling(_) => n_rows.min(10),
        };
        let worker_of = |row: usize| match row % 5 {
            4 => NO_WORKER,
            _ => (row % n_workers) as u32,
        };
        Arguments {
            n_rows,
            task: columns(&task_lists, 1).iter().map(|column| column[0]).collect(),
            tasks: columns(&task_lists, n_rows),
            on_worker: (0..n_rows).map(worker_of).collect(),
            workers: columns(&profile.worker_lists(), n_workers),
        }
    }

    fn call(&self, instance: &mut Instance, profile: &Profile) -> Result<Answer, Failure> {
        let bits =
            |numbers: Vec<f64>| Answer::Numbers(numbers.into_iter().map(f64::to_bits).collect());
        let n_rows = self.n_rows;
        match profile {
            Profile::Scoring(_) => instance.score(&self.task, &self.workers, n_rows).map(bits),
            Profile::Queue(_) => instance.rank(NOW_MS, &self.tasks, n_rows).map(bits),
            Profile::Rescheduling(_) => instance
                .review(NOW_MS, &self.tasks, &self.on_worker, &self.workers)
                .map(Answer::Proposals),
            Profile::Forecasting(profile) => {
                let lists = instance.forecast(profile, &self.workers, n_rows)?;
                Ok(bits(lists.into_iter().flatten().collect()))
            }
        }
    }
}

fn call(instance: &mut Instance, profile: &Profile, batch: &Batch) -> Result<Answer, String> {
    let answer = Arguments::of(profile, batch).call(instance, profile);
    answer.map_err(|failure| format!("with {}: {failure}", batch.what))
}

fn columns(
    lists: &[ColumnInfo],
    is_missing: fn(Presence) -> bool,
    n_rows: usize,
    value: fn(ValueKind, usize, usize) -> f64,
) -> Vec<Vec<f64>> {
    let list = |(i, it): (usize, &ColumnInfo)| {
        (0..n_rows).map(|row| value(kind(*it, is_missing), row, i)).collect()
    };
    lists.iter().enumerate().map(list).collect()
}

/// Spread over the lower part of the range, different in each column.
fn ordinary(kind: ValueKind, row: usize, column: usize) -> f64 {
    let step = (row * 37 + column * 11) % 101;
    (kind.largest.min(100.0) * step as f64 / 100.0).max(kind.least)
}

fn missing(kind: ValueKind, row: usize, column: usize) -> f64 {
    // Row 0: all that can be; then one column after the other.
    let is_missing = kind.can_be_missing && (row == 0 || row - 1 == column % 6);
    if is_missing { f64::NAN } else { ordinary(kind, row, column) }
}

fn extreme(kind: ValueKind, row: usize, column: usize) -> f64 {
    let value = match (row + column) % 6 {
        0 => 0.0,
        1 => kind.largest,
        2 => kind.least,
        3 => kind.largest / 2.0,
        4 => 1.0 / 1024.0,
        _ => 1.0,
    };
    value.clamp(kind.least, kind.largest)
}

/// What the catalogue says of a column, with bounds for what is unbounded there.
fn kind(column: ColumnInfo, is_missing: fn(Presence) -> bool) -> ValueKind {
    let most = match column.unit {
        "cores" | "devices" => 100_000.0,
        "bytes" => (1u64 << 60) as f64,
        "MB" => 1e12,
        "ms" => 4e12,
        "1/s" => 1.0,
        _ => 1e9,
    };
    let (least, largest) = match column.range {
        Range::Fraction => (0.0, 1.0),
        Range::NotNegative => (0.0, most),
        Range::Positive => (0.01, 1_000.0),
        Range::Counted => (1.0, most),
        Range::Signed => (f64::from(i32::MIN), f64::from(i32::MAX)),
        Range::Name => (0.0, (1u64 << 53) as f64 - 1.0),
        Range::Any => (-most, most),
    };
    ValueKind { least, largest, can_be_missing: is_missing(column.presence) }
}

/// Among tasks that are or were ready.
fn is_missing_when_ready(presence: Presence) -> bool {
    match presence {
        Presence::Always | Presence::OnceReady => false,
        Presence::Sometimes => true,
    }
}

/// Among tasks that may still wait for others.
fn is_missing_while_waiting(presence: Presence) -> bool {
    match presence {
        Presence::Always => false,
        Presence::Sometimes | Presence::OnceReady => true,
    }
}
