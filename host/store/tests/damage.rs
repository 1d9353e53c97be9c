//! What is wrong with a file is said; nothing starts empty by mistake.

use pointsman_scheduler::record::{JobRecord, JobState};
use pointsman_scheduler::{JobId, Record, Time};
use pointsman_store::{Batch, MemoryStore, SqliteStore, Store, StoreError, StoreWriter};
use std::sync::mpsc::channel;
use std::time::Duration;

fn job(id: u64) -> Record {
    Record::Job(JobRecord {
        id: JobId(id),
        name: "j".into(),
        submitted: Time(1),
        n_tasks: 1,
        state: JobState::Running,
        ended: None,
    })
}

#[test]
fn a_second_host_on_the_same_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let _first = SqliteStore::open(&path).unwrap();
    let refused = SqliteStore::open(&path);
    assert!(matches!(refused, Err(StoreError::InUse { .. })), "{refused:?}");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let content = b"this is not a database, whatever its name says".repeat(50);
    std::fs::write(&path, &content).unwrap();
    let refused = SqliteStore::open(&path);
    assert!(matches!(refused, Err(StoreError::Damaged { .. })), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    drop(SqliteStore::open(&path).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let refused = SqliteStore::open(&path);
    assert!(matches!(refused, Err(StoreError::NewerFormat { found: 99, .. })), "{refused:?}");
}

#[test]
fn a_row_in_a_newer_format_is_not_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let mut store = SqliteStore::open(&path).unwrap();
    let term = store.begin_term().unwrap();
    store.commit(term, &[&job(1)]).unwrap();
    drop(store);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("UPDATE job SET body = x'63'", []).unwrap();
    drop(connection);
    let refused = SqliteStore::open(&path).unwrap().load();
    assert!(matches!(refused, Err(StoreError::NewerFormat { found: 0x63, .. })), "{refused:?}");
}

#[test]
fn a_failing_store_loses_and_reorders_nothing() {
    let mut store = MemoryStore::new();
    let term = store.begin_term().unwrap();
    store.fail_next(3);
    let (sender, receiver) = channel();
    let writer = StoreWriter::spawn(Box::new(store.clone()), term, move |batches| {
        for batch in batches {
            sender.send(batch.payload).unwrap();
        }
    })
    .unwrap();
    let health = writer.health();
    for payload in 0..10u64 {
        writer.submit(Batch { records: vec![job(payload + 1)], payload });
    }
    let released: Vec<u64> = (0..10)
        .map(|_| receiver.recv_timeout(Duration::from_secs(20)).expect("it works again"))
        .collect();
    assert_eq!(released, (0..10).collect::<Vec<_>>());
    assert!(!health.is_failing());
    assert_eq!(store.load().unwrap().jobs.len(), 10);
}

#[test]
fn dropping_the_writer_flushes() {
    let mut store = MemoryStore::new();
    let term = store.begin_term().unwrap();
    let writer = StoreWriter::spawn(Box::new(store.clone()), term, |_| {}).unwrap();
    for id in 1..=50 {
        writer.submit(Batch { records: vec![job(id)], payload: () });
    }
    drop(writer);
    assert_eq!(store.load().unwrap().jobs.len(), 50);
}
