//! The task with the longest path to its job's end goes first (list scheduling by bottom level):
//! rank = −tail. Tasks without expected run times have short tails and go last.
//!
#![doc = include_str!("../README.md")]

use pointsman_policy_sdk::prelude::*;

#[derive(Debug, Columns)]
pub struct Task {
    tail_ms: Option<f64>,
}

#[derive(Debug)]
pub struct CriticalPath;

impl Queue for CriticalPath {
    type Config = NoConfig;
    type Task = Task;

    fn new(_: NoConfig) -> Result<CriticalPath, String> {
        Ok(CriticalPath)
    }

    fn about(&self) -> About {
        About::new("critical-path", env!("CARGO_PKG_VERSION"))
            .description("the longest remaining path first")
            .discipline(Discipline::Greedy)
    }

    fn rank(&self, _now_ms: f64, task: &Task) -> f64 {
        -task.tail_ms.unwrap_or(0.0)
    }
}

export_queue!(CriticalPath);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{fuzz_queue, row};

    #[test]
    fn the_longer_tail_goes_first() {
        let rank = |tail| CriticalPath.rank(0.0, &row(&[("tail-ms", tail)]));
        assert!(rank(20.0) < rank(10.0));
        fuzz_queue(&CriticalPath);
    }
}
