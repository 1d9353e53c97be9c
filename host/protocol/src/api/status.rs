//! The global table: which task is in which state on which worker, and when that was last heard of.

use super::job::Counts;
use super::state::{WireTaskState, WireWorkerState};
use crate::text;
use crate::timestamp::Timestamp;
use pointsman_scheduler::ids::{TaskId, WorkerId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusView {
    pub at: Timestamp,
    pub term: u64,
    /// Of all tasks that are kept.
    pub counts: Counts,
    pub n_workers_live: u64,
    pub n_workers: u64,
    /// Records of the store that could not be read, in this and in earlier starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAsideView>,
    /// What became of the configuration file since the start.
    #[serde(default)]
    pub config: ConfigStatus,
    /// Running tasks first, then waiting ones, then those that ended last; a part of them.
    pub tasks: Vec<StatusRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// The configuration file while the host runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ConfigStatus {
    /// Contents that were taken and refused.
    pub n_applied: u64,
    pub n_refused: u64,
    /// When a content was taken last; none since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Timestamp>,
    /// What keeps the file's content from being in force: the configuration taken before it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<ConfigRefusal>,
    /// Why its content cannot be had for the moment; it is looked at again soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// Keys, or tables of keys, that were taken and take effect at the next start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_next_start: Vec<String>,
}

/// A content of the configuration file that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigRefusal {
    pub at: Timestamp,
    /// All that is wrong, as people are told: a line each.
    pub text: String,
    pub errors: Vec<ConfigProblem>,
}

/// One thing that is wrong with the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigProblem {
    pub file: String,
    /// From 1; none where there is no place, as for a file that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// Like `heartbeat.interval`; none if the whole file is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    pub problem: String,
    pub remedy: String,
}

/// A record that could not be read, and what became of what it stood for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetAsideView {
    /// When it was noticed.
    pub at: String,
    /// Of record: `task`, `task_status`, `job`, `worker`, `queue`, `idempotency_key`.
    pub kind: String,
    pub key: String,
    pub problem: String,
    pub outcome: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusRow {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::TaskIdText")]
    pub task: TaskId,
    pub name: String,
    pub status: WireTaskState,
    /// Where it is assigned or running, or ran last.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[schemars(with = "Option<crate::schema::WorkerIdText>")]
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

/// The configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigView {
    /// Every key with its value in force, as it would be written.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub effective: serde_json::Value,
    /// What is wrong with the file, if it is not what is in force.
    pub refused: Option<String>,
}
