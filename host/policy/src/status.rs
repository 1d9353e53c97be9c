//! What an operator sees of policies: who serves and how well, what else is there, what was refused
//! and why. And what a policy author asks: does it pass, what does it cost.

use crate::admission::{Candidate, Refusal, Stage};
use crate::assets::Assets;
use crate::failure::{Failure, FailureKind};
use crate::generation::{Body, Digest, Generation, Origin};
use crate::incident::Failed;
use crate::instance::Instance;
use crate::ladder::OnFailure;
use crate::library::{Library, PolicyLibrary};
use crate::native::Native;
use crate::probe::{self, Trial};
use crate::provenance::Provenance;
use crate::reload::Refused;
use crate::shared::SlotView;
use pointsman_scheduler::Slot;
use pointsman_scheduler::record::PolicyStamp;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Everything about policies at one moment.
#[derive(Debug, Clone)]
pub struct LibraryStatus {
    pub slots: Vec<SlotStatus>,
    /// Files of the folder that no slot asks for.
    pub files: Vec<FileStatus>,
    /// Policies that the host carries.
    pub standard: Vec<StandardStatus>,
    /// Candidates are being looked at.
    pub is_busy: bool,
    /// The one that is being compiled and tried.
    pub looking_at: Option<LookedAt>,
    pub folder_error: Option<String>,
}

/// A candidate on its way.
#[derive(Debug, Clone)]
pub struct LookedAt {
    /// None: a file that no slot asks for.
    pub slot: Option<Slot>,
    pub component: String,
    pub since: SystemTime,
}

/// A policy that the host carries.
#[derive(Debug, Clone)]
pub struct StandardStatus {
    pub slot: Slot,
    pub name: String,
    pub digest: Digest,
    pub provenance: Provenance,
}

/// One slot.
#[derive(Debug, Clone)]
pub struct SlotStatus {
    pub slot: Slot,
    /// What the configuration names; None: nothing.
    pub bound: Option<String>,
    /// What was chosen by hand instead.
    pub chosen: Option<String>,
    pub on_failure: OnFailure,
    pub state: SlotState,
    /// Who answers; while held, who would.
    pub serving: GenerationStatus,
    /// Where a roll-back or a failure leads.
    pub last_good: Option<GenerationStatus>,
    /// The candidate that does not serve.
    pub refused: Option<RefusedStatus>,
    /// The last failure of a policy of this slot, with what followed.
    pub last_failure: Option<Failed>,
    /// For example, that the file is gone.
    pub warning: Option<String>,
    /// Contents refused since the start.
    pub n_refused: u64,
}

/// How a slot fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// The policy asked for serves.
    Serving,
    /// Another one serves, because that one failed or was refused.
    Fallback,
    /// Nothing is decided until the policy works again.
    Held,
    /// Nothing is bound; the host's own policy serves.
    Unbound,
}

impl SlotState {
    /// The stable code shown in API, CLI and panel.
    pub fn code(self) -> &'static str {
        match self {
            SlotState::Serving => "serving",
            SlotState::Fallback => "fallback",
            SlotState::Held => "held",
            SlotState::Unbound => "unbound",
        }
    }
}

/// One loading of a policy.
#[derive(Debug, Clone)]
pub struct GenerationStatus {
    /// File stem or name by which it was bound.
    pub component: String,
    /// As it names itself.
    pub name: String,
    pub version: String,
    pub description: String,
    /// What its file says of itself.
    pub provenance: Provenance,
    pub stamp: PolicyStamp,
    /// None for a native policy.
    pub digest: Option<Digest>,
    /// Of the files beside it; None: there are none.
    pub assets: Option<Digest>,
    pub origin: Origin,
    /// None for the host's own default.
    pub since: Option<SystemTime>,
    pub calls: u64,
    /// Time per call; None before the first measured one.
    pub p50: Option<Duration>,
    pub p99: Option<Duration>,
    /// By kind; kinds that did not happen are left out.
    pub failures: BTreeMap<FailureKind, u64>,
    /// Log lines beyond the allowed rate.
    pub lines_dropped: u64,
    /// Column names, in the order sent.
    pub needs_worker: Vec<String>,
    pub needs_task: Vec<&'static str>,
    /// Numbers that it shows of itself.
    pub gauges: BTreeMap<String, f64>,
}

