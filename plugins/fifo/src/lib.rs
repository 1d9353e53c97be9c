//! First come, first served. `by = "ready"` (the default) goes by when a task became ready,
//! `by = "submitted"` by when it was submitted. Strict: a head that does not fit blocks its queue.
//!
#![doc = include_str!("../README.md")]

use pointsman_policy_sdk::prelude::*;

#[derive(Debug, Columns)]
pub struct Task {
    ready_since_ms: Option<f64>,
    submitted_ms: Option<f64>,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub by: By,
}

#[derive(Debug, Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    #[default]
    Ready,
    Submitted,
}

#[derive(Debug)]
pub struct Fifo {
    by: By,
}

impl Queue for Fifo {
    type Config = Config;
    type Task = Task;

    fn new(config: Config) -> Result<Fifo, String> {
        Ok(Fifo { by: config.by })
    }

    fn about(&self) -> About {
        About::new("fifo", env!("CARGO_PKG_VERSION"))
            .description("first come, first served")
            .discipline(Discipline::Strict)
    }

    fn rank(&self, _now_ms: f64, task: &Task) -> f64 {
        let since = match self.by {
            By::Ready => task.ready_since_ms,
            By::Submitted => task.submitted_ms,
        };
        since.unwrap_or(0.0)
    }
}

export_queue!(Fifo);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{configured, fuzz_queue, row};

    #[test]
    fn the_earlier_one_goes_first() {
        let task = row(&[("ready-since-ms", 20.0), ("submitted-ms", 10.0)]);
        for (config, expected) in [("{}", 20.0), (r#"{"by":"submitted"}"#, 10.0)] {
            let policy = configured(config, Fifo::new).expect("a good configuration");
            assert_eq!(policy.rank(0.0, &task), expected);
            fuzz_queue(&policy);
        }
    }
}
