//! Policies in a few lines of Rust: one order of tasks, all workers alike.

use pointsman_policy::Incident;
use pointsman_scheduler::columns::{TaskColumn, WorkerColumn};
use pointsman_scheduler::policies::{
    Action, NO_WORKER, Proposal, QueueProfile, ReschedulingProfile, ScoringProfile,
};
use pointsman_scheduler::record::PolicyStamp;
use pointsman_scheduler::settings::Discipline;
use pointsman_scheduler::{CallError, Policies};
use pointsman_simulator::contender::TimedPolicies;
use std::sync::Arc;
use std::time::Duration;

pub struct Ordered {
    scoring: Arc<ScoringProfile>,
    queue: Arc<QueueProfile>,
    factor: f64,
    /// Reviews running tasks, and moves each.
    pub reviewer: Option<Arc<ReschedulingProfile>>,
    /// Told once, after the first round.
    pub incidents: Vec<Incident>,
}

/// In the order of becoming ready, ties in submit order.
pub fn fifo() -> Ordered {
    ordered("fifo", TaskColumn::ReadySinceMs, 1.0, Discipline::Strict)
}

/// The longest path to the job's end first, ties in submit order.
pub fn longest_tail() -> Ordered {
    ordered("longest-tail", TaskColumn::TailMs, -1.0, Discipline::Greedy)
}

fn ordered(name: &str, column: TaskColumn, factor: f64, discipline: Discipline) -> Ordered {
    let stamp = PolicyStamp { generation: 1, digest: 0 };
    Ordered {
        scoring: Arc::new(ScoringProfile {
            stamp,
            name: "alike".to_owned(),
            needs_worker: vec![WorkerColumn::CpuLoad],
            needs_task: Vec::new(),
            node_local: true,
            banded: false,
        }),
        queue: Arc::new(QueueProfile {
            stamp,
            name: name.to_owned(),
            needs_task: vec![column],
            refresh: None,
            discipline: Some(discipline),
            group_by: None,
        }),
        factor,
        reviewer: None,
        incidents: Vec::new(),
    }
}

/// As [`fifo`], and each running task is moved every second.
pub fn restless() -> Ordered {
    let reviewer = ReschedulingProfile {
        stamp: PolicyStamp { generation: 1, digest: 0 },
        name: "restless".to_owned(),
        needs_task: vec![TaskColumn::ElapsedMs],
        needs_worker: Vec::new(),
        interval: Duration::from_secs(1),
    };
    Ordered { reviewer: Some(Arc::new(reviewer)), ..fifo() }
}

impl Policies for Ordered {
    fn begin_round(&mut self) {}

    fn scoring(&self) -> Arc<ScoringProfile> {
        self.scoring.clone()
    }

    fn queue(&self) -> Arc<QueueProfile> {
        self.queue.clone()
    }

    fn rescheduling(&self) -> Option<Arc<ReschedulingProfile>> {
        self.reviewer.clone()
    }

    fn score(
        &mut self,
        _task: &[f64],
        _workers: &[Vec<f64>],
        n_rows: usize,
        scores: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        scores.clear();
        scores.resize(n_rows, 1.0);
        Ok(())
    }

    fn rank(
        &mut self,
        _now_ms: f64,
        tasks: &[Vec<f64>],
        n_rows: usize,
        ranks: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        ranks.clear();
        ranks.extend(tasks[0][..n_rows].iter().map(|value| value * self.factor));
        Ok(())
    }

    fn review(
        &mut self,
        _now_ms: f64,
        _tasks: &[Vec<f64>],
        on_worker: &[u32],
        _workers: &[Vec<f64>],
    ) -> Result<Vec<Proposal>, CallError> {
        let running = on_worker.iter().enumerate().filter(|(_, worker)| **worker != NO_WORKER);
        let propose = |(row, _)| Proposal { row, action: Action::Migrate, reason: String::new() };
        Ok(running.map(propose).collect())
    }
}

impl TimedPolicies for Ordered {
    fn set_time(&mut self, _now: Duration) {}

    fn take_incidents(&mut self) -> Vec<Incident> {
        std::mem::take(&mut self.incidents)
    }

    fn wake_in(&self) -> Option<Duration> {
        None
    }
}
