//! A store in memory, for tests and the simulator. Clones share their content, so that a test can
//! open it again as a restarted host would; failures can be ordered.

use crate::coalesce::{Coalesced, LastIds};
use crate::store::{Store, StoreError};
use pointsman_scheduler::record::{
    JobRecord, KeyRecord, QueueRecord, Snapshot, TaskAdded, TaskStatus, WorkerRecord,
};
use pointsman_scheduler::{JobId, Record, TaskId, Term, WorkerId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    term: u64,
    jobs: BTreeMap<JobId, JobRecord>,
    added: BTreeMap<TaskId, TaskAdded>,
    tasks: BTreeMap<TaskId, TaskStatus>,
    workers: BTreeMap<WorkerId, WorkerRecord>,
    queues: BTreeMap<String, QueueRecord>,
    keys: BTreeMap<String, KeyRecord>,
    last: LastIds,
    n_failures_ordered: u32,
}

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// The next `n` commits fail as if the disk were full. `u32::MAX`: until told otherwise.
    pub fn fail_next(&self, n: u32) {
        self.lock().n_failures_ordered = n;
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("nobody panics while holding the content")
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Snapshot, StoreError> {
        let content = self.lock();
        let status = |id| {
            let fresh = TaskStatus { next_attempt: 1, ..TaskStatus::default() };
            content.tasks.get(id).cloned().unwrap_or(fresh)
        };
        Ok(Snapshot {
            jobs: content.jobs.values().cloned().collect(),
            tasks: content.added.values().map(|it| (it.clone(), status(&it.id))).collect(),
            workers: content.workers.values().cloned().collect(),
            queues: content.queues.values().cloned().collect(),
            keys: content.keys.values().cloned().collect(),
            last_job: content.last.job,
            last_task: content.last.task,
            last_worker: content.last.worker,
        })
    }

    fn begin_term(&mut self) -> Result<Term, StoreError> {
        let mut content = self.lock();
        content.term += 1;
        Ok(Term(content.term))
    }

    fn commit(&mut self, term: Term, records: &[&Record]) -> Result<(), StoreError> {
        let mut content = self.lock();
        if term.0 != content.term {
            return Err(StoreError::OldTerm { ours: term, current: Term(content.term) });
        }
        if content.n_failures_ordered > 0 {
            if content.n_failures_ordered < u32::MAX {
                content.n_failures_ordered -= 1;
            }
            return Err(StoreError::Write { problem: "no space left (ordered)".to_owned() });
        }
        let coalesced = Coalesced::of(records);
        content.last = content.last.after(&coalesced);
        for (id, job) in coalesced.jobs {
            set(&mut content.jobs, id, job);
        }
        for task in coalesced.added {
            content.added.insert(task.id, task.clone());
        }
        for (id, status) in coalesced.tasks {
            if status.is_none() {
                content.added.remove(&id);
            }
            set(&mut content.tasks, id, status);
        }
        for (id, worker) in coalesced.workers {
            set(&mut content.workers, id, worker);
        }
        for queue in coalesced.queues {
            content.queues.insert(queue.name.clone(), queue.clone());
        }
        for (key, record) in coalesced.keys {
            set(&mut content.keys, key.to_owned(), record);
        }
        Ok(())
    }
}

fn set<K: Ord, V: Clone>(map: &mut BTreeMap<K, V>, key: K, value: Option<&V>) {
    match value {
        Some(value) => map.insert(key, value.clone()),
        None => map.remove(&key),
    };
}
