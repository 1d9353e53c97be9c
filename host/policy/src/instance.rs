//! One instance of a guest in a store of its own, and the calls into it. Limits are set before
//! every entry. After any failure the store is to be dropped: its memory may be half changed.

use crate::answer::{check_ranks, check_scores, check_terms};
use crate::assets::Assets;
use crate::bindings::types::Manifest;
use crate::calls::Calls;
use crate::convert;
use crate::engine::PolicyEngine;
use crate::failure::{Failure, FailureKind};
use crate::forecaster::{ForecastingProfile, check_forecasts};
use crate::guest::{Guest, cut};
use crate::limits::{Limits, Metering};
use crate::spoken::Spoken;
use crate::stats::Stats;
use pointsman_scheduler::Slot;
use pointsman_scheduler::policies::Proposal;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};

/// A guest's own error text is cut at this many characters.
const MAX_ERROR: usize = 1_000;

/// What instances are made of.
#[derive(Clone)]
pub(crate) struct Artefact {
    pub engine: PolicyEngine,
    pub pre: InstancePre<Guest>,
    pub slot: Slot,
    /// The version of the contract that it is made for.
    pub spoken: Spoken,
    pub config: Arc<str>,
    pub assets: Assets,
    pub limits: Limits,
    /// Shown in log lines of the guest.
    pub label: Arc<str>,
    /// Instances take so long to start that they are not started on the driver's thread.
    pub starts_slowly: bool,
}

/// A configured guest.
pub(crate) struct Instance {
    store: Store<Guest>,
    calls: Box<dyn Calls>,
    engine: PolicyEngine,
    limits: Limits,
    n_calls: u32,
    /// Bytes of linear memory from which on it is replaced: half of what it could still grow by when it
    /// was new. What leaks slowly never reaches the limit.
    worn_memory: usize,
    /// The first call; None also where age does not matter.
    first_call: Option<Instant>,
}

impl Instance {
    /// Instantiates and configures. Also answers what `configure` answered.
    pub fn start(artefact: &Artefact, stats: &Arc<Stats>) -> Result<(Instance, Manifest), Failure> {
        let limits = artefact.limits;
        let assets = artefact.assets.clone();
        let guest = Guest::new(artefact.label.clone(), stats.clone(), assets, &limits);
        let mut store = Store::new(artefact.engine.raw(), guest);
        store.limiter(|guest| guest);
        store.set_hostcall_fuel(limits.answer_bytes);
        store.epoch_deadline_callback(|mut context| {
            let may_go_on = context.data_mut().clock.tick();
            Ok(if may_go_on { UpdateDeadline::Continue(1) } else { UpdateDeadline::Interrupt })
        });
        store.data_mut().is_configuring = true;
        enter(&mut store, &artefact.engine, &limits, Entry::Configure);
        let calls = match link(artefact, &mut store) {
            Ok(calls) => calls,
            Err(error) => return Err(start_failure(&error, &store)),
        };
        let engine = artefact.engine.clone();
        let mut instance = Instance {
            store,
            calls,
            engine,
            limits,
            n_calls: 0,
            worn_memory: limits.memory,
            first_call: None,
        };
        let manifest = instance.configure(&artefact.config)?;
        instance.store.data_mut().is_configuring = false;
        instance.worn_memory = limits.memory - instance.store.data().memory_left() / 2;
        Ok((instance, manifest))
    }

    fn configure(&mut self, config: &str) -> Result<Manifest, Failure> {
        enter(&mut self.store, &self.engine, &self.limits, Entry::Configure);
        match self.calls.configure(&mut self.store, config) {
            Ok(Ok(manifest)) => Ok(manifest),
            Ok(Err(text)) => Err(Failure::new(FailureKind::Configure, cut(text, MAX_ERROR))),
            Err(error) => Err(Failure::of_call("configure", &error, &self.store)),
        }
    }

    /// Whether a fresh instance should take over.
    pub fn is_worn(&self) -> bool {
        self.n_calls >= self.limits.instance_calls || self.memory_used() >= self.worn_memory
    }

    /// As [`Self::is_worn`], its age included.
    pub fn is_old(&self) -> bool {
        let is_aged = match (self.limits.instance_age, self.first_call) {
            (Some(age), Some(first_call)) => first_call.elapsed() >= age,
            (Some(_) | None, Some(_) | None) => false,
        };
        self.is_worn() || is_aged
    }

    pub fn is_used(&self) -> bool {
        self.n_calls > 0
    }

    fn note_call(&mut self) {
        if self.n_calls == 0 && self.limits.instance_age.is_some() {
            self.first_call = Some(Instant::now());
        }
        self.n_calls += 1;
    }

    /// One score in [0, 1] per row.
    pub fn score(
        &mut self,
        task: &[f64],
        workers: &[Vec<f64>],
        n_rows: usize,
    ) -> Result<Vec<f64>, Failure> {
        self.note_call();
        enter(&mut self.store, &self.engine, &self.limits, Entry::Call);
        let result = self.calls.score(&mut self.store, task, workers);
        let mut scores = answer("score", result, &self.store)?;
        check_scores(&mut scores, n_rows)?;
        Ok(scores)
    }

