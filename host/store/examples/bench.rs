//! How many task lives a second the SQLite store makes durable on one core, and how fast it reads
//! them back. One life: the task is added, placed, and ends.
//!
//! `cargo run --release --package pointsman-store --example bench [FOLDER]`

use pointsman_scheduler::record::*;
use pointsman_scheduler::resources::Devices;
use pointsman_scheduler::spec::TaskSpec;
use pointsman_scheduler::{JobId, Record, TaskId, Term, Time, WorkerId};
use pointsman_store::{SqliteStore, Store, StoreError};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const N_TASKS: u64 = 200_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = match std::env::args_os().nth(1) {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    for batch in [10, 100, 1_000, 10_000] {
        let path = folder.path().join(format!("batches-of-{batch}.sqlite"));
        // A round that takes about as long for each size.
        let n_tasks = N_TASKS.min(batch * 2_000);
        let lives = measure_lives(&path, n_tasks, batch)?;
        let began = Instant::now();
        let n_loaded = SqliteStore::open(&path)?.load()?.tasks.len() as u64;
        let loads = n_loaded as f64 / began.elapsed().as_secs_f64();
        println!(
            "batches of {batch:>6}: {lives:>9.0} task lives/s, {loads:>9.0} tasks/s read back"
        );
    }
    Ok(())
}

/// Task lives per second, each state of a task in a commit of its own.
fn measure_lives(path: &Path, n_tasks: u64, batch: u64) -> Result<f64, StoreError> {
    let mut store = SqliteStore::open(path)?;
    let term = store.begin_term()?;
    let commits: Vec<Vec<Record>> = (0..n_tasks / batch)
        .flat_map(|number| {
            let ids = || number * batch + 1..=(number + 1) * batch;
            [
                ids().flat_map(added).collect(),
                ids().map(|id| status(id, term, TaskState::Running)).collect(),
                ids().map(|id| status(id, term, TaskState::Succeeded)).collect(),
            ]
        })
        .collect();
    let began = Instant::now();
    for records in &commits {
        store.commit(term, &records.iter().collect::<Vec<_>>())?;
    }
    Ok(n_tasks as f64 / began.elapsed().as_secs_f64())
}

fn added(id: u64) -> [Record; 2] {
    let task = TaskAdded {
        id: TaskId(id),
        job: JobId(1),
        submitted: Time(1_700_000_000_000_000_000),
        spec: Arc::new(TaskSpec::new(format!("task-{id}"), "python3 train.py --epochs 10")),
        dependencies: Vec::new(),
    };
    let status = TaskStatus { next_attempt: 1, ..TaskStatus::default() };
    [Record::TaskAdded(task), Record::Task(TaskId(id), status)]
}

fn status(id: u64, term: Term, state: TaskState) -> Record {
    let time = |seconds: u64| Time(1_700_000_000_000_000_000 + seconds * 1_000_000_000);
    let attempt = Attempt {
        number: 1,
        term,
        worker: WorkerId((id % 100) as u32),
        devices: Devices { indexes: vec![0], milli_each: 1000 },
        assigned: time(1),
        started: Some(time(2)),
        ended: state.is_terminal().then(|| time(3)),
        outcome: state.is_terminal().then_some(Outcome::Succeeded),
        decision: Decision {
            scoring: PolicyStamp { generation: 1, digest: u64::MAX },
            queue: PolicyStamp { generation: 1, digest: u64::MAX },
            score: 0.75,
            second: Some((WorkerId(1), 0.5)),
        },
    };
    let status = TaskStatus {
        state,
        attempts: vec![attempt],
        next_attempt: 2,
        ready_since: Some(time(0)),
        ended: state.is_terminal().then(|| time(3)),
        ..TaskStatus::default()
    };
    Record::Task(TaskId(id), status)
}
