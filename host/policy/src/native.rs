//! Policies in Rust: the last rung of each slot, which does not fail, and the choice of tests,
//! benches and simulations that want no WebAssembly.

use crate::manifest::Profile;
use pointsman_scheduler::columns::{TaskColumn, WorkerColumn};
use pointsman_scheduler::policies::{
    CallError, Policies, Proposal, QueueProfile, ReschedulingProfile, ScoringProfile,
};
use pointsman_scheduler::record::PolicyStamp;
use pointsman_scheduler::settings::Discipline;
use std::sync::Arc;

/// A scoring policy in Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NativeScoring {
    /// 0.3 free cpu + 0.3 free memory + 0.2 nearness + 0.2 free disk operations; banded.
    #[default]
    WeightedScore,
}

/// A queue policy in Rust.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NativeQueue {
    /// In the order of becoming ready; a head that does not fit blocks its queue.
    #[default]
    Fifo,
    /// Each step of priority is worth a minute of waiting.
    PriorityAgeing,
    /// The longest path to the job's end first.
    LongestTail,
}

const SCORING_COLUMNS: [WorkerColumn; 4] =
    [WorkerColumn::CpuLoad, WorkerColumn::MemoryLoad, WorkerColumn::RttMs, WorkerColumn::IopsLoad];
const WEIGHTS: [f64; 4] = [0.3, 0.3, 0.2, 0.2];
const RTT_REFERENCE_MS: f64 = 100.0;
const MS_PER_PRIORITY: f64 = 60_000.0;

impl NativeScoring {
    pub const ALL: [NativeScoring; 1] = [NativeScoring::WeightedScore];

    pub fn name(self) -> &'static str {
        match self {
            NativeScoring::WeightedScore => "weighted-score",
        }
    }

    pub fn find(name: &str) -> Option<NativeScoring> {
        NativeScoring::ALL.into_iter().find(|policy| policy.name() == name)
    }

    pub fn profile(self, stamp: PolicyStamp) -> ScoringProfile {
        match self {
            NativeScoring::WeightedScore => ScoringProfile {
                stamp,
                name: self.name().to_owned(),
                needs_worker: SCORING_COLUMNS.to_vec(),
                needs_task: Vec::new(),
                node_local: true,
                banded: true,
            },
        }
    }

    /// Replaces `scores` by one score per row.
    pub fn score(self, workers: &[Vec<f64>], n_rows: usize, scores: &mut Vec<f64>) {
        scores.clear();
        scores.extend((0..n_rows).map(|row| {
            let terms = self.terms(workers, row);
            terms.iter().map(|(_, term)| term).sum::<f64>().clamp(0.0, 1.0)
        }));
    }

    /// What the score of `row` is made of.
    pub fn terms(self, workers: &[Vec<f64>], row: usize) -> [(&'static str, f64); 4] {
        match self {
            NativeScoring::WeightedScore => std::array::from_fn(|i| {
                let value = workers[i][row];
                let load = if value.is_nan() { 0.0 } else { value };
                let load = match SCORING_COLUMNS[i] {
                    WorkerColumn::RttMs => load / RTT_REFERENCE_MS,
                    _ => load,
                };
                (SCORING_COLUMNS[i].info().name, WEIGHTS[i] * (1.0 - load.clamp(0.0, 1.0)))
            }),
        }
    }
}

impl NativeQueue {
    pub const ALL: [NativeQueue; 3] =
        [NativeQueue::Fifo, NativeQueue::PriorityAgeing, NativeQueue::LongestTail];

    pub fn name(self) -> &'static str {
        match self {
            NativeQueue::Fifo => "fifo",
            NativeQueue::PriorityAgeing => "priority-ageing",
            NativeQueue::LongestTail => "longest-tail",
        }
    }

    pub fn find(name: &str) -> Option<NativeQueue> {
        NativeQueue::ALL.into_iter().find(|policy| policy.name() == name)
    }

    pub fn profile(self, stamp: PolicyStamp) -> QueueProfile {
        let (needs_task, discipline) = match self {
            NativeQueue::Fifo => (vec![TaskColumn::ReadySinceMs], Discipline::Strict),
            NativeQueue::PriorityAgeing => (
                vec![TaskColumn::Priority, TaskColumn::InheritedPriority, TaskColumn::SubmittedMs],
                Discipline::Greedy,
            ),
            NativeQueue::LongestTail => (vec![TaskColumn::TailMs], Discipline::Greedy),
        };
        QueueProfile {
            stamp,
            name: self.name().to_owned(),
            needs_task,
            refresh: None,
            discipline: Some(discipline),
            group_by: None,
        }
    }

    /// Replaces `ranks` by one rank per row.
    pub fn rank(self, now_ms: f64, tasks: &[Vec<f64>], n_rows: usize, ranks: &mut Vec<f64>) {
        let or = |value: f64, otherwise: f64| if value.is_finite() { value } else { otherwise };
        ranks.clear();
        ranks.extend((0..n_rows).map(|row| match self {
            NativeQueue::Fifo => or(tasks[0][row], now_ms),
            NativeQueue::PriorityAgeing => {
                // `max` ignores a missing value.
                let priority = or(tasks[0][row].max(tasks[1][row]), 0.0);
                or(tasks[2][row], now_ms) - priority * MS_PER_PRIORITY
            }
            NativeQueue::LongestTail => -or(tasks[0][row], 0.0),
        }));
    }
}

