//! One slot as the driver runs it: who serves it now, and who serves it next if that one fails.
//! Candidate, last good generation, native default; failures are counted per rung.

use crate::failure::Failure;
use crate::generation::{Body, Generation};
use crate::incident::{Failed, Incident, IncidentKind};
use crate::instance::Instance;
use crate::native::Native;
use crate::pace::Pace;
use crate::predicted::PredictedColumns;
use crate::runner::{Readiness, Runner};
use pointsman_scheduler::policies::CallError;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What serves a slot while its policy cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    /// The generation that served before, then the host's own policy.
    #[default]
    LastGood,
    /// The host's own policy.
    Builtin,
    /// Nothing: the slot waits until the policy works again or is replaced.
    Hold,
}

impl OnFailure {
    pub fn find(name: &str) -> Option<OnFailure> {
        match name {
            "last_good" => Some(OnFailure::LastGood),
            "builtin" => Some(OnFailure::Builtin),
            "hold" => Some(OnFailure::Hold),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            OnFailure::LastGood => "last_good",
            OnFailure::Builtin => "builtin",
            OnFailure::Hold => "hold",
        }
    }
}

/// Which rung of the ladder answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rung {
    Active,
    LastGood,
    Native,
    Held,
}

/// A change of the slot, taken at the start of a round.
pub(crate) enum Change {
    /// Boxed: a prepared instance is large, and changes are rare.
    Activate(Arc<Generation>, Option<Box<Instance>>),
    /// Back to this generation.
    RollBack(Arc<Generation>),
    OnFailure(OnFailure),
    /// Other forecasts can be relied on now.
    Predicted(Arc<PredictedColumns>),
    /// Back to the native default.
    Unbind,
}

pub(crate) struct Ladder {
    pub native: Arc<Generation>,
    pub active: Option<Runner>,
    pub last_good: Option<Runner>,
    pub on_failure: OnFailure,
    pub rung: Rung,
    budget: Budget,
    /// Counted from 1 over the host's life.
    n_calls: u64,
    pub incidents: Vec<Incident>,
    /// Given up since this was last taken.
    pub quarantined: Vec<Arc<Generation>>,
    /// Replaced since this was last taken. Freeing them takes its time, so somebody else does it.
    pub retired: Vec<Runner>,
    /// What a reader is shown has changed.
    pub is_changed: bool,
    pub last_failure: Option<Failed>,
    predicted: Arc<PredictedColumns>,
    /// Why the active policy does not serve though it works: it needs forecasts that there are not.
    pub waits_for: Option<String>,
    /// When to look whether an instance that is being made is there.
    look_again: Option<Duration>,
    /// Whether wall-clock times are told.
    has_clock: bool,
}

/// The slot's time in this round, so that a slow policy cannot take the driver for itself. What all
/// slots take of a second is counted in [`Pace`].
#[derive(Debug, Default)]
struct Budget {
    in_round: Duration,
    is_overdrawn: bool,
}

/// How soon to look again whether an instance that is being made is there.
const START_POLL: Duration = Duration::from_millis(10);
const MAX_INCIDENTS: usize = 1_000;

impl Ladder {
    pub fn new(native: Generation, has_clock: bool) -> Ladder {
        Ladder {
            native: Arc::new(native),
            active: None,
            last_good: None,
            on_failure: OnFailure::default(),
            rung: Rung::Native,
            budget: Budget::default(),
            n_calls: 0,
            incidents: Vec::new(),
            quarantined: Vec::new(),
            retired: Vec::new(),
            is_changed: true,
            last_failure: None,
            predicted: Arc::default(),
            waits_for: None,
            look_again: None,
            has_clock,
        }
    }

    /// Who answers now; while held, who would.
    pub fn serving(&self) -> &Arc<Generation> {
        let runner = match self.rung {
            Rung::Active | Rung::Held => self.active.as_ref(),
            Rung::LastGood => self.last_good.as_ref(),
            Rung::Native => None,
        };
        runner.map_or(&self.native, |runner| &runner.generation)
    }

    /// The native policy, if one answers now.
    pub fn native(&self) -> Option<Native> {
        if self.rung == Rung::Held {
            return None;
        }
        match self.serving().body {
            Body::Native(native) => Some(native),
            Body::Guest { .. } => None,
        }
    }

    /// When it is worth planning again though nothing else happened: a budget is filled up, or a
    /// policy that the slot waits for may try again.
    pub fn wake_at(&self, pace: &Pace) -> Option<Duration> {
        if self.budget.is_overdrawn {
            return Some(pace.filled_at());
        }
        if self.look_again.is_some() {
            return self.look_again;
        }
        let active = self.active.as_ref()?;
        let waits =
            self.rung == Rung::Held && self.waits_for.is_none() && !active.health.is_quarantined();
        waits.then(|| active.health.retry_at())
    }

