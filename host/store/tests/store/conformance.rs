//! One suite over the trait; every backend runs all of it.

use crate::samples::*;
use pointsman_scheduler::record::*;
use pointsman_scheduler::*;
use pointsman_store::{MemoryStore, SqliteStore, Store, StoreError};

/// Opens the same content again and again, as restarted hosts do.
pub type Open<'a> = &'a dyn Fn() -> Box<dyn Store>;

pub fn for_each_backend(check: impl Fn(Open)) {
    let memory = MemoryStore::new();
    check(&|| Box::new(memory.clone()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    check(&|| Box::new(SqliteStore::open(&path).unwrap()));
}

#[test]
fn nothing_is_changed_by_being_stored() {
    for_each_backend(|open| {
        let mut store = open();
        let term = store.begin_term().unwrap();
        let (jobs, workers) = (jobs(), workers());
        let mut tasks: Vec<(TaskAdded, TaskStatus)> =
            statuses().into_iter().zip(1..).map(|(status, id)| (added(id), status)).collect();
        tasks.push((plain(1_000), TaskStatus { next_attempt: 1, ..TaskStatus::default() }));
        let queues = ["default", "Ωmega"]
            .map(|name| QueueRecord { name: name.into(), paused: name == "default" })
            .to_vec();
        let keys = vec![key("k", Some(TaskId(2))), key("ключ", None)];
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
        let (last_job, last_worker) = (jobs.len() as u64, workers.len() as u32);
        let expected = Snapshot {
            jobs,
            tasks,
            workers,
            queues,
            keys,
            last_job,
            last_task: 1_000,
            last_worker,
        };
        assert_eq!(open().load().unwrap(), expected);
    });
}

#[test]
fn no_kind_of_record_is_overlooked() {
    for_each_backend(|open| {
        let mut before = Snapshot::default();
        for record in one_of_each_kind() {
            let mut store = open();
            let term = store.begin_term().unwrap();
            commit(store.as_mut(), term, std::slice::from_ref(&record)).unwrap();
            let after = store.load().unwrap();
            assert_ne!(after, before, "{record:?} changed nothing");
            before = after;
        }
        let forgotten = Snapshot {
            queues: before.queues.clone(),
            last_job: 1,
            last_task: 1,
            last_worker: 1,
            ..Snapshot::default()
        };
        assert_eq!(before, forgotten);
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
            records.push(Record::Job(job(next_attempt.into(), JobState::Running)));
        }
        for state in [WorkerState::Live, WorkerState::Draining, WorkerState::Lost] {
            records.push(Record::Worker(worker(1, state)));
        }
        let lost = WorkerRecord { is_drained: true, ..worker(1, WorkerState::Lost) };
        records.push(Record::Worker(lost.clone()));
        for paused in [true, false, true] {
            records.push(Record::Queue(QueueRecord { name: "q".into(), paused }));
        }
        records.push(Record::Key(key("k", None)));
        records.push(Record::Key(key("k", Some(TaskId(1)))));
        records.push(Record::Job(job(2, JobState::Failed)));
        commit(store.as_mut(), term, &records).unwrap();
        let stored = store.load().unwrap();
        assert_eq!(stored.tasks[0].1.next_attempt, 5);
        assert_eq!(stored.jobs[1], job(2, JobState::Failed));
        assert_eq!(stored.workers, [lost]);
        assert_eq!(stored.queues, [QueueRecord { name: "q".into(), paused: true }]);
        assert_eq!(stored.keys, [key("k", Some(TaskId(1)))]);
        status.next_attempt = 9;
        commit(store.as_mut(), term, &[Record::Task(TaskId(1), status)]).unwrap();
        assert_eq!(store.load().unwrap().tasks[0].1.next_attempt, 9);
    });
}

#[test]
fn what_is_added_and_forgotten_at_once_leaves_nothing_but_its_id() {
    for_each_backend(|open| {
        let mut store = open();
        let term = store.begin_term().unwrap();
        let mut records = one_of_each_kind();
        records.retain(|record| !matches!(record, Record::Queue(_)));
        commit(store.as_mut(), term, &records).unwrap();
        let expected =
            Snapshot { last_job: 1, last_task: 1, last_worker: 1, ..Snapshot::default() };
        assert_eq!(store.load().unwrap(), expected);
    });
}

#[test]
fn ids_are_not_used_again_after_retention() {
    for_each_backend(|open| {
        let mut store = open();
        let term = store.begin_term().unwrap();
        let records = [
            Record::Job(job(8, JobState::Failed)),
            // Without a status, as if the host had ended between the two.
            Record::TaskAdded(added(9)),
            Record::Worker(worker(7, WorkerState::Lost)),
        ];
        commit(store.as_mut(), term, &records).unwrap();
        assert_eq!(store.load().unwrap().last_task, 9);
        let records = [
            Record::JobForgotten(JobId(8)),
            Record::TaskForgotten(TaskId(9)),
            Record::WorkerForgotten(WorkerId(7)),
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
        for wrong in [old, Term(new.0 + 1)] {
            let refused = commit(store.as_mut(), wrong, &[Record::Job(job(1, JobState::Running))]);
            let Err(error @ StoreError::OldTerm { .. }) = refused else { panic!("{refused:?}") };
            assert!(!error.is_retryable());
        }
        assert_eq!(store.load().unwrap(), Snapshot::default());
        drop(store);
        let mut store = open();
        let newest = store.begin_term().unwrap();
        assert!(newest > new, "terms grow over restarts");
        assert!(commit(store.as_mut(), new, &[]).is_err());
        commit(store.as_mut(), newest, &[Record::Job(job(1, JobState::Running))]).unwrap();
        assert_eq!(store.load().unwrap().jobs.len(), 1);
    });
}

#[test]
fn a_large_commit_is_kept_whole() {
    for_each_backend(|open| {
        let mut store = open();
        let term = store.begin_term().unwrap();
        let records: Vec<Record> = (1..=20_000).map(|id| Record::TaskAdded(added(id))).collect();
        commit(store.as_mut(), term, &records).unwrap();
        drop(store);
        let tasks = open().load().unwrap().tasks;
        assert!(tasks.iter().map(|(task, _)| task.id.0).eq(1..=20_000), "all, in the order of ids");
    });
}
