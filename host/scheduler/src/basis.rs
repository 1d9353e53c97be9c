//! What the scoring policy was shown for the last placements, so that they can be taken apart afterwards.
//! In memory only, and of the newest only.

use crate::ids::TaskId;
use crate::policies::ScoringProfile;
use crate::record::PolicyStamp;
use crate::worker::{WorkerIdx, Workers};
use std::collections::VecDeque;

/// Placements that are remembered.
const KEPT: usize = 4096;

/// The columns that a placement was decided by.
#[derive(Debug, Clone, PartialEq)]
pub struct Basis {
    /// Of the policy that was shown them.
    pub policy: PolicyStamp,
    /// As the policy's profile names them.
    pub task: Vec<f64>,
    /// Of the worker that was chosen, then of the second choice if there was one; as many each as the
    /// profile names.
    pub workers: Box<[f64]>,
}

impl Basis {
    pub(crate) fn of(
        task: Vec<f64>,
        profile: &ScoringProfile,
        workers: &Workers,
        rows: impl Iterator<Item = WorkerIdx>,
    ) -> Basis {
        let columns = &profile.needs_worker;
        let row = |idx| columns.iter().map(move |it| workers.get(idx).column(*it));
        Basis { policy: profile.stamp, task, workers: rows.flat_map(row).collect() }
    }

    /// Per column the values of all rows, as policies are asked.
    pub fn columns(&self, n_rows: usize) -> Vec<Vec<f64>> {
        let n_columns = self.workers.len().checked_div(n_rows).unwrap_or(0);
        let column =
            |at: usize| (0..n_rows).map(|row| self.workers[row * n_columns + at]).collect();
        (0..n_columns).map(column).collect()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Bases(VecDeque<(TaskId, u32, Basis)>);

impl Bases {
    pub fn keep(&mut self, task: TaskId, attempt: u32, basis: Basis) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((task, attempt, basis));
    }

    pub fn of(&self, task: TaskId, attempt: u32) -> Option<&Basis> {
        let mut newest_first = self.0.iter().rev();
        newest_first.find(|(id, number, _)| (*id, *number) == (task, attempt)).map(|it| &it.2)
    }

    pub fn newest(&self) -> Option<(TaskId, &Basis)> {
        self.0.back().map(|(task, _, basis)| (*task, basis))
    }
}