    pub fn apply(&mut self, change: Change, now: Duration) {
        self.is_changed = true;
        match change {
            Change::OnFailure(on_failure) => {
                self.on_failure = on_failure;
                return;
            }
            Change::Predicted(predicted) => {
                self.predicted = predicted;
                return;
            }
            Change::Unbind => {
                self.retired.extend(self.active.take());
                self.retired.extend(self.last_good.take());
            }
            Change::RollBack(generation) => {
                let is_it = |it: &Runner| it.generation.stamp == generation.stamp;
                let before = match self.last_good.take() {
                    Some(before) if is_it(&before) => before,
                    other => {
                        self.retired.extend(other);
                        Runner::new(generation, None)
                    }
                };
                self.retired.extend(self.active.replace(before));
            }
            Change::Activate(generation, instance) => {
                let old = self.active.replace(Runner::new(generation, instance.map(|it| *it)));
                let is_good = |old: &Runner| old.has_served && old.health.is_good(now);
                match old {
                    Some(old) if is_good(&old) => {
                        self.retired.extend(self.last_good.replace(old));
                    }
                    old => self.retired.extend(old),
                }
            }
        }
        // Until the round begins, right after this; so that the change is noted.
        self.rung = Rung::Held;
    }

    /// Fills the round's budget and lets the best rung serve that can.
    pub fn begin_round(&mut self, now: Duration) {
        self.budget = Budget::default();
        self.look_again = None;
        let before = (self.rung, self.serving().stamp);
        let waited_for = self.waits_for.take();
        self.climb(now);
        self.note_wait(waited_for.as_deref());
        if (self.rung, self.serving().stamp) != before {
            self.note_serving();
        }
    }

    /// Tells of a policy that begins to wait for forecasts, and why.
    fn note_wait(&mut self, waited_for: Option<&str>) {
        if self.waits_for.as_deref() == waited_for {
            return;
        }
        self.is_changed = true;
        if let (Some(message), None, Some(active)) = (&self.waits_for, waited_for, &self.active) {
            let (message, generation) = (message.clone(), active.generation.clone());
            self.note(&generation, IncidentKind::Waiting, message);
        }
    }

    fn note_serving(&mut self) {
        self.is_changed = true;
        if self.rung == Rung::Held {
            return;
        }
        let serving = self.serving().clone();
        let message = format!("{} serves the slot {}", serving.label(), serving.slot.name());
        self.note(&serving, IncidentKind::Serving, message);
    }

    /// Chooses the highest rung that may serve and starts it.
    fn climb(&mut self, now: Duration) {
        if self.active.is_none() {
            self.rung = Rung::Native;
            return;
        }
        if self.try_rung(Rung::Active, now) {
            return;
        }
        self.descend(now);
    }

    /// The rung below the active one, started.
    fn descend(&mut self, now: Duration) {
        match self.on_failure {
            OnFailure::Hold => self.rung = Rung::Held,
            OnFailure::Builtin => self.rung = Rung::Native,
            OnFailure::LastGood => {
                if !self.try_rung(Rung::LastGood, now) {
                    self.rung = Rung::Native;
                }
            }
        }
    }

    fn runner(&mut self, rung: Rung) -> Option<&mut Runner> {
        match rung {
            Rung::Active => self.active.as_mut(),
            Rung::LastGood => self.last_good.as_mut(),
            Rung::Native | Rung::Held => None,
        }
    }

    /// Whether `rung` serves now.
    fn try_rung(&mut self, rung: Rung, now: Duration) -> bool {
        let Some(runner) = self.runner(rung) else {
            return false;
        };
        if !runner.health.may_serve(now) {
            return false;
        }
        let generation = runner.generation.clone();
        if let Some(missing) = self.predicted.missing(&generation) {
            if rung == Rung::Active {
                self.waits_for = Some(format!("{} needs {missing}", generation.label()));
            }
            return false;
        }
        let runner = self.runner(rung).expect("looked up just before");
        match runner.refresh() {
            Ok(Readiness::Ready) => {
                runner.has_served = true;
                self.rung = rung;
                true
            }
            Ok(Readiness::NotYet) => {
                self.look_again = Some(now + START_POLL);
                false
            }
            Err(failure) => {
                self.note_failure(rung, now, &failure, self.n_calls);
                false
            }
        }
    }

    /// Prepares what the next calls would otherwise wait for.
    pub fn idle(&mut self) {
        let rung = self.rung;
        if let Some(runner) = self.runner(rung) {
            runner.prepare();
        }
    }

