//! Native tests for policies: rows from names, batches, and a fuzzer that sends what a host may
//! send at worst. Nothing here needs WebAssembly.
//!
//! ```
//! # use pointsman_policy_sdk::prelude::*;
//! # columns! { pub struct Task { submitted_ms } }
//! # struct Fifo;
//! # impl Queue for Fifo {
//! #     type Config = ();
//! #     type Task = Task;
//! #     fn new(_: ()) -> Result<Self, String> { Ok(Fifo) }
//! #     fn about(&self) -> About { About::new("fifo", "1") }
//! #     fn rank(&self, _: f64, task: &Task) -> f64 { if task.submitted_ms.is_nan() { 0.0 } else { task.submitted_ms } }
//! # }
//! use pointsman_policy_sdk::testing;
//!
//! let row: Task = testing::row(&[("submitted-ms", 5.0)]);
//! assert_eq!(Fifo.rank(10.0, &row), 5.0);
//! testing::fuzz_queue(&Fifo);
//! ```

use crate::columns::Columns;
use crate::policy::{Queue, Rescheduling, Scoring};

/// A row with these values; all other columns are missing.
///
/// # Panics
/// If a name is not a column of the row.
pub fn row<C: Columns>(values: &[(&str, f64)]) -> C {
    for (name, _) in values {
        assert!(C::NAMES.contains(name), "{name:?} is not one of {:?}", C::NAMES);
    }
    C::read(|column| {
        let name = C::NAMES[column];
        values.iter().find(|(it, _)| *it == name).map_or(f64::NAN, |(_, value)| *value)
    })
}

/// A policy made from a configuration as the host sends it.
///
/// # Errors
/// As the host would show them.
pub fn configured<P, C: serde::de::DeserializeOwned>(
    config_json: &str,
    new: impl FnOnce(C) -> Result<P, String>,
) -> Result<P, String> {
    let config = serde_json::from_str(config_json).map_err(|error| format!("config: {error}"))?;
    new(config)
}

/// Values that have broken policies: missing, nothing, tiny, huge, negative.
const HOSTILE: [f64; 9] = [f64::NAN, 0.0, -0.0, 1.0, -1.0, 0.5, f64::MIN_POSITIVE, 1e300, -1e300];

/// Every combination of hostile values for few columns, a good part of them for many.
fn hostile_rows<C: Columns>() -> Vec<C> {
    let n_columns = C::NAMES.len().max(1);
    let mut rows = Vec::new();
    let mut state: u64 = 1;
    for index in 0..3000u64 {
        rows.push(C::read(|column| {
            let pick = if n_columns <= 3 {
                index / (HOSTILE.len() as u64).pow(column as u32)
            } else {
                let mixed = state.wrapping_add(column as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                mixed >> 40
            };
            HOSTILE[(pick % HOSTILE.len() as u64) as usize]
        }));
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(index);
    }
    rows
}

/// Fails if any row gets a score that the host would not take, or two different ones.
///
/// # Panics
/// With the row and the score.
pub fn fuzz_scoring<P: Scoring>(policy: &P)
where
    P::Task: std::fmt::Debug,
    P::Worker: std::fmt::Debug,
{
    let tasks = hostile_rows::<P::Task>();
    for (task, worker) in tasks.iter().zip(&hostile_rows::<P::Worker>()) {
        let score = policy.score(task, worker);
        assert!((0.0..=1.0).contains(&score), "score {score} for {task:?} {worker:?}");
        assert_eq!(score.to_bits(), policy.score(task, worker).to_bits(), "answers change");
        let sum: f64 = policy.terms(task, worker).iter().map(|(_, term)| term).sum();
        assert!((sum - score).abs() < 1e-9, "terms add up to {sum}, not {score}, for {worker:?}");
    }
}

/// Fails if any row gets a rank that is not finite, or two different ones.
///
/// # Panics
/// With the row and the rank.
pub fn fuzz_queue<P: Queue>(policy: &P)
where
    P::Task: std::fmt::Debug,
{
    for task in &hostile_rows::<P::Task>() {
        let rank = policy.rank(1e12, task);
        assert!(rank.is_finite(), "rank {rank} for {task:?}");
        assert_eq!(rank.to_bits(), policy.rank(1e12, task).to_bits(), "answers change");
    }
}

/// Fails if a review panics, answers twice differently, or gives a reason that is too long.
///
/// # Panics
/// With the row.
pub fn fuzz_rescheduling<P: Rescheduling>(policy: &P)
where
    P::Task: std::fmt::Debug,
{
    let workers = hostile_rows::<P::Worker>();
    for (task, worker) in hostile_rows::<P::Task>().iter().zip(&workers) {
        for worker in [None, Some(worker)] {
            let proposal = policy.review(1e12, task, worker);
            assert_eq!(proposal, policy.review(1e12, task, worker), "answers change for {task:?}");
            let is_short = |reason: &str| !reason.is_empty() && reason.chars().count() <= 200;
            assert!(proposal.is_none_or(|it| is_short(&it.reason)), "reason for {task:?}");
        }
    }
}
