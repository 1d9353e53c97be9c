//! What is counted of one generation. Written by the thread that calls it, read by anybody.

use crate::failure::FailureKind;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Four buckets per doubling, from 16 ns to beyond an hour.
const N_BUCKETS: usize = 160;
const MAX_GAUGES: usize = 64;
const MAX_GAUGE_NAME: usize = 100;
const LINES_PER_SECOND: u32 = 20;

/// Counters of one generation of a policy.
#[derive(Debug)]
pub(crate) struct Stats {
    calls: AtomicU64,
    /// By kind, in the order of [`FailureKind::ALL`].
    failures: [AtomicU64; FailureKind::ALL.len()],
    lines_dropped: AtomicU64,
    buckets: [AtomicU64; N_BUCKETS],
    gauges: Mutex<BTreeMap<String, f64>>,
    log: Mutex<LogWindow>,
    /// Without a clock all lines beyond the first ones are dropped.
    has_clock: bool,
}

#[derive(Debug, Default)]
struct LogWindow {
    since: Option<Instant>,
    n_lines: u32,
}

impl Stats {
    pub fn new(has_clock: bool) -> Stats {
        Stats {
            calls: AtomicU64::new(0),
            failures: std::array::from_fn(|_| AtomicU64::new(0)),
            lines_dropped: AtomicU64::new(0),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            gauges: Mutex::default(),
            log: Mutex::default(),
            has_clock,
        }
    }

    /// Only the calling thread writes, so a plain load and store suffice.
    fn add_one(counter: &AtomicU64) {
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    pub fn note_call(&self, took: Option<Duration>) {
        Self::add_one(&self.calls);
        if let Some(took) = took {
            Self::add_one(&self.buckets[bucket(took)]);
        }
    }

    pub fn note_failure(&self, kind: FailureKind) {
        let at = FailureKind::ALL.iter().position(|it| *it == kind).expect("ALL has every kind");
        self.failures[at].fetch_add(1, Ordering::Relaxed);
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How often each kind of failure happened; kinds that did not are left out.
    pub fn failures(&self) -> BTreeMap<FailureKind, u64> {
        let counts = self.failures.iter().map(|it| it.load(Ordering::Relaxed));
        FailureKind::ALL.into_iter().zip(counts).filter(|(_, n)| *n > 0).collect()
    }

    pub fn lines_dropped(&self) -> u64 {
        self.lines_dropped.load(Ordering::Relaxed)
    }

    /// The duration that a fraction `q` of the calls did not exceed, within a fifth; None before
    /// the first call.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let counts: Vec<u64> = self.buckets.iter().map(|it| it.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        let rank = (total as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        let at = counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_nanos(2f64.powf((at as f64 + 1.0) / 4.0 + 4.0) as u64))
    }

    /// Whether a line may be written now.
    pub fn may_log(&self) -> bool {
        let mut window = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if self.has_clock {
            let now = Instant::now();
            let is_over =
                window.since.is_none_or(|it| now.duration_since(it) >= Duration::from_secs(1));
            if is_over {
                *window = LogWindow { since: Some(now), n_lines: 0 };
            }
        }
        window.n_lines = window.n_lines.saturating_add(1);
        let may = window.n_lines <= LINES_PER_SECOND;
        if !may {
            self.lines_dropped.fetch_add(1, Ordering::Relaxed);
        }
        may
    }

    pub fn set_gauge(&self, name: String, value: f64) {
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = gauges.contains_key(&name);
        if is_known || (gauges.len() < MAX_GAUGES && name.len() <= MAX_GAUGE_NAME) {
            gauges.insert(name, value);
        }
    }

    pub fn gauges(&self) -> BTreeMap<String, f64> {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn bucket(took: Duration) -> usize {
    // ilog2 and the next two bits: quarter octaves without floating point.
    let ns = (took.as_nanos() as u64).max(16);
    let octave = ns.ilog2();
    let quarter = (ns >> (octave - 2)) & 3;
    (((octave - 4) * 4) as usize + quarter as usize).min(N_BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_what_was_measured() {
        let stats = Stats::new(true);
        assert_eq!(stats.quantile(0.5), None);
        for micros in 1..=1000 {
            stats.note_call(Some(Duration::from_micros(micros)));
        }
        let p50 = stats.quantile(0.5).unwrap().as_micros();
        let p99 = stats.quantile(0.99).unwrap().as_micros();
        assert!((450..=620).contains(&p50), "p50 is {p50}");
        assert!((950..=1200).contains(&p99), "p99 is {p99}");
        assert_eq!(stats.calls(), 1000);
    }

    #[test]
    fn no_kind_of_failure_is_counted_as_another() {
        let stats = Stats::new(false);
        for (i, kind) in FailureKind::ALL.into_iter().enumerate() {
            (0..=i).for_each(|_| stats.note_failure(kind));
        }
        let counts: Vec<u64> = stats.failures().into_values().collect();
        assert_eq!(counts, (1..=FailureKind::ALL.len() as u64).collect::<Vec<_>>());
        assert_eq!(stats.failures()[&FailureKind::Start], 1);
    }

    #[test]
    fn log_lines_beyond_the_rate_are_dropped_and_counted() {
        let stats = Stats::new(false);
        let n_kept = (0..50).filter(|_| stats.may_log()).count();
        assert_eq!((n_kept, stats.lines_dropped()), (20, 30));
    }

    #[test]
    fn gauges_are_bounded_in_number() {
        let stats = Stats::new(false);
        for i in 0..100 {
            stats.set_gauge(format!("g{i}"), f64::from(i));
        }
        stats.set_gauge("g0".to_owned(), 7.0);
        assert_eq!(stats.gauges().len(), MAX_GAUGES);
        assert_eq!(stats.gauges()["g0"], 7.0);
    }
}
