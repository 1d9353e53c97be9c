//! What happened to a slot's policy that somebody should know: failures and changes of who serves.

use crate::failure::FailureKind;
use crate::generation::{Digest, Generation};
use pointsman_scheduler::{Event, Slot};
use std::time::SystemTime;

/// The last failure of a slot: of whom, where, and what the host did.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    pub name: String,
    pub version: String,
    pub generation: u32,
    pub digest: Option<Digest>,
    pub kind: FailureKind,
    /// For people.
    pub message: String,
    /// None where no clock is read.
    pub at: Option<SystemTime>,
}

/// One thing that happened to a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    pub slot: Slot,
    /// Name, version, generation and digest of the policy that it happened to.
    pub name: String,
    pub version: String,
    pub generation: u32,
    /// None for a native policy.
    pub digest: Option<Digest>,
    pub kind: IncidentKind,
    /// What happened and what the host did, for people.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncidentKind {
    /// A call failed; `call` counts this slot's calls from 1.
    Failed { kind: FailureKind, call: u64 },
    /// It failed too often and is not asked again until its file or configuration changes.
    Quarantined,
    /// It needs forecasts that there are not, and does not serve until there are.
    Waiting,
    /// It serves now.
    Serving,
}

impl Incident {
    pub(crate) fn new(generation: &Generation, kind: IncidentKind, message: String) -> Incident {
        Incident {
            slot: generation.slot,
            name: generation.name.clone(),
            version: generation.version.clone(),
            generation: generation.stamp.generation,
            digest: generation.key.map(|key| key.digest),
            kind,
            message,
        }
    }

    /// The event by which the scheduler and its journal learn of it.
    pub fn event(&self) -> Event {
        match self.kind {
            IncidentKind::Failed { kind, call } => {
                Event::PolicyFailed { slot: self.slot, call, kind: kind.code().to_owned() }
            }
            IncidentKind::Quarantined | IncidentKind::Waiting | IncidentKind::Serving => {
                Event::PolicySwapped(self.slot)
            }
        }
    }
}
