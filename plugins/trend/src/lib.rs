//! Moves work off a worker before it is too hot: when the straight line through its last measurements
//! of cpu or memory rises and will cross `limit` within `horizon_s`. The host draws the line; see the
//! columns `cpu-fitted`, `cpu-slope` and `cpu-slope-error`. A slope counts only if it is at least
//! `certainty` times its own standard error, so that noise is not taken for a rise. A worker that is
//! hot but does not get hotter is no business of this policy: see `threshold`.
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
    cpu_used: Option<f64>,
    cpu_fitted: Option<f64>,
    cpu_slope: Option<f64>,
    cpu_slope_error: Option<f64>,
    memory_used: Option<f64>,
    memory_fitted: Option<f64>,
    memory_slope: Option<f64>,
    memory_slope_error: Option<f64>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Fraction of the worker's capacity that the line is to stay below.
    pub limit: f64,
    /// How far ahead to look.
    pub horizon_s: f64,
    /// Standard errors that the slope has to lie above 0.
    pub certainty: f64,
    /// Tasks younger than this are left alone.
    pub min_elapsed_s: f64,
    /// This attempt and later ones are not moved. At least 1, which moves none.
    pub max_attempt: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config { limit: 0.85, horizon_s: 60.0, certainty: 4.0, min_elapsed_s: 10.0, max_attempt: 3 }
    }
}

#[derive(Debug)]
pub struct Trend {
    config: Config,
    /// The middle of every reason.
    crosses_in: String,
}

/// A line that rises less than this within the horizon counts as flat.
const MIN_RISE: f64 = 0.01;
/// A last measurement that lies this far below the line says that the rise is over.
const FALLEN: f64 = 0.05;

/// One resource of a worker: the last measurement, and the line at that moment.
struct Line {
    used: f64,
    fitted: f64,
    /// Per second.
    slope: f64,
    slope_error: f64,
}

impl Line {
    fn cpu(worker: &Worker) -> Option<Line> {
        Some(Line {
            used: worker.cpu_used?,
            fitted: worker.cpu_fitted?,
            slope: worker.cpu_slope?,
            slope_error: worker.cpu_slope_error?,
        })
    }

    fn memory(worker: &Worker) -> Option<Line> {
        Some(Line {
            used: worker.memory_used?,
            fitted: worker.memory_fitted?,
            slope: worker.memory_slope?,
            slope_error: worker.memory_slope_error?,
        })
    }
}

impl Trend {
    /// Why work has to leave a worker with this line.
    fn crosses(&self, resource: &str, line: &Line) -> Option<String> {
        let Config { limit, horizon_s, certainty, .. } = self.config;
        let rise = line.slope * horizon_s;
        let is_rising = rise >= MIN_RISE
            && line.slope > certainty * line.slope_error
            && line.used >= line.fitted - FALLEN;
        let crosses = is_rising && line.fitted + rise >= limit;
        crosses.then(|| {
            // Put together from pieces, in a fraction of the time that `format!` takes: there may be
            // a proposal for each of 10,000 tasks. A cast keeps to the range of the number.
            let mut reason = String::with_capacity(64);
            reason.push_str(resource);
            reason.push_str(&self.crosses_in);
            push_number(&mut reason, ((limit - line.fitted) / line.slope + 0.5) as u32);
            reason.push_str(" s");
            reason
        })
    }
}

impl Rescheduling for Trend {
    type Config = Config;
    type Task = Task;
    type Worker = Worker;

    fn new(config: Config) -> Result<Trend, String> {
        if !(config.limit > 0.0 && config.limit <= 1.0) {
            return Err(format!("limit: {} is not a fraction above 0, at most 1", config.limit));
        }
        for (key, value, least, largest) in [
            ("horizon_s", config.horizon_s, 1.0, 3600.0),
            ("certainty", config.certainty, 0.0, 1000.0),
            ("min_elapsed_s", config.min_elapsed_s, 0.0, 1e9),
        ] {
            if !(least..=largest).contains(&value) {
                return Err(format!("{key}: {value} is not a number from {least} to {largest}"));
            }
        }
        if config.max_attempt == 0 {
            return Err("max_attempt: attempts count from 1; use 1 to move none".to_owned());
        }
        let percent = (config.limit * 100.0).round();
        let crosses_in = format!(" of its worker rises and crosses {percent} % in ");
        Ok(Trend { config, crosses_in })
    }

    fn about(&self) -> About {
        About::new("trend", env!("CARGO_PKG_VERSION"))
            .description("moves tasks off workers whose load rises towards a limit")
            .interval_ms(5000)
    }

