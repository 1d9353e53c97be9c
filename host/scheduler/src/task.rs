//! A task's life: the one transition table, and what the scheduler knows of a task beside its
//! durable status.

use crate::columns::{TaskColumn, name_number};
use crate::event::Feedback;
use crate::ids::{JobId, TaskId};
use crate::queue::{ClassIdx, QueueIdx, RankKey};
use crate::record::{PolicyStamp, TaskState, TaskStatus};
use crate::spec::TaskSpec;
use crate::time::{Time, duration_ms};
use std::sync::Arc;
use std::time::Duration;

/// A change of state that the table does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task may not go from {from:?} to {to:?}")]
pub struct IllegalTransition {
    pub from: TaskState,
    pub to: TaskState,
}

/// The transition table, used live and in recovery.
pub fn check_transition(from: TaskState, to: TaskState) -> Result<(), IllegalTransition> {
    use TaskState::*;
    let legal = match from {
        Pending => matches!(to, Assigned | Cancelled | Skipped),
        Assigned => matches!(to, Running | Succeeded | Failed | Cancelled | Pending),
        Running => matches!(to, Succeeded | Failed | Cancelled | Pending),
        Failed | Skipped | Cancelled => matches!(to, Pending),
        Succeeded => false,
    };
    if legal { Ok(()) } else { Err(IllegalTransition { from, to }) }
}

#[derive(Debug)]
pub(crate) struct Task {
    pub id: TaskId,
    pub job: JobId,
    pub submitted: Time,
    pub spec: Arc<TaskSpec>,
    pub dependencies: Vec<TaskId>,
    pub dependents: Vec<TaskId>,
    /// Dependencies that have not succeeded.
    pub n_deps_left: u32,
    /// When a dependency last ended.
    pub deps_changed: Option<Time>,
    pub status: TaskStatus,
    pub queue: QueueIdx,
    /// Its class outside any group; the one it is queued in stands in `ranked`.
    pub class: ClassIdx,
    /// The most urgent priority of the task and all that wait for it.
    pub inherited_priority: i32,
    /// Nanoseconds; see [`TaskColumn::TailMs`].
    pub tail: u64,
    /// Nanoseconds from the earliest start of a root to this task's start; see `SlackMs`.
    pub head: u64,
    pub expected: Option<Duration>,
    pub place: Place,
    /// Where in its queue, if ranked.
    pub ranked: Option<Ranked>,
    pub feedback: Option<Box<Feedback>>,
    /// The last accepted rescheduling proposal.
    pub rescheduled: Option<Time>,
}

/// Where a PENDING task is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Waits for dependencies, or is not PENDING.
    Nowhere,
    /// A timer holds it.
    Backoff,
    /// Ready, and waiting to be ranked.
    Unranked,
    /// In its class's set under `ranked`.
    Queued,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ranked {
    pub key: RankKey,
    /// The class it is queued in.
    pub class: ClassIdx,
    /// By which policy.
    pub stamp: PolicyStamp,
}

impl Task {
    pub fn priority(&self) -> i32 {
        self.status.raised_priority.unwrap_or(i32::MIN).max(self.spec.priority)
    }

    /// The value of a column; NaN if missing.
    pub fn column(&self, column: TaskColumn, context: &TaskContext) -> f64 {
        let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let feedback = self.feedback.as_deref();
        match column {
            TaskColumn::Cpu => self.spec.request.cpu_milli as f64 / 1000.0,
            TaskColumn::Memory => self.spec.request.memory as f64,
            TaskColumn::Gpu => f64::from(self.spec.request.gpu_milli) / 1000.0,
            TaskColumn::Priority => f64::from(self.priority()),
            TaskColumn::InheritedPriority => {
                f64::from(self.inherited_priority.max(self.priority()))
            }
            TaskColumn::SubmittedMs => self.submitted.as_ms(),
            TaskColumn::ReadySinceMs => or_nan(self.status.ready_since.map(Time::as_ms)),
            TaskColumn::WaitedMs => {
                or_nan(self.status.ready_since.map(|since| duration_ms(context.now.since(since))))
            }
            TaskColumn::ExpectedMs => or_nan(self.expected.map(duration_ms)),
            TaskColumn::TailMs => self.tail as f64 / 1e6,
            TaskColumn::SlackMs => {
                context.job_length.saturating_sub(self.head + self.tail) as f64 / 1e6
            }
            TaskColumn::Attempt => f64::from(match self.status.current() {
                Some(attempt) => attempt.number,
                None => self.status.next_attempt,
            }),
            TaskColumn::Tenant => name_number(&self.spec.tenant),
            TaskColumn::TenantShare => context.tenant_share,
            TaskColumn::Queue => name_number(&self.spec.queue),
            TaskColumn::Job => self.job.0 as f64,
            TaskColumn::DepsLeft => f64::from(self.n_deps_left),
            TaskColumn::DepsChangedMs => or_nan(self.deps_changed.map(Time::as_ms)),
            TaskColumn::ElapsedMs => or_nan(
                self.status
                    .current()
                    .and_then(|attempt| attempt.started)
                    .map(|started| duration_ms(context.now.since(started))),
            ),
            TaskColumn::Progress => or_nan(feedback.and_then(|it| it.progress)),
            TaskColumn::CpuUsage => or_nan(feedback.and_then(|it| it.cpu_usage)),
            TaskColumn::MemoryMb => or_nan(feedback.and_then(|it| it.memory_mb)),
        }
    }
}

/// What a task's columns need beside the task.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskContext {
    pub now: Time,
    /// Nanoseconds: longest path through the task's job.
    pub job_length: u64,
    /// Dominant share of the task's tenant; NaN where nobody asked for it.
    pub tenant_share: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows: from; columns in the order of `TaskState::ALL`.
    #[test]
    fn no_transition_outside_the_documented_table() {
        let allowed = [
            ("Pending", "-A---SC"),
            ("Assigned", "P-RSF-C"),
            ("Running", "P--SF-C"),
            ("Succeeded", "-------"),
            ("Failed", "P------"),
            ("Skipped", "P------"),
            ("Cancelled", "P------"),
        ];
        for (from, (name, row)) in TaskState::ALL.into_iter().zip(allowed) {
            assert_eq!(format!("{from:?}"), name);
            for (to, mark) in TaskState::ALL.into_iter().zip(row.chars()) {
                let expected = mark != '-';
                assert_eq!(check_transition(from, to).is_ok(), expected, "{from:?} → {to:?}");
            }
        }
    }
}
