//! Between a component's exports and the traits. Reads columns in place: one score costs no
//! allocation beside the answer.

use crate::about::About;
use crate::columns::Columns;
use crate::policy::{Proposal, Queue, Rescheduling, Scoring};
use serde::de::DeserializeOwned;
use std::cell::OnceCell;

/// Where a policy's instance is kept.
pub trait Kept: Sized + 'static {
    fn with_cell<R>(f: impl FnOnce(&OnceCell<Self>) -> R) -> R;

    fn with<R>(f: impl FnOnce(&Self) -> R) -> Result<R, String> {
        Self::with_cell(|cell| match cell.get() {
            Some(policy) => Ok(f(policy)),
            None => Err("called before configure".to_owned()),
        })
    }
}

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
    let about = configure(config_json, P::new, P::about)?;
    Ok(with_needs(about, P::Task::NAMES, P::Worker::NAMES))
}

/// As [`scoring`].
pub fn queue<P: Queue + Kept>(config_json: &str) -> Result<About, String> {
    let about = configure(config_json, P::new, P::about)?;
    Ok(with_needs(about, P::Task::NAMES, &[]))
}

/// As [`scoring`].
pub fn rescheduling<P: Rescheduling + Kept>(config_json: &str) -> Result<About, String> {
    let about = configure(config_json, P::new, P::about)?;
    Ok(with_needs(about, P::Task::NAMES, P::Worker::NAMES))
}

pub fn score<P: Scoring + Kept>(task: &[f64], workers: &[Vec<f64>]) -> Result<Vec<f64>, String> {
    let task = P::Task::read(|column| task[column]);
    P::with(|policy| {
        (0..n_rows(workers)).map(|at| policy.score(&task, &row(workers, at))).collect()
    })
}

pub fn explain<P: Scoring + Kept>(
    task: &[f64],
    workers: &[Vec<f64>],
    at: u32,
) -> Result<Vec<(String, f64)>, String> {
    if at as usize >= n_rows(workers) {
        return Err(format!("no row {at}"));
    }
    let task = P::Task::read(|column| task[column]);
    let terms = P::with(|policy| policy.terms(&task, &row(workers, at as usize)))?;
    Ok(terms.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

pub fn rank<P: Queue + Kept>(now_ms: f64, tasks: &[Vec<f64>]) -> Result<Vec<f64>, String> {
    P::with(|policy| (0..n_rows(tasks)).map(|at| policy.rank(now_ms, &row(tasks, at))).collect())
}

pub fn review<P: Rescheduling + Kept>(
    now_ms: f64,
    tasks: &[Vec<f64>],
    on_worker: &[u32],
    workers: &[Vec<f64>],
) -> Result<Vec<(u32, Proposal)>, String> {
    let n_workers = n_rows(workers);
    P::with(|policy| {
        let review = |(at, worker): (usize, &u32)| {
            let worker = *worker as usize;
            let worker = (worker < n_workers).then(|| row(workers, worker));
            let proposal = policy.review(now_ms, &row(tasks, at), worker.as_ref())?;
            Some((at as u32, proposal))
        };
        on_worker.iter().enumerate().filter_map(review).collect()
    })
}

/// Parses the configuration, makes the policy, answers what it says about itself.
fn configure<P: Kept, C: DeserializeOwned>(
    config_json: &str,
    make: impl FnOnce(C) -> Result<P, String>,
    about: impl FnOnce(&P) -> About,
) -> Result<About, String> {
    let config = serde_json::from_str(config_json).map_err(|error| format!("config: {error}"))?;
    let policy = make(config)?;
    let about = about(&policy);
    P::with_cell(|cell| cell.set(policy)).map_err(|_| "configured twice".to_owned())?;
    Ok(about)
}

fn with_needs(mut about: About, task: &[&str], worker: &[&str]) -> About {
    for (key, names) in [("needs-task", task), ("needs-worker", worker)] {
        if !names.is_empty() {
            about.properties.push((key.to_owned(), names.join(",")));
        }
    }
    about
}

fn row<C: Columns>(columns: &[Vec<f64>], row: usize) -> C {
    C::read(|column| columns[column][row])
}

fn n_rows(columns: &[Vec<f64>]) -> usize {
    columns.first().map_or(0, Vec::len)
}