/// A native policy of any slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Native {
    Scoring(NativeScoring),
    Queue(NativeQueue),
    /// Proposes nothing.
    NoRescheduling,
    /// Foretells nothing.
    NoForecasting,
}

impl Native {
    pub fn name(self) -> &'static str {
        match self {
            Native::Scoring(policy) => policy.name(),
            Native::Queue(policy) => policy.name(),
            Native::NoRescheduling | Native::NoForecasting => "none",
        }
    }

    /// None: the slot is to count as empty.
    pub fn profile(self, stamp: PolicyStamp) -> Option<Profile> {
        match self {
            Native::Scoring(policy) => Some(Profile::Scoring(Arc::new(policy.profile(stamp)))),
            Native::Queue(policy) => Some(Profile::Queue(Arc::new(policy.profile(stamp)))),
            Native::NoRescheduling | Native::NoForecasting => None,
        }
    }
}

/// Native policies only: nothing fails, nothing is swapped.
#[derive(Debug, Clone)]
pub struct NativePolicies {
    scoring: NativeScoring,
    queue: NativeQueue,
    scoring_profile: Arc<ScoringProfile>,
    queue_profile: Arc<QueueProfile>,
}

impl NativePolicies {
    pub fn new(scoring: NativeScoring, queue: NativeQueue) -> NativePolicies {
        let stamp = PolicyStamp::default();
        NativePolicies {
            scoring,
            queue,
            scoring_profile: Arc::new(scoring.profile(stamp)),
            queue_profile: Arc::new(queue.profile(stamp)),
        }
    }
}

impl Default for NativePolicies {
    fn default() -> NativePolicies {
        NativePolicies::new(NativeScoring::default(), NativeQueue::default())
    }
}

impl Policies for NativePolicies {
    fn begin_round(&mut self) {}

    fn scoring(&self) -> Arc<ScoringProfile> {
        self.scoring_profile.clone()
    }

    fn queue(&self) -> Arc<QueueProfile> {
        self.queue_profile.clone()
    }

    fn rescheduling(&self) -> Option<Arc<ReschedulingProfile>> {
        None
    }

    fn score(
        &mut self,
        _task: &[f64],
        workers: &[Vec<f64>],
        n_rows: usize,
        scores: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        self.scoring.score(workers, n_rows, scores);
        Ok(())
    }

    fn rank(
        &mut self,
        now_ms: f64,
        tasks: &[Vec<f64>],
        n_rows: usize,
        ranks: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        self.queue.rank(now_ms, tasks, n_rows, ranks);
        Ok(())
    }

    fn review(
        &mut self,
        _now_ms: f64,
        _tasks: &[Vec<f64>],
        _on_worker: &[u32],
        _workers: &[Vec<f64>],
    ) -> Result<Vec<Proposal>, CallError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_worker_scores_one_and_a_saturated_one_zero() {
        let workers = vec![
            vec![0.0, 1.0, f64::NAN, 0.5],
            vec![0.0, 1.0, f64::NAN, 0.5],
            vec![0.0, 250.0, f64::NAN, 50.0],
            vec![0.0, 1.0, f64::NAN, 0.5],
        ];
        let mut scores = Vec::new();
        NativeScoring::WeightedScore.score(&workers, 4, &mut scores);
        assert_eq!(&scores[..2], [1.0, 0.0]);
        assert_eq!(scores[2], 1.0, "what is not measured counts as idle");
        assert!((scores[3] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_step_of_priority_outweighs_a_minute_and_no_more() {
        let tasks =
            vec![vec![0.0, 1.0, 0.0], vec![0.0, 1.0, f64::NAN], vec![0.0, 59_999.0, 60_001.0]];
        let mut ranks = Vec::new();
        NativeQueue::PriorityAgeing.rank(70_000.0, &tasks, 3, &mut ranks);
        assert!(ranks[1] < ranks[0], "raised by one, submitted less than a minute later");
        assert!(ranks[0] < ranks[2]);
        assert!(ranks.iter().all(|rank| rank.is_finite()));
    }
}
