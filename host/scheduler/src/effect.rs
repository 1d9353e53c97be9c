//! What the scheduler wants done: a closed set. The driver releases everything but `Persist` only
//! after the records of the same batch are durable.

use crate::event::{Feedback, Forecast, Measurements};
use crate::graph::GraphError;
use crate::ids::{AttemptRef, JobId, RequestId, TaskId, WorkerId};
use crate::policies::Slot;
use crate::record::{Record, TaskState, WorkerState};
use crate::resources::Devices;
use crate::spec::TaskSpec;
use crate::time::Time;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Persist(Record),
    Publish(Notice),
    Start(Start),
    Stop(Stop),
    Answer { request: RequestId, answer: Answer },
}

/// A command to a worker: run this attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    pub worker: WorkerId,
    pub attempt: AttemptRef,
    pub job: JobId,
    pub spec: Arc<TaskSpec>,
    pub devices: Devices,
}

/// A command to a worker: end this attempt (TERM, then KILL) and report how it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    pub worker: WorkerId,
    pub attempt: AttemptRef,
    pub why: StopReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    Cancelled,
    Migrated,
    Preempted,
    /// The attempt is not current any more; its report would change nothing.
    Stale,
}

/// Volatile news for the read model and the event stream; lost at a restart without harm.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    WorkerMeasured {
        worker: WorkerId,
        measurements: Measurements,
    },
    /// Also tells the last heartbeat by its time of publication.
    WorkerState {
        worker: WorkerId,
        state: WorkerState,
    },
    /// So many workers fell silent at once that none is given up before `until`; rather the host is
    /// cut off.
    LossesHeld {
        n_silent: u32,
        n_workers: u32,
        until: Time,
    },
    /// A worker that failed one attempt after the other gets no work until then; None: again it does.
    WorkerQuarantined {
        worker: WorkerId,
        n_failures: u32,
        until: Option<Time>,
    },
    Feedback {
        attempt: AttemptRef,
        feedback: Feedback,
    },
    /// A report for an attempt that is not current: kept as history, changes nothing.
    StaleReport {
        worker: WorkerId,
        attempt: AttemptRef,
    },
    /// What is foretold of workers from now on.
    Forecast(Box<Forecast>),
    PolicySwapped(Slot),
    PolicyFailed {
        slot: Slot,
        call: u64,
        kind: String,
    },
    /// A rescheduling proposal, and what the host did with it.
    Rescheduling {
        task: TaskId,
        action: String,
        reason: String,
        verdict: String,
    },
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `tasks` are in the order of the submission. `repeated`: an idempotency key was seen again.
    Submitted {
        job: JobId,
        tasks: Vec<TaskId>,
        repeated: bool,
    },
    /// State after the request; `stopping`: an attempt is current and has been told to stop.
    Cancelled {
        state: TaskState,
        stopping: bool,
    },
    JobCancelled {
        n_cancelled: u32,
        n_stopping: u32,
    },
    Retried {
        n_revived: u32,
    },
    QueuePaused,
    Registered {
        worker: WorkerId,
        stale: Vec<AttemptRef>,
    },
    /// `stale`: attempts the worker should end and forget.
    Synced {
        stale: Vec<AttemptRef>,
    },
    WorkerDraining,
    Refused(Refusal),
}

/// Why a request was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(
        "a task named {name:?} is still live ({task}); it can be used again when that one has ended"
    )]
    NameInUse { name: String, task: TaskId },
    #[error("no task {0}")]
    UnknownTask(TaskId),
    #[error("no job {0}")]
    UnknownJob(JobId),
    #[error("no worker {0}: register again")]
    UnknownWorker(WorkerId),
    #[error("no queue {0:?}")]
    UnknownQueue(String),
    #[error("{task} is {state:?}; only a task that is FAILED, SKIPPED or CANCELLED can be retried")]
    NotRetryable { task: TaskId, state: TaskState },
    #[error("{task} depends on {upstream}, which ended in {state:?}; retry that one")]
    UpstreamEnded { task: TaskId, upstream: TaskId, state: TaskState },
    #[error("queue {queue:?} holds {limit} waiting tasks, its limit; try again later")]
    QueueFull { queue: String, limit: u64 },
    #[error("idempotency key {key:?} was used with another body")]
    KeyReused { key: String },
    #[error("worker name {name:?} is in use by a live worker with another identity")]
    WorkerNameTaken { name: String },
    #[error("this worker process registered again under another life; its lease has ended")]
    OldLife,
    #[error("this worker process has registered again since it sent this")]
    OldRegistration,
}
