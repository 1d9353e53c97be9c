//! The state machine's face: what drives it and in which order.

use crate::effect::Effect;
use crate::event::Event;
use crate::explain::{Explanation, Reason};
use crate::ids::{TaskId, Term};
use crate::policies::Policies;
use crate::record::Snapshot;
use crate::settings::Settings;
use crate::time::Time;

/// Owned by one driver. After each batch of `handle` calls, call `plan` once; wake it again at
/// [`Scheduler::next_deadline`].
#[derive(Debug)]
pub struct Scheduler {
    settings: Settings,
}

/// What one planning round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanReport {
    pub n_started: usize,
    /// The round's limit was reached: call `plan` again at once.
    pub more: bool,
}

impl Scheduler {
    /// Takes up what a store read back (empty for a new one). `term` must be larger than that of
    /// any earlier start. Every worker in the snapshot gets a full new window to report.
    pub fn recover(
        settings: Settings,
        seed: u64,
        term: Term,
        now: Time,
        snapshot: Snapshot,
        effects: &mut Vec<Effect>,
    ) -> Scheduler {
        let _ = (seed, term, now, snapshot, effects);
        Scheduler { settings }
    }

    /// Changes state for one thing that happened.
    pub fn handle(&mut self, now: Time, event: Event, effects: &mut Vec<Effect>) {
        let _ = (now, event, effects, &self.settings);
    }

    /// Runs due timers, refreshes ranks, places tasks, reviews running ones.
    pub fn plan(
        &mut self,
        now: Time,
        policies: &mut dyn Policies,
        effects: &mut Vec<Effect>,
    ) -> PlanReport {
        let _ = (now, policies, effects);
        PlanReport::default()
    }

    /// When `plan` is to be called again at the latest, events or not.
    pub fn next_deadline(&self) -> Option<Time> {
        None
    }

    /// The primary reason of a task that is PENDING; None otherwise. Cheap.
    pub fn reason(&self, task: TaskId) -> Option<Reason> {
        let _ = task;
        None
    }

    /// Why a task waits, or could be where; asks the scoring policy.
    pub fn explain(
        &mut self,
        now: Time,
        task: TaskId,
        policies: &mut dyn Policies,
    ) -> Option<Explanation> {
        let _ = (now, task, policies);
        None
    }

    /// Every violated invariant, in words; empty if all hold. Walks the whole state.
    pub fn check_invariants(&self) -> Vec<String> {
        Vec::new()
    }
}
