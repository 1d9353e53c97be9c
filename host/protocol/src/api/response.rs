//! What requests that change something are answered with, and pages of lists.

use super::state::WireTaskState;
use crate::text;
use pointsman_scheduler::ids::{JobId, TaskId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubmitResponse {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::JobIdText")]
    pub job: JobId,
    /// In the order of the submission.
    pub tasks: Vec<SubmittedTask>,
    /// The idempotency key was seen before: nothing new was created.
    #[serde(default)]
    pub repeated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubmittedTask {
    pub name: String,
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::TaskIdText")]
    pub id: TaskId,
}

/// The answer to cancelling one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelTaskResponse {
    /// After the request.
    pub state: WireTaskState,
    /// An attempt is current and has been told to stop; the task is CANCELLED when it has ended.
    pub stopping: bool,
}

/// The answer to cancelling a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelJobResponse {
    pub n_cancelled: u32,
    pub n_stopping: u32,
}

/// The answer to a retry by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetryResponse {
    /// The task and the SKIPPED ones that depend on it.
    pub n_revived: u32,
}

/// Without a cursor.
fn last_page() -> Option<String> {
    None
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    pub items: Vec<T>,
    /// For the parameter `cursor` of the next request; absent: this was the last page.
    #[serde(default = "last_page", skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl SubmitResponse {
    /// `names` and `ids` are those of the same tasks in the same order.
    pub fn new<'n>(
        job: JobId,
        names: impl IntoIterator<Item = &'n str>,
        ids: &[TaskId],
        repeated: bool,
    ) -> SubmitResponse {
        let named = names.into_iter().zip(ids);
        let tasks = named.map(|(name, id)| SubmittedTask { name: name.to_owned(), id: *id });
        SubmitResponse { job, tasks: tasks.collect(), repeated }
    }
}
