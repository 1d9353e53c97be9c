//! The policies in force, as the driver thread holds them: implements the scheduler's `Policies`.

use crate::admission::{Admission, Candidate, LimitsByKind, Refusal, Stage, Uncached};
use crate::assets::Assets;
use crate::engine::{EngineError, PolicyEngine};
use crate::generation::{Digest, Generation, Origin, Source as GuestSource};
use crate::incident::{Incident, IncidentKind};
use crate::ladder::{Change, Ladder, OnFailure};
use crate::limits::Limits;
use crate::manifest::Profile;
use crate::native::{Native, NativeQueue, NativeScoring};
use crate::nearest::hint;
use crate::pace::Pace;
use crate::predicted::PredictedColumns;
use crate::provenance::Provenance;
use crate::shared::Handover;
use crate::time::HostTime;
use pointsman_scheduler::policies::{
    CallError, Policies, Proposal, QueueProfile, ReschedulingProfile, ScoringProfile,
};
use pointsman_scheduler::{Slot, policies};
use std::sync::Arc;
use std::time::Duration;

/// Owned by the one thread that plans. Never waits for a compile, a file or a lock held long.
pub struct PolicyHost {
    scoring: Ladder,
    queue: Ladder,
    rescheduling: Ladder,
    pace: Pace,
    /// None: nothing is swapped.
    handover: Option<Arc<Handover>>,
    incidents: Vec<Incident>,
}

/// The slots whose policies the planning thread asks.
const SLOTS: [Slot; 3] = [Slot::Scoring, Slot::Queue, Slot::Rescheduling];

/// What serves a slot of a fixed host.
#[derive(Debug, Clone)]
pub enum Source {
    /// A native policy, by name: `weighted-score`; `fifo`, `priority-ageing`, `longest-tail`.
    Native(String),
    /// A component, or a core module with a policy's types; `config` is JSON.
    Wasm { name: String, bytes: Arc<[u8]>, config: String },
}

/// A host whose policies do not change: for simulation and benches.
#[derive(Debug, Clone)]
pub struct FixedPolicies {
    pub scoring: Source,
    pub queue: Source,
    pub rescheduling: Option<Source>,
    /// With `Metering::Fuel` no clock is read and no thread started: equal runs give equal answers.
    pub limits: Limits,
    pub on_failure: OnFailure,
}

