//! One trait per slot.

use crate::about::About;
use crate::columns::Columns;
use serde::de::DeserializeOwned;

/// Which worker suits a task.
pub trait Scoring: Sized + 'static {
    /// The slot's `config` table. Use `#[serde(default, deny_unknown_fields)]`, so that a mistyped
    /// key is refused by name.
    type Config: DeserializeOwned;
    type Task: Columns;
    type Worker: Columns;

    /// # Errors
    /// What is wrong with the configuration: name the key and what to do.
    fn new(config: Self::Config) -> Result<Self, String>;

    fn about(&self) -> About;

    /// In [0, 1]; higher is better.
    fn score(&self, task: &Self::Task, worker: &Self::Worker) -> f64;

    /// The terms that the score is made of; shown to whoever asks why.
    fn terms(&self, task: &Self::Task, worker: &Self::Worker) -> Vec<(&'static str, f64)> {
        vec![("score", self.score(task, worker))]
    }
}

/// In which order ready tasks are considered.
pub trait Queue: Sized + 'static {
    /// As in [`Scoring::Config`].
    type Config: DeserializeOwned;
    type Task: Columns;

    /// # Errors
    /// What is wrong with the configuration: name the key and what to do.
    fn new(config: Self::Config) -> Result<Self, String>;

    fn about(&self) -> About;

    /// Finite; lower goes first, equal ranks go in submit order. `now_ms` is in the same frame as
    /// the columns `submitted-ms` and `ready-since-ms`.
    fn rank(&self, now_ms: f64, task: &Self::Task) -> f64;
}

/// When running work is moved.
pub trait Rescheduling: Sized + 'static {
    /// As in [`Scoring::Config`].
    type Config: DeserializeOwned;
    type Task: Columns;
    type Worker: Columns;

    /// # Errors
    /// What is wrong with the configuration: name the key and what to do.
    fn new(config: Self::Config) -> Result<Self, String>;

    fn about(&self) -> About;

    /// Called for each row: a running task with its worker, or a waiting one (no worker) of which
    /// a dependency changed. None: leave it as it is.
    fn review(
        &self,
        now_ms: f64,
        task: &Self::Task,
        worker: Option<&Self::Worker>,
    ) -> Option<Proposal>;
}

/// What to do with one task. The host checks it and may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub action: Action,
    /// Shown to people; at most 200 characters.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// To another worker, if one fits now.
    Migrate,
    /// Back into the queue.
    Requeue,
    Cancel,
    /// To at least this priority.
    RaisePriority(i32),
}
