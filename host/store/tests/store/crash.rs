//! A host that is killed in the middle of its writes loses nothing that it acknowledged.

use crate::samples::plain;
use pointsman_scheduler::record::{Snapshot, TaskStatus};
use pointsman_scheduler::{Record, TaskId};
use pointsman_store::{Batch, SqliteStore, Store, StoreError, StoreWriter};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Tells the child, which is this test again, what to write.
const PATH: &str = "POINTSMAN_STORE_OF_CHILD";
/// Begins the lines on which the child acknowledges; the test runner writes lines of its own.
const ACKNOWLEDGED: &str = "acknowledged ";
const N_ROUNDS: u64 = 20;
const TASKS_PER_BATCH: u64 = 10;

#[test]
fn what_was_acknowledged_survives_a_kill() {
    if let Some(path) = std::env::var_os(PATH) {
        write_for_ever(Path::new(&path));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let mut last_acknowledged = 0;
    for round in 0..N_ROUNDS {
        // Spread over 0 (before the file is complete) to 30 batches.
        let n_lines = round * 17 % 31;
        last_acknowledged = kill_after(n_lines, &path).unwrap_or(last_acknowledged);
        let mut store = SqliteStore::open(&path).expect("a kill damages nothing");
        let stored = store.load().expect("a kill damages nothing");
        let last_stored = check_whole(&stored);
        assert!(last_stored >= last_acknowledged, "{last_stored} of {last_acknowledged}");
        // What was written without being acknowledged counts from now on.
        last_acknowledged = last_stored;
    }
    assert!(last_acknowledged > 0);
}

/// Every batch is stored whole, and none without those before it. The number of the last.
fn check_whole(stored: &Snapshot) -> u64 {
    let n_tasks = stored.tasks.len() as u64;
    assert!(n_tasks.is_multiple_of(TASKS_PER_BATCH));
    assert!(stored.tasks.iter().map(|(task, _)| task.id.0).eq(1..=n_tasks));
    assert!(stored.tasks.iter().all(|(_, status)| status.next_attempt == 7));
    assert_eq!(stored.last_task, n_tasks);
    n_tasks / TASKS_PER_BATCH
}

/// Starts the child, and kills it as soon as it has acknowledged so many batches; it goes on writing
/// meanwhile, so that the moment is any. The last batch that it acknowledged.
fn kill_after(n_lines: u64, path: &Path) -> Option<u64> {
    let mut child = this_test(path).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut numbers = lines
        .map(|line| line.unwrap())
        .filter_map(|line| line.strip_prefix(ACKNOWLEDGED)?.parse::<u64>().ok());
    let mut last = None;
    for _ in 0..n_lines {
        last = numbers.next();
        assert!(last.is_some(), "the child ended by itself");
    }
    if n_lines > 0 {
        let refused = SqliteStore::open(path);
        assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
    }
    child.kill().unwrap();
    // What it said in its last moments counts too.
    last = numbers.last().or(last);
    child.wait().unwrap();
    last
}

fn this_test(path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "crash::what_was_acknowledged_survives_a_kill", "--nocapture"])
        .env(PATH, AsRef::<OsStr>::as_ref(path))
        .stderr(Stdio::null());
    command
}

fn write_for_ever(path: &Path) -> ! {
    let mut store = SqliteStore::open(path).unwrap();
    let term = store.begin_term().unwrap();
    let first = store.load().unwrap().last_task / TASKS_PER_BATCH + 1;
    let writer = StoreWriter::spawn(Box::new(store), term, |batches: Vec<Batch<u64>>| {
        let mut out = std::io::stdout().lock();
        for batch in batches {
            writeln!(out, "{ACKNOWLEDGED}{}", batch.payload).unwrap();
        }
        out.flush().unwrap();
    })
    .unwrap();
    for number in first.. {
        let ids = (number - 1) * TASKS_PER_BATCH + 1..=number * TASKS_PER_BATCH;
        let records = ids.flat_map(|id| {
            let status = TaskStatus { next_attempt: 7, ..TaskStatus::default() };
            [Record::TaskAdded(plain(id)), Record::Task(TaskId(id), status)]
        });
        writer.submit(Batch { records: records.collect(), payload: number });
    }
    unreachable!("numbers do not end")
}