    fn review(&self, _now_ms: f64, task: &Task, worker: Option<&Worker>) -> Option<Proposal> {
        let worker = worker?;
        let is_movable = worker.running > 1.0
            && task.attempt < f64::from(self.config.max_attempt)
            && task.elapsed_ms? >= self.config.min_elapsed_s * 1000.0;
        if !is_movable {
            return None;
        }
        let cpu = Line::cpu(worker).and_then(|line| self.crosses("cpu", &line));
        let reason = cpu.or_else(|| self.crosses("memory", &Line::memory(worker)?))?;
        Some(Proposal { action: Action::Migrate, reason })
    }
}

export_rescheduling!(Trend);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_rescheduling, row};

    fn review(task: &[(&str, f64)], worker: &[(&str, f64)]) -> Option<String> {
        let policy = configured("{}", Trend::new).expect("a good configuration");
        policy.review(0.0, &row(task), Some(&row(worker))).map(|it| it.reason)
    }

    const TASK: [(&str, f64); 2] = [("elapsed-ms", 20_000.0), ("attempt", 1.0)];

    fn cpu(used: f64, fitted: f64, slope: f64, error: f64) -> [(&'static str, f64); 5] {
        [
            ("running", 2.0),
            ("cpu-used", used),
            ("cpu-fitted", fitted),
            ("cpu-slope", slope),
            ("cpu-slope-error", error),
        ]
    }

    #[test]
    fn a_line_that_will_cross_the_limit_moves_work_and_says_when() {
        let reason = "cpu of its worker rises and crosses 85 % in 50 s";
        assert_eq!(review(&TASK, &cpu(0.6, 0.6, 0.005, 0.001)), Some(reason.to_owned()));
        // 60 s ahead it is just below.
        assert_eq!(review(&TASK, &cpu(0.54, 0.54, 0.005, 0.001)), None);
        let memory = [
            ("running", 2.0),
            ("memory-used", 0.9),
            ("memory-fitted", 0.9),
            ("memory-slope", 0.001),
            ("memory-slope-error", 0.0),
        ];
        let reason = "memory of its worker rises and crosses 85 % in 0 s";
        assert_eq!(review(&TASK, &memory), Some(reason.to_owned()));
    }

    #[test]
    fn a_flat_falling_uncertain_or_unknown_line_moves_nothing() {
        assert_eq!(review(&TASK, &cpu(0.99, 0.99, 0.0, 0.0)), None);
        assert_eq!(review(&TASK, &cpu(0.99, 0.99, 1e-9, 0.0)), None);
        assert_eq!(review(&TASK, &cpu(0.99, 0.99, -0.01, 0.0)), None);
        assert_eq!(review(&TASK, &cpu(0.8, 0.8, 0.005, 0.00125)), None);
        assert_eq!(review(&TASK, &cpu(0.8, 0.8, 0.005, f64::NAN)), None);
        assert_eq!(review(&TASK, &[("running", 2.0)]), None);
        let is_over = cpu(0.7, 0.8, 0.005, 0.0);
        assert_eq!(review(&TASK, &is_over), None, "the last measurement fell");
    }

    #[test]
    fn young_waiting_last_and_often_moved_tasks_stay() {
        let rising = cpu(0.8, 0.8, 0.005, 0.0);
        let is_moved = |elapsed_ms, attempt| {
            review(&[("elapsed-ms", elapsed_ms), ("attempt", attempt)], &rising).is_some()
        };
        assert!(is_moved(10_000.0, 2.0));
        assert!(!is_moved(9_999.0, 2.0) && !is_moved(10_000.0, 3.0));
        let mut alone = rising;
        alone[0].1 = 1.0;
        assert_eq!(review(&TASK, &alone), None);
        let policy = configured("{}", Trend::new).expect("a good configuration");
        assert_eq!(policy.review(0.0, &row(&TASK), None), None);
    }

    #[test]
    fn a_bad_configuration_is_refused_by_key() {
        for (config, expected) in [
            (r#"{"limit":0}"#, "limit: 0 is not a fraction above 0, at most 1"),
            (r#"{"limit":1.5}"#, "limit: 1.5 is not a fraction above 0, at most 1"),
            (r#"{"horizon_s":0}"#, "horizon_s: 0 is not a number from 1 to 3600"),
            (r#"{"certainty":-1}"#, "certainty: -1 is not a number from 0 to 1000"),
            (r#"{"max_attempt":0}"#, "max_attempt: attempts count from 1; use 1 to move none"),
        ] {
            assert_eq!(configured(config, Trend::new).map(|_| ()), Err(expected.to_owned()));
        }
    }

    #[test]
    fn no_input_breaks_a_review() {
        for config in ["{}", r#"{"certainty":0,"min_elapsed_s":0}"#] {
            fuzz_rescheduling(&configured(config, Trend::new).expect("a good configuration"));
        }
    }
}
