//! Gives each worker starts in proportion to its label `weight`: the host counts what it dispatched
//! per unit of weight, and the worker with the least comes next. score = 1 / (1 + dispatched).
//!
#![doc = include_str!("../README.md")]

use pointsman_policy_sdk::prelude::*;

#[derive(Debug, Columns)]
pub struct Worker {
    dispatched: f64,
}

#[derive(Debug)]
pub struct WeightedRoundRobin;

impl Scoring for WeightedRoundRobin {
    type Config = NoConfig;
    type Task = NoColumns;
    type Worker = Worker;

    fn new(_: NoConfig) -> Result<WeightedRoundRobin, String> {
        Ok(WeightedRoundRobin)
    }

    fn about(&self) -> About {
        About::new("weighted-round-robin", env!("CARGO_PKG_VERSION"))
            .description("the worker with the fewest starts per unit of weight")
            .node_local()
    }

    fn score(&self, _: &NoColumns, worker: &Worker) -> f64 {
        1.0 / (1.0 + worker.dispatched.max(0.0))
    }
}

export_scoring!(WeightedRoundRobin);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_scoring, row};

    #[test]
    fn fewer_starts_score_higher() {
        let policy = configured("{}", WeightedRoundRobin::new).expect("a good configuration");
        let score = |dispatched| policy.score(&NoColumns, &row(&[("dispatched", dispatched)]));
        assert!(score(10.0) > score(10.5) && score(1e6) > score(1e6 + 1.0));
        fuzz_scoring(&policy);
    }
}
