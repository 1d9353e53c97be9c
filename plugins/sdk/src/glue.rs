//! Between a component's exports and the traits. Reads columns in place: a call allocates nothing
//! but its answer.

use crate::about::About;
use crate::columns::{Columns, Forecast, NoColumns};
use crate::policy::{Forecasting, ModelForecasting, Proposal, Queue, Rescheduling, Scoring};
use crate::rows::Rows;
use serde::de::DeserializeOwned;
use std::cell::OnceCell;

/// A policy, and which of its columns the host does not send.
#[derive(Debug)]
pub struct Configured<P> {
    pub policy: P,
    left_out: LeftOut,
}

impl<P> Configured<P> {
    /// Task values as the row type has them.
    pub fn task(&self, mut task: Vec<f64>) -> Vec<f64> {
        self.left_out.task.iter().for_each(|at| task.insert(*at, f64::NAN));
        task
    }

    /// Lists of tasks as the row type has them.
    pub fn tasks(&self, mut tasks: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        fill(&mut tasks, &self.left_out.task);
        tasks
    }

    /// Lists of workers as the row type has them.
    pub fn workers(&self, mut workers: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        fill(&mut workers, &self.left_out.worker);
        workers
    }
}

/// The lists of columns that were left out, in order.
#[derive(Debug, Default)]
struct LeftOut {
    task: Vec<usize>,
    worker: Vec<usize>,
}

/// Where a policy's instance is kept.
pub trait Kept: Sized + 'static {
    fn with_cell<R>(f: impl FnOnce(&OnceCell<Configured<Self>>) -> R) -> R;

    fn with<R>(f: impl FnOnce(&Configured<Self>) -> R) -> Result<R, String> {
        Self::with_cell(|cell| match cell.get() {
            Some(policy) => Ok(f(policy)),
            None => Err("called before configure".to_owned()),
        })
    }
}

/// Fails the build of a policy that would get rows without a single value.
pub const fn assert_columns<C: Columns>() {
    assert!(!C::NAMES.is_empty(), "a policy needs at least one column to tell rows apart");
}

/// The list in which a column's values begin.
pub const fn first_list<C: Columns>(column: usize) -> usize {
    let (mut first, mut at) = (0, 0);
    while at < column {
        first += C::WIDTHS[at];
        at += 1;
    }
    first
}

/// Fails the build where the trait is missing. `on-worker` tells rows apart, so no column has to.
pub const fn assert_rescheduling<P: Rescheduling>() {}

/// As [`assert_rescheduling`].
pub const fn assert_model_forecasting<P: ModelForecasting>() {}

/// The text as an array, for a static.
pub const fn bytes<const N: usize>(text: &str) -> [u8; N] {
    let from = text.as_bytes();
    let mut bytes = [0; N];
    let mut index = 0;
    while index < N {
        bytes[index] = from[index];
        index += 1;
    }
    bytes
}

/// Configures a scoring policy; the answer holds the needed columns among the properties.
pub fn scoring<P: Scoring + Kept>(config_json: &str) -> Result<About, String> {
    configure::<_, _, P::Task, P::Worker>(config_json, P::new, P::about)
}

/// As [`scoring`].
pub fn queue<P: Queue + Kept>(config_json: &str) -> Result<About, String> {
    configure::<_, _, P::Task, NoColumns>(config_json, P::new, P::about)
}

/// As [`scoring`].
pub fn rescheduling<P: Rescheduling + Kept>(config_json: &str) -> Result<About, String> {
    configure::<_, _, P::Task, P::Worker>(config_json, P::new, P::about)
}

/// As [`scoring`].
pub fn forecasting<P: Forecasting + Kept>(config_json: &str) -> Result<About, String> {
    let about = configure::<_, _, NoColumns, P::Worker>(config_json, P::new, P::about)?;
    Ok(about.with("provides", &P::Forecast::PROVIDES.join(",")))
}

/// As [`scoring`]; the policy itself says which columns it needs.
pub fn model_forecasting<P: ModelForecasting + Kept>(config_json: &str) -> Result<About, String> {
    let about = |policy: &P| {
        policy
            .about()
            .with("provides", &policy.provides().join(","))
            .with("needs-worker", &policy.needs_worker().join(","))
    };
    configure::<_, _, NoColumns, NoColumns>(config_json, P::new, about)
}

