//! Between the wire and the core. What a worker measures is cut to its range; what it claims of
//! itself at registration is refused if it is out of range.

use super::{
    Command, CommandAction, FREE_TEXT_MAX, PROTOCOL_VERSION, RegisterRequest, StartCommand,
    StopCommand, SyncRequest, WireAttempt, WireCapacity, WireFailure, WireFeedback, WireFinished,
    WireHeld, WireMeasurements, WireOnDisconnect, WireStopReason,
};
use crate::field::{FieldError, Flaw};
use crate::labels::check_labels;
use crate::name::parse_name;
use crate::quantity::{CPU_MAX, GPU_MAX, MEMORY_MAX};
use crate::traceparent;
use pointsman_scheduler::effect::{Start, Stop, StopReason};
use pointsman_scheduler::event::{
    Feedback, FinishedAttempt, HeldAttempt, Measurements, Registration, SyncReport,
};
use pointsman_scheduler::ids::{AttemptRef, TaskId, Term, WorkerId};
use pointsman_scheduler::record::Failure;
use pointsman_scheduler::resources::Capacity;
use pointsman_scheduler::spec::OnDisconnect;
use std::time::Duration;

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
        if capacity.cpu_milli > CPU_MAX * 1000
            || capacity.memory > MEMORY_MAX
            || capacity.gpus > GPU_MAX
        {
            let remedy = "offer at most 1000000 cores, 1PiB of memory and 1024 devices";
            return Err(Flaw::new("is too large", remedy).at("capacity"));
        }
        Ok(Registration {
            name,
            token_hash,
            life: self.life,
            n: self.n,
            capacity,
            labels: self.labels,
            held: self.held.into_iter().map(HeldAttempt::from).collect(),
            finished: self.finished.into_iter().map(FinishedAttempt::from).collect(),
        })
    }
}

impl SyncRequest {
    /// What it says of its limits, bounded and on one line.
    pub fn take_limits(&mut self) -> Option<String> {
        self.limits.take().map(cut)
    }

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
            script: spec.script.to_string(),
            env: (*spec.env).clone(),
            workdir: spec.workdir.as_deref().map(str::to_owned),
            timeout_ms: spec.timeout.map(millis),
            on_disconnect: spec.on_disconnect.into(),
            devices: start.devices.indexes.clone(),
            cpu_milli: spec.request.cpu_milli,
            memory: spec.request.memory,
            traceparent: spec
                .trace
                .as_ref()
                .map(|trace| traceparent::of_attempt(trace, start.attempt).to_string()),
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
    pub(super) fn is_default(&self) -> bool {
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
