//! Idempotency keys.

use super::{Stored, read, write};
use crate::store::StoreError;
use pointsman_scheduler::record::KeyRecord;
use pointsman_scheduler::{JobId, TaskId, Time};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct IdempotencyKey {
    body_hash: [u8; 32],
    created: u64,
    job: u64,
    task: Option<u64>,
}

/// The key itself is the row's key, not part of the body.
impl Stored for KeyRecord {
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut Vec<u8>) {
        let stored = IdempotencyKey {
            body_hash: self.body_hash,
            created: self.created.0,
            job: self.job.0,
            task: self.task.map(|id| id.0),
        };
        write(&stored, Self::VERSION, out);
    }

    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError> {
        let stored: IdempotencyKey = read(bytes, Self::VERSION, what)?;
        Ok(KeyRecord {
            key: String::new(),
            body_hash: stored.body_hash,
            created: Time(stored.created),
            job: JobId(stored.job),
            task: stored.task.map(TaskId),
        })
    }
}
