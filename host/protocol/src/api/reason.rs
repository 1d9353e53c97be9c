//! Why a task waits, how an attempt ended and why a task ended: a stable code, a sentence, and the
//! numbers.

use super::Lookup;
use super::resources::AmountsView;
use crate::text;
use crate::timestamp::Timestamp;
use pointsman_scheduler::Time;
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::ids::{TaskId, WorkerId};
use pointsman_scheduler::record::{EndReason, Failure, Outcome};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Why a task waits.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ReasonView {
    #[schemars(extend("enum" = ReasonView::CODES))]
    pub code: Cow<'static, str>,
    pub text: String,
    /// What has to happen before it starts.
    pub starts_when: String,
    /// `dependencies`: those not yet succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<u32>,
    /// `backoff`, `restricted`; `worker_kept_free`, if it can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// `no_worker_can_ever_fit`, `no_capacity_now`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<AmountsView>,
    /// `no_worker_can_ever_fit`: the largest amounts of any worker, each on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub largest: Option<AmountsView>,
    /// `no_capacity_now`: the largest amounts free on any worker, each on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_free: Option<AmountsView>,
    /// `reserved_for`, `blocked_by_head`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[schemars(with = "Option<crate::schema::TaskIdText>")]
    pub task: Option<TaskId>,
    /// `worker_kept_free`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[schemars(with = "Option<crate::schema::WorkerIdText>")]
    pub worker: Option<WorkerId>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeView {
    /// `succeeded`, or the class of the failure.
    #[schemars(extend("enum" = OutcomeView::KINDS))]
    pub kind: Cow<'static, str>,
    /// `exit_code`: the code; `signal`: the signal's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// `start_failed`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Why a task ended in anything but SUCCEEDED.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct EndReasonView {
    #[schemars(extend("enum" = EndReasonView::CODES))]
    pub code: Cow<'static, str>,
    pub text: String,
    /// `failed`: the last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<OutcomeView>,
    /// `failed`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// `worker_losses_used_up`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<u32>,
    /// `upstream`: the task that ended first.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[schemars(with = "Option<crate::schema::TaskIdText>")]
    pub root: Option<TaskId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_name: Option<String>,
}

impl ReasonView {
    /// All that there are.
    pub const CODES: [&str; 12] = [
        "dependencies",
        "backoff",
        "paused",
        "quota",
        "no_worker_can_ever_fit",
        "no_constraint_match",
        "no_capacity_now",
        "restricted",
        "worker_kept_free",
        "reserved_for",
        "blocked_by_head",
        "next_round",
    ];

    pub fn new(reason: &Reason, lookup: &impl Lookup) -> ReasonView {
        let (text, starts_when) = sentences(reason, lookup);
        let mut view =
            ReasonView { code: reason.code().into(), text, starts_when, ..ReasonView::default() };
        match reason {
            Reason::Dependencies { left } => view.left = Some(*left),
            Reason::Backoff { until } | Reason::Restricted { until } => {
                view.until = Some(Timestamp(*until));
            }
            Reason::NoWorkerCanEverFit { asked, largest } => {
                view.asked = Some(asked.into());
                view.largest = Some(largest.into());
            }
            Reason::NoCapacityNow { asked, best_free } => {
                view.asked = Some(asked.into());
                view.best_free = Some(best_free.into());
            }
            Reason::WorkerKeptFree { worker, until } => {
                view.worker = Some(*worker);
                view.until = Some(Timestamp(*until)).filter(|_| *until != Time::NEVER);
            }
            Reason::ReservedFor { task } | Reason::BlockedByHead { task } => {
                view.task = Some(*task);
            }
            Reason::Paused | Reason::Quota | Reason::NoConstraintMatch | Reason::NextRound => {}
        }
        view
    }
}

/// Why it waits, and what would start it.
fn sentences(reason: &Reason, lookup: &impl Lookup) -> (String, String) {
    let named = |task: &TaskId| match lookup.task_name(*task) {
        Some(name) => format!("{task} ({name})"),
        None => task.to_string(),
    };
    match reason {
        Reason::Dependencies { left } => (
            format!("waits for {left} {}", if *left == 1 { "task" } else { "tasks" }),
            "all tasks it depends on have succeeded".to_owned(),
        ),
        Reason::Backoff { until } => (
            format!("waits until {} before it is tried again", Timestamp(*until)),
            "that time has come".to_owned(),
        ),
        Reason::Paused => ("its queue is paused".to_owned(), "the queue is resumed".to_owned()),
        Reason::Quota => (
            "its tenant holds as much as it may".to_owned(),
            "a task of that tenant ends, or its quota is raised".to_owned(),
        ),
        Reason::NoWorkerCanEverFit { asked, largest } => (
            format!(
                "no worker is large enough: {}",
                excess(&asked.into(), &largest.into(), "largest worker")
            ),
            "a larger worker joins".to_owned(),
        ),
        Reason::NoConstraintMatch => (
            "no worker that is large enough has the labels it requires".to_owned(),
            "a worker with those labels joins".to_owned(),
        ),
        Reason::NoCapacityNow { asked, best_free } => (
            format!(
                "no worker has room now: {}",
                excess(&asked.into(), &best_free.into(), "most free")
            ),
            "running tasks end, or another worker joins".to_owned(),
        ),
        Reason::Restricted { until } => (
            format!(
                "only workers with low scores fit, and each gets one start per interval until {}",
                Timestamp(*until)
            ),
            "that time has come, or a better worker has room".to_owned(),
        ),
        Reason::WorkerKeptFree { worker, until } => {
            let name = match lookup.worker_name(*worker) {
                Some(name) => format!("{worker} ({name})"),
                None => worker.to_string(),
            };
            let until = if *until == Time::NEVER {
                String::new()
            } else {
                format!(", by expectation at {}", Timestamp(*until))
            };
            (
                format!("others were started before it for too long: {name} is kept free for it"),
                format!("enough of what runs there has ended{until}"),
            )
        }
        Reason::ReservedFor { task } => (
            format!("the capacity it could use is reserved for {}", named(task)),
            "that task has started".to_owned(),
        ),
        Reason::BlockedByHead { task } => (
            format!("{} is before it in the queue and does not fit now", named(task)),
            "that task has started".to_owned(),
        ),
        Reason::NextRound => (
            "is considered in the next planning round".to_owned(),
            "the round runs, within moments".to_owned(),
        ),
    }
}

/// The amounts that are too large, like `cpu 64 > largest worker 4`; all of them if each one alone
/// would fit.
fn excess(asked: &AmountsView, limit: &AmountsView, limit_name: &str) -> String {
    let memory = crate::quantity::format_memory;
    let mut parts = Vec::new();
    if asked.cpu > limit.cpu {
        parts.push(format!("cpu {} > {limit_name} {}", asked.cpu, limit.cpu));
    }
    if asked.memory > limit.memory {
        parts.push(format!(
            "memory {} > {limit_name} {}",
            memory(asked.memory),
            memory(limit.memory)
        ));
    }
    if asked.gpu > limit.gpu {
        parts.push(format!("gpu {} > {limit_name} {}", asked.gpu, limit.gpu));
    }
    if parts.is_empty() { format!("{asked} together on one worker") } else { parts.join(", ") }
}

impl OutcomeView {
    /// All that there are.
    pub const KINDS: [&str; 10] = [
        "succeeded",
        "exit_code",
        "signal",
        "timeout",
        "out_of_memory",
        "worker_lost",
        "start_failed",
        "migrated",
        "preempted",
        "cancelled",
    ];

    fn plain(kind: &'static str) -> OutcomeView {
        OutcomeView { kind: kind.into(), code: None, message: None }
    }

    /// In words, like `exit code 1` or `killed by signal 9`.
    pub fn describe(&self) -> String {
        match (self.kind.as_ref(), self.code, &self.message) {
            ("exit_code", Some(code), _) => format!("exit code {code}"),
            ("signal", Some(code), _) => format!("killed by signal {code}"),
            ("start_failed", _, Some(message)) => format!("could not be started: {message}"),
            (kind, ..) => kind.replace('_', " "),
        }
    }
}

impl From<&Outcome> for OutcomeView {
    fn from(outcome: &Outcome) -> OutcomeView {
        match outcome {
            Outcome::Succeeded => OutcomeView::plain("succeeded"),
            Outcome::Failed(failure) => failure.into(),
        }
    }
}

impl From<&Failure> for OutcomeView {
    fn from(failure: &Failure) -> OutcomeView {
        match failure {
            Failure::ExitCode(code) => {
                OutcomeView { code: Some(*code), ..OutcomeView::plain("exit_code") }
            }
            Failure::Signal(code) => {
                OutcomeView { code: Some(*code), ..OutcomeView::plain("signal") }
            }
            Failure::Timeout => OutcomeView::plain("timeout"),
            Failure::OutOfMemory => OutcomeView::plain("out_of_memory"),
            Failure::WorkerLost => OutcomeView::plain("worker_lost"),
            Failure::StartFailed(message) => {
                OutcomeView { message: Some(message.clone()), ..OutcomeView::plain("start_failed") }
            }
            Failure::Migrated => OutcomeView::plain("migrated"),
            Failure::Preempted => OutcomeView::plain("preempted"),
            Failure::Cancelled => OutcomeView::plain("cancelled"),
        }
    }
}

impl EndReasonView {
    /// All that there are.
    pub const CODES: [&str; 5] = [
        "failed",
        "worker_losses_used_up",
        "upstream",
        "cancelled_by_request",
        "cancelled_by_policy",
    ];
}

impl From<&EndReason> for EndReasonView {
    fn from(reason: &EndReason) -> EndReasonView {
        match reason {
            EndReason::Failed { failure, attempts } => {
                let failure = OutcomeView::from(failure);
                let after =
                    if *attempts == 1 { "1 attempt" } else { &format!("{attempts} attempts") };
                EndReasonView {
                    code: "failed".into(),
                    text: format!("{} after {after}, no retry left", failure.describe()),
                    failure: Some(failure),
                    attempts: Some(*attempts),
                    ..EndReasonView::default()
                }
            }
            EndReason::WorkerLossesUsedUp { losses } => EndReasonView {
                code: "worker_losses_used_up".into(),
                text: format!(
                    "worker lost {losses} times while it ran, budget used up: suspected of killing workers"
                ),
                losses: Some(*losses),
                ..EndReasonView::default()
            },
            EndReason::Upstream { root, root_name } => EndReasonView {
                code: "upstream".into(),
                text: format!("{root} ({root_name}), which it depends on, did not succeed"),
                root: Some(*root),
                root_name: Some(root_name.clone()),
                ..EndReasonView::default()
            },
            EndReason::CancelledByRequest => EndReasonView {
                code: "cancelled_by_request".into(),
                text: "cancelled on request".to_owned(),
                ..EndReasonView::default()
            },
            EndReason::CancelledByPolicy { reason } => EndReasonView {
                code: "cancelled_by_policy".into(),
                text: format!("cancelled by the rescheduling policy: {reason}"),
                ..EndReasonView::default()
            },
        }
    }
}
