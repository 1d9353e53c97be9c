//! What scores are made of, asked of the policies that gave them.

use super::PolicyDesk;
use pointsman_policy::PolicyLibrary;
use pointsman_scheduler::WorkerId;
use pointsman_scheduler::explain::{Placed, Verdict, WorkerVerdict};
use pointsman_scheduler::record::PolicyStamp;
use std::collections::BTreeMap;

impl PolicyDesk {
    /// The terms of each fitting worker's score. Policies run on a thread that may block.
    pub async fn terms(&self, policy: PolicyStamp, verdicts: &[WorkerVerdict]) -> Terms {
        let asked = Asked::about(verdicts);
        let library = self.library.clone();
        let found = tokio::task::spawn_blocking(move || asked.terms(&library, policy));
        found.await.expect("what may fail in a policy is no panic")
    }

    /// The terms of the scores that a placement was decided by: of the chosen worker, and of the second.
    pub async fn terms_of_placement(&self, placed: &Placed) -> Terms {
        let decision = &placed.attempt.decision;
        let Some(basis) = &placed.basis else {
            let missing = "it is too long ago: the host remembers the last few thousand placements";
            return Terms { missing: Some(missing.to_owned()), ..Terms::default() };
        };
        let second = decision.second.map(|(worker, _)| worker);
        let workers: Vec<WorkerId> =
            [Some(placed.attempt.worker), second].into_iter().flatten().collect();
        let columns = basis.columns(workers.len());
        let asked = Asked { task: basis.task.clone(), columns, workers };
        let (library, policy) = (self.library.clone(), decision.scoring);
        let found = tokio::task::spawn_blocking(move || asked.terms(&library, policy));
        found.await.expect("what may fail in a policy is no panic")
    }
}

/// What the scores of fitting workers are made of.
#[derive(Debug, Default)]
pub struct Terms {
    pub by_worker: BTreeMap<WorkerId, Vec<(String, f64)>>,
    /// Why those of some workers are not there.
    pub missing: Option<String>,
}

/// Workers whose scores are to be taken apart, with what the policy is shown.
struct Asked {
    task: Vec<f64>,
    columns: Vec<Vec<f64>>,
    workers: Vec<WorkerId>,
}

impl Asked {
    /// Those that fit.
    fn about(verdicts: &[WorkerVerdict]) -> Asked {
        let mut asked = Asked { task: Vec::new(), columns: Vec::new(), workers: Vec::new() };
        for verdict in verdicts {
            let Verdict::Fits { task_columns, worker_columns, .. } = &verdict.verdict else {
                continue;
            };
            asked.task.clone_from(task_columns);
            asked.columns.resize(worker_columns.len(), Vec::new());
            let columns = asked.columns.iter_mut().zip(worker_columns);
            columns.for_each(|(column, value)| column.push(*value));
            asked.workers.push(verdict.worker);
        }
        asked
    }

    fn terms(self, library: &PolicyLibrary, policy: PolicyStamp) -> Terms {
        if self.workers.is_empty() {
            return Terms::default();
        }
        match library.explain_all(policy, &self.task, &self.columns) {
            Ok(explained) => Terms {
                by_worker: self.workers.into_iter().zip(explained.terms).collect(),
                missing: explained.ended_by,
            },
            Err(error) => Terms { by_worker: BTreeMap::new(), missing: Some(error.to_string()) },
        }
    }
}
