//! A set of policies under a name, to be compared with others: standard ones, native ones, files.

use pointsman_policy::{
    FixedError, FixedPolicies, Incident, Limits, OnFailure, PolicyHost, Refusal, Source, slot_of,
};
use pointsman_scheduler::graph::edit_distance;
use pointsman_scheduler::{Policies, Slot};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Policies that live in virtual time.
pub trait TimedPolicies: Policies {
    /// Virtual time since the start; never goes back.
    fn set_time(&mut self, now: Duration);

    /// What happened to the policies since the last call.
    fn take_incidents(&mut self) -> Vec<Incident>;

    /// How long from now to plan again at the latest; None: no need.
    fn wake_in(&self) -> Option<Duration>;
}

impl TimedPolicies for PolicyHost {
    fn set_time(&mut self, now: Duration) {
        PolicyHost::set_time(self, now);
    }

    fn take_incidents(&mut self) -> Vec<Incident> {
        PolicyHost::take_incidents(self)
    }

    fn wake_in(&self) -> Option<Duration> {
        PolicyHost::wake_in(self)
    }
}

/// For one simulation after the other; a policy that was quarantined in one stays so.
pub struct Contender {
    /// As the report shows it.
    pub name: String,
    pub policies: Box<dyn TimedPolicies>,
}

/// Why a name does not become a contender.
#[derive(Debug, thiserror::Error)]
pub enum ContenderError {
    #[error(
        "there is no standard policy {name:?}{nearest}; there are {known}; a file is named with \
         its ending .wasm, a native policy as native:NAME"
    )]
    Unknown { name: String, nearest: String, known: String },
    #[error("failed to read the policy file {path}", path = path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the policy file {path} is {refusal}", path = path.display())]
    Refused { path: PathBuf, refusal: Refusal },
    #[error("{name:?} names two policies for the slot {slot}; name one for each slot", slot = slot.name())]
    SlotTwice { name: String, slot: Slot },
    #[error(
        "{name:?} is a forecasting policy; simulated workers measure nothing that could be foretold"
    )]
    NoForecasts { name: String },
    #[error("failed to load the policies {name:?}")]
    Load { name: String, source: FixedError },
}

const DEFAULT_SCORING: &str = "weighted-score";
const DEFAULT_QUEUE: &str = "fifo";
const NATIVE_PREFIX: &str = "native:";
const NO_CONFIG: &str = "{}";

impl Contender {
    /// From the names of one policy per slot, joined by `+`: of a standard policy (`fifo`), of a
    /// file that ends in `.wasm`, or of a native policy (`native:longest-tail`). Slots that are not
    /// named are served by the standard policies `weighted-score` and `fifo`; nothing is rescheduled.
    ///
    /// Calls are limited by fuel instead of time, so that equal runs are equal. A policy that fails
    /// is replaced by the native one of its slot, and the report says so.
    ///
    /// # Errors
    /// If a policy is unknown, cannot be read, is refused, or two are for the same slot.
    pub fn named(name: &str) -> Result<Contender, ContenderError> {
        Contender::named_or_scored_by(name, DEFAULT_SCORING)
    }

    /// As [`Contender::named`], with another standard policy for scoring where none is named.
    ///
    /// # Errors
    /// As [`Contender::named`], and if there is no standard policy `scored_by`.
    pub fn named_or_scored_by(name: &str, scored_by: &str) -> Result<Contender, ContenderError> {
        let (mut scoring, mut queue, mut rescheduling) = (None, None, None);
        let parts = if is_file(name) { vec![name] } else { name.split('+').collect() };
        for part in parts {
            let (slot, source) = find(part.trim())?;
            let place = match slot {
                Slot::Scoring => &mut scoring,
                Slot::Queue => &mut queue,
                Slot::Rescheduling => &mut rescheduling,
                Slot::Forecasting => {
                    return Err(ContenderError::NoForecasts { name: part.trim().to_owned() });
                }
            };
            if place.replace(source).is_some() {
                return Err(ContenderError::SlotTwice { name: name.to_owned(), slot });
            }
        }
        let fixed = FixedPolicies {
            scoring: scoring.map_or_else(|| standard(scored_by), Ok)?,
            queue: queue.map_or_else(|| standard(DEFAULT_QUEUE), Ok)?,
            rescheduling,
            limits: Limits::fuel(),
            on_failure: OnFailure::Builtin,
        };
        Contender::fixed(name, fixed)
    }

    /// From policies that are already at hand, with configurations of their own.
    ///
    /// # Errors
    /// If one of them is refused.
    pub fn fixed(name: &str, policies: FixedPolicies) -> Result<Contender, ContenderError> {
        let host = PolicyHost::fixed(policies)
            .map_err(|source| ContenderError::Load { name: name.to_owned(), source })?;
        Ok(Contender { name: name.to_owned(), policies: Box::new(host) })
    }
}

fn is_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|it| it == "wasm") && Path::new(name).is_file()
}

fn find(name: &str) -> Result<(Slot, Source), ContenderError> {
    if let Some(native) = name.strip_prefix(NATIVE_PREFIX) {
        return match native_slot(native) {
            Some(slot) => Ok((slot, Source::Native(native.to_owned()))),
            None => Err(unknown(name)),
        };
    }
    if Path::new(name).extension().is_some_and(|it| it == "wasm") {
        return read(Path::new(name));
    }
    let policy = pointsman_bundle::find(name).ok_or_else(|| unknown(name))?;
    let slot = Slot::find(policy.slot).expect("standard policies are for known slots");
    Ok((slot, standard(name)?))
}

fn read(path: &Path) -> Result<(Slot, Source), ContenderError> {
    let bytes = std::fs::read(path)
        .map_err(|source| ContenderError::File { path: path.to_owned(), source })?;
    let slot = slot_of(&bytes)
        .map_err(|refusal| ContenderError::Refused { path: path.to_owned(), refusal })?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let config = NO_CONFIG.to_owned();
    Ok((slot, Source::Wasm { name: stem, bytes: bytes.into(), config }))
}

fn standard(name: &str) -> Result<Source, ContenderError> {
    let policy = pointsman_bundle::find(name).ok_or_else(|| unknown(name))?;
    let bytes = Arc::from(policy.bytes);
    Ok(Source::Wasm { name: name.to_owned(), bytes, config: NO_CONFIG.to_owned() })
}

fn native_slot(name: &str) -> Option<Slot> {
    use pointsman_policy::{NativeQueue, NativeScoring};
    NativeScoring::find(name)
        .map(|_| Slot::Scoring)
        .or_else(|| NativeQueue::find(name).map(|_| Slot::Queue))
}

fn unknown(name: &str) -> ContenderError {
    use pointsman_policy::{NativeQueue, NativeScoring};
    let native = NativeScoring::ALL.map(NativeScoring::name).into_iter();
    let native = native.chain(NativeQueue::ALL.map(NativeQueue::name));
    let native = native.map(|name| format!("{NATIVE_PREFIX}{name}"));
    let standard = pointsman_bundle::POLICIES.iter().map(|policy| policy.name.to_owned());
    let known: Vec<String> = standard.chain(native).collect();
    let nearest = known
        .iter()
        .map(|known| (edit_distance(name, known), known))
        .filter(|(distance, known)| *distance <= known.chars().count() / 3)
        .min()
        .map(|(_, known)| format!(" (did you mean {known:?}?)"))
        .unwrap_or_default();
    ContenderError::Unknown { name: name.to_owned(), nearest, known: known.join(", ") }
}