/// One score per row of `workers`.
pub fn score<P: Scoring>(policy: &P, task: &[f64], workers: &[Vec<f64>]) -> Vec<f64> {
    let task = P::Task::read(|column| task[column]);
    policy.score_all(&task, Rows::new(workers))
}

/// The terms of the score of row `at`.
pub fn explain<P: Scoring>(
    policy: &P,
    task: &[f64],
    workers: &[Vec<f64>],
    at: u32,
) -> Result<Vec<(String, f64)>, String> {
    let (task, workers) = (P::Task::read(|column| task[column]), Rows::new(workers));
    if at as usize >= workers.len() {
        return Err(format!("there is no row {at} to explain"));
    }
    let terms = policy.explain(&task, workers, at as usize);
    Ok(terms.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// One rank per row of `tasks`.
pub fn rank<P: Queue>(policy: &P, now_ms: f64, tasks: &[Vec<f64>]) -> Vec<f64> {
    Rows::<P::Task>::new(tasks).iter().map(|task| policy.rank(now_ms, &task)).collect()
}

/// Proposals with the rows they are for.
pub fn review<P: Rescheduling>(
    policy: &P,
    now_ms: f64,
    tasks: &[Vec<f64>],
    on_worker: &[u32],
    workers: &[Vec<f64>],
) -> Vec<(u32, Proposal)> {
    let (tasks, workers) = (Rows::<P::Task>::new(tasks), Rows::<P::Worker>::new(workers));
    let review = |(at, worker): (usize, &u32)| {
        let worker = (*worker != NO_WORKER).then(|| workers.get(*worker as usize));
        let proposal = policy.review(now_ms, &tasks.get(at), worker.as_ref())?;
        Some((at as u32, proposal))
    };
    on_worker.iter().enumerate().filter_map(review).collect()
}

/// One list per forecast column, with one value per row of `workers`.
pub fn forecast<P: Forecasting>(policy: &P, workers: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let workers = Rows::<P::Worker>::new(workers);
    let mut lists = vec![Vec::with_capacity(workers.len()); P::Forecast::PROVIDES.len()];
    for worker in workers.iter() {
        let forecast = policy.forecast(&worker);
        for (column, list) in lists.iter_mut().enumerate() {
            list.push(forecast.value(column));
        }
    }
    lists
}

/// In place of a worker's row: the task is waiting.
pub const NO_WORKER: u32 = u32::MAX;

/// Parses the configuration, makes the policy, answers what it says about itself with the columns it
/// needs.
fn configure<P: Kept, C: DeserializeOwned, T: Columns, W: Columns>(
    config_json: &str,
    make: impl FnOnce(C) -> Result<P, String>,
    about: impl FnOnce(&P) -> About,
) -> Result<About, String> {
    let policy = make(crate::config::parse(config_json)?)?;
    let mut about = about(&policy);
    let known = || T::NAMES.iter().chain(W::NAMES);
    if let Some(name) = about.left_out.iter().find(|name| !known().any(|it| it == name)) {
        return Err(format!("about() leaves out {name:?}, which is no column of the row types"));
    }
    let task = needs::<T>(&mut about, "needs-task");
    let worker = needs::<W>(&mut about, "needs-worker");
    let configured = Configured { policy, left_out: LeftOut { task, worker } };
    P::with_cell(|cell| cell.set(configured)).map_err(|_| "configured twice".to_owned())?;
    Ok(about)
}

/// Adds the columns of a row type to the properties, and answers the lists of those left out.
fn needs<C: Columns>(about: &mut About, key: &str) -> Vec<usize> {
    let mut names = Vec::new();
    let mut left_out = Vec::new();
    for (column, name) in C::NAMES.iter().enumerate() {
        if about.left_out.iter().any(|it| it == name) {
            let first = first_list::<C>(column);
            left_out.extend(first..first + C::WIDTHS[column]);
        } else {
            names.push(*name);
        }
    }
    if !names.is_empty() {
        about.properties.push((key.to_owned(), names.join(",")));
    }
    left_out
}

/// Puts lists without a value in the places of those that were not sent.
fn fill(lists: &mut Vec<Vec<f64>>, left_out: &[usize]) {
    let n_rows = lists.first().map_or(0, Vec::len);
    left_out.iter().for_each(|at| lists.insert(*at, vec![f64::NAN; n_rows]));
}
