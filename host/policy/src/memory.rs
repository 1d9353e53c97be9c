//! What the library remembers over restarts: the last generation number, overrides, parked
//! contents, and the accepted files that serve even when the folder no longer has them.

use crate::disk::{BEING_WRITTEN, make_private_dir, sync, write_unsynced, write_whole};
use crate::folder::Content;
use crate::generation::{ContentKey, Digest};
use crate::shared::{N_SLOTS, index, lock};
use pointsman_scheduler::Slot;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// One that is about to serve, the one that serves, and its predecessor.
const MAX_KEPT: usize = 3;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Memory {
    /// The largest generation number given.
    pub generation: u32,
    pub slots: [SlotMemory; N_SLOTS],
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SlotMemory {
    pub choice: Option<Choice>,
    /// Contents that have served, the latest first.
    pub kept: Vec<Kept>,
    /// Contents rolled back.
    pub parked: BTreeSet<ContentKey>,
}

/// A policy chosen by hand instead of the bound one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub component: String,
    pub config: String,
    /// The binding that it overrides; another binding ends it.
    pub binding: Digest,
    /// Content that was handed over with the choice; None: what lies under the name.
    pub upload: Option<Digest>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub component: String,
    pub digest: Digest,
    pub config: String,
    /// Of the files beside it, kept as one; None: there are none.
    pub assets: Option<Digest>,
    /// It was a file of the folder, and goes on serving under its name when the file goes.
    pub is_file: bool,
}

impl Kept {
    pub fn key(&self) -> ContentKey {
        ContentKey::new(self.digest, &self.config, self.assets)
    }
}

impl SlotMemory {
    /// Notes that this content is to serve now. The one that does, `serving`, is not forgotten, however
    /// many others no round comes between.
    pub fn keep(&mut self, kept: Kept, serving: Option<ContentKey>) {
        let is_same = |it: &Kept| it.component == kept.component && it.key() == kept.key();
        self.kept.retain(|it| !is_same(it));
        // Another policy has taken its place; bound again, its name means what lies there then.
        for other in self.kept.iter_mut().filter(|it| it.component != kept.component) {
            other.is_file = false;
        }
        self.kept.insert(0, kept);
        let newer =
            1..self.kept.iter().position(|it| Some(it.key()) == serving).unwrap_or(1).max(1);
        // Accepted, and overtaken before it served.
        self.kept.drain(newer);
        self.kept.truncate(MAX_KEPT);
    }

    /// From now on `component` means what lies under that name, not the file that did.
    pub fn forget_file(&mut self, component: &str) {
        for kept in self.kept.iter_mut().filter(|it| it.component == component) {
            kept.is_file = false;
        }
    }

    /// What was accepted last as `component`.
    pub fn latest(&self, component: &str) -> Option<&Kept> {
        self.kept.iter().find(|it| it.component == component)
    }

    /// The content of the file that served last as `component`.
    pub fn file(&self, component: &str) -> Option<&Kept> {
        self.kept.iter().find(|it| it.component == component && it.is_file)
    }
}

impl Memory {
    pub fn slot(&self, slot: Slot) -> &SlotMemory {
        &self.slots[index(slot)]
    }

    pub fn slot_mut(&mut self, slot: Slot) -> &mut SlotMemory {
        &mut self.slots[index(slot)]
    }
}

/// The folder that holds it; without one, nothing outlives the process.
pub(crate) struct MemoryFolder {
    folder: Option<PathBuf>,
    /// One writes at a time, so that the newest state is written last.
    unsynced: Mutex<Unsynced>,
}

/// What a power cut would lose, but not the end of the process.
#[derive(Default)]
struct Unsynced {
    /// The number of the last state written.
    n_saved: u64,
    memory: Option<Memory>,
    contents: Vec<PathBuf>,
    /// When the disk is to have it.
    due: Option<Due>,
}

struct Due {
    at: Instant,
    latest: Instant,
}

/// Waiting for the disk keeps the store waiting too, so it is done once for many swaps in a row: when
/// there was none for so long,
const SYNC_AFTER: Duration = Duration::from_secs(1);
/// and however many there are after so long.
const SYNC_AT_LATEST: Duration = Duration::from_secs(10);

const STATE: &str = "library.json";
/// The state of which the disk may not have all. Whichever of the two is whole and newer counts.
const RECENT: &str = "library.recent.json";

#[derive(Serialize, Deserialize)]
struct StoredMemory {
    /// Counts the states written.
    #[serde(default)]
    saved: u64,
    generation: u32,
    slots: BTreeMap<String, StoredSlot>,
}

