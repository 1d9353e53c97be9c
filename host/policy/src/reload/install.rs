//! What was found good enough: kept, remembered over restarts, then handed to the driver.

use super::Reloader;
use super::offer::Wish;
use crate::admission::{Admitted, Candidate, Refusal};
use crate::folder::Content;
use crate::generation::{Origin, Source};
use crate::host::{activate, native_named};
use crate::ladder::Change;
use crate::library::Installed;
use crate::memory::Kept;
use crate::provenance::Provenance;
use pointsman_scheduler::Slot;
use std::sync::Arc;
use std::time::SystemTime;

impl Reloader {
    /// Takes content through admission and hands it to the driver.
    pub(super) fn admit(
        &self,
        slot: Slot,
        wish: &Wish,
        content: Content,
        origin: Origin,
    ) -> Result<(), Refusal> {
        let candidate = Candidate {
            bytes: &content.bytes,
            component: &wish.component,
            slot,
            config: &wish.config,
            assets: wish.assets.clone(),
            limits: wish.binding.limits,
            wasi_traps: wish.binding.wasi_traps,
        };
        let library = &*self.library;
        let admit = || library.admission.admit(&candidate, &library.cache);
        let admitted = library.looking_at(Some(slot), &wish.component, admit)?;
        self.install(slot, wish, content, origin, admitted);
        Ok(())
    }

    fn install(
        &self,
        slot: Slot,
        wish: &Wish,
        content: Content,
        origin: Origin,
        admitted: Admitted,
    ) {
        let digest = content.digest;
        let (component, config) = (wish.component.clone(), wish.config.clone());
        self.library.kept.keep(&content);
        let assets = wish.assets.digest();
        if let Some(digest) = assets {
            self.library.kept.keep(&Content { bytes: wish.assets.encoded().into(), digest });
        }
        let source = Source {
            component: component.clone(),
            digest,
            origin: origin.clone(),
            loaded: Some(SystemTime::now()),
            provenance: Provenance::of(&content.bytes),
        };
        let active = self.library.active(slot);
        let mut work = self.library.work();
        work.memory.generation += 1;
        let number = work.memory.generation;
        let remembered = work.memory.slot_mut(slot);
        // Served on from memory, it is still the file that is gone.
        let is_file = match origin {
            Origin::File(_) => true,
            Origin::Kept => remembered.file(&component).is_some_and(|it| it.digest == digest),
            Origin::Standard | Origin::Uploaded | Origin::Native | Origin::Given => false,
        };
        let kept =
            Kept { component: component.clone(), digest, config: config.clone(), assets, is_file };
        remembered.keep(kept, active);
        let memory = work.memory.clone();
        drop(work);
        // It serves no sooner than a restart would find it.
        self.library.save_soon();
        self.library.kept.prune(&memory);
        let mut work = self.library.work();
        let slot_work = work.slot(slot);
        if slot_work.binding.is_none() {
            // Meanwhile the slot was taken from all policies.
            return;
        }
        slot_work.refused = None;
        let key = Some(wish.key(digest));
        tracing::info!(slot = slot.name(), %digest, "policy {component} is admitted");
        slot_work.installed = Some(Installed { component, key, origin, bytes: Some(content) });
        self.library.hand_over(slot, activate(admitted, source, number));
    }

    pub(super) fn install_native(&self, slot: Slot, wish: &Wish) {
        let mut work = self.library.work();
        let slot_work = work.slot(slot);
        slot_work.refused = None;
        let is_installed = slot_work
            .installed
            .as_ref()
            .is_some_and(|it| it.key.is_none() && it.component == wish.component);
        if is_installed {
            return;
        }
        slot_work.installed = Some(Installed {
            component: wish.component.clone(),
            key: None,
            origin: Origin::Native,
            bytes: None,
        });
        work.memory.generation += 1;
        let number = work.memory.generation;
        let native =
            native_named(slot, &wish.component, number).expect("the offer was a native policy");
        self.library.hand_over(slot, Change::Activate(Arc::new(native), None));
        drop(work);
        self.library.save_soon();
    }
}
