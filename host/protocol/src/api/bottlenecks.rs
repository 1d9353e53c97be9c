//! Where work is held up: workers near their limit, and stages of tasks' lives that take long.

use crate::text;
use crate::timestamp::Timestamp;
use pointsman_scheduler::ids::{TaskId, WorkerId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BottlenecksView {
    pub at: Timestamp,
    /// How far back the stages look.
    pub window_ms: u64,
    /// Those above their threshold, busiest first.
    pub workers: Vec<BusyWorkerView>,
    /// All three, in the order of a task's life.
    pub stages: Vec<StageView>,
}

/// A worker whose processors are nearly used up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BusyWorkerView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::WorkerIdText")]
    pub worker: WorkerId,
    pub worker_name: String,
    /// Of its processors, in [0, 1], as measured last.
    pub cpu: f64,
    pub threshold: f64,
    /// What runs there, up to 20.
    pub tasks: Vec<NamedTask>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamedTask {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::TaskIdText")]
    pub id: TaskId,
    pub name: String,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// From ready to placed; of tasks that still wait: until now.
    QueueWait,
    /// From placed to started.
    Dispatch,
    /// From started to ended.
    Run,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageView {
    pub stage: Stage,
    /// Tasks that were looked at.
    pub n: u64,
    /// Absent where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    pub threshold_ms: f64,
    /// `p99_ms` is above the threshold.
    pub exceeded: bool,
    /// The slowest, up to 10, if the threshold is exceeded.
    pub tasks: Vec<SlowTaskView>,
    /// On which workers those above the threshold were, most of them first, up to 10.
    pub workers: Vec<SlowWorkerView>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlowTaskView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::TaskIdText")]
    pub id: TaskId,
    pub name: String,
    pub ms: f64,
    /// Absent for one that waits.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[schemars(with = "Option<crate::schema::WorkerIdText>")]
    pub worker: Option<WorkerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SlowWorkerView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::WorkerIdText")]
    pub worker: WorkerId,
    pub worker_name: String,
    /// Of those above the threshold.
    pub n: u64,
}

/// What an alert is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    WorkerCpu,
    QueueWait,
    Dispatch,
    Run,
}

impl From<Stage> for AlertKind {
    fn from(stage: Stage) -> AlertKind {
        match stage {
            Stage::QueueWait => AlertKind::QueueWait,
            Stage::Dispatch => AlertKind::Dispatch,
            Stage::Run => AlertKind::Run,
        }
    }
}
