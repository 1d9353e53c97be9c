//! Workers.

use super::{Stored, read, write};
use crate::store::StoreError;
use pointsman_scheduler::WorkerId;
use pointsman_scheduler::record::{WorkerRecord, WorkerState};
use pointsman_scheduler::resources::Capacity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
enum StoredWorkerState {
    Live,
    Suspect,
    Draining,
    Lost,
    LostWhileDrained,
}

#[derive(Serialize, Deserialize)]
struct Worker {
    name: String,
    token_hash: [u8; 32],
    incarnation: u32,
    cpu_milli: u64,
    memory: u64,
    gpus: u16,
    labels: BTreeMap<String, String>,
    state: StoredWorkerState,
}

/// The id is the row's key, not part of the body.
impl Stored for WorkerRecord {
    const VERSION: u8 = 2;

    fn encode(&self, out: &mut Vec<u8>) {
        let stored = Worker {
            name: self.name.clone(),
            token_hash: self.token_hash,
            incarnation: self.incarnation,
            cpu_milli: self.capacity.cpu_milli,
            memory: self.capacity.memory,
            gpus: self.capacity.gpus,
            labels: self.labels.clone(),
            state: match (self.state, self.is_drained) {
                (WorkerState::Live, _) => StoredWorkerState::Live,
                (WorkerState::Suspect, _) => StoredWorkerState::Suspect,
                (WorkerState::Draining, _) => StoredWorkerState::Draining,
                (WorkerState::Lost, false) => StoredWorkerState::Lost,
                (WorkerState::Lost, true) => StoredWorkerState::LostWhileDrained,
            },
        };
        // As it was before that state came, so that an earlier build refuses only what it cannot know.
        let is_new = matches!(stored.state, StoredWorkerState::LostWhileDrained);
        write(&stored, if is_new { Self::VERSION } else { 1 }, out);
    }

    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError> {
        let stored: Worker = read(bytes, Self::VERSION, what)?;
        let (state, is_drained) = match stored.state {
            StoredWorkerState::Live => (WorkerState::Live, false),
            StoredWorkerState::Suspect => (WorkerState::Suspect, false),
            StoredWorkerState::Draining => (WorkerState::Draining, true),
            StoredWorkerState::Lost => (WorkerState::Lost, false),
            StoredWorkerState::LostWhileDrained => (WorkerState::Lost, true),
        };
        Ok(WorkerRecord {
            id: WorkerId(0),
            name: stored.name,
            token_hash: stored.token_hash,
            incarnation: stored.incarnation,
            capacity: Capacity {
                cpu_milli: stored.cpu_milli,
                memory: stored.memory,
                gpus: stored.gpus,
            },
            labels: stored.labels,
            state,
            is_drained,
        })
    }
}
