//! The native policies, unless they fail; and a rescheduling policy without any sense.

use pointsman_policy::NativePolicies;
use pointsman_scheduler::columns::{TaskColumn, WorkerColumn};
use pointsman_scheduler::policies::{
    Action, CallError, Policies, Proposal, QueueProfile, ReschedulingProfile, ScoringProfile,
};
use pointsman_scheduler::record::PolicyStamp;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct FaultyPolicies {
    native: NativePolicies,
    rng: fastrand::Rng,
    /// Fraction of calls.
    pub faults: f64,
}

/// Proposals in one review at most.
const MAX_PROPOSALS: usize = 3;

impl FaultyPolicies {
    pub fn new(seed: u64, faults: f64) -> FaultyPolicies {
        let rng = fastrand::Rng::with_seed(seed);
        FaultyPolicies { native: NativePolicies::default(), rng, faults }
    }

    fn fails(&mut self) -> bool {
        self.rng.f64() < self.faults
    }

    fn action(&mut self) -> Action {
        match self.rng.u32(..20) {
            0 => Action::Cancel,
            1..=9 => Action::Migrate,
            10..=14 => Action::Requeue,
            _ => Action::RaisePriority(self.rng.i32(-5..100)),
        }
    }
}

impl Policies for FaultyPolicies {
    fn begin_round(&mut self) {}

    fn scoring(&self) -> Arc<ScoringProfile> {
        self.native.scoring()
    }

    fn queue(&self) -> Arc<QueueProfile> {
        self.native.queue()
    }

    fn rescheduling(&self) -> Option<Arc<ReschedulingProfile>> {
        (self.faults > 0.0).then(|| {
            Arc::new(ReschedulingProfile {
                stamp: PolicyStamp::default(),
                name: "senseless".to_owned(),
                needs_task: vec![TaskColumn::ElapsedMs],
                needs_worker: vec![WorkerColumn::CpuLoad],
                interval: Duration::from_secs(5),
            })
        })
    }

    fn score(
        &mut self,
        task: &[f64],
        workers: &[Vec<f64>],
        n_rows: usize,
        scores: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        if self.fails() {
            return Err(CallError::NextRung);
        }
        self.native.score(task, workers, n_rows, scores)
    }

    fn rank(
        &mut self,
        now_ms: f64,
        tasks: &[Vec<f64>],
        n_rows: usize,
        ranks: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        if self.fails() {
            return Err(CallError::NextRung);
        }
        self.native.rank(now_ms, tasks, n_rows, ranks)
    }

    fn review(
        &mut self,
        _now_ms: f64,
        tasks: &[Vec<f64>],
        _on_worker: &[u32],
        _workers: &[Vec<f64>],
    ) -> Result<Vec<Proposal>, CallError> {
        let n_rows = tasks.first().map_or(0, Vec::len);
        if n_rows == 0 || self.fails() {
            return Err(CallError::NextRung);
        }
        let n = self.rng.usize(..=MAX_PROPOSALS);
        let proposal = |policies: &mut FaultyPolicies| Proposal {
            row: policies.rng.usize(..n_rows),
            action: policies.action(),
            reason: "no reason".to_owned(),
        };
        Ok((0..n).map(|_| proposal(self)).collect())
    }
}
