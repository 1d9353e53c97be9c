//! What worker and host say to each other.
//!
//! - `POST /v1/workers` with [`RegisterRequest`], answered by [`RegisterResponse`].
//! - `POST /v1/workers/{id}/sync` with [`SyncRequest`], answered at once by [`SyncResponse`].
//! - `GET /v1/workers/{id}/commands?after=N&life=L`, held for at most one interval, answered by
//!   [`CommandsResponse`]. Commands are repeated until acknowledged.
//! - `POST /v1/workers/{id}/log?task=&attempt=&term=&stream=&offset=` with raw bytes as body, of type
//!   [`LOG_CONTENT_TYPE`] and at most [`LOG_CHUNK_MAX`] bytes.
//!
//! Unknown keys are ignored, so that host and workers of neighbouring versions understand each
//! other; [`PROTOCOL_VERSION`] changes when they do not.

use crate::field::{FieldError, Flaw};
use crate::labels::check_labels;
use crate::name::parse_name;
use crate::text;
use pointsman_scheduler::effect::{Start, Stop, StopReason};
use pointsman_scheduler::event::{
    Feedback, FinishedAttempt, HeldAttempt, Measurements, Registration, SyncReport,
};
use pointsman_scheduler::ids::{AttemptRef, JobId, TaskId, Term, WorkerId};
use pointsman_scheduler::record::Failure;
use pointsman_scheduler::resources::Capacity;
use pointsman_scheduler::spec::OnDisconnect;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Sent at registration; the host refuses another one.
pub const PROTOCOL_VERSION: u32 = 1;

pub const LOG_CONTENT_TYPE: &str = "application/octet-stream";

/// Bytes in one upload of log at most.
pub const LOG_CHUNK_MAX: usize = 256 * 1024;

/// Characters of a phase or of a message why a start failed; the rest is cut off.
const FREE_TEXT_MAX: usize = 200;