#[derive(Serialize, Deserialize)]
struct StoredSlot {
    #[serde(default, rename = "override")]
    choice: Option<StoredChoice>,
    #[serde(default)]
    kept: Vec<StoredKept>,
    /// Digests of content, configuration and, where there are any, the files beside it.
    #[serde(default)]
    parked: Vec<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
struct StoredChoice {
    component: String,
    config: String,
    binding: String,
    #[serde(default)]
    upload: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredKept {
    component: String,
    digest: String,
    config: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    assets: Option<String>,
    #[serde(default)]
    is_file: bool,
}

impl MemoryFolder {
    pub fn new(folder: Option<PathBuf>) -> MemoryFolder {
        let folder = folder.filter(|folder| match make_private_dir(folder) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("accepted policies are not kept in {}: {error}", folder.display());
                false
            }
        });
        MemoryFolder { folder, unsynced: Mutex::default() }
    }

    /// What is unreadable counts as forgotten, with a warning.
    pub fn load(&self) -> Memory {
        let Some(folder) = &self.folder else { return Memory::default() };
        let recent = read_state(&folder.join(RECENT)).unwrap_or_else(|error| {
            tracing::debug!("not used: {error}");
            None
        });
        let synced = read_state(&folder.join(STATE)).unwrap_or_else(|error| {
            match recent {
                Some(_) => tracing::debug!("not used: {error}"),
                None => tracing::warn!("{error}"),
            }
            None
        });
        let Some(newest) = [synced, recent].into_iter().flatten().max_by_key(|it| it.saved) else {
            return Memory::default();
        };
        lock(&self.unsynced).n_saved = newest.saved;
        newest.read()
    }

    /// Writes what `memory` answers, and returns when the disk has it.
    pub fn save(&self, memory: impl FnOnce() -> Memory) {
        let mut unsynced = lock(&self.unsynced);
        unsynced.memory = Some(memory());
        self.sync_all(&mut unsynced);
    }

    /// The same, but the disk need not have it before [`Self::sync`]. It outlives the process at once.
    pub fn save_soon(&self, memory: impl FnOnce() -> Memory) {
        let Some(folder) = &self.folder else { return };
        let mut unsynced = lock(&self.unsynced);
        let memory = memory();
        let text = unsynced.next_text(&memory);
        unsynced.memory = Some(memory);
        if let Err(error) = write_unsynced(&folder.join(RECENT), &text) {
            tracing::warn!("the policy library's state cannot be written: {error}");
        }
        unsynced.put_off();
    }

    /// When to call [`Self::sync`]; None: no need.
    pub fn sync_due(&self) -> Option<Instant> {
        lock(&self.unsynced).due.as_ref().map(|due| due.at)
    }

    /// Returns when the disk has all that was written.
    pub fn sync(&self) {
        let mut unsynced = lock(&self.unsynced);
        if unsynced.due.is_some() {
            self.sync_all(&mut unsynced);
        }
    }

    fn sync_all(&self, unsynced: &mut Unsynced) {
        unsynced.due = None;
        let Some(folder) = &self.folder else { return };
        // First what the state refers to.
        for path in std::mem::take(&mut unsynced.contents) {
            // Pruned since.
            if path.exists()
                && let Err(error) = sync(&path)
            {
                tracing::warn!("an accepted policy may not outlive a power cut: {error}");
            }
        }
        let Some(memory) = unsynced.memory.take() else { return };
        let text = unsynced.next_text(&memory);
        if let Err(error) = write_whole(&folder.join(STATE), &text) {
            tracing::warn!("the policy library's state cannot be written: {error}");
        }
    }

    /// Keeps it; the disk has it after the next [`Self::sync`] or [`Self::save`].
    pub fn keep(&self, content: &Content) {
        let Some(path) = self.path(content.digest) else {
            return;
        };
        // Damaged bytes under its name are replaced.
        if self.read(content.digest).is_some() {
            return;
        }
        if let Err(error) = write_unsynced(&path, &content.bytes) {
            tracing::warn!("an accepted policy cannot be kept: {error}");
        }
        let mut unsynced = lock(&self.unsynced);
        unsynced.contents.push(path);
        unsynced.put_off();
    }

    /// The bytes kept under `digest`, if they are still what they were.
    pub fn read(&self, digest: Digest) -> Option<Content> {
        let bytes = std::fs::read(self.path(digest)?).ok()?;
        (Digest::of(&bytes) == digest).then(|| Content { bytes: bytes.into(), digest })
    }

    /// Whether there is a file under `digest`, whatever it holds.
    pub fn has(&self, digest: Digest) -> bool {
        self.path(digest).is_some_and(|path| path.exists())
    }

