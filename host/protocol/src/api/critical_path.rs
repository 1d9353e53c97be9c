//! The longest chain of a job.

use super::state::WireTaskState;
use crate::text;
use crate::timestamp::Timestamp;
use pointsman_scheduler::ids::{JobId, TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest chain of a job by run times: what is over as it was, what runs as it is expected to go on,
/// what waits as it is expected. Milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CriticalPathView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::JobIdText")]
    pub job: JobId,
    pub at: Timestamp,
    /// The whole chain, what has run included.
    pub length_ms: f64,
    /// Of the longest chain of what is left: with room for everything at once, the job ends then.
    pub left_ms: f64,
    /// `at` and `left_ms`; absent once the job has ended, and for the one that never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected_finish: Option<Timestamp>,
    /// Open tasks whose expected run time nobody knows; they count 0.
    pub n_unknown: u64,
    pub n_on_path: u64,
    /// The chain from its first task on, then the other tasks, those with the least slack first; as many as
    /// were asked for.
    pub tasks: Vec<PathTaskView>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PathTaskView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::TaskIdText")]
    pub id: TaskId,
    pub name: String,
    pub state: WireTaskState,
    /// Of the last attempt.
    pub spent_ms: f64,
    pub left_ms: f64,
    /// By how much it could take longer before the chain gets longer.
    pub slack_ms: f64,
    pub is_on_path: bool,
}
