//! One trait per slot.
//!
//! A policy is made by `new` from its configuration and is then only read: equal arguments give equal
//! answers. The host makes several instances of it, and drops each after a while.

use crate::about::About;
use crate::columns::{Columns, Forecast};
use crate::rows::Rows;
use serde::de::DeserializeOwned;

/// Which worker suits a task. Exported by [`export_scoring!`](crate::export_scoring).
pub trait Scoring: Sized + 'static {
    /// The slot's `config` table: any type that serde reads. Use `#[serde(default,
    /// deny_unknown_fields)]`, so that a mistyped key is refused by name;
    /// [`NoConfig`](crate::NoConfig) takes no key at all.
    type Config: DeserializeOwned;
    /// The columns of the task to place, or [`NoColumns`](crate::NoColumns).
    type Task: Columns;
    /// The columns of a candidate: at least one.
    type Worker: Columns;

    /// Called once per instance. The only place where [`host::intern`](crate::host::intern) answers.
    ///
    /// # Errors
    /// What is wrong with the configuration: name the key and what to do. The policy that served
    /// before goes on serving.
    fn new(config: Self::Config) -> Result<Self, String>;

    /// Called after `new`. The same each time for the same configuration.
    fn about(&self) -> About;

    /// How well `worker` suits `task`: from 0 to 1, higher is better. NaN and what is out of range is
    /// a failure, and the host decides this round without the policy. Equal scores go to the least
    /// loaded worker. A policy that overrides `score_all` says here what a lone candidate scores.
    fn score(&self, task: &Self::Task, worker: &Self::Worker) -> f64;

    /// The scores of all candidates, in their order; by default each by `score`. Override it where a
    /// score depends on who else is there. Such a policy is not
    /// [`node_local`](crate::About::node_local): it is asked about all candidates for each task.
    fn score_all(&self, task: &Self::Task, workers: Rows<'_, Self::Worker>) -> Vec<f64> {
        workers.iter().map(|worker| self.score(task, &worker)).collect()
    }

    /// The terms that `score` adds up, with a name each. Called when somebody asks why, never while
    /// placing.
    fn terms(&self, task: &Self::Task, worker: &Self::Worker) -> Vec<(&'static str, f64)> {
        vec![("score", self.score(task, worker))]
    }

    /// The terms of the score of the candidate `index` (less than `workers.len()`) among all; by
    /// default `terms`. For policies that override `score_all`.
    fn explain(
        &self,
        task: &Self::Task,
        workers: Rows<'_, Self::Worker>,
        index: usize,
    ) -> Vec<(&'static str, f64)> {
        self.terms(task, &workers.get(index))
    }
}

/// In which order ready tasks are considered. Exported by [`export_queue!`](crate::export_queue).
pub trait Queue: Sized + 'static {
    /// As [`Scoring::Config`].
    type Config: DeserializeOwned;
    /// The columns of a ready task: at least one.
    type Task: Columns;

    /// As [`Scoring::new`].
    ///
    /// # Errors
    /// As [`Scoring::new`].
    fn new(config: Self::Config) -> Result<Self, String>;

    /// As [`Scoring::about`].
    fn about(&self) -> About;

    /// Any finite number; lower goes first, equal ranks go in submit order. Called when the task
    /// becomes ready and, if the policy is
    /// [`time_dependent`](crate::About::time_dependent), again and again. `now_ms` is in the frame of
    /// the columns `submitted-ms` and `ready-since-ms`; a policy that is not time-dependent should
    /// not use it. NaN and infinities are a failure: earlier ranks stay, and the host ranks the task
    /// itself.
    fn rank(&self, now_ms: f64, task: &Self::Task) -> f64;
}

/// When running work is moved. Exported by [`export_rescheduling!`](crate::export_rescheduling).
pub trait Rescheduling: Sized + 'static {
    /// As [`Scoring::Config`].
    type Config: DeserializeOwned;
    /// The columns of a running or waiting task; [`NoColumns`](crate::NoColumns) is allowed.
    type Task: Columns;
    /// The columns of the worker that runs it; [`NoColumns`](crate::NoColumns) is allowed.
    type Worker: Columns;

    /// As [`Scoring::new`].
    ///
    /// # Errors
    /// As [`Scoring::new`].
    fn new(config: Self::Config) -> Result<Self, String>;

    /// As [`Scoring::about`].
    fn about(&self) -> About;

    /// Called for each row, every [`interval_ms`](crate::About::interval_ms): a running task with its
    /// worker, or a waiting one (no worker) of which a dependency changed. None: leave it as it is.
    fn review(
        &self,
        now_ms: f64,
        task: &Self::Task,
        worker: Option<&Self::Worker>,
    ) -> Option<Proposal>;
}

