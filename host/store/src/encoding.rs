//! How records look on disk: a version byte, then a postcard body of the structs here, which mirror
//! the core's. A field is only ever added by a new version with its own struct and conversion;
//! versions that were released stay readable.

use crate::store::StoreError;
use pointsman_scheduler::record::{self, *};
use pointsman_scheduler::resources::{Capacity, Devices, Request};
use pointsman_scheduler::spec::{OnDisconnect, TaskSpec};
use pointsman_scheduler::{JobId, TaskId, Term, Time, WorkerId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The version that is written.
pub(crate) const VERSION: u8 = 1;

/// A core type with a stored form.
pub(crate) trait Stored: Sized {
    fn encode(&self, out: &mut Vec<u8>);
    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError>;
}

fn write<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    out.clear();
    out.push(VERSION);
    postcard::to_io(value, out).expect("writing to memory does not fail");
}

fn read<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    what: impl Fn() -> String,
) -> Result<T, StoreError> {
    let unreadable = |problem: String| StoreError::Unreadable { what: what(), problem };
    let (version, body) = bytes.split_first().ok_or_else(|| unreadable("it is empty".into()))?;
    if *version == 0 {
        return Err(unreadable("its format has no number".into()));
    }
    if *version != VERSION {
        let (found, known) = (u32::from(*version), u32::from(VERSION));
        return Err(StoreError::NewerFormat { what: what(), found, known });
    }
    postcard::from_bytes(body).map_err(|error| unreadable(error.to_string()))
}

#[derive(Serialize, Deserialize)]
struct Spec<'a> {
    job: u64,
    submitted: u64,
    dependencies: Cow<'a, [u64]>,
    name: Cow<'a, str>,
    script: Cow<'a, str>,
    cpu_milli: u64,
    memory: u64,
    gpu_milli: u32,
    resources_text: Cow<'a, str>,
    dependency_names: Cow<'a, [String]>,
    queue: Cow<'a, str>,
    tenant: Cow<'a, str>,
    priority: i32,
    timeout: Option<Duration>,
    max_retries: Option<u32>,
    max_worker_losses: Option<u32>,
    expected: Option<Duration>,
    labels: Cow<'a, BTreeMap<String, String>>,
    requires: Cow<'a, BTreeMap<String, String>>,
    env: Cow<'a, BTreeMap<String, String>>,
    workdir: Option<Cow<'a, str>>,
    stop_on_disconnect: bool,
}

/// The id is the row's key, not part of the body.
impl Stored for TaskAdded {
    fn encode(&self, out: &mut Vec<u8>) {
        let spec = &self.spec;
        let stored = Spec {
            job: self.job.0,
            submitted: self.submitted.0,
            dependencies: self.dependencies.iter().map(|id| id.0).collect(),
            name: Cow::Borrowed(&spec.name),
            script: Cow::Borrowed(&spec.script),
            cpu_milli: spec.request.cpu_milli,
            memory: spec.request.memory,
            gpu_milli: spec.request.gpu_milli,
            resources_text: Cow::Borrowed(&spec.resources_text),
            dependency_names: Cow::Borrowed(&spec.dependencies),
            queue: Cow::Borrowed(&spec.queue),
            tenant: Cow::Borrowed(&spec.tenant),
            priority: spec.priority,
            timeout: spec.timeout,
            max_retries: spec.max_retries,
            max_worker_losses: spec.max_worker_losses,
            expected: spec.expected,
            labels: Cow::Borrowed(&spec.labels),
            requires: Cow::Borrowed(&spec.requires),
            env: Cow::Borrowed(&spec.env),
            workdir: spec.workdir.as_deref().map(Cow::Borrowed),
            stop_on_disconnect: spec.on_disconnect == OnDisconnect::Stop,
        };
        write(&stored, out);
    }

    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError> {
        let stored: Spec = read(bytes, what)?;
        let spec = TaskSpec {
            name: stored.name.into_owned(),
            script: stored.script.into_owned(),
            request: Request {
                cpu_milli: stored.cpu_milli,
                memory: stored.memory,
                gpu_milli: stored.gpu_milli,
            },
            resources_text: stored.resources_text.into_owned(),
            dependencies: stored.dependency_names.into_owned(),
            queue: stored.queue.into_owned(),
            tenant: stored.tenant.into_owned(),
            priority: stored.priority,
            timeout: stored.timeout,
            max_retries: stored.max_retries,
            max_worker_losses: stored.max_worker_losses,
            expected: stored.expected,
            labels: stored.labels.into_owned(),
            requires: stored.requires.into_owned(),
            env: stored.env.into_owned(),
            workdir: stored.workdir.map(Cow::into_owned),
            on_disconnect: match stored.stop_on_disconnect {
                true => OnDisconnect::Stop,
                false => OnDisconnect::Keep,
            },
        };
        Ok(TaskAdded {
            id: TaskId(0),
            job: JobId(stored.job),
            submitted: Time(stored.submitted),
            spec: Arc::new(spec),
            dependencies: stored.dependencies.iter().map(|id| TaskId(*id)).collect(),
        })
    }
}

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
struct StoredAttempt {
    number: u32,
    term: u64,
    worker: u32,
    devices: Vec<u16>,
    device_milli: u16,
    assigned: u64,
    started: Option<u64>,
    ended: Option<u64>,
    outcome: Option<StoredOutcome>,
    scoring: (u32, u64),
    queue: (u32, u64),
    score: f64,
    second: Option<(u32, f64)>,
}

