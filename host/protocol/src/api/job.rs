//! Jobs.

use super::state::WireJobState;
use crate::text;
use crate::timestamp::Timestamp;
use pointsman_scheduler::ids::JobId;
use pointsman_scheduler::record::{JobRecord, TaskState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::JobIdText")]
    pub id: JobId,
    pub name: String,
    pub state: WireJobState,
    pub submitted: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// As submitted; retention may have removed some since.
    pub n_tasks: u32,
    pub counts: Counts,
}

/// How many tasks are in each state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Counts {
    pub pending: u64,
    pub assigned: u64,
    pub running: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub cancelled: u64,
}

impl JobView {
    pub fn new(job: &JobRecord, counts: Counts) -> JobView {
        JobView {
            id: job.id,
            name: job.name.clone(),
            state: job.state.into(),
            submitted: job.submitted.into(),
            ended: job.ended.map(Timestamp),
            n_tasks: job.n_tasks,
            counts,
        }
    }
}

impl Counts {
    pub fn of(self, state: TaskState) -> u64 {
        let mut counts = self;
        *counts.slot(state)
    }

    pub fn add(&mut self, state: TaskState) {
        *self.slot(state) += 1;
    }

    /// One task left this state, in which it was counted.
    pub fn remove(&mut self, state: TaskState) {
        let count = self.slot(state);
        *count = count.checked_sub(1).expect("only a task that was counted is removed");
    }

    pub fn total(self) -> u64 {
        TaskState::ALL.into_iter().map(|state| self.of(state)).sum()
    }

    fn slot(&mut self, state: TaskState) -> &mut u64 {
        match state {
            TaskState::Pending => &mut self.pending,
            TaskState::Assigned => &mut self.assigned,
            TaskState::Running => &mut self.running,
            TaskState::Succeeded => &mut self.succeeded,
            TaskState::Failed => &mut self.failed,
            TaskState::Skipped => &mut self.skipped,
            TaskState::Cancelled => &mut self.cancelled,
        }
    }
}