/// A fixed host could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum FixedError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("no native {slot} policy is named {name:?}{hint}")]
    UnknownNative { slot: &'static str, name: String, hint: String },
    #[error("the {slot} policy {name:?} is {refusal}")]
    Refused { slot: &'static str, name: String, refusal: Refusal },
    #[error("{0}, and here none can")]
    NoForecasts(String),
}

impl PolicyHost {
    /// Without folder and library. The time of the failure ladder stands still unless told by
    /// [`Self::set_time`], if `limits` are by fuel.
    ///
    /// # Errors
    /// Names the policy that is unknown or refused, and why.
    pub fn fixed(policies: FixedPolicies) -> Result<PolicyHost, FixedError> {
        PolicyHost::fixed_with(policies, PredictedColumns::default())
    }

    /// As [`Self::fixed`], where somebody provides these forecasts.
    ///
    /// # Errors
    /// As [`Self::fixed`].
    pub fn fixed_with(
        policies: FixedPolicies,
        predicted: PredictedColumns,
    ) -> Result<PolicyHost, FixedError> {
        let reads_clock = policies.limits.reads_clock();
        let time = if reads_clock { HostTime::real() } else { HostTime::Told(Duration::ZERO) };
        let mut host = PolicyHost::with(time, None);
        let engine =
            if reads_clock { PolicyEngine::with_clock()? } else { PolicyEngine::without_clock()? };
        let kinds = LimitsByKind { compiled: policies.limits, interpreted: policies.limits };
        let admission = Admission::new(engine, kinds);
        let sources = [
            (Slot::Scoring, Some(policies.scoring)),
            (Slot::Queue, Some(policies.queue)),
            (Slot::Rescheduling, policies.rescheduling),
        ];
        let sources = sources.into_iter().filter_map(|(slot, source)| Some((slot, source?)));
        for (number, (slot, source)) in (1..).zip(sources) {
            let change = fixed_generation(&admission, slot, source, number)?;
            host.ladder(slot).on_failure = policies.on_failure;
            host.ladder(slot).apply(change, Duration::ZERO);
        }
        let predicted = Arc::new(predicted);
        for slot in SLOTS {
            let change = Change::Predicted(predicted.clone());
            host.ladder(slot).apply(change, Duration::ZERO);
        }
        host.begin_round();
        let mut incidents = host.take_incidents().into_iter();
        match incidents.find(|it| it.kind == IncidentKind::Waiting) {
            Some(incident) => Err(FixedError::NoForecasts(incident.message)),
            None => Ok(host),
        }
    }

    pub(crate) fn with(time: HostTime, handover: Option<Arc<Handover>>) -> PolicyHost {
        let has_clock = matches!(time, HostTime::Real { .. });
        let native = |native, slot| Ladder::new(Generation::native(native, slot, 0), has_clock);
        PolicyHost {
            scoring: native(Native::Scoring(NativeScoring::default()), Slot::Scoring),
            queue: native(Native::Queue(NativeQueue::default()), Slot::Queue),
            rescheduling: native(Native::NoRescheduling, Slot::Rescheduling),
            pace: Pace::new(time),
            handover,
            incidents: Vec::new(),
        }
    }

    /// Virtual time since the start, for back-off and quarantine of a fixed host limited by fuel;
    /// never moves backwards. Real hosts ignore it.
    pub fn set_time(&mut self, now: Duration) {
        self.pace.tell(now);
    }

    /// Prepares replacements of instances that wear out. Call when there is nothing else to do;
    /// takes some ten microseconds where something is to be prepared.
    pub fn idle(&mut self) {
        self.scoring.idle();
        self.queue.idle();
        self.rescheduling.idle();
    }

    /// What happened since the last call; `Incident::event` is what the scheduler is to be told.
    pub fn take_incidents(&mut self) -> Vec<Incident> {
        for ladder in [&mut self.scoring, &mut self.queue, &mut self.rescheduling] {
            self.incidents.append(&mut ladder.incidents);
        }
        std::mem::take(&mut self.incidents)
    }

    /// How long from now to plan again at the latest, though no event came: a call was answered
    /// `Held` because the policy's time was used up, or a held policy may try again. None: no need.
    pub fn wake_in(&self) -> Option<Duration> {
        let now = self.pace.now();
        let ladders = [&self.scoring, &self.queue, &self.rescheduling];
        let at = ladders.into_iter().filter_map(|it| it.wake_at(&self.pace)).min()?;
        Some(at.saturating_sub(now))
    }

    /// Whether a swap waits for the next round. Cheap.
    pub fn has_swap(&self) -> bool {
        self.handover.as_ref().is_some_and(|handover| handover.is_waiting(SLOTS[0]))
    }

    fn ladder(&mut self, slot: Slot) -> &mut Ladder {
        match slot {
            Slot::Scoring => &mut self.scoring,
            Slot::Queue => &mut self.queue,
            Slot::Rescheduling => &mut self.rescheduling,
            Slot::Forecasting => unreachable!("forecasts are asked for elsewhere"),
        }
    }

    fn take_changes(&mut self) {
        let Some(handover) = self.handover.clone() else {
            return;
        };
        if !self.has_swap() {
            return;
        }
        let now = self.pace.now();
        for (slot, change) in handover.take(SLOTS[0]) {
            self.ladder(slot).apply(change, now);
        }
    }

    /// Shows readers who serves, where that changed.
    fn publish(&mut self) {
        if let Some(handover) = self.handover.clone() {
            for slot in SLOTS {
                handover.publish(self.ladder(slot), slot);
            }
        }
    }
}

/// The change that makes a native policy serve `slot`; None if there is none of that name.
pub(crate) fn native_named(slot: Slot, name: &str, number: u32) -> Option<Generation> {
    let native = match slot {
        Slot::Scoring => Native::Scoring(NativeScoring::find(name)?),
        Slot::Queue => Native::Queue(NativeQueue::find(name)?),
        Slot::Rescheduling => {
            (name == Native::NoRescheduling.name()).then_some(Native::NoRescheduling)?
        }
        Slot::Forecasting => {
            (name == Native::NoForecasting.name()).then_some(Native::NoForecasting)?
        }
    };
    Some(Generation::native(native, slot, number))
}

/// The names of native policies for `slot`.
pub(crate) fn native_names(slot: Slot) -> Vec<&'static str> {
    match slot {
        Slot::Scoring => NativeScoring::ALL.map(NativeScoring::name).to_vec(),
        Slot::Queue => NativeQueue::ALL.map(NativeQueue::name).to_vec(),
        Slot::Rescheduling => vec![Native::NoRescheduling.name()],
        Slot::Forecasting => vec![Native::NoForecasting.name()],
    }
}

