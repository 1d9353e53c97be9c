//! The global table: which task is in which state on which worker, and when that was last heard of.

use super::job::Counts;
use super::state::{WireTaskState, WireWorkerState};
use crate::text;
use crate::timestamp::Timestamp;
use pointsman_scheduler::ids::{TaskId, WorkerId};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    pub at: Timestamp,
    pub term: u64,
    /// Of all tasks that are kept.
    pub counts: Counts,
    pub n_workers_live: u64,
    pub n_workers: u64,
    /// Running tasks first, then waiting ones, then those that ended last; a part of them.
    pub tasks: Vec<StatusRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusRow {
    #[serde(with = "text")]
    pub task: TaskId,
    pub name: String,
    pub status: WireTaskState,
    /// Where it is assigned or running, or ran last.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    pub worker: Option<WorkerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_state: Option<WireWorkerState>,
    /// Of that worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat: Option<Timestamp>,
    /// The code of the reason why it waits, or of why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
}
