//! What the host counts of its own work as it happens, to be shown by `/metrics`.

use pointsman_scheduler::record::Snapshot;
use pointsman_scheduler::{Record, Term};
use pointsman_store::{SetAside, Store, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often something took how long, since the host was started.
#[derive(Debug, Default)]
pub struct Histogram {
    /// By the first bound that is not exceeded; the last one has no bound.
    n_within: [AtomicU64; BOUNDS.len() + 1],
    sum_nanos: AtomicU64,
}

/// Seconds.
pub const BOUNDS: [f64; 18] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
    300.0, 1800.0, 7200.0,
];

impl Histogram {
    pub fn note(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = BOUNDS.partition_point(|bound| *bound < seconds);
        self.n_within[at].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Up to each bound, smaller ones included, and in all.
    pub fn cumulative(&self) -> [u64; BOUNDS.len() + 1] {
        let mut sum = 0;
        self.n_within.each_ref().map(|n| {
            sum += n.load(Ordering::Relaxed);
            sum
        })
    }

    /// Seconds.
    pub fn sum(&self) -> f64 {
        self.sum_nanos.load(Ordering::Relaxed) as f64 / 1e9
    }
}

/// Of the host's own work.
#[derive(Debug, Default)]
pub struct Figures {
    /// Rounds of planning.
    pub rounds: Histogram,
    /// When the last one ended, by the host's clock, nanoseconds: the scheduler's own sign of life.
    pub last_round: AtomicU64,
    /// Commits of the store that succeeded.
    pub commits: Histogram,
    pub failed_commits: AtomicU64,
}

/// A store whose commits are timed.
pub struct TimedStore {
    pub store: Box<dyn Store>,
    pub figures: Arc<Figures>,
}

impl Store for TimedStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        self.store.load()
    }

    fn begin_term(&mut self) -> Result<Term, StoreError> {
        self.store.begin_term()
    }

    fn commit(&mut self, term: Term, records: &[&Record]) -> Result<(), StoreError> {
        let began = Instant::now();
        let committed = self.store.commit(term, records);
        match &committed {
            Ok(()) => self.figures.commits.note(began.elapsed()),
            Err(_) => {
                self.figures.failed_commits.fetch_add(1, Ordering::Relaxed);
            }
        }
        committed
    }

    fn set_aside(&self) -> Vec<SetAside> {
        self.store.set_aside()
    }

    fn tidy(&mut self) -> Result<bool, StoreError> {
        self.store.tidy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_on_a_bound_never_counts_beyond_it() {
        let histogram = Histogram::default();
        for ms in [0, 1, 2, 1000, 9_000_000] {
            histogram.note(Duration::from_millis(ms));
        }
        let counts = histogram.cumulative();
        let up_to = |bound: f64| counts[BOUNDS.iter().position(|it| *it == bound).unwrap()];
        assert_eq!([up_to(0.001), up_to(0.0025), up_to(0.5), up_to(1.0)], [2, 3, 3, 4]);
        assert_eq!((up_to(7200.0), counts[BOUNDS.len()]), (4, 5));
        assert!((histogram.sum() - 9001.003).abs() < 1e-9);
    }
}