/// What will be measured of the workers, some time ahead. Exported by
/// [`export_forecasting!`](crate::export_forecasting).
///
/// A policy whose windows depend on its configuration or on a model is a [`ModelForecasting`].
///
/// ```
/// use pointsman_policy_sdk::prelude::*;
///
/// #[derive(Columns)]
/// pub struct Worker {
///     #[column("cpu-used@-4m..0s/1m")]
///     cpu_used: [Option<f64>; 5],
/// }
///
/// #[derive(Forecast)]
/// pub struct Soon {
///     cpu_used: f64,
/// }
///
/// /// As it was on the average.
/// pub struct Mean;
///
/// impl Forecasting for Mean {
///     type Config = NoConfig;
///     type Worker = Worker;
///     type Forecast = Soon;
///
///     fn new(_: NoConfig) -> Result<Self, String> {
///         Ok(Mean)
///     }
///     fn about(&self) -> About {
///         About::new("mean", "0.1.0").horizon_ms(300_000)
///     }
///     fn forecast(&self, worker: &Worker) -> Soon {
///         let samples = || worker.cpu_used.iter().flatten();
///         let sum: f64 = samples().sum();
///         Soon { cpu_used: sum / samples().count().max(1) as f64 }
///     }
/// }
///
/// export_forecasting!(Mean);
/// # fn main() {}
/// ```
pub trait Forecasting: Sized + 'static {
    /// As [`Scoring::Config`].
    type Config: DeserializeOwned;
    /// The columns of a worker, windows among them: at least one column, 256 lists at most.
    type Worker: Columns;
    /// The columns that are forecast: at least one.
    type Forecast: Forecast;

    /// As [`Scoring::new`].
    ///
    /// # Errors
    /// As [`Scoring::new`].
    fn new(config: Self::Config) -> Result<Self, String>;

    /// As [`Scoring::about`]; says [`horizon_ms`](crate::About::horizon_ms).
    fn about(&self) -> About;

    /// What the columns will be, `horizon_ms` after the newest sample. Called for every live worker,
    /// every [`interval_ms`](crate::About::interval_ms), never while placing. Finite values; the host
    /// cuts those beyond a column's range to it. NaN and infinities are a failure, and the whole
    /// answer is dropped. Without enough samples answer the last one; without any, something usual:
    /// the host gives no forecast for a worker that is not measured.
    fn forecast(&self, worker: &Self::Worker) -> Self::Forecast;
}

/// As [`Forecasting`], for a policy that learns from its configuration, or from a model beside it (see
/// [`host::asset`](crate::host::asset)), which windows it needs and what it foretells. Exported by
/// [`export_model_forecasting!`](crate::export_model_forecasting).
pub trait ModelForecasting: Sized + 'static {
    /// As [`Scoring::Config`].
    type Config: DeserializeOwned;

    /// As [`Scoring::new`].
    ///
    /// # Errors
    /// As [`Scoring::new`].
    fn new(config: Self::Config) -> Result<Self, String>;

    /// As [`Scoring::about`]; says [`horizon_ms`](crate::About::horizon_ms).
    fn about(&self) -> About;

    /// The needed columns, such as `cpu-used@-29m..0s/1m`: at least one, 256 lists at most.
    fn needs_worker(&self) -> Vec<String>;

    /// What is foretold, such as `predicted:cpu-used`: at least one column, each once.
    fn provides(&self) -> Vec<String>;

    /// Of all live workers, in batches: one list for each column of `provides`, with a value for each row.
    /// `lists` are those of `needs_worker`, a window's samples one list each, the oldest first; missing
    /// values are NaN. Answers as [`Forecasting::forecast`] has to.
    fn forecast(&self, lists: &[Vec<f64>]) -> Vec<Vec<f64>>;
}

/// What to do with one task. The host checks it (does the task fit elsewhere? was it moved just now?)
/// and may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub action: Action,
    /// Shown to people with the decision: 1 to 200 characters, longer ones are cut.
    pub reason: String,
}

/// Appends the digits of a number to a reason, in a fraction of the time that `format!` takes: there may be a
/// proposal for each of 10,000 tasks.
///
/// ```
/// let mut reason = String::from("hot for ");
/// pointsman_policy_sdk::push_number(&mut reason, 40);
/// assert_eq!(reason, "hot for 40");
/// ```
pub fn push_number(text: &mut String, number: u32) {
    if number > 9 {
        push_number(text, number / 10);
    }
    text.push(char::from(b'0' + (number % 10) as u8));
}

/// What can be done with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Stop it and start it on another worker, if one fits now. For running tasks only; costs none of
    /// its retries.
    Migrate,
    /// Stop it and put it back into its queue, to start again after a while. For running tasks only.
    Requeue,
    /// Cancel it, running or waiting.
    Cancel,
    /// Raise its priority to at least this; nothing happens if it is as high already.
    RaisePriority(i32),
}
