//! A store on disk with jobs in it that fit together, and ways to damage it.

use crate::samples::{commit, plain, worker};
use pointsman_scheduler::record::*;
use pointsman_scheduler::*;
use pointsman_store::{SqliteStore, Store};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const N_JOBS: u64 = 200;
/// In a row, each depending on the one before.
pub const TASKS_PER_JOB: u64 = 10;

/// A folder, and the path of no file in it.
pub fn empty() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    (folder, path)
}

/// A folder, and the path of a store in it. Of each job the first four tasks have succeeded, the
/// fifth runs and the others wait; the first job has succeeded whole. Tasks of job `j` are
/// `10 j - 9` to `10 j`.
pub fn filled() -> (TempDir, PathBuf) {
    let (folder, path) = empty();
    let mut store = SqliteStore::open(&path).unwrap();
    let term = store.begin_term().unwrap();
    commit(&mut store, term, &records(term)).unwrap();
    (folder, path)
}

pub fn records(term: Term) -> Vec<Record> {
    let mut records = vec![
        Record::Worker(worker(1, WorkerState::Live)),
        Record::Worker(worker(2, WorkerState::Live)),
        Record::Queue(QueueRecord { name: "default".into(), paused: false }),
        Record::Queue(QueueRecord { name: "night".into(), paused: true }),
    ];
    for job in 1..=N_JOBS {
        let is_over = job == 1;
        let state = if is_over { JobState::Succeeded } else { JobState::Running };
        records.push(Record::Job(JobRecord {
            id: JobId(job),
            name: format!("job {job}"),
            submitted: Time(job * 1000),
            n_tasks: TASKS_PER_JOB as u32,
            state,
            ended: is_over.then_some(Time(job * 1000 + 500)),
        }));
        for index in 0..TASKS_PER_JOB {
            let id = TaskId((job - 1) * TASKS_PER_JOB + index + 1);
            let dependencies = if index == 0 { Vec::new() } else { vec![TaskId(id.0 - 1)] };
            let job = JobId(job);
            let submitted = Time(job.0 * 1000);
            let added = TaskAdded { job, submitted, dependencies, ..plain(id.0) };
            records.push(Record::TaskAdded(added));
            records.push(Record::Task(id, status(term, is_over, index, submitted)));
        }
    }
    records
}

fn status(term: Term, is_over: bool, index: u64, submitted: Time) -> TaskStatus {
    let state = match index {
        _ if is_over => TaskState::Succeeded,
        0..4 => TaskState::Succeeded,
        4 => TaskState::Running,
        _ => TaskState::Pending,
    };
    let ended = state.is_terminal().then(|| Time(submitted.0 + 100 + index));
    let attempt = Attempt {
        number: 1,
        term,
        worker: WorkerId(1),
        devices: Default::default(),
        assigned: Time(submitted.0 + index),
        started: Some(Time(submitted.0 + index + 1)),
        ended,
        outcome: ended.map(|_| Outcome::Succeeded),
        decision: Decision::default(),
    };
    let has_run = state != TaskState::Pending;
    TaskStatus {
        state,
        attempts: if has_run { vec![attempt] } else { Vec::new() },
        next_attempt: if has_run { 2 } else { 1 },
        ended,
        ..TaskStatus::default()
    }
}

pub fn change(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

pub fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    file.write_all(bytes).unwrap();
}

/// A sealed body as SQL wants it, as another build may have written it.
pub fn seal(table: &str, id: i64, body: &[u8]) -> String {
    let mut sealed = table.as_bytes().to_vec();
    sealed.push(0);
    sealed.extend(id.to_le_bytes());
    sealed.extend(body);
    let sum = crc32fast::hash(&sealed).to_le_bytes();
    sum.iter().chain(body).map(|byte| format!("{byte:02x}")).collect()
}

pub fn load(path: &Path) -> (Snapshot, Vec<pointsman_store::SetAside>) {
    let mut store = SqliteStore::open(path).unwrap();
    let snapshot = store.load().unwrap();
    let set_aside = store.set_aside();
    (snapshot, set_aside)
}

/// A host can take this up, and does so without complaint.
pub fn check_recovers(snapshot: Snapshot) {
    let n_tasks = snapshot.tasks.len();
    let mut effects = Vec::new();
    let now = Time(1_000_000_000);
    let mut scheduler =
        Scheduler::recover(Settings::default(), 1, Term(9), now, snapshot, &mut effects);
    scheduler.handle(Time(2_000_000_000), Event::Tick, &mut effects);
    assert_eq!(scheduler.check_invariants(), Vec::<String>::new());
    assert!(n_tasks > 0);
}
