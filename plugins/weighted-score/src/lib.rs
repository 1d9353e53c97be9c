//! The standard scoring policy: a weighted sum of how free a worker is in each dimension.
//!
//! score = Σ weight · (1 − load) / Σ weight over cpu, memory, disk operations, and
//! 1 − min(rtt / rtt_ref, 1) for the round-trip time. What a worker does not measure counts as idle.
//! Bands: 0.8 and more is preferred, less than 0.5 is used only when nothing else fits.
//!
#![doc = include_str!("../README.md")]

use pointsman_policy_sdk::prelude::*;

#[derive(Debug, Columns)]
pub struct Worker {
    cpu_load: f64,
    memory_load: f64,
    rtt_ms: f64,
    iops_load: f64,
    #[column("predicted:cpu-used")]
    predicted_cpu: Option<f64>,
    #[column("predicted:memory-used")]
    predicted_memory: Option<f64>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub cpu: f64,
    pub memory: f64,
    pub rtt: f64,
    pub iops: f64,
    /// A round trip of this length or more counts as fully loaded.
    pub rtt_ref_ms: f64,
    /// `cpu`, `memory` or both: of these the larger of load and forecast counts.
    pub predicted: Vec<String>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            cpu: 0.3,
            memory: 0.3,
            rtt: 0.2,
            iops: 0.2,
            rtt_ref_ms: 100.0,
            predicted: Vec::new(),
        }
    }
}

/// Weights sum to 1.
#[derive(Debug)]
pub struct WeightedScore {
    weights: [f64; 4],
    rtt_ref_ms: f64,
    goes_by_predicted_cpu: bool,
    goes_by_predicted_memory: bool,
}

const CPU: &str = "predicted:cpu-used";
const MEMORY: &str = "predicted:memory-used";
const TERMS: [&str; 4] = ["cpu", "memory", "rtt", "iops"];

impl WeightedScore {
    fn parts(&self, worker: &Worker) -> [f64; 4] {
        let free = |load: f64| if load.is_nan() { 1.0 } else { 1.0 - load.clamp(0.0, 1.0) };
        let [cpu, memory, rtt, iops] = self.weights;
        let predicted_cpu = worker.predicted_cpu.filter(|_| self.goes_by_predicted_cpu);
        let predicted_memory = worker.predicted_memory.filter(|_| self.goes_by_predicted_memory);
        [
            cpu * free(worker.cpu_load.max(predicted_cpu.unwrap_or(0.0))),
            memory * free(worker.memory_load.max(predicted_memory.unwrap_or(0.0))),
            rtt * free(worker.rtt_ms / self.rtt_ref_ms),
            iops * free(worker.iops_load),
        ]
    }
}

impl Scoring for WeightedScore {
    type Config = Config;
    type Task = NoColumns;
    type Worker = Worker;

    fn new(config: Config) -> Result<WeightedScore, String> {
        let weights = [config.cpu, config.memory, config.rtt, config.iops];
        for (name, weight) in TERMS.iter().zip(weights) {
            if !(0.0..=1e6).contains(&weight) {
                return Err(format!("{name}: {weight} is not a weight; use a number from 0 to 1"));
            }
        }
        let sum: f64 = weights.iter().sum();
        if sum <= 0.0 {
            return Err("cpu, memory, rtt, iops: all weights are 0; set at least one".to_owned());
        }
        if !(config.rtt_ref_ms > 0.0 && config.rtt_ref_ms.is_finite()) {
            return Err(format!("rtt_ref_ms: {} is not a time above 0 ms", config.rtt_ref_ms));
        }
        if let Some(other) = config.predicted.iter().find(|it| *it != "cpu" && *it != "memory") {
            return Err(format!("predicted: {other:?} is neither cpu nor memory"));
        }
        let goes_by = |resource: &str| config.predicted.iter().any(|it| it == resource);
        Ok(WeightedScore {
            weights: weights.map(|weight| weight / sum),
            rtt_ref_ms: config.rtt_ref_ms,
            goes_by_predicted_cpu: goes_by("cpu"),
            goes_by_predicted_memory: goes_by("memory"),
        })
    }

    fn about(&self) -> About {
        let columns = [(CPU, self.goes_by_predicted_cpu), (MEMORY, self.goes_by_predicted_memory)];
        let left_out = columns.into_iter().filter(|(_, is_needed)| !is_needed);
        let left_out: Vec<&str> = left_out.map(|(column, _)| column).collect();
        About::new("weighted-score", env!("CARGO_PKG_VERSION"))
            .description("weighted sum of free cpu, memory, round-trip time and disk operations")
            .node_local()
            .banded()
            .without(&left_out)
    }

    fn score(&self, _: &NoColumns, worker: &Worker) -> f64 {
        let [cpu, memory, rtt, iops] = self.parts(worker);
        (cpu + memory + rtt + iops).min(1.0)
    }

    fn terms(&self, _: &NoColumns, worker: &Worker) -> Vec<(&'static str, f64)> {
        TERMS.into_iter().zip(self.parts(worker)).collect()
    }
}

export_scoring!(WeightedScore);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_scoring, row};

    fn score(config: &str, worker: &[(&str, f64)]) -> f64 {
        let policy = configured(config, WeightedScore::new).expect("a good configuration");
        policy.score(&NoColumns, &row(worker))
    }

    #[test]
    fn weights_are_those_of_the_documentation() {
        let busy = [("cpu-load", 1.0), ("memory-load", 0.5), ("rtt-ms", 50.0), ("iops-load", 0.25)];
        assert!((score("{}", &busy) - (0.0 + 0.15 + 0.1 + 0.15)).abs() < 1e-12);
        assert_eq!(score("{}", &[]), 1.0);
        let soon = [("cpu-load", 0.25), ("predicted:cpu-used", 0.75)];
        let alone = |predicted: &str| {
            format!(r#"{{"cpu":1,"memory":0,"rtt":0,"iops":0,"predicted":[{predicted}]}}"#)
        };
        assert_eq!(score(&alone(r#""cpu""#), &soon), 0.25);
        assert_eq!(score(&alone(r#""cpu""#), &soon[..1]), 0.75, "nothing is foretold");
        assert_eq!(score(r#"{"cpu":2,"memory":0,"rtt":0,"iops":0}"#, &[("cpu-load", 0.25)]), 0.75);
    }

    #[test]
    fn a_bad_configuration_is_refused_by_key() {
        for (config, expected) in [
            (r#"{"cpu":-1}"#, "cpu: -1 is not a weight; use a number from 0 to 1"),
            (
                r#"{"cpu":0,"memory":0,"rtt":0,"iops":0}"#,
                "cpu, memory, rtt, iops: all weights are 0; set at least one",
            ),
            (r#"{"predicted":["rtt"]}"#, "predicted: \"rtt\" is neither cpu nor memory"),
            (r#"{"rtt_ref_ms":0}"#, "rtt_ref_ms: 0 is not a time above 0 ms"),
            (
                r#"{"cpus":1}"#,
                "config: unknown field `cpus`, expected one of `cpu`, `memory`, `rtt`, `iops`, `rtt_ref_ms`, `predicted`",
            ),
            (r#"{"cpu":"much"}"#, r#"cpu: invalid type: string "much", expected f64"#),
        ] {
            assert_eq!(
                configured(config, WeightedScore::new).map(|_| ()),
                Err(expected.to_owned())
            );
        }
    }

    #[test]
    fn no_input_gives_a_score_out_of_range() {
        fuzz_scoring(&configured("{}", WeightedScore::new).expect("a good configuration"));
    }
}
