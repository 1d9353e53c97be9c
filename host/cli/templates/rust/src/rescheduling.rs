//! When running work is moved: a task that takes much longer than expected gets another worker.

use pointsman_policy_sdk::prelude::*;

/// What the host is to tell about each task: field `elapsed_ms` is the column `elapsed-ms`. None where
/// it is not known.
#[derive(Debug, Columns)]
pub struct Task {
    elapsed_ms: Option<f64>,
    expected_ms: Option<f64>,
    attempt: f64,
}

/// And about each worker.
#[derive(Debug, Columns)]
pub struct Worker {
    running: f64,
}

/// The slot's `config` table: no keys yet. Add fields, and read them in `new`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

#[derive(Debug)]
pub struct Policy;

/// A task is moved that runs longer than so many times what was expected.
const TIMES_EXPECTED: f64 = 2.0; // <-- change this line

impl Rescheduling for Policy {
    type Config = Config;
    type Task = Task;
    type Worker = Worker;

    fn new(_: Config) -> Result<Policy, String> {
        Ok(Policy)
    }

    fn about(&self) -> About {
        About::new("{{name}}", env!("CARGO_PKG_VERSION"))
            .description("moves what takes too long")
            .interval_ms(5_000)
    }

    /// A proposal; the host checks it and may refuse. None: leave the task as it is.
    fn review(&self, _now_ms: f64, task: &Task, worker: Option<&Worker>) -> Option<Proposal> {
        // Waiting tasks have no worker; who is alone on its worker, or was moved before, is left alone.
        let is_movable = worker?.running > 1.0 && task.attempt < 3.0;
        let is_late = task.elapsed_ms? > TIMES_EXPECTED * task.expected_ms?;
        (is_movable && is_late).then(|| Proposal {
            action: Action::Migrate,
            reason: format!("takes more than {TIMES_EXPECTED} times what was expected"),
        })
    }
}

export_rescheduling!(Policy);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_rescheduling, row};

    #[test]
    fn a_late_task_is_moved_and_one_in_time_is_not() {
        let policy = configured("{}", Policy::new).unwrap();
        let is_moved = |elapsed_ms| {
            let task =
                row(&[("elapsed-ms", elapsed_ms), ("expected-ms", 1_000.0), ("attempt", 1.0)]);
            policy.review(0.0, &task, Some(&row(&[("running", 2.0)]))).is_some()
        };
        assert!(is_moved(10_000.0));
        assert!(!is_moved(900.0));
    }

    #[test]
    fn no_input_breaks_it() {
        fuzz_rescheduling(&configured("{}", Policy::new).unwrap());
    }
}
