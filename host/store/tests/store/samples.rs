//! Records with a value in every field. Lists of variants are made by going from each to the next
//! in a match without `_`: a new variant does not compile until it has a place here.

use pointsman_scheduler::record::*;
use pointsman_scheduler::resources::{Capacity, Devices, Request};
use pointsman_scheduler::spec::{OnDisconnect, TaskSpec};
use pointsman_scheduler::*;
use pointsman_store::{Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub fn commit(store: &mut dyn Store, term: Term, records: &[Record]) -> Result<(), StoreError> {
    store.commit(term, &records.iter().collect::<Vec<_>>())
}

fn every<T>(next: impl Fn(Option<&T>) -> Option<T>) -> Vec<T> {
    let mut all = Vec::new();
    while let Some(value) = next(all.last()) {
        all.push(value);
    }
    all
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([
        ("disk".to_owned(), "µ-日本語-🚀".to_owned()),
        ("e\u{301}".to_owned(), String::new()),
    ])
}

pub fn added(id: u64) -> TaskAdded {
    let spec = TaskSpec {
        name: "µ-日本語-🚀".to_owned(),
        script: "echo 'ok'\n\t\"\\".into(),
        request: Request { cpu_milli: 100, memory: 8 << 30, gpu_milli: 500 },
        resources_text: r#"{"cpu":0.1}"#.into(),
        dependencies: vec!["é".to_owned(), "b".to_owned()],
        queue: "night".into(),
        tenant: "équipe".into(),
        priority: -7,
        timeout: Some(Duration::from_millis(1500)),
        max_retries: Some(0),
        max_worker_losses: Some(9),
        expected: Some(Duration::from_nanos(1)),
        labels: labels().into(),
        requires: labels().into(),
        env: labels().into(),
        workdir: Some("/tmp".into()),
        on_disconnect: OnDisconnect::Stop,
        trace: None,
    };
    TaskAdded {
        id: TaskId(id),
        job: JobId(3),
        submitted: Time(u64::MAX / 2),
        spec: Arc::new(spec),
        dependencies: vec![TaskId(1), TaskId(2)],
    }
}

/// A task with as little as possible.
pub fn plain(id: u64) -> TaskAdded {
    TaskAdded {
        id: TaskId(id),
        job: JobId(1),
        submitted: Time(0),
        spec: Arc::new(TaskSpec::new("a", "true")),
        dependencies: Vec::new(),
    }
}

fn attempt(number: u32, outcome: Option<Outcome>) -> Attempt {
    Attempt {
        number,
        term: Term(4),
        worker: WorkerId(5),
        devices: Devices { indexes: vec![0, 3], milli_each: 1000 },
        assigned: Time(10),
        started: Some(Time(11)),
        ended: outcome.as_ref().map(|_| Time(12)),
        outcome,
        decision: Decision {
            scoring: PolicyStamp { generation: 1, digest: u64::MAX },
            queue: PolicyStamp { generation: 2, digest: 3 },
            score: 0.1 + 0.2,
            second: Some((WorkerId(6), 0.25)),
        },
    }
}

fn failures() -> Vec<Failure> {
    every(|failure| match failure {
        None => Some(Failure::ExitCode(-1)),
        Some(Failure::ExitCode(_)) => Some(Failure::Signal(9)),
        Some(Failure::Signal(_)) => Some(Failure::Timeout),
        Some(Failure::Timeout) => Some(Failure::OutOfMemory),
        Some(Failure::OutOfMemory) => Some(Failure::WorkerLost),
        Some(Failure::WorkerLost) => Some(Failure::StartFailed("no such folder".to_owned())),
        Some(Failure::StartFailed(_)) => Some(Failure::Migrated),
        Some(Failure::Migrated) => Some(Failure::Preempted),
        Some(Failure::Preempted) => Some(Failure::Cancelled),
        Some(Failure::Cancelled) => None,
    })
}

fn outcomes() -> Vec<Option<Outcome>> {
    let mut failures = failures().into_iter();
    let first = failures.next().expect("there are failures");
    let mut all = every(|outcome| match outcome {
        None => Some(None),
        Some(None) => Some(Some(Outcome::Succeeded)),
        Some(Some(Outcome::Succeeded)) => Some(Some(Outcome::Failed(first.clone()))),
        Some(Some(Outcome::Failed(_))) => None,
    });
    all.extend(failures.map(|failure| Some(Outcome::Failed(failure))));
    all
}

fn end_reasons() -> Vec<Option<EndReason>> {
    let first = || EndReason::Failed { failure: Failure::StartFailed("µ".into()), attempts: 4 };
    every(|reason| match reason {
        None => Some(None),
        Some(None) => Some(Some(first())),
        Some(Some(reason)) => match reason {
            EndReason::Failed { .. } => Some(EndReason::WorkerLossesUsedUp { losses: 4 }),
            EndReason::WorkerLossesUsedUp { .. } => {
                Some(EndReason::Upstream { root: TaskId(1), root_name: "é".to_owned() })
            }
            EndReason::Upstream { .. } => Some(EndReason::CancelledByRequest),
            EndReason::CancelledByRequest => {
                Some(EndReason::CancelledByPolicy { reason: "hot".to_owned() })
            }
            EndReason::CancelledByPolicy { .. } => None,
        }
        .map(Some),
    })
}

fn task_states() -> Vec<TaskState> {
    every(|state| match state {
        None => Some(TaskState::Pending),
        Some(TaskState::Pending) => Some(TaskState::Assigned),
        Some(TaskState::Assigned) => Some(TaskState::Running),
        Some(TaskState::Running) => Some(TaskState::Succeeded),
        Some(TaskState::Succeeded) => Some(TaskState::Failed),
        Some(TaskState::Failed) => Some(TaskState::Skipped),
        Some(TaskState::Skipped) => Some(TaskState::Cancelled),
        Some(TaskState::Cancelled) => None,
    })
}

/// Together with every state, outcome and end reason.
pub fn statuses() -> Vec<TaskStatus> {
    let attempts: Vec<Attempt> =
        outcomes().into_iter().zip(1..).map(|(outcome, number)| attempt(number, outcome)).collect();
    let (states, reasons) = (task_states(), end_reasons());
    let n_statuses = states.len().max(reasons.len());
    let mut states = states.into_iter().cycle();
    let mut reasons = reasons.into_iter().cycle();
    let mut statuses = vec![TaskStatus { next_attempt: 1, ..TaskStatus::default() }];
    statuses.extend((0..n_statuses).map(|_| TaskStatus {
        state: states.next().expect("it cycles"),
        cancel_requested: true,
        attempts: attempts.clone(),
        next_attempt: 20,
        retries_used: 1,
        losses_used: 2,
        not_before: Some(Time(7)),
        ready_since: Some(Time(8)),
        ended: Some(Time(9)),
        end_reason: reasons.next().expect("it cycles").map(Box::new),
        raised_priority: Some(i32::MIN),
    }));
    statuses
}

pub fn jobs() -> Vec<JobRecord> {
    let states = every(|state| match state {
        None => Some(JobState::Running),
        Some(JobState::Running) => Some(JobState::Succeeded),
        Some(JobState::Succeeded) => Some(JobState::Failed),
        Some(JobState::Failed) => Some(JobState::Cancelled),
        Some(JobState::Cancelled) => None,
    });
    states.into_iter().zip(1..).map(|(state, id)| job(id, state)).collect()
}

pub fn job(id: u64, state: JobState) -> JobRecord {
    let ended = (state != JobState::Running).then_some(Time(5));
    JobRecord { id: JobId(id), name: "jöb".into(), submitted: Time(1), n_tasks: 7, state, ended }
}

pub fn workers() -> Vec<WorkerRecord> {
    let states = every(|state| match state {
        None => Some(WorkerState::Live),
        Some(WorkerState::Live) => Some(WorkerState::Suspect),
        Some(WorkerState::Suspect) => Some(WorkerState::Draining),
        Some(WorkerState::Draining) => Some(WorkerState::Lost),
        Some(WorkerState::Lost) => None,
    });
    states.into_iter().zip(1..).map(|(state, id)| worker(id, state)).collect()
}

pub fn worker(id: u32, state: WorkerState) -> WorkerRecord {
    WorkerRecord {
        id: WorkerId(id),
        name: "wörker".into(),
        token_hash: [id as u8; 32],
        incarnation: 3,
        capacity: Capacity { cpu_milli: 4000, memory: 8 << 30, gpus: 2 },
        labels: labels(),
        state,
        is_drained: state == WorkerState::Draining,
    }
}

pub fn key(key: &str, task: Option<TaskId>) -> KeyRecord {
    KeyRecord { key: key.into(), body_hash: [1; 32], created: Time(3), job: JobId(1), task }
}

/// One record of each kind, each of which changes what is stored if it comes after the others.
pub fn one_of_each_kind() -> Vec<Record> {
    every(|record| match record {
        None => Some(Record::Job(job(1, JobState::Running))),
        Some(Record::Job(_)) => Some(Record::TaskAdded(added(1))),
        Some(Record::TaskAdded(task)) => {
            Some(Record::Task(task.id, statuses().pop().expect("there are statuses")))
        }
        Some(Record::Task(..)) => Some(Record::Worker(worker(1, WorkerState::Live))),
        Some(Record::Worker(_)) => {
            Some(Record::Queue(QueueRecord { name: "nächtlich".into(), paused: true }))
        }
        Some(Record::Queue(_)) => Some(Record::Key(key("schlüssel", None))),
        Some(Record::Key(key)) => Some(Record::KeyForgotten(key.key.clone())),
        Some(Record::KeyForgotten(_)) => Some(Record::WorkerForgotten(WorkerId(1))),
        Some(Record::WorkerForgotten(_)) => Some(Record::TaskForgotten(TaskId(1))),
        Some(Record::TaskForgotten(_)) => Some(Record::JobForgotten(JobId(1))),
        Some(Record::JobForgotten(_)) => None,
    })
}
