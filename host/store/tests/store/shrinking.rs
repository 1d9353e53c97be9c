//! The file gets smaller when retention has forgotten much, while nothing else waits.

use crate::samples::{commit, plain};
use crate::site::empty;
use pointsman_scheduler::{Record, TaskId};
use pointsman_store::{Batch, SqliteStore, Store, StoreWriter};
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const N_TASKS: u64 = 40_000;
const N_KEPT: u64 = 100;

fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

#[test]
fn what_retention_frees_is_given_back_while_the_store_is_idle() {
    let (_folder, path) = empty();
    let mut store = SqliteStore::open(&path).unwrap();
    let term = store.begin_term().unwrap();
    let tasks: Vec<Record> = (1..=N_TASKS).map(|id| Record::TaskAdded(plain(id))).collect();
    commit(&mut store, term, &tasks).unwrap();
    drop(store);
    let full = bytes(&path);
    let mut store = SqliteStore::open(&path).unwrap();
    let term = store.begin_term().unwrap();
    let (sender, receiver) = channel();
    let writer = StoreWriter::spawn(Box::new(store), term, move |batches: Vec<Batch<()>>| {
        sender.send(batches.len()).unwrap();
    })
    .unwrap();
    let records = (1..=N_TASKS - N_KEPT).map(|id| Record::TaskForgotten(TaskId(id))).collect();
    writer.submit(Batch { records, payload: () });
    assert_eq!(receiver.recv().unwrap(), 1);
    let until = Instant::now() + Duration::from_secs(60);
    // A free part is kept for what comes.
    while bytes(&path) > full / 2 {
        assert!(Instant::now() < until, "{} of {full} bytes", bytes(&path));
        std::thread::yield_now();
    }
    // It goes on as before.
    writer.submit(Batch { records: vec![Record::TaskAdded(plain(N_TASKS + 1))], payload: () });
    assert_eq!(receiver.recv().unwrap(), 1);
    drop(writer);
    let stored = SqliteStore::open(&path).unwrap().load().unwrap();
    assert_eq!(stored.tasks.len() as u64, N_KEPT + 1);
    assert_eq!(stored.last_task, N_TASKS + 1);
}
