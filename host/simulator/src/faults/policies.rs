//! The native policies, unless they fail, are held, or lose their senses; and another choice of them
//! with each swap.

use super::kind::{FaultKind, Strikes};
use pointsman_policy::NativePolicies;
use pointsman_scheduler::columns::{TaskColumn, WorkerColumn};
use pointsman_scheduler::policies::{
    Action, CallError, GroupBy, Policies, Proposal, QueueProfile, ReschedulingProfile,
    ScoringProfile,
};
use pointsman_scheduler::record::PolicyStamp;
use pointsman_scheduler::settings::Discipline;
use std::sync::Arc;
use std::time::Duration;

/// What is wrong with all policies now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moods {
    /// Their slots are configured to do nothing until they work again.
    pub holds: bool,
    pub is_slow: bool,
    pub is_senseless: bool,
}

pub(super) struct FaultyPolicies {
    native: NativePolicies,
    rng: fastrand::Rng,
    /// Fraction of calls that fail.
    failures: f64,
    moods: Moods,
    strikes: Strikes,
    stamp: PolicyStamp,
    discipline: Option<Discipline>,
    group_by: Option<GroupBy>,
}

/// Proposals in one review at most.
const MAX_PROPOSALS: usize = 3;
/// Generations of one life of the host.
const GENERATIONS: u32 = 1 << 16;

/// A stamp that belongs to its generation.
fn stamped(generation: u32) -> PolicyStamp {
    PolicyStamp { generation, digest: u64::from(generation).wrapping_mul(0x9e37_79b9_7f4a_7c15) }
}

pub(super) fn is_stamped(stamp: PolicyStamp) -> bool {
    stamp.generation > 0 && stamp == stamped(stamp.generation)
}

/// As if nobody had decided.
pub(super) fn unstamped() -> PolicyStamp {
    PolicyStamp::default()
}

impl FaultyPolicies {
    pub fn new(seed: u64, life: u64) -> FaultyPolicies {
        FaultyPolicies {
            native: NativePolicies::default(),
            rng: fastrand::Rng::with_seed(seed),
            failures: 0.0,
            moods: Moods::default(),
            strikes: Strikes::default(),
            stamp: stamped(life as u32 * GENERATIONS + 1),
            discipline: None,
            group_by: None,
        }
    }

    /// Before a round.
    pub fn begin(&mut self, moods: Moods, failures: f64) {
        (self.moods, self.failures) = (moods, failures);
    }

    pub fn take_strikes(&mut self) -> Strikes {
        std::mem::take(&mut self.strikes)
    }

    pub fn swap(&mut self, rng: &mut fastrand::Rng) {
        let disciplines =
            [None, Some(Discipline::Greedy), Some(Discipline::Strict), Some(Discipline::Backfill)];
        self.discipline = disciplines[rng.usize(..disciplines.len())];
        self.group_by = [None, Some(GroupBy::Job), Some(GroupBy::Tenant)][rng.usize(..3)];
        self.stamp = stamped(self.stamp.generation + 1);
    }

    /// Whether a call ends without an answer. A failure is followed by the next rung of the ladder.
    fn check_call(&mut self) -> Result<(), CallError> {
        if self.moods.holds {
            return Err(CallError::Held);
        }
        if self.rng.f64() < self.failures {
            self.strikes.add(FaultKind::PolicyFailure);
            self.stamp = stamped(self.stamp.generation + 1);
            return Err(CallError::NextRung);
        }
        Ok(())
    }

    fn lose_senses(&mut self, n_rows: usize, numbers: &mut Vec<f64>) {
        numbers.clear();
        numbers.extend((0..n_rows).map(|_| self.rng.f64()));
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
        Arc::new(ScoringProfile { stamp: self.stamp, ..(*self.native.scoring()).clone() })
    }

    fn queue(&self) -> Arc<QueueProfile> {
        let native = (*self.native.queue()).clone();
        let discipline = self.discipline.or(native.discipline);
        let group_by = self.group_by.or(native.group_by);
        Arc::new(QueueProfile { stamp: self.stamp, discipline, group_by, ..native })
    }

    fn rescheduling(&self) -> Option<Arc<ReschedulingProfile>> {
        let is_bound = self.failures > 0.0 || self.moods.is_senseless;
        is_bound.then(|| {
            Arc::new(ReschedulingProfile {
                stamp: self.stamp,
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
        self.check_call()?;
        if self.moods.is_senseless {
            self.lose_senses(n_rows, scores);
            return Ok(());
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
        self.check_call()?;
        if self.moods.is_senseless {
            self.lose_senses(n_rows, ranks);
            return Ok(());
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
        self.check_call()?;
        let n_rows = tasks.first().map_or(0, Vec::len);
        if n_rows == 0 {
            return Ok(Vec::new());
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
