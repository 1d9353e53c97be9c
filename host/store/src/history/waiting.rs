//! Rows that wait to be written: bounded, and handed over all at once, so that a round's rows are never torn
//! apart. Whoever appends takes a lock that is held for as long as it takes to move a few pointers.

use super::{Fed, Measured, WAITING_MAX};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(super) struct Waiting {
    state: Mutex<State>,
    /// Somebody flushes or closes, or a flush is done.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    measured: Vec<Measured>,
    fed: Vec<Fed>,
    /// Flushes asked for, and those that are done.
    n_asked: u64,
    n_done: u64,
    is_closed: bool,
}

/// What is to be written now.
#[derive(Debug)]
pub(super) struct Taken {
    pub measured: Vec<Measured>,
    pub fed: Vec<Fed>,
    /// Flushes that are done with it.
    pub n_asked: u64,
    /// Nothing comes after it.
    pub is_last: bool,
}

impl Waiting {
    /// How many of each kind were dropped.
    pub fn put(&self, measured: Vec<Measured>, fed: Vec<Fed>) -> (usize, usize) {
        let mut state = self.lock();
        if state.is_closed {
            return (measured.len(), fed.len());
        }
        (put_some(&mut state.measured, measured), put_some(&mut state.fed, fed))
    }

    /// Waits until `due`, or until somebody flushes or closes.
    pub fn take(&self, due: Instant) -> Taken {
        let mut state = self.lock();
        while !state.is_urgent() {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).expect(NO_PANIC).0;
        }
        Taken {
            measured: std::mem::take(&mut state.measured),
            fed: std::mem::take(&mut state.fed),
            n_asked: state.n_asked,
            is_last: state.is_closed,
        }
    }

    /// Whether somebody waits for what is written.
    pub fn is_urgent(&self) -> bool {
        self.lock().is_urgent()
    }

    pub fn note_done(&self, n_asked: u64) {
        self.lock().n_done = n_asked;
        self.changed.notify_all();
    }

    /// False: it is not done within `patience`.
    pub fn flush(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        state.n_asked += 1;
        let asked = state.n_asked;
        self.changed.notify_all();
        let is_open = |state: &mut State| state.n_done < asked && !state.is_closed;
        let (state, _) = self.changed.wait_timeout_while(state, patience, is_open).expect(NO_PANIC);
        state.n_done >= asked
    }

    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(NO_PANIC)
    }
}

const NO_PANIC: &str = "nobody panics while holding it";

impl State {
    fn is_urgent(&self) -> bool {
        self.is_closed || self.n_asked > self.n_done
    }
}

/// As many as there is room for; the number of the others.
fn put_some<T>(rows: &mut Vec<T>, new: Vec<T>) -> usize {
    let room = WAITING_MAX - rows.len();
    let n_dropped = new.len().saturating_sub(room);
    rows.extend(new.into_iter().take(room));
    n_dropped
}
