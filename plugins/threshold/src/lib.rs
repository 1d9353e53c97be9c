//! The standard rescheduling policy: plain thresholds. A running task is moved when it takes longer
//! than `over_expected` times what was expected, or when its worker has been above 85 % of cpu or
//! memory for `hot_samples` measurements in a row. From attempt `max_attempt` on it is left alone, so
//! that a task whose estimate is wrong, or all of whose workers are hot, still comes to its end. A
//! waiting task that lost its last dependency but one can be made more urgent (`raise_priority_to`,
//! off by default).
//!
#![doc = include_str!("../README.md")]

use pointsman_policy_sdk::prelude::*;
use pointsman_policy_sdk::push_number;

#[derive(Debug, Columns)]
pub struct Task {
    elapsed_ms: Option<f64>,
    expected_ms: Option<f64>,
    attempt: f64,
    priority: f64,
    deps_left: f64,
}

#[derive(Debug, Columns)]
pub struct Worker {
    hot_samples: f64,
    running: f64,
}

#[derive(Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Factor; 0 turns this trigger off.
    pub over_expected: f64,
    /// Tasks younger than this are left alone.
    pub min_elapsed_s: f64,
    /// Measurements in a row; 0 turns this trigger off.
    pub hot_samples: u32,
    /// This attempt and later ones are not moved. At least 1, which turns both triggers off.
    pub max_attempt: u32,
    /// For waiting tasks whose last dependency but one ended; none by default.
    pub raise_priority_to: Option<i32>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            over_expected: 1.2,
            min_elapsed_s: 10.0,
            hot_samples: 3,
            max_attempt: 3,
            raise_priority_to: None,
        }
    }
}

#[derive(Debug)]
pub struct Threshold {
    config: Config,
}

impl Threshold {
    fn is_slow(&self, task: &Task) -> Option<String> {
        let (elapsed, expected) = (task.elapsed_ms?, task.expected_ms?);
        let factor = self.config.over_expected;
        let is_slow = factor > 0.0
            && elapsed >= self.config.min_elapsed_s * 1000.0
            && elapsed > factor * expected;
        is_slow.then(|| {
            let mut reason = String::with_capacity(64);
            reason.push_str("runs for ");
            push_seconds(&mut reason, elapsed);
            reason.push_str(" s, expected ");
            push_seconds(&mut reason, expected);
            reason.push_str(" s");
            reason
        })
    }

    fn is_hot(&self, task: &Task, worker: &Worker) -> Option<String> {
        let limit = f64::from(self.config.hot_samples);
        let is_hot = limit > 0.0
            && worker.hot_samples >= limit
            && worker.running > 1.0
            && task.elapsed_ms? >= self.config.min_elapsed_s * 1000.0;
        is_hot.then(|| {
            let n_samples = (worker.hot_samples as u32).to_string();
            ["its worker was hot ", &n_samples, " times in a row"].concat()
        })
    }
}

/// With one decimal, in a fraction of the time that `format!` takes: there may be a proposal for each
/// of 10,000 tasks.
fn push_seconds(text: &mut String, ms: f64) {
    // A cast keeps to the range of the number: some 100 years.
    let tenths = (ms / 100.0 + 0.5) as u32;
    push_number(text, tenths / 10);
    text.push('.');
    push_number(text, tenths % 10);
}

impl Rescheduling for Threshold {
    type Config = Config;
    type Task = Task;
    type Worker = Worker;

    fn new(config: Config) -> Result<Threshold, String> {
        if config.over_expected != 0.0 && !(1.0..=1e6).contains(&config.over_expected) {
            let given = config.over_expected;
            return Err(format!(
                "over_expected: {given} is neither 0 (off) nor a factor of at least 1"
            ));
        }
        if !(0.0..=1e9).contains(&config.min_elapsed_s) {
            return Err(format!(
                "min_elapsed_s: {} is not a number of seconds from 0 to 1e9",
                config.min_elapsed_s
            ));
        }
        if config.max_attempt == 0 {
            return Err("max_attempt: attempts count from 1; use 1 to move none".to_owned());
        }
        Ok(Threshold { config })
    }

    fn about(&self) -> About {
        About::new("threshold", env!("CARGO_PKG_VERSION"))
            .description("moves tasks that take too long, and tasks on hot workers")
            .interval_ms(5000)
    }