    /// Asks the guest that serves the slot.
    ///
    /// # Errors
    /// `NextRung`: it failed, and another generation serves now.
    #[inline]
    pub fn call<T>(
        &mut self,
        pace: &mut Pace,
        ask: impl FnOnce(&mut Instance) -> Result<T, Failure>,
    ) -> Result<T, CallError> {
        self.n_calls += 1;
        let rung = self.rung;
        let is_bounded = self.runner(rung).is_some_and(|runner| runner.round_limit().is_some());
        self.budget.is_overdrawn |= is_bounded && pace.is_used_up();
        if self.budget.is_overdrawn {
            return Err(CallError::Held);
        }
        let Some(runner) = self.runner(rung) else {
            return Err(CallError::Held);
        };
        let mut took = None;
        let result = runner.instance().and_then(|(instance, generation)| {
            let begun = pace.begin();
            let result = ask(instance);
            took = begun.map(|begun| begun.elapsed());
            generation.stats.note_call(took);
            result
        });
        if let Some(took) = took {
            pace.spend(took);
            self.spend(rung, took);
        }
        match result {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(self.fail(rung, pace.now(), &failure)),
        }
    }

    #[inline]
    fn spend(&mut self, rung: Rung, took: Duration) {
        self.budget.in_round += took;
        let limit = self.runner(rung).and_then(|runner| runner.round_limit());
        self.budget.is_overdrawn = limit.is_some_and(|limit| self.budget.in_round >= limit);
    }

    /// Counts the failure and lets the next rung serve, this round already.
    fn fail(&mut self, rung: Rung, now: Duration, failure: &Failure) -> CallError {
        self.note_failure(rung, now, failure, self.n_calls);
        // A failed call's time is not charged to the rung that answers instead.
        self.budget = Budget::default();
        let is_restored = self.active.as_ref().is_some_and(|it| it.health.is_good(now));
        match rung {
            // Quarantine has put the last good generation in its place.
            Rung::Active if is_restored => self.climb(now),
            // The one that failed may serve again, but not in this round.
            Rung::Active => self.descend(now),
            Rung::LastGood | Rung::Native | Rung::Held => self.rung = Rung::Native,
        }
        self.note_serving();
        if self.rung == Rung::Held { CallError::Held } else { CallError::NextRung }
    }

    fn note_failure(&mut self, rung: Rung, now: Duration, failure: &Failure, call: u64) {
        let runner = self.runner(rung).expect("native policies do not fail");
        // The store may be half changed.
        runner.instance = None;
        runner.spare = None;
        runner.starting = None;
        runner.generation.stats.note_failure(failure.kind);
        runner.health.note_failure(now, failure.kind);
        let generation = runner.generation.clone();
        let is_quarantined = runner.health.is_quarantined();
        let next = match runner.health.retry_at().saturating_sub(now).as_secs() {
            _ if is_quarantined => String::new(),
            0 => "; a fresh instance serves the next round".to_owned(),
            wait => format!("; tried again in {wait} s"),
        };
        let message = format!("{} failed: {}{next}", generation.label(), failure.message);
        self.last_failure = Some(Failed {
            name: generation.name.clone(),
            version: generation.version.clone(),
            generation: generation.stamp.generation,
            digest: generation.key.map(|key| key.digest),
            kind: failure.kind,
            message: message.clone(),
            at: self.has_clock.then(SystemTime::now),
        });
        self.note(&generation, IncidentKind::Failed { kind: failure.kind, call }, message);
        if is_quarantined {
            self.give_up(rung, generation);
        }
        self.is_changed = true;
    }

    fn give_up(&mut self, rung: Rung, generation: Arc<Generation>) {
        let restored = match (rung, self.on_failure) {
            (Rung::Active, OnFailure::LastGood) if self.last_good.is_some() => {
                self.active = self.last_good.take();
                self.active.as_ref().map(|runner| runner.generation.label())
            }
            (Rung::LastGood, _) => {
                self.last_good = None;
                None
            }
            _ => None,
        };
        let then = restored.map_or_else(String::new, |label| format!("; {label} is restored"));
        let message = format!(
            "{} failed three times within a minute and is not asked again until its file or \
             configuration changes{then}",
            generation.label()
        );
        self.note(&generation, IncidentKind::Quarantined, message);
        self.quarantined.push(generation);
    }

    fn note(&mut self, generation: &Generation, kind: IncidentKind, message: String) {
        // Nobody takes them in some tests and tools.
        if self.incidents.len() < MAX_INCIDENTS {
            self.incidents.push(Incident::new(generation, kind, message));
        }
    }
}
