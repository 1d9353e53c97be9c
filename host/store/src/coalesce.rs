//! Within one commit only the last record of each key has to be written.

use pointsman_scheduler::record::{
    JobRecord, KeyRecord, QueueRecord, TaskAdded, TaskStatus, WorkerRecord,
};
use pointsman_scheduler::{JobId, Record, TaskId, WorkerId};
use rustc_hash::FxHashMap;

/// What remains of a commit: per key the last word, in key order. None: to be forgotten.
#[derive(Default)]
pub(crate) struct Coalesced<'a> {
    pub jobs: Vec<(JobId, Option<&'a JobRecord>)>,
    pub added: Vec<&'a TaskAdded>,
    pub tasks: Vec<(TaskId, Option<&'a TaskStatus>)>,
    pub workers: Vec<(WorkerId, Option<&'a WorkerRecord>)>,
    pub queues: Vec<&'a QueueRecord>,
    pub keys: Vec<(&'a str, Option<&'a KeyRecord>)>,
}

/// The largest ids ever stored; they outlive what they named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LastIds {
    pub job: u64,
    pub task: u64,
    pub worker: u32,
}

impl LastIds {
    /// The same, after the commit.
    pub fn after(self, commit: &Coalesced) -> LastIds {
        let added = commit.added.iter().map(|task| task.id.0);
        let tasks = commit.tasks.iter().map(|(id, _)| id.0).chain(added);
        LastIds {
            job: commit.jobs.iter().map(|(id, _)| id.0).fold(self.job, u64::max),
            task: tasks.fold(self.task, u64::max),
            worker: commit.workers.iter().map(|(id, _)| id.0).fold(self.worker, u32::max),
        }
    }
}

impl<'a> Coalesced<'a> {
    /// Whether something is deleted.
    pub fn forgets(&self) -> bool {
        self.tasks.iter().any(|(_, status)| status.is_none())
            || self.jobs.iter().any(|(_, job)| job.is_none())
            || self.workers.iter().any(|(_, worker)| worker.is_none())
            || self.keys.iter().any(|(_, key)| key.is_none())
    }

    pub fn of(records: &[&'a Record]) -> Coalesced<'a> {
        let mut added = FxHashMap::default();
        let mut jobs = FxHashMap::default();
        let mut tasks: FxHashMap<TaskId, Option<&TaskStatus>> = FxHashMap::default();
        let mut workers = FxHashMap::default();
        let mut queues = FxHashMap::default();
        let mut keys = FxHashMap::default();
        for record in records {
            match record {
                Record::Job(job) => {
                    jobs.insert(job.id, Some(job));
                }
                Record::JobForgotten(id) => {
                    jobs.insert(*id, None);
                }
                Record::TaskAdded(task) => {
                    added.insert(task.id, task);
                }
                Record::Task(id, status) => {
                    tasks.insert(*id, Some(status));
                }
                Record::TaskForgotten(id) => {
                    added.remove(id);
                    tasks.insert(*id, None);
                }
                Record::Worker(worker) => {
                    workers.insert(worker.id, Some(worker));
                }
                Record::WorkerForgotten(id) => {
                    workers.insert(*id, None);
                }
                Record::Queue(queue) => {
                    queues.insert(queue.name.as_str(), queue);
                }
                Record::Key(key) => {
                    keys.insert(key.key.as_str(), Some(key));
                }
                Record::KeyForgotten(key) => {
                    keys.insert(key.as_str(), None);
                }
            }
        }
        // In key order: new rows go to the end of their tables, page by page.
        let mut coalesced = Coalesced {
            jobs: jobs.into_iter().collect(),
            added: added.into_values().collect(),
            tasks: tasks.into_iter().collect(),
            workers: workers.into_iter().collect(),
            queues: queues.into_values().collect(),
            keys: keys.into_iter().collect(),
        };
        coalesced.jobs.sort_unstable_by_key(|(id, _)| *id);
        coalesced.added.sort_unstable_by_key(|task| task.id);
        coalesced.tasks.sort_unstable_by_key(|(id, _)| *id);
        coalesced.workers.sort_unstable_by_key(|(id, _)| *id);
        coalesced.queues.sort_unstable_by_key(|queue| &queue.name);
        coalesced.keys.sort_unstable_by_key(|(key, _)| *key);
        coalesced
    }
}