#[derive(Debug, Clone)]
pub struct RefusedStatus {
    pub component: String,
    pub digest: Option<Digest>,
    pub stage: Stage,
    pub reason: String,
    pub at: SystemTime,
}

impl RefusedStatus {
    pub(crate) fn refusal(&self) -> Refusal {
        Refusal { stage: self.stage, reason: self.reason.clone() }
    }
}

impl From<&Refused> for RefusedStatus {
    fn from(refused: &Refused) -> RefusedStatus {
        RefusedStatus {
            component: refused.component.clone(),
            digest: refused.key.map(|key| key.digest),
            stage: refused.refusal.stage,
            reason: refused.refusal.reason.clone(),
            at: refused.at,
        }
    }
}

/// A file of the folder that serves no slot.
#[derive(Debug, Clone)]
pub struct FileStatus {
    pub component: String,
    pub path: PathBuf,
    pub digest: Option<Digest>,
    /// Whether it could serve with an empty configuration.
    pub verdict: Result<Useful, Refusal>,
    /// When it was looked at.
    pub at: SystemTime,
}

/// A policy that could serve.
#[derive(Debug, Clone)]
pub struct Useful {
    pub slot: Slot,
    /// As it names itself.
    pub name: String,
    pub version: String,
    pub provenance: Provenance,
}

/// A policy that passed every stage of admission.
#[derive(Debug, Clone)]
pub struct Checked {
    pub slot: Slot,
    pub name: String,
    pub version: String,
    pub description: String,
    pub digest: Digest,
    pub size: usize,
    pub needs_worker: Vec<String>,
    pub needs_task: Vec<&'static str>,
    pub node_local: bool,
    /// The trial call of 1,000 rows.
    pub trial: Trial,
}

/// The terms of the scores of the first rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    pub terms: Vec<Vec<(String, f64)>>,
    /// Why there are no more.
    pub ended_by: Option<String>,
}

/// Why a decision's score cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    #[error("generation {0} of the scoring policy is no longer loaded")]
    Gone(u32),
    #[error("there is no row {row}; the batch has {n_rows}")]
    NoRow { row: usize, n_rows: usize },
    #[error("{0}")]
    Failed(String),
}

impl GenerationStatus {
    fn of(generation: &Generation) -> GenerationStatus {
        let profile = generation.profile.as_ref();
        let stats = &generation.stats;
        GenerationStatus {
            component: generation.component.clone(),
            name: generation.name.clone(),
            version: generation.version.clone(),
            description: generation.description.clone(),
            provenance: generation.provenance.clone(),
            stamp: generation.stamp,
            digest: generation.key.map(|key| key.digest),
            assets: generation.key.and_then(|key| key.assets),
            origin: generation.origin.clone(),
            since: generation.loaded,
            calls: stats.calls(),
            p50: stats.quantile(0.5),
            p99: stats.quantile(0.99),
            failures: stats.failures(),
            lines_dropped: stats.lines_dropped(),
            needs_worker: profile.map(|it| it.worker_names()).unwrap_or_default(),
            needs_task: profile.map(|it| it.task_names()).unwrap_or_default(),
            gauges: stats.gauges(),
        }
    }
}

impl PolicyLibrary {
    /// Who serves as of the driver's last round, and what else is there. Before the first round
    /// the slots are left out.
    pub fn status(&self) -> LibraryStatus {
        let library = self.library();
        let slots = Slot::ALL.into_iter().filter_map(|slot| library.slot_status(slot)).collect();
        let work = library.work();
        let files = work.files.iter().map(|file| FileStatus {
            component: file.component.clone(),
            path: file.path.clone(),
            digest: file.digest,
            verdict: file.verdict.clone(),
            at: file.at,
        });
        let standard = library.standard.iter().map(|policy| StandardStatus {
            slot: policy.slot,
            name: policy.name.clone(),
            digest: policy.content.digest,
            provenance: policy.provenance.clone(),
        });
        LibraryStatus {
            slots,
            files: files.collect(),
            standard: standard.collect(),
            is_busy: work.finished < work.requested,
            looking_at: work.looking_at.clone(),
            folder_error: work.folder_error.clone(),
        }
    }