#[derive(Serialize, Deserialize)]
enum StoredOutcome {
    Succeeded,
    Failed(StoredFailure),
}

#[derive(Serialize, Deserialize)]
enum StoredFailure {
    ExitCode(i32),
    Signal(i32),
    Timeout,
    OutOfMemory,
    WorkerLost,
    StartFailed(String),
    Migrated,
    Preempted,
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

/// Both directions of an enum whose variants carry nothing.
macro_rules! same_variants {
    ($core:ty, $stored:ty, $($variant:ident),*) => {
        impl From<$core> for $stored {
            fn from(value: $core) -> Self {
                match value { $(<$core>::$variant => <$stored>::$variant,)* }
            }
        }
        impl From<$stored> for $core {
            fn from(value: $stored) -> Self {
                match value { $(<$stored>::$variant => <$core>::$variant,)* }
            }
        }
    };
}
same_variants!(TaskState, State, Pending, Assigned, Running, Succeeded, Failed, Skipped, Cancelled);
same_variants!(JobState, StoredJobState, Running, Succeeded, Failed, Cancelled);
same_variants!(WorkerState, StoredWorkerState, Live, Suspect, Draining, Lost);

impl From<&Failure> for StoredFailure {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::ExitCode(code) => StoredFailure::ExitCode(*code),
            Failure::Signal(signal) => StoredFailure::Signal(*signal),
            Failure::Timeout => StoredFailure::Timeout,
            Failure::OutOfMemory => StoredFailure::OutOfMemory,
            Failure::WorkerLost => StoredFailure::WorkerLost,
            Failure::StartFailed(why) => StoredFailure::StartFailed(why.clone()),
            Failure::Migrated => StoredFailure::Migrated,
            Failure::Preempted => StoredFailure::Preempted,
            Failure::Cancelled => StoredFailure::Cancelled,
        }
    }
}

impl From<StoredFailure> for Failure {
    fn from(failure: StoredFailure) -> Self {
        match failure {
            StoredFailure::ExitCode(code) => Failure::ExitCode(code),
            StoredFailure::Signal(signal) => Failure::Signal(signal),
            StoredFailure::Timeout => Failure::Timeout,
            StoredFailure::OutOfMemory => Failure::OutOfMemory,
            StoredFailure::WorkerLost => Failure::WorkerLost,
            StoredFailure::StartFailed(why) => Failure::StartFailed(why),
            StoredFailure::Migrated => Failure::Migrated,
            StoredFailure::Preempted => Failure::Preempted,
            StoredFailure::Cancelled => Failure::Cancelled,
        }
    }
}

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

impl From<&Attempt> for StoredAttempt {
    fn from(attempt: &Attempt) -> Self {
        let stamp = |stamp: PolicyStamp| (stamp.generation, stamp.digest);
        StoredAttempt {
            number: attempt.number,
            term: attempt.term.0,
            worker: attempt.worker.0,
            devices: attempt.devices.indexes.clone(),
            device_milli: attempt.devices.milli_each,
            assigned: attempt.assigned.0,
            started: attempt.started.map(|time| time.0),
            ended: attempt.ended.map(|time| time.0),
            outcome: attempt.outcome.as_ref().map(|outcome| match outcome {
                Outcome::Succeeded => StoredOutcome::Succeeded,
                Outcome::Failed(failure) => StoredOutcome::Failed(failure.into()),
            }),
            scoring: stamp(attempt.decision.scoring),
            queue: stamp(attempt.decision.queue),
            score: attempt.decision.score,
            second: attempt.decision.second.map(|(worker, score)| (worker.0, score)),
        }
    }
}

