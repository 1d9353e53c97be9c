//! The writer thread: takes batches in order, commits those that wait together, and calls back when
//! they are durable. A failing store is tried again; nothing is dropped or reordered. Only when the
//! host ends meanwhile is a store that fails given up, and then what waits was never released.

use crate::store::{Store, StoreError};
use pointsman_scheduler::{Record, Term};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Records to commit, and what to release when that is done.
#[derive(Debug)]
pub struct Batch<T> {
    pub records: Vec<Record>,
    pub payload: T,
}

/// Whether commits succeed; shared with whoever answers requests.
#[derive(Debug, Default)]
pub struct Health {
    is_failing: AtomicBool,
    last_error: Mutex<Option<(Instant, String)>>,
}

/// Handle of the thread. Dropping it flushes what was submitted, then ends the thread; a store that
/// goes on failing is given [`FLUSH_PATIENCE`] for that.
#[derive(Debug)]
pub struct StoreWriter<T> {
    sender: Option<SyncSender<Batch<T>>>,
    thread: Option<JoinHandle<()>>,
    health: Arc<Health>,
    /// Set when the handle is dropped.
    give_up_at: Arc<OnceLock<Instant>>,
}

/// Batches waiting at most; more block the submitter.
const MAX_WAITING: usize = 64;
/// Records committed together at most.
const MAX_RECORDS: usize = 50_000;
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// How long a failing store is tried for after the handle was dropped.
pub const FLUSH_PATIENCE: Duration = Duration::from_secs(3);

impl Health {
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Acquire)
    }

    /// Since when, and the last error, while failing.
    pub fn failure(&self) -> Option<(Instant, String)> {
        if !self.is_failing() {
            return None;
        }
        self.last_error.lock().expect("nobody panics while holding it").clone()
    }

    fn note_failure(&self, error: &StoreError) {
        let mut last = self.last_error.lock().expect("nobody panics while holding it");
        let since = match &*last {
            Some((since, _)) if self.is_failing() => *since,
            Some(_) | None => Instant::now(),
        };
        *last = Some((since, error.to_string()));
        self.is_failing.store(true, Ordering::Release);
    }

    fn note_success(&self) {
        self.is_failing.store(false, Ordering::Release);
    }
}

impl<T: Send + 'static> StoreWriter<T> {
    /// `on_durable` gets the batches of each commit, in order, on the writer's thread.
    ///
    /// # Errors
    /// If no thread can be made.
    pub fn spawn(
        store: Box<dyn Store>,
        term: Term,
        on_durable: impl FnMut(Vec<Batch<T>>) + Send + 'static,
    ) -> std::io::Result<StoreWriter<T>> {
        let (sender, receiver) = sync_channel(MAX_WAITING);
        let health = Arc::new(Health::default());
        let give_up_at = Arc::new(OnceLock::new());
        let committer =
            Committer { store, term, health: health.clone(), give_up_at: give_up_at.clone() };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || run(committer, &receiver, on_durable))?;
        Ok(StoreWriter { sender: Some(sender), thread: Some(thread), health, give_up_at })
    }

    pub fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// Hands over a batch; waits while too many are not durable yet.
    pub fn submit(&self, batch: Batch<T>) {
        let sender = self.sender.as_ref().expect("only dropping takes the sender");
        sender.send(batch).expect("the thread ends only after its sender");
    }

    /// Gives the batch back if too many are not durable yet.
    pub fn try_submit(&self, batch: Batch<T>) -> Option<Batch<T>> {
        let sender = self.sender.as_ref().expect("only dropping takes the sender");
        match sender.try_send(batch) {
            Ok(()) => None,
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => Some(batch),
        }
    }
}

impl<T> Drop for StoreWriter<T> {
    fn drop(&mut self) {
        self.give_up_at.get_or_init(|| Instant::now() + FLUSH_PATIENCE);
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            // It may be waiting for the next try.
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the store's thread panicked");
            }
        }
    }
}

/// What the thread owns.
struct Committer {
    store: Box<dyn Store>,
    term: Term,
    health: Arc<Health>,
    give_up_at: Arc<OnceLock<Instant>>,
}

fn run<T>(
    mut committer: Committer,
    receiver: &Receiver<Batch<T>>,
    mut on_durable: impl FnMut(Vec<Batch<T>>),
) {
    while let Some(first) = committer.next(receiver) {
        let mut n_records = first.records.len();
        let mut batches = vec![first];
        while n_records < MAX_RECORDS
            && let Ok(batch) = receiver.try_recv()
        {
            n_records += batch.records.len();
            batches.push(batch);
        }
        let records: Vec<&Record> = batches.iter().flat_map(|batch| &batch.records).collect();
        if !committer.commit(&records) {
            let n_batches = batches.len() + receiver.try_iter().count();
            tracing::error!(n_batches, "ended without having stored, nor released, what waited");
            return;
        }
        on_durable(batches);
    }
}

impl Committer {
    /// The next batch; tidies the store until there is one. None: there will be none.
    fn next<T>(&mut self, receiver: &Receiver<Batch<T>>) -> Option<Batch<T>> {
        loop {
            match receiver.try_recv() {
                Ok(batch) => return Some(batch),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => {}
            }
            let has_more = self.store.tidy().unwrap_or_else(|error| {
                tracing::debug!(%error, "the store does not get smaller now");
                false
            });
            if !has_more {
                return receiver.recv().ok();
            }
        }
    }

    /// Tries until it works. False: it did not, and the host ends.
    fn commit(&mut self, records: &[&Record]) -> bool {
        if records.is_empty() {
            return true;
        }
        let mut delay = FIRST_RETRY;
        loop {
            let Err(error) = self.store.commit(self.term, records) else {
                if self.health.is_failing() {
                    tracing::info!("the store works again");
                }
                self.health.note_success();
                return true;
            };
            self.health.note_failure(&error);
            let goes_on = if error.is_retryable() {
                tracing::error!(%error, retry_in_ms = delay.as_millis() as u64, "failed to commit");
                self.wait(delay)
            } else {
                tracing::error!(%error, "failed to commit for good; the host has to be restarted");
                self.wait_for_the_end();
                false
            };
            if !goes_on {
                return false;
            }
            delay = (delay * 2).min(LAST_RETRY);
        }
    }

    /// Waits before the next try. False: the time for trying is over. This is the one place that
    /// waits for the disk; the driver goes on reading.
    fn wait(&self, delay: Duration) -> bool {
        let time_left =
            || self.give_up_at.get().map(|at| at.saturating_duration_since(Instant::now()));
        std::thread::park_timeout(time_left().map_or(delay, |left| left.min(delay)));
        time_left() != Some(Duration::ZERO)
    }

    /// Keeps what cannot be stored, unreleased, until the handle is dropped.
    fn wait_for_the_end(&self) {
        while self.give_up_at.get().is_none() {
            std::thread::park();
        }
    }
}
