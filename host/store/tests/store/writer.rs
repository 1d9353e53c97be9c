//! The writer loses and reorders nothing, whatever the store does.

use crate::samples::job;
use pointsman_scheduler::record::{JobState, Snapshot};
use pointsman_scheduler::{Record, Term};
use pointsman_store::{Batch, MemoryStore, Store, StoreError, StoreWriter};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn batch(number: u64) -> Batch<u64> {
    Batch { records: vec![Record::Job(job(number, JobState::Running))], payload: number }
}

/// A writer, and the payloads it releases, one list for each commit.
fn writer(store: &MemoryStore) -> (StoreWriter<u64>, Receiver<Vec<u64>>) {
    let term = store.clone().begin_term().unwrap();
    spawn(Box::new(store.clone()), term)
}

fn spawn(store: Box<dyn Store>, term: Term) -> (StoreWriter<u64>, Receiver<Vec<u64>>) {
    let (sender, receiver) = channel();
    let writer = StoreWriter::spawn(store, term, move |batches| {
        let payloads = batches.into_iter().map(|batch| batch.payload).collect();
        // A test that is over no longer listens.
        let _ = sender.send(payloads);
    });
    (writer.unwrap(), receiver)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "waited too long until {what}");
        std::thread::yield_now();
    }
}

fn released(receiver: &Receiver<Vec<u64>>, n_batches: usize) -> Vec<u64> {
    let mut all = Vec::new();
    while all.len() < n_batches {
        all.extend(receiver.recv_timeout(PATIENCE).expect("it works again"));
    }
    all
}

#[test]
fn a_failing_store_loses_and_reorders_nothing() {
    let mut store = MemoryStore::new();
    store.fail_next(3);
    let (writer, receiver) = writer(&store);
    let health = writer.health();
    (1..=10).for_each(|number| writer.submit(batch(number)));
    assert_eq!(released(&receiver, 10), (1..=10).collect::<Vec<_>>());
    assert!(!health.is_failing() && health.failure().is_none());
    assert_eq!(store.load().unwrap().jobs.len(), 10);
}

#[test]
fn nothing_is_released_while_the_store_fails() {
    let mut store = MemoryStore::new();
    store.fail_next(u32::MAX);
    let (writer, receiver) = writer(&store);
    let health = writer.health();
    assert!(!health.is_failing());
    writer.submit(batch(1));
    wait_until("it fails", || health.is_failing());
    writer.submit(batch(2));
    let (since, error) = health.failure().expect("it fails");
    assert!(since <= Instant::now() && error.contains("no space"), "{error}");
    assert!(receiver.try_recv().is_err());
    assert_eq!(store.load().unwrap(), Snapshot::default());
    store.fail_next(0);
    assert_eq!(released(&receiver, 2), [1, 2]);
    assert!(!health.is_failing());
}

#[test]
fn a_failure_that_lasts_keeps_its_beginning() {
    let store = MemoryStore::new();
    store.fail_next(u32::MAX);
    let (writer, receiver) = writer(&store);
    let health = writer.health();
    writer.submit(batch(1));
    wait_until("it fails", || health.is_failing());
    let began = health.failure().expect("it fails").0;
    // Two more tries.
    store.fail_next(2);
    while let Some((since, _)) = health.failure() {
        assert_eq!(since, began);
        std::thread::yield_now();
    }
    assert_eq!(released(&receiver, 1), [1]);
}

#[test]
fn batches_that_wait_are_committed_together() {
    let store = MemoryStore::new();
    store.fail_next(u32::MAX);
    let (writer, receiver) = writer(&store);
    writer.submit(batch(1));
    let health = writer.health();
    wait_until("it fails", || health.is_failing());
    (2..=20).for_each(|number| writer.submit(batch(number)));
    store.fail_next(0);
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), [1]);
    assert_eq!(receiver.recv_timeout(PATIENCE).unwrap(), (2..=20).collect::<Vec<_>>());
}

#[test]
fn the_submitter_is_held_up_before_memory_fills() {
    let store = MemoryStore::new();
    store.fail_next(u32::MAX);
    let (writer, receiver) = writer(&store);
    let refused = (1..1_000).find_map(|number| writer.try_submit(batch(number)));
    let refused = refused.expect("a thousand batches are too many").payload;
    store.fail_next(0);
    writer.submit(batch(refused));
    assert_eq!(released(&receiver, refused as usize), (1..=refused).collect::<Vec<_>>());
}

#[test]
fn a_batch_without_records_is_released_in_its_turn() {
    let store = MemoryStore::new();
    store.fail_next(1);
    let (writer, receiver) = writer(&store);
    writer.submit(batch(1));
    writer.submit(Batch { records: Vec::new(), payload: 2 });
    writer.submit(batch(3));
    assert_eq!(released(&receiver, 3), [1, 2, 3]);
}

#[test]
fn dropping_the_writer_flushes() {
    let mut store = MemoryStore::new();
    store.fail_next(2);
    let (writer, receiver) = writer(&store);
    (1..=50).for_each(|number| writer.submit(batch(number)));
    drop(writer);
    assert_eq!(store.load().unwrap().jobs.len(), 50);
    assert_eq!(receiver.iter().flatten().collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
}

#[test]
fn a_store_that_never_works_does_not_keep_the_host_from_ending() {
    let store = MemoryStore::new();
    store.fail_next(u32::MAX);
    let (writer, receiver) = writer(&store);
    (1..=3).for_each(|number| writer.submit(batch(number)));
    let began = Instant::now();
    drop(writer);
    assert!(began.elapsed() < PATIENCE);
    assert_eq!(receiver.iter().count(), 0, "what is not stored is not released");
}

#[test]
fn a_host_whose_term_is_over_releases_nothing_more() {
    let mut store = MemoryStore::new();
    let (writer, receiver) = writer(&store);
    writer.submit(batch(1));
    assert_eq!(released(&receiver, 1), [1]);
    store.begin_term().unwrap();
    writer.submit(batch(2));
    let health = writer.health();
    wait_until("it fails", || health.is_failing());
    writer.submit(batch(3));
    drop(writer);
    assert_eq!(receiver.iter().count(), 0);
    assert_eq!(store.load().unwrap().jobs.len(), 1);
}

/// Counts how often it is asked; damaged for good.
struct Damaged(std::sync::Arc<std::sync::atomic::AtomicU32>);

impl Store for Damaged {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }

    fn begin_term(&mut self) -> Result<Term, StoreError> {
        Ok(Term(1))
    }

    fn commit(&mut self, _: Term, _: &[&Record]) -> Result<(), StoreError> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Err(StoreError::Damaged { path: "store.sqlite".into(), problem: "torn".into() })
    }
}

#[test]
fn a_damaged_store_is_not_written_again() {
    let n_commits = std::sync::Arc::default();
    let store = Damaged(std::sync::Arc::clone(&n_commits));
    let (writer, receiver) = spawn(Box::new(store), Term(1));
    let health = writer.health();
    (1..=3).for_each(|number| writer.submit(batch(number)));
    wait_until("it fails", || health.is_failing());
    assert!(health.failure().expect("it fails").1.contains("torn"));
    drop(writer);
    assert_eq!(n_commits.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(receiver.iter().count(), 0);
}
