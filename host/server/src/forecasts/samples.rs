//! Means of what was measured of each worker over steps of equal length, so that a policy sees a series and
//! not the moments at which workers happened to report.

use pointsman_scheduler::WorkerId;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;

/// A step without a measurement repeats the one before, so often in a row at most.
const CARRIED: usize = 2;

/// Of one column. Steps end at whole multiples of their length since the Unix epoch, and are numbered by
/// that: step `i` is what lies after `(i - 1) * step_ms` and not after `i * step_ms`.
#[derive(Debug)]
pub(super) struct Samples {
    pub step_ms: u64,
    n_kept: usize,
    /// Of each worker, in order, without steps that have none.
    workers: FxHashMap<WorkerId, VecDeque<Step>>,
}

#[derive(Debug, Clone, Copy)]
struct Step {
    number: u64,
    sum: f64,
    n: u32,
}

impl Samples {
    /// Keeps at least the last `n_kept` steps.
    pub fn new(step_ms: u64, n_kept: usize) -> Samples {
        Samples { step_ms, n_kept: n_kept + CARRIED, workers: FxHashMap::default() }
    }

    /// The last step that is over.
    pub fn newest(&self, now_ms: u64) -> u64 {
        now_ms / self.step_ms
    }

    /// What was measured then. Values that come late are taken, unless their step is forgotten.
    pub fn note(&mut self, worker: WorkerId, at_ms: u64, value: f64) {
        let number = at_ms.div_ceil(self.step_ms);
        let steps = self.workers.entry(worker).or_default();
        let at = steps.iter().rposition(|it| it.number <= number);
        match at.map(|at| &mut steps[at]) {
            Some(step) if step.number == number => {
                step.sum += value;
                step.n += 1;
            }
            Some(_) | None => {
                let step = Step { number, sum: value, n: 1 };
                steps.insert(at.map_or(0, |at| at + 1), step);
            }
        }
        let newest = steps.back().map_or(0, |it| it.number);
        while steps.front().is_some_and(|it| it.number + (self.n_kept as u64) <= newest) {
            steps.pop_front();
        }
    }

    /// The mean over that step; None: nothing was measured.
    pub fn mean(&self, worker: WorkerId, number: u64) -> Option<f64> {
        let steps = self.workers.get(&worker)?;
        let at = steps.binary_search_by_key(&number, |it| it.number).ok()?;
        Some(steps[at].sum / f64::from(steps[at].n))
    }

    /// As [`Self::mean`]; a step without a measurement repeats the one before, twice at most.
    pub fn sample(&self, worker: WorkerId, number: u64) -> Option<f64> {
        let carried = number.saturating_sub(CARRIED as u64)..=number;
        carried.rev().find_map(|number| self.mean(worker, number))
    }

    /// The samples of `n` steps up to `last`, the oldest first; NaN where there is none.
    pub fn window(&self, worker: WorkerId, last: u64, n: usize) -> impl Iterator<Item = f64> {
        let first = (last + 1).saturating_sub(n as u64);
        (first..=last).map(move |number| self.sample(worker, number).unwrap_or(f64::NAN))
    }

    /// Forgets all other workers.
    pub fn keep(&mut self, live: &FxHashSet<WorkerId>) {
        self.workers.retain(|worker, _| live.contains(worker));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKER: WorkerId = WorkerId(1);

    fn window(samples: &Samples, last: u64, n: usize) -> Vec<String> {
        samples.window(WORKER, last, n).map(|value| value.to_string()).collect()
    }

    #[test]
    fn a_sample_is_the_mean_of_the_step_that_ends_there_and_gaps_are_carried_twice() {
        let mut samples = Samples::new(1_000, 6);
        for (at_ms, value) in [(1_001, 1.0), (2_000, 3.0), (2_001, 5.0), (7_500, 8.0)] {
            samples.note(WORKER, at_ms, value);
        }
        assert_eq!(samples.newest(8_999), 8);
        assert_eq!(window(&samples, 8, 8), ["NaN", "2", "5", "5", "5", "NaN", "NaN", "8"]);
        assert_eq!(samples.mean(WORKER, 4), None);
        assert_eq!(samples.mean(WorkerId(2), 2), None);
        // What comes late belongs where it was measured.
        samples.note(WORKER, 5_500, 7.0);
        assert_eq!(window(&samples, 8, 3), ["7", "7", "8"]);
    }

    #[test]
    fn no_more_steps_are_kept_than_are_needed_and_no_worker_that_is_gone() {
        let mut samples = Samples::new(1_000, 3);
        for second in 1..100 {
            samples.note(WORKER, second * 1_000, second as f64);
        }
        assert_eq!(samples.workers[&WORKER].len(), 5);
        assert_eq!(window(&samples, 99, 3), ["97", "98", "99"]);
        samples.note(WORKER, 1_000, 1.0);
        assert_eq!(samples.workers[&WORKER].len(), 5, "too late");
        samples.keep(&FxHashSet::default());
        assert!(samples.workers.is_empty());
    }
}
