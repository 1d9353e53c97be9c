//! Files of the folder that no slot asks for: each content is tried once, and listed.

use super::{Files, Reloader};
use crate::admission::{Candidate, Refusal};
use crate::assets::Assets;
use crate::folder::{self, Content, Found, Unread};
use crate::generation::{ContentKey, Digest};
use crate::library::Library;
use crate::provenance::Provenance;
use crate::status::{RefusedStatus, Useful};
use pointsman_scheduler::Slot;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a file that is bound to no slot is good for.
#[derive(Debug, Clone)]
pub(crate) struct FileVerdict {
    pub component: String,
    pub path: PathBuf,
    pub digest: Option<Digest>,
    pub verdict: Result<Useful, Refusal>,
    /// When it was looked at.
    pub at: SystemTime,
}

/// What it is tried with.
const CONFIG: &str = "{}";

/// A verdict, and when it was found.
pub(super) type Dated = (Result<Useful, Refusal>, SystemTime);

impl Reloader {
    /// Tries them without configuration.
    pub(super) fn look_at_others(&mut self, files: &Files, wished: &BTreeSet<String>, asked: u64) {
        let mut listed = Vec::new();
        for (component, found) in files {
            if wished.contains(component) {
                continue;
            }
            // Newer requests go first; the next pass looks at the rest.
            if self.library.work().requested > asked {
                return;
            }
            listed.extend(self.look_at_other(component, found));
        }
        self.verdicts.retain(|key, _| listed.iter().any(|it| it.digest == Some(key.digest)));
        self.library.work().files = listed;
    }

    /// None: it is not there as a whole yet.
    fn look_at_other(&mut self, component: &str, found: &Found) -> Option<FileVerdict> {
        let seen = found.digest.clone().and_then(|it| Ok((it, self.folder.assets(component)?)));
        let (digest, (verdict, at)) = match seen {
            Err(Unread::Pending(_)) => return None,
            Err(Unread::Refused(refusal)) => (None, self.unread(component, &refusal)),
            Ok((digest, assets)) => {
                let key = ContentKey::new(digest, CONFIG, assets.digest());
                match self.verdicts.get(&key) {
                    Some(known) => (Some(digest), known.clone()),
                    None => self.try_other(component, &found.path, &assets)?,
                }
            }
        };
        let (component, path) = (component.to_owned(), found.path.clone());
        Some(FileVerdict { component, path, digest, verdict, at })
    }

    fn try_other(
        &mut self,
        component: &str,
        path: &Path,
        assets: &Assets,
    ) -> Option<(Option<Digest>, Dated)> {
        let content = match folder::read(path) {
            Ok(content) => content,
            Err(Unread::Pending(_)) => return None,
            Err(Unread::Refused(refusal)) => return Some((None, self.unread(component, &refusal))),
        };
        // Not that of the scan: the file may be being written.
        let digest = content.digest;
        let key = ContentKey::new(digest, CONFIG, assets.digest());
        let verdict = try_content(&self.library, component, &content, assets);
        match &verdict {
            Ok(useful) => tracing::info!(%digest, "{component} could serve {}", useful.slot.name()),
            Err(refusal) => {
                if self.others_refused.note(Some(key), refusal) {
                    let slot = self.library.admission.find_slot(&content.bytes).ok();
                    self.tell_of_other(component, slot, Some(digest), refusal);
                }
            }
        }
        let verdict = (verdict, SystemTime::now());
        self.verdicts.insert(key, verdict.clone());
        Some((Some(digest), verdict))
    }
}

impl Reloader {
    /// The verdict on a file that cannot be read. It is looked at again and again, and told of once.
    fn unread(&self, component: &str, refusal: &Refusal) -> Dated {
        let is_it = |known: &&FileVerdict| {
            known.component == component && known.verdict.as_ref().err() == Some(refusal)
        };
        let known = self.library.work().files.iter().find(is_it).map(|known| known.at);
        let at = known.unwrap_or_else(|| {
            self.tell_of_other(component, None, None, refusal);
            SystemTime::now()
        });
        (Err(refusal.clone()), at)
    }

    fn tell_of_other(
        &self,
        component: &str,
        slot: Option<Slot>,
        digest: Option<Digest>,
        refusal: &Refusal,
    ) {
        let shown = digest.map(|it| it.to_string()).unwrap_or_default();
        tracing::warn!(digest = shown, "policy {component} is {refusal}");
        let refused = RefusedStatus {
            component: component.to_owned(),
            digest,
            stage: refusal.stage,
            reason: refusal.reason.clone(),
            at: SystemTime::now(),
        };
        self.library.tell(slot, &refused);
    }
}

fn try_content(
    library: &Library,
    component: &str,
    content: &Content,
    assets: &Assets,
) -> Result<Useful, Refusal> {
    let slot = library.admission.find_slot(&content.bytes)?;
    let candidate = Candidate {
        bytes: &content.bytes,
        component,
        slot,
        config: CONFIG,
        assets: assets.clone(),
        limits: None,
        wasi_traps: false,
    };
    let admit = || library.admission.admit(&candidate, &library.cache.for_visitors());
    let admitted = library.looking_at(None, component, admit)?;
    Ok(Useful {
        slot,
        name: admitted.manifest.name,
        version: admitted.manifest.version,
        provenance: Provenance::of(&content.bytes),
    })
}
