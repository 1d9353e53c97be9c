//! The standard queue policy: the more urgent first, and waiting makes urgent. One point of priority
//! is worth `ageing_s` seconds of waiting, so rank = submitted − priority · ageing: linear in the
//! submit time, so that the order of two tasks never changes and nothing has to be ranked again.
//! A task is as urgent as the most urgent one that waits for it.
//!
#![doc = include_str!("../README.md")]

use pointsman_policy_sdk::prelude::*;

#[derive(Debug, Columns)]
pub struct Task {
    priority: f64,
    inherited_priority: f64,
    submitted_ms: f64,
}

#[derive(Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seconds of waiting that equal one point of priority.
    pub ageing_s: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config { ageing_s: 60.0 }
    }
}

#[derive(Debug)]
pub struct PriorityAgeing {
    ageing_ms: f64,
}

impl Queue for PriorityAgeing {
    type Config = Config;
    type Task = Task;

    fn new(config: Config) -> Result<PriorityAgeing, String> {
        if !(0.0..=1e9).contains(&config.ageing_s) {
            return Err(format!(
                "ageing_s: {} is not a number of seconds from 0 to 1e9",
                config.ageing_s
            ));
        }
        Ok(PriorityAgeing { ageing_ms: config.ageing_s * 1000.0 })
    }

    fn about(&self) -> About {
        About::new("priority-ageing", env!("CARGO_PKG_VERSION"))
            .description("more urgent first; waiting makes urgent")
            .discipline(Discipline::Greedy)
    }

    fn rank(&self, _now_ms: f64, task: &Task) -> f64 {
        // `max` takes the other operand for NaN; the clamp keeps sums finite.
        let priority = task.priority.max(task.inherited_priority).clamp(-1e10, 1e10);
        let priority = if priority.is_nan() { 0.0 } else { priority };
        task.submitted_ms.max(0.0) - priority * self.ageing_ms
    }
}

export_queue!(PriorityAgeing);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_queue, row};

    #[test]
    fn a_point_of_priority_is_a_minute_of_waiting() {
        let policy = configured("{}", PriorityAgeing::new).expect("a good configuration");
        let rank = |priority, submitted_ms| {
            let values = [("priority", priority), ("submitted-ms", submitted_ms)];
            policy.rank(0.0, &row(&values))
        };
        assert!(rank(1.0, 59_999.0) < rank(0.0, 0.0));
        assert_eq!(rank(1.0, 60_000.0), rank(0.0, 0.0));
        assert!(rank(1.0, 60_001.0) > rank(0.0, 0.0));
        fuzz_queue(&policy);
    }

    #[test]
    fn what_an_urgent_task_waits_for_is_urgent() {
        let policy = configured("{}", PriorityAgeing::new).expect("a good configuration");
        let task = row(&[("priority", 1.0), ("inherited-priority", 9.0), ("submitted-ms", 0.0)]);
        assert_eq!(policy.rank(0.0, &task), -540_000.0);
    }
}
