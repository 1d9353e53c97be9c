//! The task with the shortest expected run time goes first; those without one go last.
//!
#![doc = include_str!("../README.md")]

use pointsman_policy_sdk::prelude::*;

#[derive(Debug, Columns)]
pub struct Task {
    expected_ms: Option<f64>,
}

#[derive(Debug)]
pub struct ShortestFirst;

impl Queue for ShortestFirst {
    type Config = NoConfig;
    type Task = Task;

    fn new(_: NoConfig) -> Result<ShortestFirst, String> {
        Ok(ShortestFirst)
    }

    fn about(&self) -> About {
        About::new("shortest-first", env!("CARGO_PKG_VERSION"))
            .description("the shortest expected run time first")
            .discipline(Discipline::Greedy)
    }

    fn rank(&self, _now_ms: f64, task: &Task) -> f64 {
        task.expected_ms.unwrap_or(f64::MAX)
    }
}

export_queue!(ShortestFirst);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{fuzz_queue, row};

    #[test]
    fn the_shorter_one_goes_first_and_the_unknown_last() {
        let rank = |values: &[(&str, f64)]| ShortestFirst.rank(0.0, &row(values));
        assert!(rank(&[("expected-ms", 1.0)]) < rank(&[("expected-ms", 2.0)]));
        assert!(rank(&[("expected-ms", 1e12)]) < rank(&[]));
        fuzz_queue(&ShortestFirst);
    }
}
