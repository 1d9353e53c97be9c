//! What a script of this world does: `ms=1500 fail=30` lasts about that long and fails in 30 of a
//! hundred attempts; `kills` takes its worker with it. How long and how exactly depends on the attempt
//! alone.

use super::plan::TaskPlan;
use pointsman_worker::{AttemptKey, Outcome};
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(super) struct Script {
    ms: u64,
    fails: bool,
    pub kills_worker: bool,
}

/// What is not there cannot be run.
const NOT_FOUND: i32 = 127;

impl Script {
    pub fn text(task: &TaskPlan) -> String {
        let kills = if task.kills_worker { " kills" } else { "" };
        format!("ms={} fail={}{kills}", task.ms, task.fail_percent)
    }

    pub fn read(text: &str, key: AttemptKey) -> Script {
        let number = |name: &str| {
            let word = text.split(' ').find_map(|word| word.strip_prefix(name));
            word.and_then(|word| word.parse::<u64>().ok()).expect("the world's scripts say it")
        };
        let seed = key.task << 32 ^ u64::from(key.number) << 16 ^ key.term;
        let mut rng = fastrand::Rng::with_seed(seed);
        let (ms, fail) = (number("ms="), number("fail="));
        Script {
            ms: ms / 2 + rng.u64(..=ms),
            fails: rng.u64(..100) < fail,
            kills_worker: text.ends_with(" kills"),
        }
    }

    pub fn lasts(self) -> Duration {
        Duration::from_millis(self.ms)
    }

    pub fn outcome(self) -> Outcome {
        Outcome::ExitCode(i32::from(self.fails))
    }

    /// As it goes where nothing runs.
    pub fn broken() -> Script {
        Script { ms: 10, fails: true, kills_worker: false }
    }

    pub fn broken_outcome() -> Outcome {
        Outcome::ExitCode(NOT_FOUND)
    }
}
