//! Durable facts. The store keeps them, recovery reads them back, and the read model and the event
//! stream are folds of the same records.

use crate::ids::{AttemptRef, JobId, TaskId, Term, WorkerId};
use crate::resources::{Capacity, Devices};
use crate::spec::TaskSpec;
use crate::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One durable change. For one key, later records replace earlier ones (`TaskAdded` comes once).
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    Job(JobRecord),
    TaskAdded(TaskAdded),
    Task(TaskId, TaskStatus),
    Worker(WorkerRecord),
    WorkerForgotten(WorkerId),
    Queue(QueueRecord),
    Key(KeyRecord),
    KeyForgotten(String),
    /// Retention: the task's rows may go.
    TaskForgotten(TaskId),
    JobForgotten(JobId),
}

#[derive(Debug, Clone, PartialEq)]
pub struct JobRecord {
    pub id: JobId,
    pub name: String,
    pub submitted: Time,
    pub n_tasks: u32,
    pub state: JobState,
    /// When the last task ended; None while running.
    pub ended: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobState {
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

impl JobState {
    /// Of a job whose tasks have all ended, by the states in which any of them is.
    pub fn of_ended(has: impl Fn(TaskState) -> bool) -> JobState {
        if has(TaskState::Failed) {
            JobState::Failed
        } else if has(TaskState::Cancelled) {
            JobState::Cancelled
        } else if has(TaskState::Skipped) {
            JobState::Failed
        } else {
            JobState::Succeeded
        }
    }
}

/// The immutable part of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskAdded {
    pub id: TaskId,
    pub job: JobId,
    pub submitted: Time,
    pub spec: Arc<TaskSpec>,
    /// Resolved dependencies, in the order of `spec.dependencies`.
    pub dependencies: Vec<TaskId>,
}

/// The changing part of a task, whole.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskStatus {
    pub state: TaskState,
    /// A wish to stop the current attempt; capacity stays held until the worker confirms or is lost.
    pub cancel_requested: bool,
    /// The last attempts (at most [`MAX_ATTEMPTS_KEPT`]), oldest first; in ASSIGNED and RUNNING the
    /// last one is current.
    pub attempts: Vec<Attempt>,
    /// Number of the next attempt, from 1.
    pub next_attempt: u32,
    /// Own failures charged so far.
    pub retries_used: u32,
    /// Worker losses charged so far: while running, or too often before a known start.
    pub losses_used: u32,
    /// Not to be placed before: the backoff of a retry.
    pub not_before: Option<Time>,
    /// When it became ready the last time (no dependency left, no backoff); None while not ready.
    pub ready_since: Option<Time>,
    pub ended: Option<Time>,
    /// Why it ended in anything but SUCCEEDED.
    /// Boxed: most tasks of a long queue have none.
    pub end_reason: Option<Box<EndReason>>,
    /// Raised by a rescheduling policy.
    pub raised_priority: Option<i32>,
}

/// Older attempts of a task are dropped from its record.
pub const MAX_ATTEMPTS_KEPT: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum TaskState {
    #[default]
    Pending,
    Assigned,
    Running,
    Succeeded,
    Failed,
    Skipped,
    Cancelled,
}

/// One dispatch of a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub number: u32,
    pub term: Term,
    pub worker: WorkerId,
    pub devices: Devices,
    pub assigned: Time,
    /// Host time at which the start was reported.
    pub started: Option<Time>,
    pub ended: Option<Time>,
    pub outcome: Option<Outcome>,
    /// Who decided, and the score; shared by nothing, so small.
    pub decision: Decision,
}

/// What a placement was decided by.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Decision {
    pub scoring: PolicyStamp,
    pub queue: PolicyStamp,
    /// In [0, 1].
    pub score: f64,
    /// The best other worker that fitted, with its score, where the decision looked at one.
    pub second: Option<(WorkerId, f64)>,
}

/// Names one loading of a policy: the generation, counted over the host's life, and the first
/// eight bytes of the SHA-256 of its component (0 for a native policy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct PolicyStamp {
    pub generation: u32,
    pub digest: u64,
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Succeeded,
    Failed(Failure),
}

/// Failure classes: a closed set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    ExitCode(i32),
    Signal(i32),
    Timeout,
    OutOfMemory,
    WorkerLost,
    /// The script could not be started; why.
    StartFailed(String),
    Migrated,
    Preempted,
    Cancelled,
}

/// Why a task ended in anything but SUCCEEDED.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// The last attempt failed and no retry is left.
    Failed {
        failure: Failure,
        attempts: u32,
    },
    /// Lost with its worker more often than allowed: suspected of killing workers.
    WorkerLossesUsedUp {
        losses: u32,
    },
    /// An upstream task ended in anything but SUCCEEDED; `root` is the first of them.
    Upstream {
        root: TaskId,
        root_name: String,
    },
    CancelledByRequest,
    CancelledByPolicy {
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct WorkerRecord {
    pub id: WorkerId,
    pub name: String,
    /// SHA-256 of the worker's identity token.
    pub token_hash: [u8; 32],
    /// Counted from 1; one per life of the worker process.
    pub incarnation: u32,
    pub capacity: Capacity,
    pub labels: BTreeMap<String, String>,
    pub state: WorkerState,
    /// Somebody took it out of service: it is draining, or will be when it comes back.
    pub is_drained: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WorkerState {
    Live,
    /// No sync for `suspect_after`: gets no new work. Volatile; stored as Live.
    Suspect,
    /// Takes no new work; what runs there runs on.
    Draining,
    /// No sync for `lost_after`: its attempts have ended.
    Lost,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecord {
    pub name: String,
    pub paused: bool,
}

/// An idempotency key with the answer it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    pub key: String,
    /// SHA-256 of the request that first used it.
    pub body_hash: [u8; 32],
    pub created: Time,
    pub job: JobId,
    pub task: Option<TaskId>,
}

/// How long an idempotency key is kept.
pub const KEY_LIFE: Duration = Duration::from_secs(24 * 3600);

impl TaskState {
    pub const ALL: [TaskState; 7] = [
        TaskState::Pending,
        TaskState::Assigned,
        TaskState::Running,
        TaskState::Succeeded,
        TaskState::Failed,
        TaskState::Skipped,
        TaskState::Cancelled,
    ];

    pub fn is_terminal(self) -> bool {
        match self {
            TaskState::Pending | TaskState::Assigned | TaskState::Running => false,
            TaskState::Succeeded
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::Cancelled => true,
        }
    }

    /// Whether an attempt is current, holding capacity.
    pub fn is_placed(self) -> bool {
        matches!(self, TaskState::Assigned | TaskState::Running)
    }
}

impl TaskStatus {
    pub fn current(&self) -> Option<&Attempt> {
        if self.state.is_placed() { self.attempts.last() } else { None }
    }
}

impl Attempt {
    pub fn reference(&self, task: TaskId) -> AttemptRef {
        AttemptRef { task, attempt: self.number, term: self.term }
    }
}

/// Everything that is durable, as read back at a start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot {
    pub jobs: Vec<JobRecord>,
    /// In id order.
    pub tasks: Vec<(TaskAdded, TaskStatus)>,
    pub workers: Vec<WorkerRecord>,
    pub queues: Vec<QueueRecord>,
    pub keys: Vec<KeyRecord>,
    /// The largest ids ever given, so that none is given twice even after retention.
    pub last_job: u64,
    pub last_task: u64,
    pub last_worker: u32,
}
