//! What a fuzzer calls a policy with: values that a host may send at worst, from a seed.

use super::lists;
use crate::catalogue::{self, Column, Kind, Range};
use crate::columns::Columns;
use crate::glue::NO_WORKER;
use std::fmt;

/// The arguments of one call, whichever the slot.
#[derive(Debug, Clone)]
pub(super) struct Input {
    shape: Shape,
    pub now_ms: f64,
    pub tasks: Batch,
    pub workers: Batch,
    /// As long as `tasks` for rescheduling, else empty.
    pub on_worker: Vec<u32>,
}

/// Rows of one kind, as the host sends them.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    kind: Kind,
    names: &'static [&'static str],
    widths: &'static [usize],
    pub n_rows: usize,
    pub columns: Vec<Vec<f64>>,
}

/// Which rows a slot is called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One task, many workers.
    Scoring,
    /// Tasks alone.
    Queue,
    /// Tasks, most of them on workers.
    Rescheduling,
    /// Workers alone.
    Forecasting,
}

/// Values that have broken policies: missing, nothing, tiny, huge, negative. There are no infinities:
/// the host has none to send.
const HOSTILE: [f64; 9] = [f64::NAN, 0.0, -0.0, 1.0, -1.0, 0.5, f64::MIN_POSITIVE, 1e300, -1e300];

/// The most rows a host sends at once, if they have few lists.
const MANY: usize = 10_000;
/// The most numbers a host sends at once; rows of windows have many.
const MANY_NUMBERS: usize = 1_000_000;

/// Inputs for a policy with these rows: first the special ones, then `n_random` by chance.
pub(super) fn inputs<Task: Columns, Worker: Columns>(
    shape: Shape,
    seed: u64,
    n_random: usize,
) -> impl Iterator<Item = Input> {
    let mut random = Random(seed);
    // A queue is never asked about nothing.
    let none = if shape == Shape::Queue { 1 } else { 0 };
    let n_lists: usize = Task::WIDTHS.iter().chain(Worker::WIDTHS).sum();
    let many = MANY.min(MANY_NUMBERS / n_lists.max(1));
    let special = [
        (none, Taste::Usual),
        (1, Taste::Usual),
        (3, Taste::Missing),
        (3, Taste::Zero),
        (9 * 9 * 9, Taste::Combined),
        (many, Taste::Usual),
    ];
    let by_chance =
        (0..n_random).map(|round| (0, if round % 4 == 0 { Taste::Usual } else { Taste::Any }));
    special.into_iter().chain(by_chance).enumerate().map(move |(at, (n_rows, taste))| {
        let n_rows = if at < special.len() { n_rows } else { 1 + random.below(40) };
        Input::of::<Task, Worker>(shape, n_rows, taste, &mut random)
    })
}

impl Input {
    fn of<Task: Columns, Worker: Columns>(
        shape: Shape,
        n_rows: usize,
        taste: Taste,
        random: &mut Random,
    ) -> Input {
        let (n_tasks, n_workers) = match shape {
            Shape::Scoring => (1, n_rows),
            Shape::Queue => (n_rows, 0),
            Shape::Forecasting => (0, n_rows),
            // Every fifth waits.
            Shape::Rescheduling => (n_rows, n_rows.div_ceil(2)),
        };
        let mut on_worker = Vec::new();
        if shape == Shape::Rescheduling {
            let worker_of = |row: usize| if row % 5 == 4 { NO_WORKER } else { row as u32 / 2 };
            on_worker.extend((0..n_rows).map(worker_of));
        }
        Input {
            shape,
            now_ms: 1.7e12 + random.below(1_000_000) as f64 / 4.0,
            tasks: Batch::of::<Task>(Kind::Task, n_tasks, taste, random),
            workers: Batch::of::<Worker>(Kind::Worker, n_workers, taste, random),
            on_worker,
        }
    }

    /// That answers are given for.
    pub fn n_rows(&self) -> usize {
        match self.shape {
            Shape::Scoring | Shape::Forecasting => self.workers.n_rows,
            Shape::Queue | Shape::Rescheduling => self.tasks.n_rows,
        }
    }

    /// The same, last row first.
    pub fn backwards(&self) -> Input {
        self.pick((0..self.n_rows()).rev())
    }

    /// The same rows at another time.
    pub fn later_by(&self, ms: f64) -> Input {
        Input { now_ms: self.now_ms + ms, ..self.clone() }
    }

    /// One row alone.
    pub fn only(&self, row: usize) -> Input {
        self.pick(row..row + 1)
    }

    /// All rows but some.
    pub fn without(&self, rows: std::ops::Range<usize>) -> Input {
        self.pick((0..self.n_rows()).filter(move |row| !rows.contains(row)))
    }

    fn pick(&self, rows: impl Iterator<Item = usize> + Clone) -> Input {
        let (mut tasks, mut workers) = (None, None);
        match self.shape {
            Shape::Scoring | Shape::Forecasting => workers = Some(self.workers.pick(rows.clone())),
            Shape::Queue | Shape::Rescheduling => tasks = Some(self.tasks.pick(rows.clone())),
        }
        Input {
            shape: self.shape,
            now_ms: self.now_ms,
            tasks: tasks.unwrap_or_else(|| self.tasks.clone()),
            workers: workers.unwrap_or_else(|| self.workers.clone()),
            on_worker: rows.filter_map(|row| self.on_worker.get(row).copied()).collect(),
        }
    }

