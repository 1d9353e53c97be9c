//! Prefers the worker with the least in hand: score = 1 / (1 + n / weight), where n counts current
//! attempts, and open TCP connections too if `count_connections` is set.
//!
#![doc = include_str!("../README.md")]

use pointsman_policy_sdk::prelude::*;

#[derive(Debug, Columns)]
pub struct Worker {
    running: f64,
    connections: Option<f64>,
    weight: f64,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Also count the open TCP connections that the worker measures on its machine.
    pub count_connections: bool,
}

#[derive(Debug)]
pub struct LeastConnections {
    count_connections: bool,
}

impl Scoring for LeastConnections {
    type Config = Config;
    type Task = NoColumns;
    type Worker = Worker;

    fn new(config: Config) -> Result<LeastConnections, String> {
        Ok(LeastConnections { count_connections: config.count_connections })
    }

    fn about(&self) -> About {
        About::new("least-connections", env!("CARGO_PKG_VERSION"))
            .description("the worker with the fewest current attempts per unit of weight")
            .node_local()
    }

    fn score(&self, _: &NoColumns, worker: &Worker) -> f64 {
        let connections = worker.connections.filter(|_| self.count_connections).unwrap_or(0.0);
        // `max` takes the other operand for NaN: what is missing counts as none.
        let in_hand = worker.running.max(0.0) + connections.max(0.0);
        let weight = if worker.weight > 0.0 { worker.weight } else { 1.0 };
        1.0 / (1.0 + in_hand / weight)
    }
}

export_scoring!(LeastConnections);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_scoring, row};

    #[test]
    fn less_in_hand_scores_higher() {
        let policy = configured("{}", LeastConnections::new).expect("a good configuration");
        let score = |running| {
            policy.score(&NoColumns, &row(&[("running", running), ("connections", 100.0)]))
        };
        assert_eq!([score(0.0), score(1.0), score(3.0)], [1.0, 0.5, 0.25]);
        fuzz_scoring(&policy);
    }
}
