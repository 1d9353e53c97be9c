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

#[cfg(test)]
mod tests {
    use super::*;

    /// What an earlier build wrote is read, and it refuses by its number what it cannot know.
    #[test]
    fn only_a_drained_worker_that_is_lost_is_ever_written_in_the_newer_form() {
        let capacity = Capacity { cpu_milli: 1, memory: 2, gpus: 3 };
        let record = |state, is_drained| WorkerRecord {
            id: WorkerId(0),
            name: "w".to_owned(),
            token_hash: [0; 32],
            incarnation: 1,
            capacity,
            labels: BTreeMap::new(),
            state,
            is_drained,
        };
        let cases = [
            (record(WorkerState::Live, false), 1, 0),
            (record(WorkerState::Suspect, false), 1, 1),
            (record(WorkerState::Draining, true), 1, 2),
            (record(WorkerState::Lost, false), 1, 3),
            (record(WorkerState::Lost, true), 2, 4),
        ];
        for (record, version, state) in cases {
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!((bytes[0], bytes[bytes.len() - 1]), (version, state), "{record:?}");
            assert_eq!(WorkerRecord::decode(&bytes, String::new).unwrap(), record);
        }
    }
}
