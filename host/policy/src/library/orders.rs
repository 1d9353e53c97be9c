//! Orders of operators: another policy for a slot, a policy handed over, back to the one before.

use super::{Installed, Library, PolicyLibrary, Upload, Work, request};
use crate::admission::{MAX_FILE, Refusal, too_large};
use crate::folder::Content;
use crate::generation::{Digest, Generation, Origin};
use crate::ladder::Change;
use crate::memory::{Choice, Kept};
use crate::nearest::hint;
use pointsman_scheduler::Slot;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Why a policy is not put in force by hand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UseError {
    #[error("there is no policy {name:?} for the slot {slot}{hint}")]
    Unknown { name: String, slot: &'static str, hint: String },
    #[error("nothing is bound to the slot {0}; bind a policy to it in the configuration first")]
    Unbound(&'static str),
}

/// Why a policy that was handed over does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    #[error("nothing is bound to the slot {0}; bind a policy to it in the configuration first")]
    Unbound(&'static str),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("it is not decided yet whether the policy is admitted; see what serves the slot")]
    Undecided,
}

/// Why a slot is not rolled back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RollbackError {
    #[error("the slot {0} is served by the host's own policy; there is nothing to roll back")]
    NothingLoaded(&'static str),
    #[error("the slot {0} has no earlier generation that worked")]
    NothingBefore(&'static str),
}

/// What a roll-back does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolledBack {
    /// Name and version that served, and that will serve.
    pub from: String,
    pub to: String,
    /// None: it is loaded anew, since the host was started in between.
    pub to_generation: Option<u32>,
}

impl PolicyLibrary {
    /// Puts the policy `name` in force instead of the bound one, over restarts, until the slot's
    /// binding changes or [`Self::use_bound`]. `config` is JSON; None: the binding's own
    /// configuration for the bound policy, else none. Takes content again that was rolled back or
    /// given up. Of a file that is gone, what lies under its name is taken instead. Whether it was
    /// admitted shows in the status after [`Self::settle`].
    ///
    /// # Errors
    /// There is no such policy, or nothing is bound to the slot.
    pub fn use_policy(&self, slot: Slot, name: &str, config: Option<&str>) -> Result<(), UseError> {
        let library = self.library();
        let mut work = library.work();
        let Some(binding) = work.slot(slot).binding.clone() else {
            return Err(UseError::Unbound(slot.name()));
        };
        let known = library.names(slot, &work);
        if !known.iter().any(|it| it == name) {
            let hint = hint(name, known.iter().map(String::as_str));
            return Err(UseError::Unknown { name: name.to_owned(), slot: slot.name(), hint });
        }
        let is_bound = name == binding.component;
        let choice = Choice {
            component: name.to_owned(),
            config: config.unwrap_or(if is_bound { &binding.config } else { "{}" }).to_owned(),
            binding: binding.fingerprint(),
            upload: None,
        };
        let remembered = work.memory.slot_mut(slot);
        // What is bound anyway overrides nothing.
        remembered.choice = (!is_bound || choice.config != binding.config).then_some(choice);
        remembered.forget_file(name);
        let slot_work = work.slot(slot);
        slot_work.is_unparked = true;
        slot_work.refused = None;
        slot_work.refusals.clear();
        request(library, &mut work);
        drop(work);
        library.save();
        Ok(())
    }

    /// Puts a policy in force that is handed over, under a name and as [`Self::use_policy`] does.
    /// Waits until it is admitted or refused, at most for `patience`; nothing changes if it is
    /// refused.
    ///
    /// # Errors
    /// Nothing is bound to the slot, the policy is refused, or time is up.
    pub fn upload(
        &self,
        slot: Slot,
        name: &str,
        bytes: Arc<[u8]>,
        patience: Duration,
    ) -> Result<(), UploadError> {
        if bytes.len() > MAX_FILE {
            let reason = too_large(bytes.len() as u64);
            return Err(Refusal::new(crate::admission::Stage::Format, reason).into());
        }
        let digest = Digest::of(&bytes);
        let (outcome, decided) = channel();
        let library = self.library();
        {
            let mut work = library.work();
            let Some(binding) = work.slot(slot).binding.clone() else {
                return Err(UploadError::Unbound(slot.name()));
            };
            let is_bound = name == binding.component;
            // An earlier one that still waits learns from its sender's end that it was overtaken.
            work.slot(slot).upload = Some(Upload {
                component: name.to_owned(),
                config: if is_bound { binding.config } else { "{}".to_owned() },
                content: Content { bytes, digest },
                outcome,
            });
            request(library, &mut work);
        }
        match decided.recv_timeout(patience) {
            Ok(outcome) => outcome.map_err(UploadError::Refused),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                Err(UploadError::Undecided)
            }
        }
    }

    /// Ends a choice made with [`Self::use_policy`] or [`Self::upload`].
    pub fn use_bound(&self, slot: Slot) {
        let library = self.library();
        let mut work = library.work();
        if work.memory.slot_mut(slot).choice.take().is_some() {
            request(library, &mut work);
            drop(work);
            library.save();
        }
    }

    /// Back to what served before: from the next round on, or, if the host was started since, as
    /// soon as that is admitted again. The content that serves now is not taken again until it
    /// changes or [`Self::use_policy`] asks for it.
    ///
    /// # Errors
    /// There is nothing to roll back, or nothing to roll back to.
    pub fn rollback(&self, slot: Slot) -> Result<RolledBack, RollbackError> {
        let library = self.library();
        let mut work = library.work();
        let view = library.handover.view(slot);
        let Some(active) = view.as_ref().and_then(|view| view.active.clone()) else {
            return Err(RollbackError::NothingLoaded(slot.name()));
        };
        let Some(before) = view.and_then(|view| view.last_good) else {
            return library.restore_before(slot, &mut work, &active);
        };
        let rolled_back = library.roll_back_to(slot, &mut work, &active, before);
        drop(work);
        library.save();
        Ok(rolled_back)
    }
}

impl Library {
    fn roll_back_to(
        &self,
        slot: Slot,
        work: &mut Work,
        active: &Generation,
        before: Arc<Generation>,
    ) -> RolledBack {
        let remembered = work.memory.slot_mut(slot);
        remembered.parked.extend(active.key);
        if let Some(key) = before.key {
            remembered.parked.remove(&key);
            let kept = Kept {
                component: before.component.clone(),
                digest: key.digest,
                config: before.config().to_owned(),
                assets: before.assets().digest(),
                is_file: matches!(before.origin, Origin::File(_)),
            };
            remembered.keep(kept, active.key);
        }
        let installed = Installed::of(&before);
        self.follow(slot, work, &installed, before.config());
        work.slot(slot).installed = Some(installed);
        let rolled_back = RolledBack {
            from: active.label(),
            to: before.label(),
            to_generation: Some(before.stamp.generation),
        };
        self.hand_over(slot, Change::RollBack(before));
        rolled_back
    }

    /// The driver has no generation before this one, but its content may be kept.
    fn restore_before(
        &self,
        slot: Slot,
        work: &mut Work,
        active: &Generation,
    ) -> Result<RolledBack, RollbackError> {
        let remembered = work.memory.slot(slot);
        let is_before = |it: &&Kept| active.key != Some(it.key());
        let before = remembered.kept.iter().filter(is_before).find(|it| {
            let has_files = it.assets.is_none_or(|digest| self.kept.has(digest));
            !remembered.parked.contains(&it.key()) && self.kept.has(it.digest) && has_files
        });
        let before = before.cloned().ok_or(RollbackError::NothingBefore(slot.name()))?;
        let rolled_back =
            RolledBack { from: active.label(), to: before.component.clone(), to_generation: None };
        work.slot(slot).restore = Some(before);
        request(self, work);
        Ok(rolled_back)
    }

    /// Lets choice and binding mean what is installed: a choice that was rolled back ends, and a
    /// roll-back to a policy that is not bound is a choice.
    pub fn follow(&self, slot: Slot, work: &mut Work, installed: &Installed, config: &str) {
        let Some(binding) = work.slot(slot).binding.clone() else { return };
        let upload = installed.key.map(|key| key.digest);
        let upload = upload.filter(|_| installed.origin == Origin::Uploaded);
        let is_bound = upload.is_none() && installed.component == binding.component;
        let choice = Choice {
            component: installed.component.clone(),
            config: config.to_owned(),
            binding: binding.fingerprint(),
            upload,
        };
        work.memory.slot_mut(slot).choice = (!is_bound).then_some(choice);
    }
}
