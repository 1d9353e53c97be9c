//! Tasks with their attempts.

use super::Lookup;
use super::policy::StampView;
use super::reason::{EndReasonView, OutcomeView, ReasonView};
use super::resources::{AmountsView, Written};
use super::state::WireTaskState;
use crate::duration::format_duration;
use crate::text;
use crate::timestamp::Timestamp;
use crate::worker::WireOnDisconnect;
use pointsman_scheduler::event::Feedback;
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::ids::{JobId, TaskId, WorkerId};
use pointsman_scheduler::record::{Attempt, Decision, TaskAdded, TaskStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A task, as a row of a list or whole: a row leaves out `script`, `env` and all attempts but the
/// last, and shows at most [`ROW_DEPENDENCIES_MAX`] dependencies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::TaskIdText")]
    pub id: TaskId,
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::JobIdText")]
    pub job: JobId,
    pub name: String,
    pub state: WireTaskState,
    pub queue: String,
    pub tenant: String,
    pub priority: i32,
    /// Raised by a rescheduling policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised_priority: Option<i32>,
    /// As submitted.
    pub resources: Written,
    /// What that means.
    pub amounts: AmountsView,
    pub n_dependencies: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<DependencyView>,
    pub submitted: Timestamp,
    /// When it became ready the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_since: Option<Timestamp>,
    /// Not tried again before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// Why it waits, in PENDING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonView>,
    /// Why it ended in anything but SUCCEEDED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReasonView>,
    /// An attempt is current and was told to stop.
    #[serde(default)]
    pub cancel_requested: bool,
    /// Where it is assigned or running.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[schemars(with = "Option<crate::schema::WorkerIdText>")]
    pub worker: Option<WorkerId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<String>,
    /// What the running attempt last reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<FeedbackView>,
    pub retries_used: u32,
    pub losses_used: u32,
    /// Oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// As submitted; absent: as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_worker_losses: Option<u32>,
    pub on_disconnect: WireOnDisconnect,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requires: BTreeMap<String, String>,
    /// The trace it belongs to: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-f]{32}$"))]
    pub trace_id: Option<String>,
}

/// Dependencies that a row of a list shows.
pub const ROW_DEPENDENCIES_MAX: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DependencyView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::TaskIdText")]
    pub id: TaskId,
    pub name: String,
    /// Absent if the task is not kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<WireTaskState>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptView {
    pub number: u32,
    pub term: u64,
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::WorkerIdText")]
    pub worker: WorkerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<String>,
    /// Indexes of the devices it holds or held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<u16>,
    pub assigned: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeView>,
    pub decision: DecisionView,
}

/// By which policies the attempt was placed, and how the worker scored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionView {
    pub scoring: StampView,
    pub queue: StampView,
    /// In [0, 1].
    pub score: f64,
    /// The best other worker that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<SecondChoice>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecondChoice {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::WorkerIdText")]
    pub worker: WorkerId,
    pub score: f64,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct FeedbackView {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// In [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// Since process start.
    pub duration_ms: u64,
    /// Cores in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_usage: Option<f64>,
    /// Megabytes (10^6 bytes) resident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<f64>,
}

/// What is known of a task apart from its records.
#[derive(Debug, Clone, Copy, Default)]
pub struct TaskExtras<'a> {
    pub reason: Option<&'a Reason>,
    pub feedback: Option<&'a Feedback>,
}