    /// The terms of the score that the generation `stamp` gives the worker in `row`; one term
    /// named `score` if the policy does not explain itself. Runs the policy on this thread, in an
    /// instance of its own.
    ///
    /// # Errors
    /// The generation is gone, the row does not exist, or the policy failed.
    pub fn explain(
        &self,
        stamp: PolicyStamp,
        task: &[f64],
        workers: &[Vec<f64>],
        row: usize,
    ) -> Result<Vec<(String, f64)>, ExplainError> {
        let n_rows = workers.first().map_or(0, Vec::len);
        if row >= n_rows {
            return Err(ExplainError::NoRow { row, n_rows });
        }
        let explained = explain(&*self.scoring_generation(stamp)?, task, workers, row..row + 1)?;
        explained.terms.into_iter().next().ok_or_else(|| {
            ExplainError::Failed(explained.ended_by.unwrap_or_else(|| "no answer".to_owned()))
        })
    }

    /// As [`Self::explain`], for each row, until one fails or it takes too long; one instance answers
    /// for all.
    ///
    /// # Errors
    /// The generation is gone, or the policy does not start.
    pub fn explain_all(
        &self,
        stamp: PolicyStamp,
        task: &[f64],
        workers: &[Vec<f64>],
    ) -> Result<Explained, ExplainError> {
        let n_rows = workers.first().map_or(0, Vec::len);
        explain(&*self.scoring_generation(stamp)?, task, workers, 0..n_rows)
    }

    fn scoring_generation(&self, stamp: PolicyStamp) -> Result<Arc<Generation>, ExplainError> {
        let view = self.library().handover.view(Slot::Scoring);
        view.into_iter()
            .flat_map(|view| [Some(view.serving), view.active, view.last_good, Some(view.native)])
            .flatten()
            .find(|generation| generation.stamp == stamp)
            .ok_or(ExplainError::Gone(stamp.generation))
    }

    /// Takes `bytes` through every stage of admission without putting it in force. `slot`: None:
    /// the one that it is made for.
    ///
    /// # Errors
    /// The stage that it did not pass, and why.
    pub fn check(
        &self,
        bytes: &[u8],
        slot: Option<Slot>,
        config: &str,
    ) -> Result<Checked, Refusal> {
        check(self.library(), bytes, slot, config)
    }

    /// Time, and fuel where calls are limited by it, of one call for each number of rows: the
    /// median of several. At most 10,000 rows.
    ///
    /// # Errors
    /// The policy is not admitted, or fails with so many rows.
    pub fn bench(
        &self,
        bytes: &[u8],
        slot: Option<Slot>,
        config: &str,
        rows: &[usize],
    ) -> Result<Vec<Trial>, Refusal> {
        let library = self.library();
        let slot = slot.map_or_else(|| library.admission.find_slot(bytes), Ok)?;
        let candidate = candidate(bytes, slot, config);
        let mut admitted = library.admission.admit(&candidate, &library.cache)?;
        let measure =
            |n_rows: &usize| probe::measure(&mut admitted.instance, &admitted.profile, *n_rows);
        rows.iter()
            .map(measure)
            .collect::<Result<_, _>>()
            .map_err(|it| Refusal::new(Stage::Probe, it))
    }
}

fn candidate<'a>(bytes: &'a [u8], slot: Slot, config: &'a str) -> Candidate<'a> {
    Candidate {
        bytes,
        component: "candidate",
        slot,
        config,
        assets: Assets::default(),
        limits: None,
        wasi_traps: false,
    }
}