/// An attempt as `[task, attempt, term]`: it is in every report, tens of thousands a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WireAttempt(pub u64, pub u32, pub u64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegisterRequest {
    pub protocol: u32,
    pub name: String,
    /// The identity token in hexadecimal digits; the host keeps only its hash.
    pub token: String,
    /// Random number of this process's life: equal at a reconnect, new after a restart.
    pub life: u64,
    pub capacity: WireCapacity,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What it runs or holds unstarted now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<WireHeld>,
    /// Results not yet acknowledged, also those of an earlier life.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finished: Vec<WireFinished>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireCapacity {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
    /// Number of devices.
    #[serde(default)]
    pub gpus: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireHeld {
    pub attempt: WireAttempt,
    pub running: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireFinished {
    pub attempt: WireAttempt,
    /// Absent: it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<WireFailure>,
    /// From process start to end; absent if no process started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_ms: Option<u64>,
}

/// Why an attempt failed: a closed set, like `{"kind":"exit_code","code":1}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WireFailure {
    ExitCode {
        code: i32,
    },
    Signal {
        /// The signal's number.
        code: i32,
    },
    Timeout,
    OutOfMemory,
    WorkerLost,
    StartFailed {
        message: String,
    },
    Migrated,
    Preempted,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterResponse {
    /// Like `w3`; part of the paths of the other requests.
    #[serde(with = "text")]
    pub worker: WorkerId,
    /// Commands of a lower term are to be refused from now on.
    pub term: u64,
    pub intervals: Intervals,
    /// Attempts to end and forget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<WireAttempt>,
}

/// The times the worker keeps; they change when the host's configuration is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intervals {
    /// Between two regular syncs.
    pub interval_ms: u64,
    /// Without an acknowledged sync for this long, counted from sending it, the lease has ended.
    pub lease_ms: u64,
    /// From TERM to KILL.
    pub kill_grace_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncRequest {
    /// Counted up over this life; a repeated one changes nothing more.
    pub seq: u64,
    pub life: u64,
    /// The last command that was taken; the host forgets all up to it.
    #[serde(default)]
    pub acked_command: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurements: Option<WireMeasurements>,
    /// Attempts whose process started since the last acknowledged sync.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub started: Vec<WireAttempt>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finished: Vec<WireFinished>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feedback: Vec<WireFeedback>,
}

/// What a worker measures of itself. Fractions are in [0, 1]; absent: not known on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WireMeasurements {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_used: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops_used: Option<f64>,
    /// Round-trip time of the last sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Open TCP connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}

/// What a running task reports of itself or its worker measures of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WireFeedback {
    pub attempt: WireAttempt,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// In [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// Since process start.
    pub duration_ms: u64,
    /// Cores in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_usage: Option<f64>,
    /// Megabytes (10^6 bytes) resident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncResponse {
    /// The sync that is acknowledged: what it reported need not be repeated.
    pub seq: u64,
    pub term: u64,
    pub intervals: Intervals,
    /// Attempts to end and forget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<WireAttempt>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandsResponse {
    pub term: u64,
    /// In ascending order of `n`.
    pub commands: Vec<Command>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Counted up per worker and life of the host.
    pub n: u64,
    #[serde(rename = "do")]
    pub action: CommandAction,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandAction {
    Start(Box<StartCommand>),
    Stop(StopCommand),
}

/// Run this attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartCommand {
    pub attempt: WireAttempt,
    #[serde(with = "text")]
    pub job: JobId,
    /// The task's name.
    pub name: String,
    pub script: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// From process start; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "WireOnDisconnect::is_default")]
    pub on_disconnect: WireOnDisconnect,
    /// Indexes of the devices it may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<u16>,
    /// What it asked for, in thousandths of a core and bytes.
    pub cpu_milli: u64,
    pub memory: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireOnDisconnect {
    #[default]
    Keep,
    Stop,
}

/// End this attempt: TERM, then KILL, and report how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopCommand {
    pub attempt: WireAttempt,
    pub why: WireStopReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireStopReason {
    Cancelled,
    Migrated,
    Preempted,
    /// The attempt does not count any more; its report would change nothing.
    Stale,
}

impl RegisterRequest {
    /// `token_hash` is the SHA-256 of the token's bytes.
    ///
    /// # Errors
    /// If the protocol version is another one, or the name, a label or the capacity is not valid.
    pub fn into_registration(self, token_hash: [u8; 32]) -> Result<Registration, FieldError> {
        if self.protocol != PROTOCOL_VERSION {
            return Err(Flaw::new(
                format!("the worker speaks version {}", self.protocol),
                format!(
                    "this host speaks version {PROTOCOL_VERSION}: install the same release on both"
                ),
            )
            .at("protocol"));
        }
        let name = parse_name(&self.name).map_err(|flaw| flaw.at("name"))?;
        check_labels(&self.labels, "labels")?;
        let capacity = Capacity::from(self.capacity);
        if capacity.cpu_milli == 0 && capacity.memory == 0 && capacity.gpus == 0 {
            let flaw = Flaw::new("is zero altogether", "offer some cpu and memory");
            return Err(flaw.at("capacity"));
        }
        Ok(Registration {
            name,
            token_hash,
            life: self.life,
            capacity,
            labels: self.labels,
            held: self.held.into_iter().map(HeldAttempt::from).collect(),
            finished: self.finished.into_iter().map(FinishedAttempt::from).collect(),
        })
    }
}

impl SyncRequest {
    /// `worker` is the one named in the path. Values out of range are cut to it.
    pub fn into_report(self, worker: WorkerId) -> SyncReport {
        SyncReport {
            worker,
            life: self.life,
            measurements: self.measurements.map(Measurements::from),
            started: self.started.into_iter().map(AttemptRef::from).collect(),
            finished: self.finished.into_iter().map(FinishedAttempt::from).collect(),
            feedback: self.feedback.into_iter().map(WireFeedback::into_core).collect(),
        }
    }
}

impl Command {
    pub fn start(n: u64, start: &Start) -> Command {
        Command { n, action: CommandAction::Start(Box::new(StartCommand::from(start))) }
    }

    pub fn stop(n: u64, stop: &Stop) -> Command {
        Command { n, action: CommandAction::Stop(StopCommand::from(stop)) }
    }
}

impl From<&Start> for StartCommand {
    fn from(start: &Start) -> StartCommand {
        let spec = &start.spec;
        StartCommand {
            attempt: start.attempt.into(),
            job: start.job,
            name: spec.name.clone(),
            script: spec.script.clone(),
            env: spec.env.clone(),
            workdir: spec.workdir.clone(),
            timeout_ms: spec.timeout.map(millis),
            on_disconnect: spec.on_disconnect.into(),
            devices: start.devices.indexes.clone(),
            cpu_milli: spec.request.cpu_milli,
            memory: spec.request.memory,
        }
    }
}

impl From<&Stop> for StopCommand {
    fn from(stop: &Stop) -> StopCommand {
        StopCommand { attempt: stop.attempt.into(), why: stop.why.into() }
    }
}

impl From<StopReason> for WireStopReason {
    fn from(reason: StopReason) -> WireStopReason {
        match reason {
            StopReason::Cancelled => WireStopReason::Cancelled,
            StopReason::Migrated => WireStopReason::Migrated,
            StopReason::Preempted => WireStopReason::Preempted,
            StopReason::Stale => WireStopReason::Stale,
        }
    }
}

impl From<AttemptRef> for WireAttempt {
    fn from(attempt: AttemptRef) -> WireAttempt {
        WireAttempt(attempt.task.0, attempt.attempt, attempt.term.0)
    }
}

impl From<WireAttempt> for AttemptRef {
    fn from(WireAttempt(task, attempt, term): WireAttempt) -> AttemptRef {
        AttemptRef { task: TaskId(task), attempt, term: Term(term) }
    }
}

impl From<WireCapacity> for Capacity {
    fn from(wire: WireCapacity) -> Capacity {
        Capacity { cpu_milli: wire.cpu_milli, memory: wire.memory, gpus: wire.gpus }
    }
}

impl From<Capacity> for WireCapacity {
    fn from(capacity: Capacity) -> WireCapacity {
        WireCapacity { cpu_milli: capacity.cpu_milli, memory: capacity.memory, gpus: capacity.gpus }
    }
}

impl From<WireHeld> for HeldAttempt {
    fn from(wire: WireHeld) -> HeldAttempt {
        HeldAttempt { attempt: wire.attempt.into(), running: wire.running }
    }
}

impl From<WireFinished> for FinishedAttempt {
    fn from(wire: WireFinished) -> FinishedAttempt {
        // Exit code 0 is success, however it is written.
        let failure = wire.failure.filter(|it| *it != WireFailure::ExitCode { code: 0 });
        FinishedAttempt {
            attempt: wire.attempt.into(),
            failure: failure.map(Failure::from),
            ran: wire.ran_ms.map(Duration::from_millis),
        }
    }
}

impl From<WireFailure> for Failure {
    fn from(wire: WireFailure) -> Failure {
        match wire {
            WireFailure::ExitCode { code } => Failure::ExitCode(code),
            WireFailure::Signal { code } => Failure::Signal(code),
            WireFailure::Timeout => Failure::Timeout,
            WireFailure::OutOfMemory => Failure::OutOfMemory,
            WireFailure::WorkerLost => Failure::WorkerLost,
            WireFailure::StartFailed { message } => Failure::StartFailed(cut(message)),
            WireFailure::Migrated => Failure::Migrated,
            WireFailure::Preempted => Failure::Preempted,
            WireFailure::Cancelled => Failure::Cancelled,
        }
    }
}

impl From<&Failure> for WireFailure {
    fn from(failure: &Failure) -> WireFailure {
        match failure {
            Failure::ExitCode(code) => WireFailure::ExitCode { code: *code },
            Failure::Signal(code) => WireFailure::Signal { code: *code },
            Failure::Timeout => WireFailure::Timeout,
            Failure::OutOfMemory => WireFailure::OutOfMemory,
            Failure::WorkerLost => WireFailure::WorkerLost,
            Failure::StartFailed(message) => WireFailure::StartFailed { message: message.clone() },
            Failure::Migrated => WireFailure::Migrated,
            Failure::Preempted => WireFailure::Preempted,
            Failure::Cancelled => WireFailure::Cancelled,
        }
    }
}

impl From<WireMeasurements> for Measurements {
    fn from(wire: WireMeasurements) -> Measurements {
        Measurements {
            cpu_used: wire.cpu_used.and_then(fraction),
            memory_used: wire.memory_used.and_then(fraction),
            iops_used: wire.iops_used.and_then(fraction),
            rtt_ms: wire.rtt_ms.and_then(amount),
            connections: wire.connections,
        }
    }
}

impl From<Measurements> for WireMeasurements {
    fn from(measured: Measurements) -> WireMeasurements {
        WireMeasurements {
            cpu_used: measured.cpu_used,
            memory_used: measured.memory_used,
            iops_used: measured.iops_used,
            rtt_ms: measured.rtt_ms,
            connections: measured.connections,
        }
    }
}

impl WireFeedback {
    pub fn from_core(attempt: AttemptRef, feedback: &Feedback) -> WireFeedback {
        WireFeedback {
            attempt: attempt.into(),
            phase: feedback.phase.clone(),
            progress: feedback.progress,
            duration_ms: feedback.duration_ms,
            cpu_usage: feedback.cpu_usage,
            memory_mb: feedback.memory_mb,
        }
    }

    fn into_core(self) -> (AttemptRef, Feedback) {
        let feedback = Feedback {
            phase: self.phase.map(cut),
            progress: self.progress.and_then(fraction),
            duration_ms: self.duration_ms,
            cpu_usage: self.cpu_usage.and_then(amount),
            memory_mb: self.memory_mb.and_then(amount),
        };
        (self.attempt.into(), feedback)
    }
}

impl WireOnDisconnect {
    fn is_default(&self) -> bool {
        *self == WireOnDisconnect::default()
    }
}

impl From<OnDisconnect> for WireOnDisconnect {
    fn from(it: OnDisconnect) -> WireOnDisconnect {
        match it {
            OnDisconnect::Keep => WireOnDisconnect::Keep,
            OnDisconnect::Stop => WireOnDisconnect::Stop,
        }
    }
}

/// Milliseconds, saturating.
pub(crate) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// A measured fraction, cut to [0, 1]; none if it is not a number.
fn fraction(value: f64) -> Option<f64> {
    value.is_finite().then(|| value.clamp(0.0, 1.0))
}

/// A measured amount, not below 0; none if it is not a number.
fn amount(value: f64) -> Option<f64> {
    value.is_finite().then(|| value.max(0.0))
}

/// Free text from a worker: bounded, on one line.
fn cut(text: String) -> String {
    text.chars().filter(|it| !it.is_control()).take(FREE_TEXT_MAX).collect()
}
