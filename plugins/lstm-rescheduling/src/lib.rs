//! Moves work off a worker before it is too hot: when the forecasting policy foretells that its cpu or memory
//! will be at `limit` or above. Without forecasts that can be relied on it does not serve; see `threshold` and
//! `trend` for policies that need none.
//!
#![doc = include_str!("../README.md")]

use pointsman_policy_sdk::prelude::*;
use pointsman_policy_sdk::push_number;

#[derive(Debug, Columns)]
pub struct Task {
    elapsed_ms: Option<f64>,
    attempt: f64,
}

#[derive(Debug, Columns)]
pub struct Worker {
    running: f64,
    predicted_ms: Option<f64>,
    #[column("predicted:cpu-used")]
    cpu: Option<f64>,
    #[column("predicted:memory-used")]
    memory: Option<f64>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `cpu`, `memory`, or both.
    pub resources: Vec<String>,
    /// Fraction of the worker's capacity that is to be stayed below.
    pub limit: f64,
    /// Tasks younger than this are left alone.
    pub min_elapsed_s: f64,
    /// This attempt and later ones are not moved. At least 1, which moves none.
    pub max_attempt: u32,
}

impl Default for Config {
    fn default() -> Config {
        let resources = vec!["cpu".to_owned()];
        Config { resources, limit: 0.85, min_elapsed_s: 10.0, max_attempt: 3 }
    }
}

#[derive(Debug)]
pub struct LstmRescheduling {
    config: Config,
    goes_by_cpu: bool,
    goes_by_memory: bool,
}

const CPU: &str = "predicted:cpu-used";
const MEMORY: &str = "predicted:memory-used";

impl LstmRescheduling {
    fn foretold(&self, resource: &str, value: Option<f64>, ahead_ms: f64) -> Option<String> {
        let value = value.filter(|value| *value >= self.config.limit)?;
        // Put together from pieces, in a fraction of the time that `format!` takes: there may be a proposal
        // for each of 10,000 tasks. A cast keeps to the range of the number.
        let mut reason = String::with_capacity(80);
        reason.push_str(resource);
        reason.push_str(" of its worker is foretold to be at ");
        push_number(&mut reason, (value * 100.0 + 0.5) as u32);
        reason.push_str(" % in ");
        push_number(&mut reason, (ahead_ms / 1_000.0 + 0.5) as u32);
        reason.push_str(" s");
        Some(reason)
    }
}

impl Rescheduling for LstmRescheduling {
    type Config = Config;
    type Task = Task;
    type Worker = Worker;

    fn new(config: Config) -> Result<LstmRescheduling, String> {
        if !(config.limit > 0.0 && config.limit <= 1.0) {
            return Err(format!("limit: {} is not a fraction above 0, at most 1", config.limit));
        }
        if !(0.0..=1e9).contains(&config.min_elapsed_s) {
            let given = config.min_elapsed_s;
            return Err(format!("min_elapsed_s: {given} is not a number of seconds from 0 to 1e9"));
        }
        if config.max_attempt == 0 {
            return Err("max_attempt: attempts count from 1; use 1 to move none".to_owned());
        }
        if config.resources.is_empty() {
            return Err("resources: name cpu, memory or both".to_owned());
        }
        if let Some(other) = config.resources.iter().find(|it| *it != "cpu" && *it != "memory") {
            return Err(format!("resources: {other:?} is neither cpu nor memory"));
        }
        let goes_by = |name: &str| config.resources.iter().any(|it| it == name);
        let (goes_by_cpu, goes_by_memory) = (goes_by("cpu"), goes_by("memory"));
        Ok(LstmRescheduling { config, goes_by_cpu, goes_by_memory })
    }

    fn about(&self) -> About {
        let about = About::new("lstm-rescheduling", env!("CARGO_PKG_VERSION"))
            .description("moves tasks off workers that are foretold to be too hot")
            .interval_ms(5000);
        match (self.goes_by_cpu, self.goes_by_memory) {
            (true, true) => about,
            (true, false) => about.without(&[MEMORY]),
            (false, _) => about.without(&[CPU]),
        }
    }

