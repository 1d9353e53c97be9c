//! What lies under the name that a slot wishes for.

use super::Files;
use crate::admission::{Refusal, Stage};
use crate::assets::Assets;
use crate::folder::{Content, Unread};
use crate::generation::{ContentKey, Digest, Origin};
use crate::host::{native_named, unknown_policy};
use crate::library::{Binding, Library};
use crate::memory::Kept;
use pointsman_scheduler::Slot;

/// What a slot is to be served by.
#[derive(Clone)]
pub(super) struct Wish {
    pub component: String,
    pub config: String,
    /// The files beside the policy.
    pub assets: Assets,
    pub binding: Binding,
    /// Handed over by hand, instead of what lies under the name.
    pub upload: Option<Digest>,
}

/// Something that can be admitted.
pub(super) enum Offer {
    Guest(Offered),
    Native,
    /// It is not there as a whole yet; until then everything stays as it is.
    Pending,
}

#[derive(Clone)]
pub(super) struct Offered {
    pub digest: Digest,
    pub origin: Origin,
    /// None: to be read from its file.
    pub content: Option<Content>,
    /// What is to be told of it while it serves.
    pub warning: Option<String>,
}

impl Offered {
    pub fn whole(content: Content, origin: Origin) -> Offered {
        Offered { digest: content.digest, origin, content: Some(content), warning: None }
    }
}

impl Wish {
    /// What content of that digest would be, if it served this wish.
    pub fn key(&self, digest: Digest) -> ContentKey {
        ContentKey::new(digest, &self.config, self.assets.digest())
    }

    /// The content that was pinned is another. A policy chosen under another name than the bound
    /// one is not pinned.
    pub fn check_pin(&self, digest: Digest) -> Result<(), Refusal> {
        let pin = self.binding.sha256.filter(|_| self.component == self.binding.component);
        match pin {
            Some(pin) if pin != digest => {
                let reason = format!(
                    "its content is not the pinned one: sha256 is expected to be {pin}, found is \
                     {digest}"
                );
                Err(Refusal::new(Stage::Pin, reason))
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl Library {
    /// What was accepted once, with the files that lay beside it; None: it is not there as a whole.
    pub(super) fn read_kept(&self, kept: &Kept) -> Option<(Content, Assets)> {
        let assets = match kept.assets {
            Some(digest) => Assets::decode(&self.kept.read(digest)?.bytes)?,
            None => Assets::default(),
        };
        Some((self.kept.read(kept.digest)?, assets))
    }

    /// What a slot wishes for: what was handed over; else a file; else what served from it when it
    /// was there; else a standard policy, what was kept, a native one.
    pub(super) fn offer(&self, slot: Slot, wish: &Wish, files: &Files) -> Result<Offer, Refusal> {
        let name = &wish.component;
        if let Some(digest) = wish.upload {
            let content = self.content(slot, digest).ok_or_else(|| {
                Refusal::new(Stage::Read, "its content is gone; hand it over again")
            })?;
            return Ok(Offer::Guest(Offered::whole(content, Origin::Uploaded)));
        }
        if let Some(found) = files.get(name) {
            let digest = match found.digest.clone() {
                Ok(digest) => digest,
                Err(Unread::Pending(_)) => return Ok(Offer::Pending),
                Err(Unread::Refused(refusal)) => return Err(refusal),
            };
            let origin = Origin::File(found.path.clone());
            return Ok(Offer::Guest(Offered { digest, origin, content: None, warning: None }));
        }
        if let Some(offered) = self.vanished(slot, name) {
            return Ok(Offer::Guest(offered));
        }
        if let Some(content) = self.standard(slot, name) {
            return Ok(Offer::Guest(Offered::whole(content, Origin::Standard)));
        }
        let latest = self.work().memory.slot(slot).latest(name).map(|it| it.digest);
        if let Some(content) = latest.and_then(|digest| self.content(slot, digest)) {
            let warning = format!(
                "there is no {name}.wasm in the folder; the content accepted last goes on serving"
            );
            let offered = Offered::whole(content, Origin::Kept);
            return Ok(Offer::Guest(Offered { warning: Some(warning), ..offered }));
        }
        if native_named(slot, name, 0).is_some() {
            return Ok(Offer::Native);
        }
        Err(unknown_policy(slot, name, &self.names(slot, &self.work())))
    }

    /// The files beside a policy whose own file is gone with them.
    pub(super) fn assets_of_vanished(&self, slot: Slot, name: &str) -> Assets {
        let kept = self.work().memory.slot(slot).file(name).cloned();
        kept.and_then(|kept| self.read_kept(&kept)).map(|(_, assets)| assets).unwrap_or_default()
    }

    /// What served from a file that is gone.
    fn vanished(&self, slot: Slot, name: &str) -> Option<Offered> {
        let digest = self.work().memory.slot(slot).file(name)?.digest;
        let content = self.content(slot, digest)?;
        let is_standard = self.standard(slot, name).is_some();
        let origin = self.work().slot(slot).installed.as_ref().map(|it| it.origin.clone());
        let origin = origin.filter(|it| matches!(it, Origin::File(_))).unwrap_or(Origin::Kept);
        let gone = match &origin {
            Origin::File(path) => path.display().to_string(),
            _ => format!("{name}.wasm"),
        };
        let otherwise = if is_standard {
            format!(", or `pointsman policy use {} {name}` asks for the standard one", slot.name())
        } else {
            String::new()
        };
        let warning = format!(
            "{gone} is gone; its last content goes on serving until the file is back, the slot is \
             bound to another policy{otherwise}"
        );
        Some(Offered { warning: Some(warning), ..Offered::whole(content, origin) })
    }

    /// The standard policy of that name.
    pub(super) fn standard(&self, slot: Slot, name: &str) -> Option<Content> {
        let standard = self.standard.iter().find(|it| it.name == name && it.slot == slot)?;
        Some(standard.content.clone())
    }

    /// Accepted content, from memory or from where it is kept. Not to be called while holding the
    /// work.
    fn content(&self, slot: Slot, digest: Digest) -> Option<Content> {
        let installed = self.work().slot(slot).installed.as_ref().and_then(|it| it.bytes.clone());
        if let Some(content) = installed.filter(|it| it.digest == digest) {
            return Some(content);
        }
        let content = self.kept.read(digest)?;
        // So that it is not read at every look.
        if let Some(installed) = &mut self.work().slot(slot).installed
            && installed.key.is_some_and(|key| key.digest == digest)
        {
            installed.bytes = Some(content.clone());
        }
        Some(content)
    }
}
