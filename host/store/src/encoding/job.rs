//! Jobs.

use super::{Stored, read, same_variants, write};
use crate::store::StoreError;
use pointsman_scheduler::record::{JobRecord, JobState};
use pointsman_scheduler::{JobId, Time};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum StoredJobState {
    Running,
    Succeeded,
    Failed,
    Cancelled,
}

same_variants!(JobState, StoredJobState, Running, Succeeded, Failed, Cancelled);

#[derive(Serialize, Deserialize)]
struct Job {
    name: String,
    submitted: u64,
    n_tasks: u32,
    state: StoredJobState,
    ended: Option<u64>,
}

/// The id is the row's key, not part of the body.
impl Stored for JobRecord {
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut Vec<u8>) {
        let stored = Job {
            name: self.name.clone(),
            submitted: self.submitted.0,
            n_tasks: self.n_tasks,
            state: self.state.into(),
            ended: self.ended.map(|time| time.0),
        };
        write(&stored, Self::VERSION, out);
    }

    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError> {
        let stored: Job = read(bytes, Self::VERSION, what)?;
        Ok(JobRecord {
            id: JobId(0),
            name: stored.name,
            submitted: Time(stored.submitted),
            n_tasks: stored.n_tasks,
            state: stored.state.into(),
            ended: stored.ended.map(Time),
        })
    }
}
