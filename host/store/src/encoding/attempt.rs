//! Attempts, inside of a task's status.

use pointsman_scheduler::record::{Attempt, Decision, Failure, Outcome, PolicyStamp};
use pointsman_scheduler::resources::Devices;
use pointsman_scheduler::{Term, Time, WorkerId};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(super) struct StoredAttempt {
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
pub(super) enum StoredOutcome {
    Succeeded,
    Failed(StoredFailure),
}

#[derive(Serialize, Deserialize)]
pub(super) enum StoredFailure {
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
