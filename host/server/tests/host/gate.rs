//! A store that holds back its commits while it is closed.

use pointsman_scheduler::record::Snapshot;
use pointsman_scheduler::{Record, Term};
use pointsman_store::{MemoryStore, Store, StoreError};
use std::sync::{Arc, Condvar, Mutex};

#[derive(Clone, Default)]
pub struct Gate {
    pub store: MemoryStore,
    state: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    is_closed: bool,
    n_waiting: usize,
}

impl Gate {
    pub fn close(&self) {
        self.state.0.lock().unwrap().is_closed = true;
    }

    pub fn open(&self) {
        self.state.0.lock().unwrap().is_closed = false;
        self.state.1.notify_all();
    }

    /// Whether a commit waits.
    pub fn is_waited_at(&self) -> bool {
        self.state.0.lock().unwrap().n_waiting > 0
    }
}

impl Store for Gate {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        self.store.load()
    }

    fn begin_term(&mut self) -> Result<Term, StoreError> {
        self.store.begin_term()
    }

    fn commit(&mut self, term: Term, records: &[&Record]) -> Result<(), StoreError> {
        let mut state = self.state.0.lock().unwrap();
        state.n_waiting += 1;
        while state.is_closed {
            state = self.state.1.wait(state).unwrap();
        }
        state.n_waiting -= 1;
        drop(state);
        self.store.commit(term, records)
    }
}