fn fixed_generation(
    admission: &Admission,
    slot: Slot,
    source: Source,
    number: u32,
) -> Result<Change, FixedError> {
    match source {
        Source::Native(name) => match native_named(slot, &name, number) {
            Some(generation) => Ok(Change::Activate(Arc::new(generation), None)),
            None => {
                let hint = hint(&name, native_names(slot));
                Err(FixedError::UnknownNative { slot: slot.name(), name, hint })
            }
        },
        Source::Wasm { name, bytes, config } => {
            let candidate = Candidate {
                bytes: &bytes,
                component: &name,
                slot,
                config: &config,
                assets: Assets::default(),
                limits: None,
                wasi_traps: false,
            };
            let admitted = admission.admit(&candidate, &Uncached);
            let admitted = admitted.map_err(|refusal| FixedError::Refused {
                slot: slot.name(),
                name: name.clone(),
                refusal,
            })?;
            let digest = Digest::of(&bytes);
            let source = GuestSource {
                component: name,
                digest,
                origin: Origin::Given,
                loaded: None,
                provenance: Provenance::default(),
            };
            Ok(activate(admitted, source, number))
        }
    }
}

/// The change by which an admitted guest serves.
pub(crate) fn activate(
    admitted: crate::admission::Admitted,
    source: GuestSource,
    number: u32,
) -> Change {
    let (generation, instance) = Generation::guest(admitted, source, number);
    Change::Activate(Arc::new(generation), Some(Box::new(instance)))
}

impl Policies for PolicyHost {
    fn begin_round(&mut self) {
        self.take_changes();
        self.pace.begin_round();
        let now = self.pace.now();
        self.scoring.begin_round(now);
        self.queue.begin_round(now);
        self.rescheduling.begin_round(now);
        self.publish();
    }

    fn scoring(&self) -> Arc<ScoringProfile> {
        match &self.scoring.serving().profile {
            Some(Profile::Scoring(profile)) => profile.clone(),
            Some(Profile::Queue(_) | Profile::Rescheduling(_) | Profile::Forecasting(_)) | None => {
                unreachable!("generations of the slot scoring have its profile")
            }
        }
    }

    fn queue(&self) -> Arc<QueueProfile> {
        match &self.queue.serving().profile {
            Some(Profile::Queue(profile)) => profile.clone(),
            Some(Profile::Scoring(_) | Profile::Rescheduling(_) | Profile::Forecasting(_))
            | None => {
                unreachable!("generations of the slot queue have its profile")
            }
        }
    }

    fn rescheduling(&self) -> Option<Arc<ReschedulingProfile>> {
        match &self.rescheduling.serving().profile {
            Some(Profile::Rescheduling(profile)) => Some(profile.clone()),
            Some(Profile::Scoring(_) | Profile::Queue(_) | Profile::Forecasting(_)) => {
                unreachable!("generations of the slot rescheduling have its profile")
            }
            None => None,
        }
    }

    fn score(
        &mut self,
        task: &[f64],
        workers: &[Vec<f64>],
        n_rows: usize,
        scores: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        scores.clear();
        if let Some(Native::Scoring(native)) = self.scoring.native() {
            self.scoring.serving().stats.note_call(None);
            native.score(workers, n_rows, scores);
            return Ok(());
        }
        *scores = self.scoring.call(&mut self.pace, |guest| guest.score(task, workers, n_rows))?;
        Ok(())
    }

    fn rank(
        &mut self,
        now_ms: f64,
        tasks: &[Vec<f64>],
        n_rows: usize,
        ranks: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        debug_assert!(n_rows <= policies::MAX_ROWS);
        ranks.clear();
        if let Some(Native::Queue(native)) = self.queue.native() {
            self.queue.serving().stats.note_call(None);
            native.rank(now_ms, tasks, n_rows, ranks);
            return Ok(());
        }
        if n_rows == 0 {
            return Ok(());
        }
        *ranks = self.queue.call(&mut self.pace, |guest| guest.rank(now_ms, tasks, n_rows))?;
        Ok(())
    }

    fn review(
        &mut self,
        now_ms: f64,
        tasks: &[Vec<f64>],
        on_worker: &[u32],
        workers: &[Vec<f64>],
    ) -> Result<Vec<Proposal>, CallError> {
        if self.rescheduling.native().is_some() {
            return Ok(Vec::new());
        }
        let pace = &mut self.pace;
        self.rescheduling.call(pace, |guest| guest.review(now_ms, tasks, on_worker, workers))
    }
}

/// Why a name that is bound to nothing is refused.
pub(crate) fn unknown_policy(slot: Slot, name: &str, known: &[String]) -> Refusal {
    let reason = format!(
        "there is no policy {name:?} for the slot {}{}",
        slot.name(),
        hint(name, known.iter().map(String::as_str))
    );
    Refusal::new(Stage::Read, reason)
}
