//! What was read from a file, before it is known to fit together.

use crate::coalesce::LastIds;
use crate::encoding::seal::Key;
use pointsman_scheduler::TaskId;
use pointsman_scheduler::record::{
    JobRecord, KeyRecord, QueueRecord, Snapshot, TaskAdded, TaskStatus, WorkerRecord,
};
use std::collections::BTreeMap;

/// Each list in the order of its ids.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub jobs: Vec<JobRecord>,
    pub added: Vec<TaskAdded>,
    pub statuses: BTreeMap<TaskId, TaskStatus>,
    pub workers: Vec<WorkerRecord>,
    pub queues: Vec<QueueRecord>,
    pub keys: Vec<KeyRecord>,
    pub last: LastIds,
    /// Rows that are there and cannot be read.
    pub bad: Vec<BadRow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadRow {
    pub table: Table,
    pub key: Key,
    /// As it was found.
    pub body: Vec<u8>,
    pub problem: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Job,
    Task,
    TaskStatus,
    Worker,
    Queue,
    IdempotencyKey,
}

impl Table {
    pub fn name(self) -> &'static str {
        match self {
            Table::Job => "job",
            Table::Task => "task",
            Table::TaskStatus => "task_status",
            Table::Worker => "worker",
            Table::Queue => "queue",
            Table::IdempotencyKey => "idempotency_key",
        }
    }
}

impl Parts {
    pub fn into_snapshot(self) -> Snapshot {
        let mut statuses = self.statuses;
        let with_status = |added: TaskAdded| {
            let fresh = || TaskStatus { next_attempt: 1, ..TaskStatus::default() };
            let status = statuses.remove(&added.id).unwrap_or_else(fresh);
            (added, status)
        };
        Snapshot {
            tasks: self.added.into_iter().map(with_status).collect(),
            jobs: self.jobs,
            workers: self.workers,
            queues: self.queues,
            keys: self.keys,
            last_job: self.last.job,
            last_task: self.last.task,
            last_worker: self.last.worker,
        }
    }
}
