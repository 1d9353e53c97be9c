//! Queues.

use super::state::WireDiscipline;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QueueView {
    pub name: String,
    pub paused: bool,
    /// Tasks in PENDING.
    pub pending: u64,
    /// Tasks in ASSIGNED and RUNNING.
    pub placed: u64,
    /// Tasks not yet ended at most; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// As configured; absent: as the queue policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discipline: Option<WireDiscipline>,
}
