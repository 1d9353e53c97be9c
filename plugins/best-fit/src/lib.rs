//! Fills workers up one after the other, so that large tasks find room: the worker with the least
//! left after placing scores highest. What is left is counted in cores (`by = "cpu"`), in bytes
//! (`"memory"`), or as the mean of the free fractions of both (`"mean"`).
//!
//! Amounts without a bound are brought into [0, 1] by 1 / (1 + left / scale): strictly falling, and
//! in an f64 never equal for amounts that differ by a thousandth of a core or a byte.
//!
#![doc = include_str!("../README.md")]

use pointsman_policy_sdk::prelude::*;

#[derive(Debug, Columns)]
pub struct Task {
    cpu: f64,
    memory: f64,
}

#[derive(Debug, Columns)]
pub struct Worker {
    cpu_free: f64,
    cpu_capacity: f64,
    memory_free: f64,
    memory_capacity: f64,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub by: By,
}

/// What is to be used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Cores left.
    #[default]
    Cpu,
    /// Bytes left.
    Memory,
    /// The mean of the fractions of cpu and memory left.
    Mean,
}

#[derive(Debug)]
pub struct BestFit {
    by: By,
}

/// With so many cores left a worker scores a half.
const SCALE_CORES: f64 = 64.0;
/// With so many bytes left a worker scores a half: 256 GiB.
const SCALE_BYTES: f64 = (1_u64 << 38) as f64;

/// What is left of an amount; nothing where it is unknown or too little.
fn left(free: f64, asked: f64) -> f64 {
    (free - asked).max(0.0)
}

fn fraction(left: f64, capacity: f64) -> f64 {
    if capacity > 0.0 { (left / capacity).min(1.0) } else { 0.0 }
}

impl BestFit {
    /// The terms for cpu and memory.
    fn parts(&self, task: &Task, worker: &Worker) -> [f64; 2] {
        let cpu = left(worker.cpu_free, task.cpu);
        let memory = left(worker.memory_free, task.memory);
        match self.by {
            By::Cpu => [SCALE_CORES / (SCALE_CORES + cpu), 0.0],
            By::Memory => [0.0, SCALE_BYTES / (SCALE_BYTES + memory)],
            By::Mean => [
                0.5 - 0.5 * fraction(cpu, worker.cpu_capacity),
                0.5 - 0.5 * fraction(memory, worker.memory_capacity),
            ],
        }
    }
}

impl Scoring for BestFit {
    type Config = Config;
    type Task = Task;
    type Worker = Worker;

    fn new(config: Config) -> Result<BestFit, String> {
        Ok(BestFit { by: config.by })
    }

    fn about(&self) -> About {
        About::new("best-fit", env!("CARGO_PKG_VERSION"))
            .description("the worker with the least left after placing")
            .node_local()
    }

    fn score(&self, task: &Task, worker: &Worker) -> f64 {
        let [cpu, memory] = self.parts(task, worker);
        cpu + memory
    }

    fn terms(&self, task: &Task, worker: &Worker) -> Vec<(&'static str, f64)> {
        let [cpu, memory] = self.parts(task, worker);
        match self.by {
            By::Cpu => vec![("cpu", cpu)],
            By::Memory => vec![("memory", memory)],
            By::Mean => vec![("cpu", cpu), ("memory", memory)],
        }
    }
}

export_scoring!(BestFit);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_scoring, row};

    const ALL: [&str; 3] = ["{}", r#"{"by":"memory"}"#, r#"{"by":"mean"}"#];

    fn score(config: &str, cpu: (f64, f64), memory: (f64, f64)) -> f64 {
        let policy = configured(config, BestFit::new).expect("a good configuration");
        let task: Task = row(&[("cpu", 2.0), ("memory", 0.0)]);
        let worker = [
            ("cpu-free", cpu.0),
            ("cpu-capacity", cpu.1),
            ("memory-free", memory.0),
            ("memory-capacity", memory.1),
        ];
        policy.score(&task, &row(&worker))
    }

    #[test]
    fn scores_are_those_of_the_documentation() {
        let gib = |n: f64| n * f64::from(1 << 30);
        let score = |config| score(config, (66.0, 128.0), (gib(768.0), gib(1024.0)));
        assert_eq!(ALL.map(score), [0.5, 0.25, 1.0 - (0.5 + 0.75) / 2.0]);
    }

    #[test]
    fn a_thousandth_of_a_core_or_a_byte_is_never_lost() {
        for milli in [2000_u32, 2001, 66_000, 130_000, 10_000_000] {
            let score = |milli: u32| score("{}", (f64::from(milli) / 1000.0, 1e5), (0.0, 0.0));
            assert!(score(milli) > score(milli + 1), "{milli}");
        }
        for bytes in [0_u64, 1, 1 << 30, 1 << 40, 1 << 45] {
            let score = |bytes: u64| score(ALL[1], (2.0, 2.0), (bytes as f64, 1e18));
            assert!(score(bytes) > score(bytes + 1), "{bytes}");
        }
    }

    #[test]
    fn a_bad_configuration_is_refused_by_key() {
        for (config, expected) in [
            (
                r#"{"by":"gpu"}"#,
                "by: unknown variant `gpu`, expected one of `cpu`, `memory`, `mean`",
            ),
            (r#"{"of":"cpu"}"#, "config: unknown field `of`, expected `by`"),
        ] {
            assert_eq!(configured(config, BestFit::new).map(|_| ()), Err(expected.to_owned()));
        }
    }

    #[test]
    fn no_input_gives_a_score_out_of_range() {
        for config in ALL {
            fuzz_scoring(&configured(config, BestFit::new).expect("a good configuration"));
        }
    }
}