    fn review(&self, _now_ms: f64, task: &Task, worker: Option<&Worker>) -> Option<Proposal> {
        let Some(worker) = worker else {
            let priority = self.config.raise_priority_to?;
            let is_nearly_ready = task.deps_left == 1.0 && task.priority < f64::from(priority);
            return is_nearly_ready.then(|| Proposal {
                action: Action::RaisePriority(priority),
                reason: "a dependency ended, one is left".to_owned(),
            });
        };
        if task.attempt >= f64::from(self.config.max_attempt) {
            return None;
        }
        let reason = self.is_slow(task).or_else(|| self.is_hot(task, worker))?;
        Some(Proposal { action: Action::Migrate, reason })
    }
}

export_rescheduling!(Threshold);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_rescheduling, row};

    fn review(task: &[(&str, f64)], worker: &[(&str, f64)]) -> Option<String> {
        let policy = configured("{}", Threshold::new).expect("a good configuration");
        policy.review(0.0, &row(task), Some(&row(worker))).map(|it| it.reason)
    }

    #[test]
    fn a_task_is_moved_after_a_fifth_more_than_expected() {
        let cool = [("hot-samples", 0.0), ("running", 2.0)];
        let slow = [("elapsed-ms", 24_001.0), ("expected-ms", 20_000.0)];
        let reason = Some("runs for 24.0 s, expected 20.0 s".to_owned());
        assert_eq!(review(&slow, &cool), reason);
        assert_eq!(review(&[("elapsed-ms", 24_000.0), ("expected-ms", 20_000.0)], &cool), None);
        assert_eq!(review(&[("elapsed-ms", 1e9)], &cool), None, "nothing was expected");
    }

    #[test]
    fn a_hot_worker_gives_work_away_but_not_its_last() {
        let task = [("elapsed-ms", 20_000.0)];
        let reason = Some("its worker was hot 3 times in a row".to_owned());
        assert_eq!(review(&task, &[("hot-samples", 3.0), ("running", 2.0)]), reason);
        assert_eq!(review(&task, &[("hot-samples", 2.0), ("running", 2.0)]), None);
        assert_eq!(review(&task, &[("hot-samples", 9.0), ("running", 1.0)]), None);
    }

    #[test]
    fn no_task_is_moved_without_end() {
        let cool = [("hot-samples", 0.0), ("running", 2.0)];
        let is_moved = |attempt| {
            let slow = [("elapsed-ms", 1e6), ("expected-ms", 1.0), ("attempt", attempt)];
            review(&slow, &cool).is_some()
        };
        assert_eq!([1.0, 2.0, 3.0, 4.0].map(is_moved), [true, true, false, false]);
    }

    #[test]
    fn a_waiting_task_is_raised_only_if_asked_for_and_one_dependency_is_left() {
        let raised = |config, deps_left, priority| {
            let policy = configured(config, Threshold::new).expect("a good configuration");
            let task = row(&[("deps-left", deps_left), ("priority", priority)]);
            policy.review(0.0, &task, None).map(|it| it.action)
        };
        let on = r#"{"raise_priority_to":5}"#;
        assert_eq!(raised(on, 1.0, 0.0), Some(Action::RaisePriority(5)));
        assert_eq!(raised(on, 2.0, 0.0), None);
        assert_eq!(raised(on, 1.0, 5.0), None);
        assert_eq!(raised("{}", 1.0, 0.0), None);
    }

    #[test]
    fn no_input_breaks_a_review() {
        for config in ["{}", r#"{"raise_priority_to":5}"#] {
            fuzz_rescheduling(&configured(config, Threshold::new).expect("a good configuration"));
        }
    }

    #[test]
    fn a_bad_configuration_is_refused_by_key() {
        for (config, expected) in [
            (
                r#"{"over_expected":0.5}"#,
                "over_expected: 0.5 is neither 0 (off) nor a factor of at least 1",
            ),
            (
                r#"{"min_elapsed_s":-1}"#,
                "min_elapsed_s: -1 is not a number of seconds from 0 to 1e9",
            ),
            (r#"{"max_attempt":0}"#, "max_attempt: attempts count from 1; use 1 to move none"),
            (
                r#"{"hot_samples":2.5}"#,
                "hot_samples: invalid type: floating point `2.5`, expected u32",
            ),
        ] {
            assert_eq!(configured(config, Threshold::new).map(|_| ()), Err(expected.to_owned()));
        }
    }
}
