//! The changing part of a task.

use super::attempt::{StoredAttempt, StoredFailure};
use super::{Stored, read, same_variants, write};
use crate::store::StoreError;
use pointsman_scheduler::record::{Attempt, EndReason, TaskState, TaskStatus};
use pointsman_scheduler::{TaskId, Time};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Status {
    state: State,
    cancel_requested: bool,
    attempts: Vec<StoredAttempt>,
    next_attempt: u32,
    retries_used: u32,
    losses_used: u32,
    not_before: Option<u64>,
    ready_since: Option<u64>,
    ended: Option<u64>,
    end_reason: Option<StoredEndReason>,
    raised_priority: Option<i32>,
}

#[derive(Serialize, Deserialize)]
enum State {
    Pending,
    Assigned,
    Running,
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
}

#[derive(Serialize, Deserialize)]
enum StoredEndReason {
    Failed { failure: StoredFailure, attempts: u32 },
    WorkerLossesUsedUp { losses: u32 },
    Upstream { root: u64, root_name: String },
    CancelledByRequest,
    CancelledByPolicy { reason: String },
}

same_variants!(TaskState, State, Pending, Assigned, Running, Succeeded, Failed, Skipped, Cancelled);

impl From<&EndReason> for StoredEndReason {
    fn from(reason: &EndReason) -> Self {
        match reason {
            EndReason::Failed { failure, attempts } => {
                StoredEndReason::Failed { failure: failure.into(), attempts: *attempts }
            }
            EndReason::WorkerLossesUsedUp { losses } => {
                StoredEndReason::WorkerLossesUsedUp { losses: *losses }
            }
            EndReason::Upstream { root, root_name } => {
                StoredEndReason::Upstream { root: root.0, root_name: root_name.clone() }
            }
            EndReason::CancelledByRequest => StoredEndReason::CancelledByRequest,
            EndReason::CancelledByPolicy { reason } => {
                StoredEndReason::CancelledByPolicy { reason: reason.clone() }
            }
        }
    }
}

impl From<StoredEndReason> for EndReason {
    fn from(reason: StoredEndReason) -> Self {
        match reason {
            StoredEndReason::Failed { failure, attempts } => {
                EndReason::Failed { failure: failure.into(), attempts }
            }
            StoredEndReason::WorkerLossesUsedUp { losses } => {
                EndReason::WorkerLossesUsedUp { losses }
            }
            StoredEndReason::Upstream { root, root_name } => {
                EndReason::Upstream { root: TaskId(root), root_name }
            }
            StoredEndReason::CancelledByRequest => EndReason::CancelledByRequest,
            StoredEndReason::CancelledByPolicy { reason } => {
                EndReason::CancelledByPolicy { reason }
            }
        }
    }
}

impl Stored for TaskStatus {
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut Vec<u8>) {
        let time = |time: Option<Time>| time.map(|time| time.0);
        let stored = Status {
            state: self.state.into(),
            cancel_requested: self.cancel_requested,
            attempts: self.attempts.iter().map(StoredAttempt::from).collect(),
            next_attempt: self.next_attempt,
            retries_used: self.retries_used,
            losses_used: self.losses_used,
            not_before: time(self.not_before),
            ready_since: time(self.ready_since),
            ended: time(self.ended),
            end_reason: self.end_reason.as_deref().map(StoredEndReason::from),
            raised_priority: self.raised_priority,
        };
        write(&stored, Self::VERSION, out);
    }

    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError> {
        let stored: Status = read(bytes, Self::VERSION, what)?;
        Ok(TaskStatus {
            state: stored.state.into(),
            cancel_requested: stored.cancel_requested,
            attempts: stored.attempts.into_iter().map(Attempt::from).collect(),
            next_attempt: stored.next_attempt,
            retries_used: stored.retries_used,
            losses_used: stored.losses_used,
            not_before: stored.not_before.map(Time),
            ready_since: stored.ready_since.map(Time),
            ended: stored.ended.map(Time),
            end_reason: stored.end_reason.map(|it| Box::new(EndReason::from(it))),
            raised_priority: stored.raised_priority,
        })
    }
}
