//! Measurements at any time are brought to a step, as the host does for windows: a sample is the mean of what
//! was measured in the step that ends there; a step without any repeats the sample before, at most twice in a
//! row, and is missing from then on.

use super::Segment;
use std::collections::BTreeMap;

/// Steps in a row that repeat the sample before them.
pub const CARRIED_MAX: u64 = 2;

/// What is missing splits a worker's samples into segments. Steps end at the multiples of `step_ms`.
pub fn segments(workers: BTreeMap<String, Vec<(u64, f64)>>, step_ms: u64) -> Vec<Segment> {
    workers.into_iter().flat_map(|(worker, it)| segments_of(&worker, it, step_ms)).collect()
}

fn segments_of(worker: &str, measurements: Vec<(u64, f64)>, step_ms: u64) -> Vec<Segment> {
    let mut steps: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for (at_ms, value) in measurements {
        let (sum, n) = steps.entry(at_ms.div_ceil(step_ms.max(1))).or_default();
        *sum += value;
        *n += 1.0;
    }
    let mut segments: Vec<Segment> = Vec::new();
    let mut before = None;
    for (step, (sum, n)) in steps {
        let n_skipped = before.map(|before: u64| step - before - 1);
        let is_joined = n_skipped.is_some_and(|n_skipped| n_skipped <= CARRIED_MAX);
        match (segments.last_mut(), n_skipped) {
            (Some(segment), Some(n_skipped)) if is_joined => {
                let last = *segment.values.last().expect("a segment begins with a value");
                segment.values.extend((0..n_skipped).map(|_| last));
                segment.values.push(sum / n);
            }
            _ => {
                let worker = Some(worker.to_owned());
                segments.push(Segment { worker, values: vec![sum / n] });
            }
        }
        before = Some(step);
    }
    segments
}