impl From<StoredAttempt> for Attempt {
    fn from(attempt: StoredAttempt) -> Self {
        let stamp = |(generation, digest)| PolicyStamp { generation, digest };
        Attempt {
            number: attempt.number,
            term: Term(attempt.term),
            worker: WorkerId(attempt.worker),
            devices: Devices { indexes: attempt.devices, milli_each: attempt.device_milli },
            assigned: Time(attempt.assigned),
            started: attempt.started.map(Time),
            ended: attempt.ended.map(Time),
            outcome: attempt.outcome.map(|outcome| match outcome {
                StoredOutcome::Succeeded => Outcome::Succeeded,
                StoredOutcome::Failed(failure) => Outcome::Failed(failure.into()),
            }),
            decision: Decision {
                scoring: stamp(attempt.scoring),
                queue: stamp(attempt.queue),
                score: attempt.score,
                second: attempt.second.map(|(worker, score)| (WorkerId(worker), score)),
            },
        }
    }
}

impl Stored for TaskStatus {
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
            end_reason: self.end_reason.as_ref().map(StoredEndReason::from),
            raised_priority: self.raised_priority,
        };
        write(&stored, out);
    }

    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError> {
        let stored: Status = read(bytes, what)?;
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
            end_reason: stored.end_reason.map(EndReason::from),
            raised_priority: stored.raised_priority,
        })
    }
}

#[derive(Serialize, Deserialize)]
enum StoredJobState {
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

#[derive(Serialize, Deserialize)]
struct Job {
    name: String,
    submitted: u64,
    n_tasks: u32,
    state: StoredJobState,
    ended: Option<u64>,
}

/// The id is the row's key, not part of the body.
impl Stored for JobRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        let stored = Job {
            name: self.name.clone(),
            submitted: self.submitted.0,
            n_tasks: self.n_tasks,
            state: self.state.into(),
            ended: self.ended.map(|time| time.0),
        };
        write(&stored, out);
    }

    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError> {
        let stored: Job = read(bytes, what)?;
        Ok(JobRecord {
            id: JobId(0),
            name: stored.name,
            submitted: Time(stored.submitted),
            n_tasks: stored.n_tasks,
            state: stored.state.into(),
            ended: stored.ended.map(Time),
        })
    }
}

#[derive(Serialize, Deserialize)]
enum StoredWorkerState {
    Live,
    Suspect,
    Draining,
    Lost,
}

#[derive(Serialize, Deserialize)]
struct Worker {
    name: String,
    token_hash: [u8; 32],
    incarnation: u32,
    cpu_milli: u64,
    memory: u64,
    gpus: u16,
    labels: BTreeMap<String, String>,
    state: StoredWorkerState,
}

/// The id is the row's key, not part of the body.
impl Stored for WorkerRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        let stored = Worker {
            name: self.name.clone(),
            token_hash: self.token_hash,
            incarnation: self.incarnation,
            cpu_milli: self.capacity.cpu_milli,
            memory: self.capacity.memory,
            gpus: self.capacity.gpus,
            labels: self.labels.clone(),
            state: self.state.into(),
        };
        write(&stored, out);
    }

    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError> {
        let stored: Worker = read(bytes, what)?;
        Ok(WorkerRecord {
            id: WorkerId(0),
            name: stored.name,
            token_hash: stored.token_hash,
            incarnation: stored.incarnation,
            capacity: Capacity {
                cpu_milli: stored.cpu_milli,
                memory: stored.memory,
                gpus: stored.gpus,
            },
            labels: stored.labels,
            state: stored.state.into(),
        })
    }
}

#[derive(Serialize, Deserialize)]
struct IdempotencyKey {
    body_hash: [u8; 32],
    created: u64,
    job: u64,
    task: Option<u64>,
}

/// The key itself is the row's key, not part of the body.
impl Stored for KeyRecord {
    fn encode(&self, out: &mut Vec<u8>) {
        let stored = IdempotencyKey {
            body_hash: self.body_hash,
            created: self.created.0,
            job: self.job.0,
            task: self.task.map(|id| id.0),
        };
        write(&stored, out);
    }

    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError> {
        let stored: IdempotencyKey = read(bytes, what)?;
        Ok(record::KeyRecord {
            key: String::new(),
            body_hash: stored.body_hash,
            created: Time(stored.created),
            job: JobId(stored.job),
            task: stored.task.map(TaskId),
        })
    }
}