fn check(
    library: &Library,
    bytes: &[u8],
    slot: Option<Slot>,
    config: &str,
) -> Result<Checked, Refusal> {
    let slot = slot.map_or_else(|| library.admission.find_slot(bytes), Ok)?;
    let admitted = library.admission.admit(&candidate(bytes, slot, config), &library.cache)?;
    Ok(Checked {
        slot,
        description: crate::manifest::description(&admitted.manifest).to_owned(),
        name: admitted.manifest.name,
        version: admitted.manifest.version,
        digest: Digest::of(bytes),
        size: bytes.len(),
        needs_worker: admitted.profile.worker_names(),
        needs_task: admitted.profile.task_names(),
        node_local: admitted.profile.is_node_local(),
        trial: admitted.trial,
    })
}

/// For how long a policy is asked to explain; whoever waits for it waits for many workers' terms.
const EXPLAIN_PATIENCE: Duration = Duration::from_millis(250);

fn explain(
    generation: &Generation,
    task: &[f64],
    workers: &[Vec<f64>],
    rows: Range<usize>,
) -> Result<Explained, ExplainError> {
    let failed = |failure: Failure| ExplainError::Failed(failure.message);
    let mut explained = Explained { terms: Vec::with_capacity(rows.len()), ended_by: None };
    let artefact = match &generation.body {
        Body::Native(Native::Scoring(native)) => {
            let terms = rows.map(|row| native.terms(workers, row));
            let named = |(name, term): (&str, f64)| (name.to_owned(), term);
            explained.terms.extend(terms.map(|terms| terms.map(named).to_vec()));
            return Ok(explained);
        }
        Body::Native(Native::Queue(_) | Native::NoRescheduling | Native::NoForecasting) => {
            unreachable!("the view is that of the slot scoring")
        }
        Body::Guest { artefact, .. } => artefact,
    };
    let (mut guest, _) = Instance::start(artefact, &generation.stats).map_err(failed)?;
    let begun = Instant::now();
    for row in rows {
        match explain_row(&mut guest, task, workers, row) {
            Ok(terms) => explained.terms.push(terms),
            Err(failure) => {
                explained.ended_by = Some(format!("{}: {failure}", generation.label()));
                break;
            }
        }
        if begun.elapsed() >= EXPLAIN_PATIENCE {
            let label = generation.label();
            explained.ended_by = Some(format!("{label} takes too long to explain the others"));
            break;
        }
    }
    Ok(explained)
}

fn explain_row(
    guest: &mut Instance,
    task: &[f64],
    workers: &[Vec<f64>],
    row: usize,
) -> Result<Vec<(String, f64)>, Failure> {
    if let Some(terms) = guest.explain(task, workers, row as u32)? {
        return Ok(terms);
    }
    let n_rows = workers.first().map_or(0, Vec::len);
    let scores = guest.score(task, workers, n_rows)?;
    Ok(vec![("score".to_owned(), scores[row])])
}

impl Library {
    /// None before the driver's first round.
    fn slot_status(&self, slot: Slot) -> Option<SlotStatus> {
        let view = self.handover.view(slot)?;
        let mut work = self.work();
        self.note_quarantined(&mut work);
        let chosen = work.memory.slot(slot).choice.as_ref().map(|it| it.component.clone());
        let slot_work = work.slot(slot);
        let bound = slot_work.binding.as_ref().map(|it| it.component.clone());
        let wished = chosen.as_ref().or(bound.as_ref());
        let state = match wished {
            _ if view.is_held => SlotState::Held,
            None => SlotState::Unbound,
            Some(wished) if is_served(&view, wished) && slot_work.refused.is_none() => {
                SlotState::Serving
            }
            Some(_) => SlotState::Fallback,
        };
        let refused = slot_work.refused.as_ref().map(RefusedStatus::from);
        Some(SlotStatus {
            slot,
            warning: view.waits_for.clone().or_else(|| slot_work.warning.clone()),
            n_refused: slot_work.refusals.n_refused,
            bound,
            chosen,
            on_failure: view.on_failure,
            state,
            serving: GenerationStatus::of(&view.serving),
            last_good: view.last_good.as_deref().map(GenerationStatus::of),
            refused,
            last_failure: view.last_failure.clone(),
        })
    }
}

fn is_served(view: &SlotView, wished: &str) -> bool {
    view.active
        .as_ref()
        .is_some_and(|active| active.component == wished && active.stamp == view.serving.stamp)
}
