//! In which order ready tasks are considered: by priority, and by how long they have waited.

use pointsman_policy_sdk::prelude::*;

/// What the host is to tell about each task: field `submitted_ms` is the column `submitted-ms`.
#[derive(Debug, Columns)]
pub struct Task {
    submitted_ms: f64,
    priority: f64,
}

/// The slot's `config` table: no keys yet. Add fields, and read them in `new`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

#[derive(Debug)]
pub struct Policy;

/// One point of priority is worth so much waiting.
const MS_PER_PRIORITY: f64 = 60_000.0; // <-- change this line

impl Queue for Policy {
    type Config = Config;
    type Task = Task;

    fn new(_: Config) -> Result<Policy, String> {
        Ok(Policy)
    }

    fn about(&self) -> About {
        About::new("{{name}}", env!("CARGO_PKG_VERSION"))
            .description("priority and waiting time")
            .discipline(Discipline::Greedy)
    }

    /// Lower goes first. What is missing counts as 0.
    fn rank(&self, _now_ms: f64, task: &Task) -> f64 {
        let known = |value: f64| if value.is_nan() { 0.0 } else { value };
        (known(task.submitted_ms) - known(task.priority) * MS_PER_PRIORITY).clamp(f64::MIN, f64::MAX)
    }
}

export_queue!(Policy);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_queue, row};

    #[test]
    fn the_more_urgent_and_the_earlier_go_first() {
        let policy = configured("{}", Policy::new).unwrap();
        let rank = |submitted_ms, priority| {
            policy.rank(1e6, &row(&[("submitted-ms", submitted_ms), ("priority", priority)]))
        };
        assert!(rank(1_000.0, 0.0) < rank(2_000.0, 0.0));
        assert!(rank(2_000.0, 1.0) < rank(1_000.0, 0.0));
    }

    #[test]
    fn no_input_breaks_it() {
        fuzz_queue(&configured("{}", Policy::new).unwrap());
    }
}
