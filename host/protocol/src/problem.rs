//! Errors of the API as `application/problem+json`: a stable code, the field, and what to do.

use crate::field::FieldError;
use pointsman_scheduler::Refusal;
use pointsman_scheduler::graph::GraphError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

pub const CONTENT_TYPE: &str = "application/problem+json";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    #[serde(rename = "type", default = "about_blank")]
    pub kind: Cow<'static, str>,
    /// The status in words.
    pub title: Cow<'static, str>,
    pub status: u16,
    /// Stable: programs tell problems apart by it.
    pub code: Cow<'static, str>,
    /// What happened, for people.
    pub detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Seconds; also sent as the header Retry-After.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

/// Seconds after which a full queue or a failing store may be tried again.
const RETRY_AFTER: u32 = 5;

fn about_blank() -> Cow<'static, str> {
    Cow::Borrowed("about:blank")
}

impl Problem {
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem {
            kind: about_blank(),
            title: Cow::Borrowed(title(status)),
            status,
            code: Cow::Borrowed(code),
            detail: detail.into(),
            field: None,
            remedy: None,
            retry_after: None,
        }
    }

    #[must_use]
    pub fn with_field(self, field: impl Into<String>) -> Problem {
        Problem { field: Some(field.into()), ..self }
    }

    #[must_use]
    pub fn with_remedy(self, remedy: impl Into<String>) -> Problem {
        Problem { remedy: Some(remedy.into()), ..self }
    }

    #[must_use]
    pub fn with_retry_after(self, seconds: u32) -> Problem {
        Problem { retry_after: Some(seconds), ..self }
    }

    /// A parameter of the path or query that cannot be taken.
    pub fn bad_parameter(name: &str, detail: impl fmt::Display) -> Problem {
        Problem::new(400, "bad_parameter", format!("{name}: {detail}")).with_field(name)
    }

    /// The store cannot take anything now; the request had no effect.
    pub fn store_unavailable(detail: impl Into<String>) -> Problem {
        Problem::new(503, "store_unavailable", detail)
            .with_remedy("nothing was changed; try again later")
            .with_retry_after(RETRY_AFTER)
    }

    /// The store failed while the request was being written: nobody knows whether it counts.
    pub fn outcome_unknown() -> Problem {
        Problem::new(503, "outcome_unknown", "the store failed while this was being written")
            .with_remedy("repeat the request with the same Idempotency-Key: it is not done twice")
            .with_retry_after(RETRY_AFTER)
    }

    /// A refused submission: a queue it names is one of its fields.
    pub fn submission_refused(refusal: &Refusal) -> Problem {
        match refusal {
            Refusal::UnknownQueue(_) => Problem::new(422, "unknown_queue", refusal.to_string())
                .with_field("queue")
                .with_remedy("name a queue of the configuration, or leave the key out"),
            other => Problem::from(other),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Problem {
        Problem::new(422, "invalid_field", format!("{}: {}", error.field, error.problem))
            .with_field(error.field)
            .with_remedy(error.remedy)
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Problem {
        let problem = |status, code| Problem::new(status, code, refusal.to_string());
        match refusal {
            Refusal::Graph(error) => Problem::from(error),
            Refusal::NameInUse { .. } => problem(409, "name_in_use").with_field("task_name"),
            Refusal::UnknownTask(_) => problem(404, "unknown_task"),
            Refusal::UnknownJob(_) => problem(404, "unknown_job"),
            Refusal::UnknownWorker(_) => problem(404, "unknown_worker"),
            Refusal::UnknownQueue(_) => problem(404, "unknown_queue"),
            Refusal::NotRetryable { .. } => problem(409, "not_retryable"),
            Refusal::UpstreamEnded { .. } => problem(409, "upstream_ended"),
            Refusal::QueueFull { .. } => {
                problem(429, "queue_full").with_field("queue").with_retry_after(RETRY_AFTER)
            }
            Refusal::KeyReused { .. } => problem(409, "idempotency_key_reused")
                .with_field("Idempotency-Key")
                .with_remedy("use a new key for a new request"),
            Refusal::WorkerNameTaken { .. } => problem(409, "worker_name_taken")
                .with_field("name")
                .with_remedy("give the worker another name, or stop the other one"),
            Refusal::OldLife => problem(409, "old_life"),
            Refusal::OldRegistration => problem(409, "old_registration"),
        }
    }
}

impl From<&GraphError> for Problem {
    fn from(error: &GraphError) -> Problem {
        let problem = |code| Problem::new(422, code, error.to_string());
        match error {
            GraphError::Empty => problem("empty_job").with_field("tasks"),
            GraphError::DuplicateName { second, .. } => {
                problem("duplicate_name").with_field(format!("tasks[{second}].task_name"))
            }
            GraphError::UnknownDependency { position, .. } => {
                problem("unknown_dependency").with_field(format!("tasks[{position}].dependencies"))
            }
            GraphError::Cycle { .. } => problem("dependency_cycle")
                .with_field("tasks")
                .with_remedy("remove one of these dependencies"),
        }
    }
}

/// The status in words, for those the API uses.
fn title(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        507 => "Insufficient Storage",
        _ => "Error",
    }
}
