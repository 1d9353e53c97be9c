//! Why a task waits, or why it could be where: per worker the obstacle, or the score.

use super::Lookup;
use super::policy::StampView;
use super::reason::ReasonView;
use super::resources::AmountsView;
use super::state::WireTaskState;
use crate::text;
use crate::timestamp::Timestamp;
use pointsman_scheduler::explain::{Explanation, Verdict, WorkerVerdict};
use pointsman_scheduler::ids::{TaskId, WorkerId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExplanationView {
    #[serde(with = "text")]
    pub task: TaskId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub state: WireTaskState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonView>,
    /// Place in its queue, 1 is next, counted up to 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<u32>,
    pub queue_policy: StampView,
    pub scoring_policy: StampView,
    /// Up to 1,000, in id order.
    pub workers: Vec<VerdictView>,
    /// Why the scores of some workers are not taken apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_missing: Option<String>,
    /// Dependencies not yet succeeded, up to 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::list")]
    pub waits_for: Vec<TaskId>,
}

/// What speaks for or against one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictView {
    #[serde(with = "text")]
    pub worker: WorkerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<String>,
    /// `fits`, `not_live`, `draining`, `missing_labels`, `too_small` or `no_capacity_now`.
    pub verdict: Cow<'static, str>,
    pub text: String,
    /// `fits`: in [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// `fits`: what the score is made of, if the policy tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<(String, f64)>,
    /// `missing_labels`
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<String, String>,
    /// `too_small`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<AmountsView>,
    /// `no_capacity_now`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<AmountsView>,
}

impl ExplanationView {
    /// `terms` gives what a fitting worker's score is made of; it is shown the verdict's columns.
    pub fn new(
        explanation: &Explanation,
        lookup: &impl Lookup,
        mut terms: impl FnMut(&WorkerVerdict) -> Vec<(String, f64)>,
    ) -> ExplanationView {
        let verdict = |it: &WorkerVerdict| VerdictView { terms: terms(it), ..view(it, lookup) };
        ExplanationView {
            task: explanation.task,
            name: lookup.task_name(explanation.task),
            state: explanation.state.into(),
            reason: explanation.reason.as_ref().map(|reason| ReasonView::new(reason, lookup)),
            queue_position: explanation.queue_position,
            queue_policy: explanation.queue_policy.into(),
            scoring_policy: explanation.scoring_policy.into(),
            workers: explanation.workers.iter().map(verdict).collect(),
            terms_missing: None,
            waits_for: explanation.waits_for.clone(),
        }
    }
}

fn view(verdict: &WorkerVerdict, lookup: &impl Lookup) -> VerdictView {
    let mut view = VerdictView {
        worker: verdict.worker,
        worker_name: lookup.worker_name(verdict.worker),
        verdict: "fits".into(),
        text: String::new(),
        score: None,
        terms: Vec::new(),
        missing: BTreeMap::new(),
        capacity: None,
        free: None,
    };
    match &verdict.verdict {
        Verdict::Fits { score, task_columns: _, worker_columns: _ } => {
            view.text = format!("it would fit, with score {score:.3}");
            view.score = Some(*score);
        }
        Verdict::NotLive => {
            view.verdict = "not_live".into();
            view.text = "the worker does not answer".to_owned();
        }
        Verdict::Draining => {
            view.verdict = "draining".into();
            view.text = "the worker takes no new work".to_owned();
        }
        Verdict::Quarantined { until } => {
            view.verdict = "quarantined".into();
            view.text = format!(
                "the worker failed one attempt after the other and gets no work until {}",
                Timestamp(*until)
            );
        }
        Verdict::MissingLabels { missing } => {
            let labels: Vec<String> =
                missing.iter().map(|(key, value)| format!("{key}={value}")).collect();
            view.verdict = "missing_labels".into();
            view.text = format!("the worker lacks {}", labels.join(", "));
            view.missing = missing.iter().cloned().collect();
        }
        Verdict::TooSmall { capacity } => {
            let capacity = AmountsView::from(capacity);
            view.verdict = "too_small".into();
            view.text = format!("even empty, the worker has only {capacity}");
            view.capacity = Some(capacity);
        }
        Verdict::NoCapacityNow { free } => {
            let free = AmountsView::from(free);
            view.verdict = "no_capacity_now".into();
            view.text = format!("only {free} is free now");
            view.free = Some(free);
        }
    }
    view
}
