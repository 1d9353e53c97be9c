//! The functions of one instance, in the shapes of the contract of today, whatever version the policy
//! is made for. An answer is passed on as it is; checking it is [`crate::instance`]'s.

use crate::bindings::explained_scoring::exports::pointsman::policy::explanation;
use crate::bindings::forecasting::ForecastingPolicy;
use crate::bindings::queue::QueuePolicy;
use crate::bindings::rescheduling::ReschedulingPolicy;
use crate::bindings::scoring::ScoringPolicy;
use crate::bindings::types::{Manifest, Proposal};
use crate::guest::Guest;
use pointsman_scheduler::Slot;
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

/// What a call gave: a failure of the engine, an error of the policy's own, or an answer.
pub(crate) type Called<T> = wasmtime::Result<Result<T, String>>;

/// What can be called. An instance has `configure` and what its slot has; the rest is never asked
/// for.
pub(crate) trait Calls: Send {
    fn configure(&self, store: &mut Store<Guest>, config: &str) -> Called<Manifest>;

    fn score(
        &self,
        _store: &mut Store<Guest>,
        _task: &[f64],
        _workers: &[Vec<f64>],
    ) -> Called<Vec<f64>> {
        unreachable!("only scoring policies are asked for scores")
    }

    /// None: it does not export `explanation`.
    fn explain(
        &self,
        _store: &mut Store<Guest>,
        _task: &[f64],
        _workers: &[Vec<f64>],
        _row: u32,
    ) -> Option<Called<Vec<(String, f64)>>> {
        None
    }

    fn rank(
        &self,
        _store: &mut Store<Guest>,
        _now_ms: f64,
        _tasks: &[Vec<f64>],
    ) -> Called<Vec<f64>> {
        unreachable!("only queue policies are asked for ranks")
    }

    fn review(
        &self,
        _store: &mut Store<Guest>,
        _now_ms: f64,
        _tasks: &[Vec<f64>],
        _on_worker: &[u32],
        _workers: &[Vec<f64>],
    ) -> Called<Vec<Proposal>> {
        unreachable!("only rescheduling policies are asked for proposals")
    }

    fn forecast(&self, _store: &mut Store<Guest>, _workers: &[Vec<f64>]) -> Called<Vec<Vec<f64>>> {
        unreachable!("only forecasting policies are asked for forecasts")
    }
}

/// The functions of `instance`, which is made for `slot` of the contract of today.
///
/// # Errors
/// One is missing, or of another type.
pub(crate) fn link(
    slot: Slot,
    pre: &InstancePre<Guest>,
    instance: &Instance,
    store: &mut Store<Guest>,
) -> wasmtime::Result<Box<dyn Calls>> {
    Ok(match slot {
        Slot::Scoring => {
            let calls = ScoringPolicy::new(&mut *store, instance)?;
            let explanation = match explanation::GuestIndices::new(pre) {
                Ok(indices) => Some(indices.load(&mut *store, instance)?),
                Err(_) => None,
            };
            Box::new(Scoring { calls, explanation })
        }
        Slot::Queue => Box::new(QueuePolicy::new(&mut *store, instance)?),
        Slot::Rescheduling => Box::new(ReschedulingPolicy::new(&mut *store, instance)?),
        Slot::Forecasting => Box::new(ForecastingPolicy::new(&mut *store, instance)?),
    })
}

struct Scoring {
    calls: ScoringPolicy,
    explanation: Option<explanation::Guest>,
}

impl Calls for Scoring {
    fn configure(&self, store: &mut Store<Guest>, config: &str) -> Called<Manifest> {
        self.calls.pointsman_policy_lifecycle().call_configure(store, config)
    }

    fn score(
        &self,
        store: &mut Store<Guest>,
        task: &[f64],
        workers: &[Vec<f64>],
    ) -> Called<Vec<f64>> {
        self.calls.pointsman_policy_scoring().call_score(store, task, workers)
    }

    fn explain(
        &self,
        store: &mut Store<Guest>,
        task: &[f64],
        workers: &[Vec<f64>],
        row: u32,
    ) -> Option<Called<Vec<(String, f64)>>> {
        Some(self.explanation.as_ref()?.call_explain(store, task, workers, row))
    }
}

impl Calls for QueuePolicy {
    fn configure(&self, store: &mut Store<Guest>, config: &str) -> Called<Manifest> {
        self.pointsman_policy_lifecycle().call_configure(store, config)
    }

    fn rank(&self, store: &mut Store<Guest>, now_ms: f64, tasks: &[Vec<f64>]) -> Called<Vec<f64>> {
        self.pointsman_policy_queue().call_rank(store, now_ms, tasks)
    }
}

impl Calls for ReschedulingPolicy {
    fn configure(&self, store: &mut Store<Guest>, config: &str) -> Called<Manifest> {
        self.pointsman_policy_lifecycle().call_configure(store, config)
    }

    fn review(
        &self,
        store: &mut Store<Guest>,
        now_ms: f64,
        tasks: &[Vec<f64>],
        on_worker: &[u32],
        workers: &[Vec<f64>],
    ) -> Called<Vec<Proposal>> {
        let calls = self.pointsman_policy_rescheduling();
        calls.call_review(store, now_ms, tasks, on_worker, workers)
    }
}

impl Calls for ForecastingPolicy {
    fn configure(&self, store: &mut Store<Guest>, config: &str) -> Called<Manifest> {
        self.pointsman_policy_lifecycle().call_configure(store, config)
    }

    fn forecast(&self, store: &mut Store<Guest>, workers: &[Vec<f64>]) -> Called<Vec<Vec<f64>>> {
        self.pointsman_policy_forecasting().call_forecast(store, workers)
    }
}
