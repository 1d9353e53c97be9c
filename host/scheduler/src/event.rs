//! What can happen to the scheduler: a closed set.

use crate::columns::WorkerColumn;
use crate::ids::{AttemptRef, JobId, RequestId, TaskId, WorkerId};
use crate::policies::Slot;
use crate::record::Failure;
use crate::resources::Capacity;
use crate::settings::Settings;
use crate::spec::{JobSpec, TaskSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Answered by `Answer::Submitted`, or refused whole.
    SubmitJob {
        request: RequestId,
        key: Option<Key>,
        job: JobSpec,
    },
    /// The short form: joins the always-open job `default`. A dependency binds to the latest task
    /// of that name.
    SubmitTask {
        request: RequestId,
        key: Option<Key>,
        task: Arc<TaskSpec>,
    },
    CancelTask {
        request: RequestId,
        task: TaskId,
    },
    CancelJob {
        request: RequestId,
        job: JobId,
    },
    /// By hand: also revives the SKIPPED tasks that depend on it.
    RetryTask {
        request: RequestId,
        task: TaskId,
    },
    PauseQueue {
        request: RequestId,
        queue: String,
        paused: bool,
    },
    Register {
        request: RequestId,
        registration: Registration,
    },
    Sync {
        request: RequestId,
        report: SyncReport,
    },
    DrainWorker {
        request: RequestId,
        worker: WorkerId,
        draining: bool,
    },
    /// A checked configuration replaced the one in force.
    Configure(Box<Settings>),
    /// What the forecasting policy says of all workers, in place of what it said before.
    Forecast(Forecast),
    /// A slot is served by another policy now (swap, roll-back, fallback to another generation).
    PolicySwapped(Slot),
    /// A policy call ended in anything but ok; kept so that decisions can be replayed.
    PolicyFailed {
        slot: Slot,
        call: u64,
        kind: String,
    },
    /// A deadline asked for by `next_deadline` may have come.
    Tick,
}

/// An idempotency key with the SHA-256 of the request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub key: String,
    pub body_hash: [u8; 32],
}

/// A worker process says who it is and what survived in its hands.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// 1 to 200 characters, as for tasks.
    pub name: String,
    /// SHA-256 of the identity token from the worker's data folder.
    pub token_hash: [u8; 32],
    /// Random number of this process's life: equal at a reconnect, new after a restart.
    pub life: u64,
    /// Counted up over this life, so that one that was under way for long undoes no later one.
    pub n: u64,
    pub capacity: Capacity,
    pub labels: BTreeMap<String, String>,
    /// Attempts it runs or holds unstarted now.
    pub held: Vec<HeldAttempt>,
    /// Results not yet acknowledged.
    pub finished: Vec<FinishedAttempt>,
}

/// The regular report of a worker; renews its lease.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncReport {
    pub worker: WorkerId,
    pub life: u64,
    pub measurements: Option<Measurements>,
    /// Attempts that have started since the last acknowledged sync.
    pub started: Vec<AttemptRef>,
    pub finished: Vec<FinishedAttempt>,
    pub feedback: Vec<(AttemptRef, Feedback)>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HeldAttempt {
    pub attempt: AttemptRef,
    pub running: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FinishedAttempt {
    pub attempt: AttemptRef,
    /// None: exit code 0.
    pub failure: Option<Failure>,
    /// From process start to end; None if it never started.
    pub ran: Option<Duration>,
}

/// What a worker measures of itself. Fractions are in [0, 1]; None: not known on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Measurements {
    /// Fraction of the worker's cpu capacity in use.
    pub cpu_used: Option<f64>,
    pub memory_used: Option<f64>,
    /// Fraction of the disk operations the worker takes for its maximum.
    pub iops_used: Option<f64>,
    /// Round-trip time of the last sync, milliseconds.
    pub rtt_ms: Option<f64>,
    /// Open TCP connections.
    pub connections: Option<u32>,
}

/// What is foretold of workers, replacing all that was foretold before; by default nothing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Forecast {
    /// How far ahead of the newest measurement, milliseconds.
    pub horizon_ms: f64,
    /// Predicted columns, see [`WorkerColumn::PREDICTED`]; others are ignored.
    pub columns: Vec<WorkerColumn>,
    /// A value for each of `columns`, in their range; NaN where nothing is foretold.
    pub workers: Vec<(WorkerId, Vec<f64>)>,
}

/// What a running task reports of itself or its worker measures of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Feedback {
    /// Free text, at most 200 characters.
    pub phase: Option<String>,
    /// In [0, 1].
    pub progress: Option<f64>,
    /// Since process start.
    pub duration_ms: u64,
    /// Cores in use.
    pub cpu_usage: Option<f64>,
    /// Megabytes (10^6 bytes) resident.
    pub memory_mb: Option<f64>,
}