    /// Every value of the input, for simplifying.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut f64> {
        let columns = self.tasks.columns.iter_mut().chain(&mut self.workers.columns);
        columns.flat_map(|column| column.iter_mut())
    }

    /// The one task of a scoring call.
    pub fn task(&self) -> Vec<f64> {
        self.tasks.columns.iter().map(|column| column[0]).collect()
    }
}

impl Batch {
    fn of<C: Columns>(kind: Kind, n_rows: usize, taste: Taste, random: &mut Random) -> Batch {
        let measured = |name: &'static str| name.split('@').next().unwrap_or(name);
        let known: Vec<_> =
            lists::<C>().map(|name| catalogue::find(kind, measured(name))).collect();
        let mut columns = vec![Vec::with_capacity(n_rows); known.len()];
        for row in 0..n_rows {
            for (at, (values, column)) in columns.iter_mut().zip(&known).enumerate() {
                values.push(taste.value(row, at, *column, random));
            }
        }
        Batch { kind, names: C::NAMES, widths: C::WIDTHS, n_rows, columns }
    }

    fn pick(&self, rows: impl Iterator<Item = usize> + Clone) -> Batch {
        let pick = |column: &Vec<f64>| rows.clone().map(|row| column[row]).collect();
        let columns = self.columns.iter().map(pick).collect();
        Batch { columns, n_rows: rows.count(), ..*self }
    }

    /// `cpu-load = 0.5, rtt-ms missing`.
    fn write_row(&self, row: usize, formatter: &mut fmt::Formatter) -> fmt::Result {
        let mut columns = self.columns.iter();
        for (at, (name, width)) in self.names.iter().zip(self.widths).enumerate() {
            let values: Vec<f64> = columns.by_ref().take(*width).map(|list| list[row]).collect();
            let separator = if at == 0 { "" } else { ", " };
            match values[..] {
                [value] if value.is_nan() => write!(formatter, "{separator}{name} missing")?,
                [value] => write!(formatter, "{separator}{name} = {value:?}")?,
                _ => write!(formatter, "{separator}{name} = {values:?}")?,
            }
        }
        Ok(())
    }
}

/// As people read it in the message of a failed test.
impl fmt::Display for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        const N_SHOWN: usize = 8;
        writeln!(formatter, "  now_ms = {}", self.now_ms)?;
        for (what, batch) in [("task", &self.tasks), ("worker", &self.workers)] {
            if batch.names.is_empty() {
                continue;
            }
            for row in 0..batch.n_rows.min(N_SHOWN) {
                write!(formatter, "  {what} {row}: ")?;
                batch.write_row(row, formatter)?;
                match self.on_worker.get(row).filter(|_| batch.kind == Kind::Task) {
                    None => writeln!(formatter)?,
                    Some(&NO_WORKER) => writeln!(formatter, " (waiting)")?,
                    Some(worker) => writeln!(formatter, " (on worker {worker})")?,
                }
            }
            if batch.n_rows > N_SHOWN {
                writeln!(formatter, "  … and {} more", batch.n_rows - N_SHOWN)?;
            }
        }
        Ok(())
    }
}

/// Where values come from.
#[derive(Debug, Clone, Copy)]
enum Taste {
    /// Within the column's unit.
    Usual,
    Missing,
    Zero,
    /// Every combination of hostile values for up to three columns, a good part of them for more.
    Combined,
    /// Usual and hostile ones, mixed.
    Any,
}

impl Taste {
    fn value(self, row: usize, at: usize, column: Option<&Column>, random: &mut Random) -> f64 {
        let hostile = |pick: usize| HOSTILE[pick % HOSTILE.len()];
        match self {
            Taste::Usual => usual(column, random.fraction()),
            Taste::Missing => f64::NAN,
            Taste::Zero => 0.0,
            Taste::Combined if at < 3 => hostile(row / HOSTILE.len().pow(at as u32)),
            Taste::Combined => hostile(random.below(HOSTILE.len())),
            Taste::Any if random.below(2) == 0 => hostile(random.below(HOSTILE.len())),
            Taste::Any => usual(column, random.fraction()),
        }
    }
}

/// A value that a host sends on an ordinary day, for a `fraction` in [0, 1).
fn usual(column: Option<&Column>, fraction: f64) -> f64 {
    let Some(column) = column else { return fraction };
    let top = match column.unit {
        "cores" | "devices" | "count" => 100.0,
        "bytes" => (1_u64 << 40) as f64,
        "MB" => 1e6,
        "ms" => 2e12,
        _ => 10.0,
    };
    match column.range {
        Range::Fraction => fraction,
        Range::NotNegative if column.unit == "count" => (fraction * top).floor(),
        Range::NotNegative => fraction * top,
        Range::Positive => (1.0 - fraction) * top,
        Range::Counted => 1.0 + (fraction * top).floor(),
        Range::Signed => ((fraction - 0.5) * 2.0 * top).floor(),
        Range::Name => (fraction * (1_u64 << 53) as f64).floor(),
        Range::Any => (fraction - 0.5) * 2.0 * top,
    }
}

/// SplitMix64: the same numbers for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `limit`.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// In [0, 1).
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