    /// One finite rank per row.
    pub fn rank(
        &mut self,
        now_ms: f64,
        tasks: &[Vec<f64>],
        n_rows: usize,
    ) -> Result<Vec<f64>, Failure> {
        self.note_call();
        enter(&mut self.store, &self.engine, &self.limits, Entry::Call);
        let result = self.calls.rank(&mut self.store, now_ms, tasks);
        let mut ranks = answer("rank", result, &self.store)?;
        check_ranks(&mut ranks, n_rows)?;
        Ok(ranks)
    }

    /// Proposals for rows of the batch.
    pub fn review(
        &mut self,
        now_ms: f64,
        tasks: &[Vec<f64>],
        on_worker: &[u32],
        workers: &[Vec<f64>],
    ) -> Result<Vec<Proposal>, Failure> {
        self.note_call();
        enter(&mut self.store, &self.engine, &self.limits, Entry::Call);
        let result = self.calls.review(&mut self.store, now_ms, tasks, on_worker, workers);
        convert::proposals(answer("review", result, &self.store)?, on_worker)
    }

    /// One list per provided column, each with one finite value per row.
    pub fn forecast(
        &mut self,
        profile: &ForecastingProfile,
        workers: &[Vec<f64>],
        n_rows: usize,
    ) -> Result<Vec<Vec<f64>>, Failure> {
        self.note_call();
        enter(&mut self.store, &self.engine, &self.limits, Entry::Call);
        let result = self.calls.forecast(&mut self.store, workers);
        let mut lists = answer("forecast", result, &self.store)?;
        check_forecasts(&mut lists, &profile.provides, n_rows)?;
        Ok(lists)
    }

    /// The terms of one row's score; None if the policy does not export `explanation`.
    pub fn explain(
        &mut self,
        task: &[f64],
        workers: &[Vec<f64>],
        row: u32,
    ) -> Result<Option<Vec<(String, f64)>>, Failure> {
        enter(&mut self.store, &self.engine, &self.limits, Entry::Call);
        let Some(result) = self.calls.explain(&mut self.store, task, workers, row) else {
            return Ok(None);
        };
        let mut terms = answer("explain", result, &self.store)?;
        check_terms(&mut terms)?;
        Ok(Some(terms))
    }

    /// Bytes of linear memory held.
    pub fn memory_used(&self) -> usize {
        self.limits.memory - self.store.data().memory_left()
    }

    /// Fuel used by the call that ended last; None unless calls are limited by fuel.
    pub fn fuel_used(&self) -> Option<u64> {
        match self.limits.metering {
            Metering::CpuTime { .. } => None,
            Metering::Fuel { call, .. } => {
                let left = self.store.get_fuel().expect("the engine counts fuel");
                Some(call.saturating_sub(left))
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Entry {
    Call,
    Configure,
}

/// Sets what the next entry into the guest may use.
fn enter(store: &mut Store<Guest>, engine: &PolicyEngine, limits: &Limits, entry: Entry) {
    const ALWAYS: &str = "the engine counts fuel";
    let guest = store.data_mut();
    // What an earlier call asked for is not why this one fails.
    if guest.last_error.is_some() || guest.refused_growth.is_some() {
        guest.last_error = None;
        guest.refused_growth = None;
    }
    match limits.metering {
        Metering::CpuTime { call, configure } => {
            let limit: Duration = match entry {
                Entry::Call => call,
                Entry::Configure => configure,
            };
            guest.clock.enter(limit);
            engine.note_call();
            store.set_epoch_deadline(1);
            store.set_fuel(u64::MAX).expect(ALWAYS);
        }
        Metering::Fuel { call, configure } => {
            let fuel = match entry {
                Entry::Call => call,
                Entry::Configure => configure,
            };
            // Never reached, also if the engine has a ticker.
            store.set_epoch_deadline(u64::MAX / 2);
            store.set_fuel(fuel).expect(ALWAYS);
        }
    }
}

fn link(artefact: &Artefact, store: &mut Store<Guest>) -> wasmtime::Result<Box<dyn Calls>> {
    let instance = artefact.pre.instantiate(&mut *store)?;
    artefact.spoken.link(artefact.slot, &artefact.pre, &instance, store)
}

fn start_failure(error: &wasmtime::Error, store: &Store<Guest>) -> Failure {
    let failure = Failure::of_call("instantiation", error, store);
    match failure.kind {
        FailureKind::Trap => Failure::new(FailureKind::Start, failure.message),
        FailureKind::Start
        | FailureKind::Configure
        | FailureKind::ManifestChanged
        | FailureKind::CpuLimit
        | FailureKind::WallLimit
        | FailureKind::FuelLimit
        | FailureKind::MemoryLimit
        | FailureKind::AnswerTooLarge
        | FailureKind::Error
        | FailureKind::WrongLength
        | FailureKind::NotANumber
        | FailureKind::OutOfRange
        | FailureKind::UnknownRow => failure,
    }
}

fn answer<T>(
    function: &str,
    result: wasmtime::Result<Result<T, String>>,
    store: &Store<Guest>,
) -> Result<T, Failure> {
    match result {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(text)) => {
            let message = format!("{function} answered an error: {}", cut(text, MAX_ERROR));
            Err(Failure::new(FailureKind::Error, message))
        }
        Err(error) => Err(Failure::of_call(function, &error, store)),
    }
}
