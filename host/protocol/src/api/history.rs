//! What was measured and reported over time, row by row.

use super::task::FeedbackView;
use crate::text;
use crate::timestamp::Timestamp;
use crate::worker::WireMeasurements;
use pointsman_scheduler::ids::TaskId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a worker measured of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MeasurementRow {
    /// When the host took it in.
    pub at: Timestamp,
    /// As it was named then; ids may be forgotten, and names are given again.
    pub worker_name: String,
    #[serde(default)]
    pub measurements: WireMeasurements,
}

/// What a running task reported of itself, or its worker measured of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FeedbackRow {
    /// When the host took it in.
    pub at: Timestamp,
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::TaskIdText")]
    pub task: TaskId,
    pub task_name: String,
    /// Counted from 1.
    pub attempt: u32,
    /// Absent: the worker was not known any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<String>,
    pub feedback: FeedbackView,
}
