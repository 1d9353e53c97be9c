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
use crate::glue::{self, NO_WORKER};
use crate::policy::{Action, Proposal, Queue, Rescheduling, Scoring};

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
    new(crate::config::parse(config_json)?)
}

/// Values that have broken policies: missing, nothing, tiny, huge, negative.
const HOSTILE: [f64; 9] = [f64::NAN, 0.0, -0.0, 1.0, -1.0, 0.5, f64::MIN_POSITIVE, 1e300, -1e300];
const N_ROWS: usize = 3000;

/// A batch, both as the host sends it and as the policy reads it.
struct Batch<C> {
    columns: Vec<Vec<f64>>,
    rows: Vec<C>,
}

impl<C: Columns> Batch<C> {
    /// Every combination of hostile values for up to three columns, a good part of them for more.
    fn hostile() -> Batch<C> {
        let n_columns = C::NAMES.len();
        let n_values = HOSTILE.len();
        let value = |row: usize, column: usize| {
            let pick = if n_columns <= 3 {
                row / n_values.pow(column as u32)
            } else {
                let mixed =
                    (row as u64 * 31 + column as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                (mixed >> 40) as usize
            };
            HOSTILE[pick % n_values]
        };
        let columns = (0..n_columns).map(|at| (0..N_ROWS).map(|row| value(row, at)).collect());
        let rows = (0..N_ROWS).map(|row| C::read(|column| value(row, column)));
        Batch { columns: columns.collect(), rows: rows.collect() }
    }

    /// The first rows only, as the host sends them.
    fn head(&self, n_rows: usize) -> Vec<Vec<f64>> {
        self.columns.iter().map(|column| column[..n_rows].to_vec()).collect()
    }
}

/// Fails if any row gets a score that the host would not take, two different ones, terms that do not
/// add up to it, or another one in a batch.
///
/// # Panics
/// With the row and the score.
pub fn fuzz_scoring<P: Scoring>(policy: &P)
where
    P::Task: std::fmt::Debug,
    P::Worker: std::fmt::Debug,
{
    let (tasks, workers) = (Batch::<P::Task>::hostile(), Batch::<P::Worker>::hostile());
    for (task, worker) in tasks.rows.iter().zip(&workers.rows) {
        let score = policy.score(task, worker);
        assert!((0.0..=1.0).contains(&score), "score {score} for {task:?} {worker:?}");
        assert_eq!(score.to_bits(), policy.score(task, worker).to_bits(), "answers change");
        let sum: f64 = policy.terms(task, worker).iter().map(|(_, term)| term).sum();
        assert!((sum - score).abs() < 1e-9, "terms add up to {sum}, not {score}, for {worker:?}");
    }
    let task: Vec<f64> = tasks.columns.iter().map(|column| column[0]).collect();
    for n_rows in [0, 1, N_ROWS] {
        let expected = workers.rows[..n_rows].iter().map(|it| policy.score(&tasks.rows[0], it));
        same_bits(expected, &glue::score(policy, &task, &workers.head(n_rows)));
    }
}

/// Fails if any row gets a rank that is not finite, two different ones, or another one in a batch.
///
/// # Panics
/// With the row and the rank.
pub fn fuzz_queue<P: Queue>(policy: &P)
where
    P::Task: std::fmt::Debug,
{
    const NOW_MS: f64 = 1e12;
    let tasks = Batch::<P::Task>::hostile();
    for task in &tasks.rows {
        let rank = policy.rank(NOW_MS, task);
        assert!(rank.is_finite(), "rank {rank} for {task:?}");
        assert_eq!(rank.to_bits(), policy.rank(NOW_MS, task).to_bits(), "answers change");
    }
    for n_rows in [1, N_ROWS] {
        let expected = tasks.rows[..n_rows].iter().map(|it| policy.rank(NOW_MS, it));
        same_bits(expected, &glue::rank(policy, NOW_MS, &tasks.head(n_rows)));
    }
}

/// Fails if a review panics, answers twice differently, gives no reason or one that is too long, or
/// proposes for a waiting task what the host takes for running ones only.
///
/// # Panics
/// With the row.
pub fn fuzz_rescheduling<P: Rescheduling>(policy: &P)
where
    P::Task: std::fmt::Debug,
{
    const NOW_MS: f64 = 1e12;
    let (tasks, workers) = (Batch::<P::Task>::hostile(), Batch::<P::Worker>::hostile());
    for (task, worker) in tasks.rows.iter().zip(&workers.rows) {
        for worker in [None, Some(worker)] {
            let proposal = policy.review(NOW_MS, task, worker);
            assert_eq!(
                proposal,
                policy.review(NOW_MS, task, worker),
                "answers change for {task:?}"
            );
            let Some(Proposal { action, reason }) = proposal else { continue };
            let n_chars = reason.chars().count();
            assert!((1..=200).contains(&n_chars), "reason {reason:?} for {task:?}");
            let needs_worker = matches!(action, Action::Migrate | Action::Requeue);
            assert!(worker.is_some() || !needs_worker, "{action:?} for the waiting {task:?}");
        }
    }
    for n_rows in [0, 1, N_ROWS] {
        let on_worker: Vec<u32> =
            (0..n_rows as u32).map(|row| if row % 5 == 4 { NO_WORKER } else { row }).collect();
        let (task_columns, worker_columns) = (tasks.head(n_rows), workers.head(n_rows));
        let answer = glue::review(policy, NOW_MS, &task_columns, &on_worker, &worker_columns);
        let expected = on_worker.iter().enumerate().filter_map(|(row, worker)| {
            let worker = workers.rows.get(*worker as usize);
            Some((row as u32, policy.review(NOW_MS, &tasks.rows[row], worker)?))
        });
        assert!(
            answer.iter().eq(expected.collect::<Vec<_>>().iter()),
            "a batch answers differently"
        );
    }
}

fn same_bits(expected: impl Iterator<Item = f64>, answer: &[f64]) {
    let bits = answer.iter().map(|value| value.to_bits());
    assert!(expected.map(f64::to_bits).eq(bits), "a batch answers differently from its rows");
}
