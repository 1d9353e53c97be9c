//! Which worker suits a task: the one with more free capacity, and the nearer one.

use pointsman_policy_sdk::prelude::*;

/// What the host is to tell about each worker: field `cpu_load` is the column `cpu-load`. None or NaN
/// where it was not measured.
#[derive(Debug, Columns)]
pub struct Worker {
    cpu_load: f64,
    memory_load: f64,
    rtt_ms: Option<f64>,
}

/// The slot's `config` table.
#[derive(Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The round-trip time that counts as far away.
    pub far_ms: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config { far_ms: 100.0 }
    }
}

#[derive(Debug)]
pub struct Policy {
    far_ms: f64,
}

/// What nearness weighs against free capacity, from 0 to 1.
const NEARNESS: f64 = 0.4; // <-- change this line

impl Scoring for Policy {
    type Config = Config;
    type Task = NoColumns;
    type Worker = Worker;

    fn new(config: Config) -> Result<Policy, String> {
        if !(config.far_ms > 0.0 && config.far_ms.is_finite()) {
            return Err(format!("far_ms: {} is not a time in ms above 0", config.far_ms));
        }
        Ok(Policy { far_ms: config.far_ms })
    }

    fn about(&self) -> About {
        About::new("rust-example", env!("CARGO_PKG_VERSION"))
            .description("free capacity and nearness")
            .node_local()
    }

    /// From 0 to 1, higher is better.
    fn score(&self, _task: &NoColumns, worker: &Worker) -> f64 {
        let free = 1.0 - worker.cpu_load.max(worker.memory_load).clamp(0.0, 1.0);
        let near = 1.0 - (worker.rtt_ms.unwrap_or(0.0) / self.far_ms).clamp(0.0, 1.0);
        // `max` takes the other operand for NaN: a worker without any load measured scores last.
        ((1.0 - NEARNESS) * free + NEARNESS * near).max(0.0)
    }
}

export_scoring!(Policy);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_scoring, row};

    #[test]
    fn an_idle_near_worker_is_best_and_a_full_far_one_worst() {
        let policy = configured("{}", Policy::new).unwrap();
        let score = |load, rtt_ms| {
            let worker = [("cpu-load", load), ("memory-load", load), ("rtt-ms", rtt_ms)];
            policy.score(&NoColumns, &row(&worker))
        };
        assert_eq!(score(0.0, 0.0), 1.0);
        assert_eq!(score(1.0, 1_000.0), 0.0);
        assert!(score(0.2, 10.0) > score(0.8, 10.0));
    }

    #[test]
    fn no_input_breaks_it() {
        fuzz_scoring(&configured("{}", Policy::new).unwrap());
        assert!(configured(r#"{"far_ms":0}"#, Policy::new).is_err());
    }
}