impl TaskView {
    /// A row of a list or an event.
    pub fn row(
        added: &TaskAdded,
        status: &TaskStatus,
        extras: TaskExtras<'_>,
        lookup: &impl Lookup,
    ) -> TaskView {
        let spec = &*added.spec;
        let current = status.current();
        let worker = current.map(|attempt| attempt.worker);
        let named = added.dependencies.iter().zip(&spec.dependencies);
        let dependencies = named.take(ROW_DEPENDENCIES_MAX);
        TaskView {
            id: added.id,
            job: added.job,
            name: spec.name.clone(),
            state: status.state.into(),
            queue: spec.queue.to_string(),
            tenant: spec.tenant.to_string(),
            priority: spec.priority,
            raised_priority: status.raised_priority,
            resources: Written::resources(spec),
            amounts: AmountsView::from(&spec.request),
            n_dependencies: added.dependencies.len() as u64,
            dependencies: dependencies.map(|it| DependencyView::new(it, lookup)).collect(),
            submitted: added.submitted.into(),
            ready_since: status.ready_since.map(Timestamp),
            not_before: status.not_before.map(Timestamp),
            ended: status.ended.map(Timestamp),
            reason: extras.reason.map(|reason| ReasonView::new(reason, lookup)),
            end_reason: status.end_reason.as_deref().map(EndReasonView::from),
            cancel_requested: status.cancel_requested,
            worker,
            worker_name: worker.and_then(|worker| lookup.worker_name(worker)),
            feedback: extras.feedback.map(FeedbackView::from),
            retries_used: status.retries_used,
            losses_used: status.losses_used,
            attempts: status
                .attempts
                .last()
                .map(|it| AttemptView::new(it, lookup))
                .into_iter()
                .collect(),
            script: None,
            env: BTreeMap::new(),
            workdir: spec.workdir.as_deref().map(str::to_owned),
            timeout: spec.timeout.map(format_duration),
            expected: spec.expected.map(format_duration),
            max_retries: spec.max_retries,
            max_worker_losses: spec.max_worker_losses,
            on_disconnect: spec.on_disconnect.into(),
            labels: (*spec.labels).clone(),
            requires: (*spec.requires).clone(),
            trace_id: spec.trace.as_ref().map(|trace| format!("{:032x}", trace.trace_id)),
        }
    }

    /// Everything about one task.
    pub fn whole(
        added: &TaskAdded,
        status: &TaskStatus,
        extras: TaskExtras<'_>,
        lookup: &impl Lookup,
    ) -> TaskView {
        let spec = &*added.spec;
        let dependencies = added.dependencies.iter().zip(&spec.dependencies);
        TaskView {
            dependencies: dependencies.map(|it| DependencyView::new(it, lookup)).collect(),
            attempts: status.attempts.iter().map(|it| AttemptView::new(it, lookup)).collect(),
            script: Some(spec.script.to_string()),
            env: (*spec.env).clone(),
            ..TaskView::row(added, status, extras, lookup)
        }
    }
}

impl DependencyView {
    fn new((id, name): (&TaskId, &String), lookup: &impl Lookup) -> DependencyView {
        let state = lookup.task_state(*id).map(WireTaskState::from);
        DependencyView { id: *id, name: name.clone(), state }
    }
}

impl AttemptView {
    pub fn new(attempt: &Attempt, lookup: &impl Lookup) -> AttemptView {
        AttemptView {
            number: attempt.number,
            term: attempt.term.0,
            worker: attempt.worker,
            worker_name: lookup.worker_name(attempt.worker),
            devices: attempt.devices.indexes.clone(),
            assigned: attempt.assigned.into(),
            started: attempt.started.map(Timestamp),
            ended: attempt.ended.map(Timestamp),
            outcome: attempt.outcome.as_ref().map(OutcomeView::from),
            decision: DecisionView::from(&attempt.decision),
        }
    }
}

impl From<&Decision> for DecisionView {
    fn from(decision: &Decision) -> DecisionView {
        DecisionView {
            scoring: decision.scoring.into(),
            queue: decision.queue.into(),
            score: decision.score,
            second: decision.second.map(|(worker, score)| SecondChoice { worker, score }),
        }
    }
}

impl From<&Feedback> for FeedbackView {
    fn from(feedback: &Feedback) -> FeedbackView {
        FeedbackView {
            phase: feedback.phase.clone(),
            progress: feedback.progress,
            duration_ms: feedback.duration_ms,
            cpu_usage: feedback.cpu_usage,
            memory_mb: feedback.memory_mb,
        }
    }
}