    fn review(&self, _now_ms: f64, task: &Task, worker: Option<&Worker>) -> Option<Proposal> {
        let worker = worker?;
        let is_movable = worker.running > 1.0
            && task.attempt < f64::from(self.config.max_attempt)
            && task.elapsed_ms? >= self.config.min_elapsed_s * 1000.0;
        if !is_movable {
            return None;
        }
        let ahead_ms = worker.predicted_ms.unwrap_or(0.0);
        let cpu = worker.cpu.filter(|_| self.goes_by_cpu);
        let memory = worker.memory.filter(|_| self.goes_by_memory);
        let reason = self
            .foretold("cpu", cpu, ahead_ms)
            .or_else(|| self.foretold("memory", memory, ahead_ms))?;
        Some(Proposal { action: Action::Migrate, reason })
    }
}

export_rescheduling!(LstmRescheduling);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_rescheduling, row};

    const TASK: [(&str, f64); 2] = [("elapsed-ms", 20_000.0), ("attempt", 1.0)];

    fn review(config: &str, task: &[(&str, f64)], worker: &[(&str, f64)]) -> Option<String> {
        let policy = configured(config, LstmRescheduling::new).expect("a good configuration");
        policy.review(0.0, &row(task), Some(&row(worker))).map(|it| it.reason)
    }

    fn worker(cpu: f64, memory: f64) -> [(&'static str, f64); 4] {
        [("running", 2.0), ("predicted-ms", 60_000.0), (CPU, cpu), (MEMORY, memory)]
    }

    #[test]
    fn work_leaves_a_worker_that_is_foretold_to_be_hot() {
        let reason = "cpu of its worker is foretold to be at 91 % in 60 s";
        assert_eq!(review("{}", &TASK, &worker(0.91, 0.1)), Some(reason.to_owned()));
        assert_eq!(review("{}", &TASK, &worker(0.84, 0.99)), None, "memory is not looked at");
        let both = r#"{"resources":["cpu","memory"]}"#;
        let reason = "memory of its worker is foretold to be at 99 % in 60 s";
        assert_eq!(review(both, &TASK, &worker(0.84, 0.99)), Some(reason.to_owned()));
        assert_eq!(review("{}", &TASK, &worker(f64::NAN, 0.1)), None);
    }

    #[test]
    fn young_waiting_lonely_and_often_moved_tasks_stay() {
        let hot = worker(0.99, 0.1);
        let is_moved = |elapsed_ms, attempt| {
            review("{}", &[("elapsed-ms", elapsed_ms), ("attempt", attempt)], &hot).is_some()
        };
        assert!(is_moved(10_000.0, 2.0));
        assert!(!is_moved(9_999.0, 2.0) && !is_moved(10_000.0, 3.0));
        let mut alone = hot;
        alone[0].1 = 1.0;
        assert_eq!(review("{}", &TASK, &alone), None);
        let policy = configured("{}", LstmRescheduling::new).expect("a good configuration");
        assert_eq!(policy.review(0.0, &row(&TASK), None), None);
    }

    #[test]
    fn only_forecasts_that_are_gone_by_are_needed() {
        let left_out = |config| {
            configured(config, LstmRescheduling::new).expect("a good one").about().left_out
        };
        assert_eq!(left_out("{}"), [MEMORY]);
        assert_eq!(left_out(r#"{"resources":["memory"]}"#), [CPU]);
        assert_eq!(left_out(r#"{"resources":["memory","cpu"]}"#), [""; 0]);
    }

    #[test]
    fn a_bad_configuration_is_refused_by_key() {
        for (config, expected) in [
            (r#"{"limit":0}"#, "limit: 0 is not a fraction above 0, at most 1"),
            (r#"{"max_attempt":0}"#, "max_attempt: attempts count from 1; use 1 to move none"),
            (
                r#"{"min_elapsed_s":-1}"#,
                "min_elapsed_s: -1 is not a number of seconds from 0 to 1e9",
            ),
            (r#"{"resources":[]}"#, "resources: name cpu, memory or both"),
            (r#"{"resources":["disk"]}"#, "resources: \"disk\" is neither cpu nor memory"),
        ] {
            let made = configured(config, LstmRescheduling::new);
            assert_eq!(made.map(|_| ()), Err(expected.to_owned()));
        }
    }

    #[test]
    fn no_input_breaks_a_review() {
        for config in ["{}", r#"{"resources":["cpu","memory"],"min_elapsed_s":0}"#] {
            fuzz_rescheduling(&configured(config, LstmRescheduling::new).expect("a good one"));
        }
    }
}
