//! Why a task waits, or why it could be where: per worker the obstacle, or the score.

use super::Lookup;
use super::policy::StampView;
use super::reason::ReasonView;
use super::resources::AmountsView;
use super::state::WireTaskState;
use crate::text;
use crate::timestamp::Timestamp;
use pointsman_scheduler::explain::{Explanation, Placed, Standings, Verdict, WorkerVerdict};
use pointsman_scheduler::ids::{TaskId, WorkerId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExplanationView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::TaskIdText")]
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
    #[schemars(with = "Vec<crate::schema::TaskIdText>")]
    pub waits_for: Vec<TaskId>,
    /// Why its last attempt is or was where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<PlacedView>,
}

/// Why an attempt was placed where it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlacedView {
    pub attempt: u32,
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::WorkerIdText")]
    pub worker: WorkerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<String>,
    pub at: Timestamp,
    pub text: String,
    /// In [0, 1].
    pub score: f64,
    /// What the score is made of, if the policy tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<(String, f64)>,
    /// Why it is not taken apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_missing: Option<String>,
    pub queue_policy: StampView,
    pub scoring_policy: StampView,
    /// The best other worker that could have taken it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<SecondView>,
}

/// What came second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SecondView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::WorkerIdText")]
    pub worker: WorkerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<String>,
    /// In [0, 1].
    pub score: f64,
    /// As of the chosen one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<(String, f64)>,
}

/// How the scoring policy sees each worker, for a task like the one placed last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StandingsView {
    pub at: Timestamp,
    pub policy: StampView,
    /// The policy's scores stand for bands: `preferred` from 0.8, `restricted` below 0.5, else `normal`.
    pub banded: bool,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
    #[schemars(with = "Option<crate::schema::TaskIdText>")]
    pub task: Option<TaskId>,
    /// Up to 1,000, in id order; `fits` says only that it takes work, be it full or not.
    pub workers: Vec<StandingView>,
    /// Why the scores of some workers are not taken apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms_missing: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StandingView {
    #[serde(flatten)]
    pub verdict: VerdictView,
    /// If the policy is banded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<Cow<'static, str>>,
}

/// What speaks for or against one worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::WorkerIdText")]
    pub worker: WorkerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker_name: Option<String>,
    /// The obstacle, or `fits`.
    #[schemars(extend("enum" = VerdictView::VERDICTS))]
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

impl VerdictView {
    /// All that there are.
    pub const VERDICTS: [&str; 7] = [
        "fits",
        "not_live",
        "draining",
        "quarantined",
        "missing_labels",
        "too_small",
        "no_capacity_now",
    ];
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
            placed: explanation.placed.as_ref().map(|placed| PlacedView::new(placed, lookup)),
        }
    }
}

impl PlacedView {
    /// Without terms.
    pub fn new(placed: &Placed, lookup: &impl Lookup) -> PlacedView {
        let attempt = &placed.attempt;
        let decision = &attempt.decision;
        let name = |worker| lookup.worker_name(worker).unwrap_or_else(|| format!("{worker}"));
        let second = decision.second.map(|(worker, score)| SecondView {
            worker,
            worker_name: lookup.worker_name(worker),
            score,
            terms: Vec::new(),
        });
        let chosen = name(attempt.worker);
        let text = match decision.second {
            // A task that failed there is not tried there again while there is another.
            Some((other, score)) if score > decision.score => format!(
                "attempt {} went to {chosen}, which scored {:.3}; {} scored {score:.3}, but the attempt before failed there",
                attempt.number,
                decision.score,
                name(other),
            ),
            Some((other, score)) => format!(
                "attempt {} went to {chosen}, which scored {:.3}; second came {} with {score:.3}",
                attempt.number,
                decision.score,
                name(other),
            ),
            None => format!(
                "attempt {} went to {chosen}, which scored {:.3}; no other worker could take it",
                attempt.number, decision.score,
            ),
        };
        PlacedView {
            attempt: attempt.number,
            worker: attempt.worker,
            worker_name: lookup.worker_name(attempt.worker),
            at: attempt.assigned.into(),
            text,
            score: decision.score,
            terms: Vec::new(),
            terms_missing: None,
            queue_policy: decision.queue.into(),
            scoring_policy: decision.scoring.into(),
            second,
        }
    }
}

impl StandingsView {
    /// `terms` as in [`ExplanationView::new`].
    pub fn new(
        at: Timestamp,
        standings: &Standings,
        lookup: &impl Lookup,
        mut terms: impl FnMut(&WorkerVerdict) -> Vec<(String, f64)>,
    ) -> StandingsView {
        let standing = |it: &WorkerVerdict| {
            let mut verdict = VerdictView { terms: terms(it), ..view(it, lookup) };
            if let Some(score) = verdict.score {
                verdict.text = format!("score {score:.3}");
            }
            let band = verdict.score.filter(|_| standings.is_banded).map(|score| match score {
                0.8.. => "preferred".into(),
                0.5.. => "normal".into(),
                _ => "restricted".into(),
            });
            StandingView { verdict, band }
        };
        StandingsView {
            at,
            policy: standings.policy.into(),
            banded: standings.is_banded,
            task: standings.task,
            workers: standings.workers.iter().map(standing).collect(),
            terms_missing: None,
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
