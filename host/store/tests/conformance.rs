//! One suite over the trait; every backend runs all of it.

use pointsman_scheduler::record::*;
use pointsman_scheduler::resources::{Capacity, Devices, Request};
use pointsman_scheduler::spec::{OnDisconnect, TaskSpec};
use pointsman_scheduler::*;
use pointsman_store::{MemoryStore, SqliteStore, Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Opens the same content again and again, as restarted hosts do.
type Open<'a> = &'a dyn Fn() -> Box<dyn Store>;

fn for_each_backend(check: impl Fn(Open)) {
    let memory = MemoryStore::new();
    check(&|| Box::new(memory.clone()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    check(&|| Box::new(SqliteStore::open(&path).unwrap()));
}

fn commit(store: &mut dyn Store, term: Term, records: &[Record]) -> Result<(), StoreError> {
    store.commit(term, &records.iter().collect::<Vec<_>>())
}

fn labels() -> BTreeMap<String, String> {
    BTreeMap::from([("disk".to_owned(), "µ-日本語-🚀".to_owned())])
}

fn added(id: u64) -> TaskAdded {
    let spec = TaskSpec {
        request: Request { cpu_milli: 100, memory: 8 << 30, gpu_milli: 500 },
        resources_text: r#"{"cpu":0.1}"#.to_owned(),
        dependencies: vec!["é".to_owned()],
        priority: -7,
        timeout: Some(Duration::from_millis(1500)),
        max_retries: Some(0),
        max_worker_losses: Some(9),
        expected: Some(Duration::from_nanos(1)),
        labels: labels(),
        requires: labels(),
        env: labels(),
        workdir: Some("/tmp".to_owned()),
        on_disconnect: OnDisconnect::Stop,
        ..TaskSpec::new("µ-日本語-🚀", "echo 'ok'\n")
    };
    TaskAdded {
        id: TaskId(id),
        job: JobId(3),
        submitted: Time(u64::MAX / 2),
        spec: Arc::new(spec),
        dependencies: vec![TaskId(1), TaskId(2)],
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

/// Every failure class; a new one does not compile until it is added here.
fn failures() -> Vec<Failure> {
    let next = |failure: Option<&Failure>| match failure {
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
    };
    let mut all = Vec::new();
    while let Some(failure) = next(all.last()) {
        all.push(failure);
    }
    all
}

fn end_reasons() -> Vec<Option<EndReason>> {
    vec![
        None,
        Some(EndReason::Failed { failure: Failure::Timeout, attempts: 4 }),
        Some(EndReason::WorkerLossesUsedUp { losses: 4 }),
        Some(EndReason::Upstream { root: TaskId(1), root_name: "a".to_owned() }),
        Some(EndReason::CancelledByRequest),
        Some(EndReason::CancelledByPolicy { reason: "hot".to_owned() }),
    ]
}

/// One status per task state, together with all failures and end reasons.
fn statuses() -> Vec<TaskStatus> {
    let mut outcomes: Vec<Outcome> = failures().into_iter().map(Outcome::Failed).collect();
    outcomes.push(Outcome::Succeeded);
    let attempts: Vec<Attempt> =
        outcomes.into_iter().zip(1..).map(|(it, number)| attempt(number, Some(it))).collect();
    TaskState::ALL
        .into_iter()
        .zip(end_reasons().into_iter().cycle())
        .map(|(state, end_reason)| TaskStatus {
            state,
            cancel_requested: true,
            attempts: attempts.clone(),
            next_attempt: 20,
            retries_used: 1,
            losses_used: 2,
            not_before: Some(Time(7)),
            ready_since: Some(Time(8)),
            ended: Some(Time(9)),
            end_reason,
            raised_priority: Some(i32::MAX),
        })
        .collect()
}

fn job(id: u64, state: JobState) -> JobRecord {
    let ended = (state != JobState::Running).then_some(Time(5));
    JobRecord { id: JobId(id), name: "j".into(), submitted: Time(1), n_tasks: 7, state, ended }
}

fn worker(id: u32, state: WorkerState) -> WorkerRecord {
    WorkerRecord {
        id: WorkerId(id),
        name: "w".into(),
        token_hash: [id as u8; 32],
        incarnation: 3,
        capacity: Capacity { cpu_milli: 4000, memory: 8 << 30, gpus: 2 },
        labels: labels(),
        state,
    }
}

#[test]
fn nothing_is_changed_by_being_stored() {
    for_each_backend(|open| {
        let mut store = open();
        let term = store.begin_term().unwrap();
        let jobs: Vec<JobRecord> =
            [JobState::Running, JobState::Succeeded, JobState::Failed, JobState::Cancelled]
                .into_iter()
                .zip(1..)
                .map(|(state, id)| job(id, state))
                .collect();
        let workers: Vec<WorkerRecord> =
            [WorkerState::Live, WorkerState::Suspect, WorkerState::Draining, WorkerState::Lost]
                .into_iter()
                .zip(1..)
                .map(|(state, id)| worker(id, state))
                .collect();
        let tasks: Vec<(TaskAdded, TaskStatus)> =
            statuses().into_iter().zip(1..).map(|(status, id)| (added(id), status)).collect();
        let queues = vec![QueueRecord { name: "default".into(), paused: true }];
        let keys = vec![KeyRecord {
            key: "k".into(),
            body_hash: [1; 32],
            created: Time(3),
            job: JobId(1),
            task: Some(TaskId(2)),
        }];
        let mut records: Vec<Record> = jobs.iter().cloned().map(Record::Job).collect();
        records.extend(workers.iter().cloned().map(Record::Worker));
        records.extend(queues.iter().cloned().map(Record::Queue));
        records.extend(keys.iter().cloned().map(Record::Key));
        for (added, status) in &tasks {
            records.push(Record::TaskAdded(added.clone()));
            records.push(Record::Task(added.id, status.clone()));
        }
        commit(store.as_mut(), term, &records).unwrap();
        drop(store);
        let expected = Snapshot {
            jobs,
            tasks,
            workers,
            queues,
            keys,
            last_job: 4,
            last_task: 7,
            last_worker: 4,
        };
        assert_eq!(open().load().unwrap(), expected);
    });
}

#[test]
fn the_last_record_of_a_key_wins_within_and_across_commits() {
    for_each_backend(|open| {
        let mut store = open();
        let term = store.begin_term().unwrap();
        let mut status = TaskStatus::default();
        let mut records = vec![Record::TaskAdded(added(1))];
        for next_attempt in 1..=5 {
            status.next_attempt = next_attempt;
            records.push(Record::Task(TaskId(1), status.clone()));
        }
        commit(store.as_mut(), term, &records).unwrap();
        assert_eq!(store.load().unwrap().tasks[0].1.next_attempt, 5);
        status.next_attempt = 9;
        commit(store.as_mut(), term, &[Record::Task(TaskId(1), status)]).unwrap();
        assert_eq!(store.load().unwrap().tasks[0].1.next_attempt, 9);
    });
}

#[test]
fn ids_are_not_used_again_after_retention() {
    for_each_backend(|open| {
        let mut store = open();
        let term = store.begin_term().unwrap();
        let records = [
            Record::Job(job(8, JobState::Failed)),
            Record::TaskAdded(added(9)),
            Record::Task(TaskId(9), TaskStatus::default()),
            Record::Worker(worker(7, WorkerState::Lost)),
            Record::Key(KeyRecord {
                key: "k".into(),
                body_hash: [1; 32],
                created: Time(3),
                job: JobId(1),
                task: None,
            }),
        ];
        commit(store.as_mut(), term, &records).unwrap();
        let records = [
            Record::JobForgotten(JobId(8)),
            Record::TaskForgotten(TaskId(9)),
            Record::WorkerForgotten(WorkerId(7)),
            Record::KeyForgotten("k".into()),
        ];
        commit(store.as_mut(), term, &records).unwrap();
        drop(store);
        let expected =
            Snapshot { last_job: 8, last_task: 9, last_worker: 7, ..Snapshot::default() };
        assert_eq!(open().load().unwrap(), expected);
    });
}

#[test]
fn an_older_term_never_writes() {
    for_each_backend(|open| {
        let mut store = open();
        let old = store.begin_term().unwrap();
        let new = store.begin_term().unwrap();
        assert!(new > old);
        let refused = commit(store.as_mut(), old, &[Record::Job(job(1, JobState::Running))]);
        assert!(matches!(refused, Err(StoreError::OldTerm { .. })));
        assert!(store.load().unwrap().jobs.is_empty());
        drop(store);
        assert!(open().begin_term().unwrap() > new, "terms grow over restarts");
    });
}

#[test]
fn a_large_commit_is_kept_whole() {
    for_each_backend(|open| {
        let mut store = open();
        let term = store.begin_term().unwrap();
        let records: Vec<Record> = (1..=20_000).map(|id| Record::TaskAdded(added(id))).collect();
        commit(store.as_mut(), term, &records).unwrap();
        assert_eq!(store.load().unwrap().tasks.len(), 20_000);
    });
}