    /// Removes what no slot keeps.
    pub fn prune(&self, memory: &Memory) {
        let entries = self.folder.as_ref().and_then(|folder| std::fs::read_dir(folder).ok());
        let of_slot = |slot: &SlotMemory| {
            let digests = |kept: &Kept| [Some(kept.digest), kept.assets].into_iter().flatten();
            let kept: Vec<Digest> = slot.kept.iter().flat_map(digests).collect();
            kept.into_iter().chain(slot.choice.as_ref().and_then(|choice| choice.upload))
        };
        let kept: BTreeSet<Digest> = memory.slots.iter().flat_map(of_slot).collect();
        for entry in entries.into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let is_unneeded = Digest::parse(name).is_some_and(|it| !kept.contains(&it));
            // Nothing is being written now: a life that ended meanwhile left it.
            if is_unneeded || name.ends_with(BEING_WRITTEN) {
                // What cannot be removed costs space only.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self, digest: Digest) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(digest.to_string()))
    }
}

impl Unsynced {
    fn next_text(&mut self, memory: &Memory) -> Vec<u8> {
        self.n_saved += 1;
        serde_json::to_vec_pretty(&StoredMemory::of(memory, self.n_saved))
            .expect("strings and numbers are always JSON")
    }

    fn put_off(&mut self) {
        let now = Instant::now();
        let latest = self.due.as_ref().map_or(now + SYNC_AT_LATEST, |due| due.latest);
        self.due = Some(Due { at: latest.min(now + SYNC_AFTER), latest });
    }
}

/// None: there is none.
fn read_state(path: &Path) -> Result<Option<StoredMemory>, String> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| format!("{} is damaged and is not used: {error}", path.display()))
}

impl StoredMemory {
    fn of(memory: &Memory, saved: u64) -> StoredMemory {
        let slots =
            Slot::ALL.map(|slot| (slot.name().to_owned(), StoredSlot::of(memory.slot(slot))));
        StoredMemory { saved, generation: memory.generation, slots: slots.into() }
    }

    fn read(self) -> Memory {
        let mut memory = Memory { generation: self.generation, ..Memory::default() };
        for (name, stored) in self.slots {
            if let Some(slot) = Slot::find(&name) {
                *memory.slot_mut(slot) = stored.read();
            }
        }
        memory
    }
}

impl StoredSlot {
    fn of(slot: &SlotMemory) -> StoredSlot {
        StoredSlot {
            choice: slot.choice.as_ref().map(|choice| StoredChoice {
                component: choice.component.clone(),
                config: choice.config.clone(),
                binding: choice.binding.to_string(),
                upload: choice.upload.map(|digest| digest.to_string()),
            }),
            kept: slot
                .kept
                .iter()
                .map(|kept| StoredKept {
                    component: kept.component.clone(),
                    digest: kept.digest.to_string(),
                    config: kept.config.clone(),
                    assets: kept.assets.map(|digest| digest.to_string()),
                    is_file: kept.is_file,
                })
                .collect(),
            parked: slot
                .parked
                .iter()
                .map(|key| {
                    let digests = [Some(key.digest), Some(key.config), key.assets];
                    digests.into_iter().flatten().map(|it| it.to_string()).collect()
                })
                .collect(),
        }
    }

    /// Leaves out what is not a digest.
    fn read(self) -> SlotMemory {
        let choice = self.choice.and_then(|choice| {
            let binding = Digest::parse(&choice.binding)?;
            let upload = choice.upload.as_deref().and_then(Digest::parse);
            Some(Choice { component: choice.component, config: choice.config, binding, upload })
        });
        let kept = self.kept.into_iter().filter_map(|kept| {
            let digest = Digest::parse(&kept.digest)?;
            let assets = kept.assets.as_deref().map(Digest::parse);
            let assets = assets.map_or(Some(None), |digest| digest.map(Some))?;
            let StoredKept { component, config, is_file, .. } = kept;
            Some(Kept { component, digest, config, assets, is_file })
        });
        let parked = self.parked.into_iter().filter_map(|key| {
            let digests: Option<Vec<Digest>> = key.iter().map(|it| Digest::parse(it)).collect();
            match *digests?.as_slice() {
                [digest, config] => Some(ContentKey { digest, config, assets: None }),
                [digest, config, assets] => {
                    Some(ContentKey { digest, config, assets: Some(assets) })
                }
                _ => None,
            }
        });
        SlotMemory { choice, kept: kept.collect(), parked: parked.collect() }
    }
}

#[cfg(test)]
mod tests;
