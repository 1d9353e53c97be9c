//! The thread that keeps the slots in line with bindings and folder: it looks, admits what is new,
//! and hands what passed to the driver. One candidate at a time, at low priority.

use crate::admission::{Admitted, Candidate, Refusal, Stage};
use crate::folder::{self, Content, Folder, Found};
use crate::generation::{ContentKey, Digest, Origin, Source};
use crate::host::{activate, native_named, unknown_policy};
use crate::ladder::Change;
use crate::library::{Binding, Installed, Library};
use crate::memory::Kept;
use pointsman_scheduler::Slot;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

/// A candidate that does not serve.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub component: String,
    /// None: it could not be read.
    pub key: Option<ContentKey>,
    pub refusal: Refusal,
    pub at: SystemTime,
}

/// What a file that is bound to no slot is good for.
#[derive(Debug, Clone)]
pub(crate) struct FileVerdict {
    pub component: String,
    pub path: PathBuf,
    pub digest: Option<Digest>,
    /// Slot, name and version.
    pub verdict: Result<(Slot, String, String), Refusal>,
}

/// The niceness of the thread.
const NICE: i32 = 10;
/// Compiling recurses deeply.
const STACK: usize = 8 << 20;

/// Starts the thread; it ends when the library is stopped.
pub(crate) fn spawn(library: Arc<Library>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("policy-admission".to_owned()).stack_size(STACK);
    thread.spawn(move || {
        lower_priority();
        Reloader {
            folder: Folder::new(library.directory.clone()),
            verdicts: BTreeMap::new(),
            library,
        }
        .run();
    })?;
    Ok(())
}

fn lower_priority() {
    // SAFETY: plain system calls on this thread. Linux sets niceness by thread.
    let result = unsafe {
        let thread = libc::syscall(libc::SYS_gettid);
        libc::setpriority(libc::PRIO_PROCESS, thread as libc::id_t, NICE)
    };
    if result != 0 {
        tracing::debug!("policies are compiled at normal priority");
    }
}

struct Reloader {
    library: Arc<Library>,
    folder: Folder,
    /// Of files bound to no slot, by content.
    verdicts: BTreeMap<Digest, Result<(Slot, String, String), Refusal>>,
}

/// What a slot is to be served by.
#[derive(Clone)]
struct Wish {
    component: String,
    config: String,
    binding: Binding,
    is_chosen: bool,
}

/// Something that can be admitted, found under a name.
enum Offer {
    Guest { digest: Digest, origin: Origin, content: Option<Content> },
    Native,
}

type Files = BTreeMap<String, Found>;

impl Reloader {
    fn run(&mut self) {
        while let Some(asked) = self.wait() {
            self.pass(asked);
            let mut work = self.library.work();
            work.finished = work.finished.max(asked);
            drop(work);
            self.library.settled.notify_all();
        }
    }

    /// The number of the latest request; None: stop.
    fn wait(&self) -> Option<u64> {
        let mut work = self.library.work();
        while work.requested == work.finished && !work.is_stopped {
            work = self.library.wake.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        (!work.is_stopped).then_some(work.requested)
    }

    fn pass(&mut self, asked: u64) {
        let files = match self.folder.scan() {
            Ok(files) => {
                self.library.work().folder_error = None;
                files
            }
            Err(error) => {
                let error = format!("the policy folder cannot be read: {error}");
                tracing::warn!("{error}");
                self.library.work().folder_error = Some(error);
                return;
            }
        };
        for slot in Slot::ALL {
            self.pass_slot(slot, &files);
        }
        self.look_at_others(&files, asked);
    }

    fn wish(&self, slot: Slot) -> Option<Wish> {
        let mut work = self.library.work();
        self.library.note_quarantined(&mut work);
        let binding = work.slot(slot).binding.clone()?;
        Some(match work.memory.slot(slot).choice.clone() {
            Some(choice) => Wish {
                component: choice.component,
                config: choice.config,
                binding,
                is_chosen: true,
            },
            None => Wish {
                component: binding.component.clone(),
                config: binding.config.clone(),
                binding,
                is_chosen: false,
            },
        })
    }

    fn pass_slot(&mut self, slot: Slot, files: &Files) {
        let Some(wish) = self.wish(slot) else {
            return;
        };
        match self.offer(slot, &wish, files) {
            Ok(Offer::Native) => self.install_native(slot, &wish),
            Ok(Offer::Guest { digest, origin, content }) => {
                let key = ContentKey::new(digest, &wish.config);
                if self.is_wanted(slot, &wish, key) {
                    let result = self.admit(slot, &wish, digest, &origin, content);
                    if let Err(refusal) = result {
                        self.refuse(slot, &wish, Some(key), refusal);
                    }
                }
            }
            Err(refusal) => self.refuse(slot, &wish, None, refusal),
        }
        self.fall_back(slot, &wish);
    }

    /// What lies under the wished name: a file, else what served when its file was there, else a
    /// standard policy, else what was kept, else a native one.
    fn offer(&self, slot: Slot, wish: &Wish, files: &Files) -> Result<Offer, Refusal> {
        let name = &wish.component;
        let mut work = self.library.work();
        if let Some(found) = files.get(name) {
            work.slot(slot).warning = None;
            let digest = found.digest.clone()?;
            let origin = Origin::File(found.path.clone());
            return Ok(Offer::Guest { digest, origin, content: None });
        }
        if let Some(installed) = work.slot(slot).installed.clone()
            && installed.component == *name
            && let (Origin::File(path), Some(key)) = (&installed.origin, installed.key)
        {
            let warning = format!(
                "{} is gone; its last content goes on serving until it is back or the slot is \
                 bound to another policy",
                path.display()
            );
            work.slot(slot).warning = Some(warning);
            let content = installed.bytes.clone();
            return Ok(Offer::Guest { digest: key.digest, origin: installed.origin, content });
        }
        work.slot(slot).warning = None;
        let is_standard =
            |it: &&crate::library::StandardPolicy| it.name == *name && it.slot == slot;
        if let Some(standard) = self.library.standard.iter().find(is_standard) {
            let bytes: Arc<[u8]> = Arc::from(&*standard.bytes);
            let content = Content { digest: Digest::of(&bytes), bytes };
            let digest = content.digest;
            return Ok(Offer::Guest { digest, origin: Origin::Standard, content: Some(content) });
        }
        if let Some(kept) = work.memory.slot(slot).kept.iter().find(|it| it.component == *name)
            && let Some(content) = self.library.kept.read(kept.digest)
        {
            let warning = format!(
                "there is no {name}.wasm in the folder; the content accepted last goes on serving"
            );
            let digest = content.digest;
            work.slot(slot).warning = Some(warning);
            return Ok(Offer::Guest { digest, origin: Origin::Kept, content: Some(content) });
        }
        if native_named(slot, name, 0).is_some() {
            return Ok(Offer::Native);
        }
        Err(unknown_policy(slot, name, &self.library.names(slot, &work)))
    }

    /// Whether content is to be admitted: it neither serves, nor was refused or given up.
    fn is_wanted(&self, slot: Slot, wish: &Wish, key: ContentKey) -> bool {
        let mut work = self.library.work();
        let is_unparked = std::mem::take(&mut work.slot(slot).is_unparked);
        let is_forced = std::mem::take(&mut work.slot(slot).is_forced);
        if is_unparked {
            work.slot(slot).quarantined.remove(&key);
            work.memory.slot_mut(slot).parked.remove(&key);
        }
        let is_parked = work.memory.slot(slot).parked.contains(&key);
        let slot_work = work.slot(slot);
        let is_given_up = slot_work.quarantined.contains(&key);
        if is_parked || is_given_up {
            let why = if is_parked { "was rolled back" } else { "failed too often" };
            slot_work.warning = Some(format!(
                "the content of {} {why} and is not taken until it changes or is asked for by hand",
                wish.component
            ));
            return false;
        }
        if is_forced {
            return true;
        }
        let is_installed = slot_work
            .installed
            .as_ref()
            .is_some_and(|it| it.key == Some(key) && it.component == wish.component);
        if is_installed {
            slot_work.refused = None;
            return false;
        }
        let is_refused = slot_work
            .refused
            .as_ref()
            .is_some_and(|it| it.key == Some(key) && it.component == wish.component);
        !is_refused
    }

    /// Takes the content through admission and hands it to the driver.
    fn admit(
        &self,
        slot: Slot,
        wish: &Wish,
        digest: Digest,
        origin: &Origin,
        content: Option<Content>,
    ) -> Result<(), Refusal> {
        let content = match (content, origin) {
            (Some(content), _) => content,
            (None, Origin::File(path)) if path.exists() => folder::read(path)?,
            (None, _) => self.library.kept.read(digest).ok_or_else(|| {
                Refusal::new(Stage::Read, "its content is gone; put the file back")
            })?,
        };
        if let Some(pin) =
            wish.binding.sha256.filter(|pin| *pin != content.digest && !wish.is_chosen)
        {
            let reason = format!("its SHA-256 is {}, pinned is {pin}", content.digest);
            return Err(Refusal::new(Stage::Pin, reason));
        }
        let candidate = Candidate {
            bytes: &content.bytes,
            component: &wish.component,
            slot,
            config: &wish.config,
            limits: wish.binding.limits,
            wasi_traps: wish.binding.wasi_traps,
        };
        let admitted = self.library.admission.admit(&candidate, &self.library.cache)?;
        self.install(slot, &wish.component, &wish.config, content, origin.clone(), admitted);
        Ok(())
    }

    fn install(
        &self,
        slot: Slot,
        component: &str,
        config: &str,
        content: Content,
        origin: Origin,
        admitted: Admitted,
    ) {
        let digest = content.digest;
        self.library.kept.keep(&content);
        let mut work = self.library.work();
        work.memory.generation += 1;
        let number = work.memory.generation;
        let kept = Kept { component: component.to_owned(), digest, config: config.to_owned() };
        work.memory.slot_mut(slot).keep(kept);
        self.library.kept.save(&work.memory);
        self.library.kept.prune(&work.memory);
        let slot_work = work.slot(slot);
        slot_work.refused = None;
        slot_work.installed = Some(Installed {
            component: component.to_owned(),
            key: Some(ContentKey::new(digest, config)),
            origin: origin.clone(),
            bytes: Some(content),
        });
        let source = Source {
            component: component.to_owned(),
            digest,
            origin,
            loaded: Some(SystemTime::now()),
        };
        tracing::info!(slot = slot.name(), %digest, "policy {component} is admitted");
        self.library.hand_over(slot, activate(admitted, source, number));
    }

    fn install_native(&self, slot: Slot, wish: &Wish) {
        let mut work = self.library.work();
        let slot_work = work.slot(slot);
        slot_work.refused = None;
        slot_work.is_forced = false;
        slot_work.is_unparked = false;
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
        self.library.kept.save(&work.memory);
        let native =
            native_named(slot, &wish.component, number).expect("the offer was a native policy");
        self.library.hand_over(slot, Change::Activate(Arc::new(native), None));
    }

    fn refuse(&self, slot: Slot, wish: &Wish, key: Option<ContentKey>, refusal: Refusal) {
        let mut work = self.library.work();
        let slot_work = work.slot(slot);
        let is_known =
            slot_work.refused.as_ref().is_some_and(|it| it.key == key && it.refusal == refusal);
        if !is_known {
            tracing::warn!(slot = slot.name(), "policy {} is {refusal}", wish.component);
            slot_work.refused = Some(Refused {
                component: wish.component.clone(),
                key,
                refusal,
                at: SystemTime::now(),
            });
        }
    }

    /// Nothing serves yet and the wish cannot: what served before the restart, else the standard
    /// policy of that name.
    fn fall_back(&self, slot: Slot, wish: &Wish) {
        let mut work = self.library.work();
        if work.slot(slot).installed.is_some() {
            return;
        }
        let refused = work.slot(slot).refused.as_ref().and_then(|it| it.key);
        let remembered = work.memory.slot(slot);
        let parked = remembered.parked.clone();
        let kept = remembered.kept.iter().filter(|it| it.component == wish.component);
        let mut candidates: Vec<(String, Origin, Content)> = kept
            .filter_map(|it| {
                Some((it.config.clone(), Origin::Kept, self.library.kept.read(it.digest)?))
            })
            .collect();
        drop(work);
        let standard = self.library.standard.iter();
        candidates.extend(standard.filter(|it| it.name == wish.component && it.slot == slot).map(
            |it| {
                let bytes: Arc<[u8]> = Arc::from(&*it.bytes);
                let content = Content { digest: Digest::of(&bytes), bytes };
                (wish.config.clone(), Origin::Standard, content)
            },
        ));
        for (config, origin, content) in candidates {
            let key = ContentKey::new(content.digest, &config);
            if Some(key) == refused || parked.contains(&key) {
                continue;
            }
            let again = Wish { config, ..wish.clone() };
            let refusal = self.library.work().slot(slot).refused.take();
            let result = self.admit(slot, &again, content.digest, &origin, Some(content));
            // What was wished is still refused.
            self.library.work().slot(slot).refused = refusal;
            if result.is_ok() {
                return;
            }
        }
    }

    /// Files that no slot asks for are tried without configuration, and listed.
    fn look_at_others(&mut self, files: &Files, asked: u64) {
        let wished: Vec<String> =
            Slot::ALL.into_iter().filter_map(|slot| Some(self.wish(slot)?.component)).collect();
        let mut listed = Vec::new();
        for (component, found) in files {
            if wished.contains(component) {
                continue;
            }
            // Newer requests go first; the next pass looks at the rest.
            if self.library.work().requested > asked {
                return;
            }
            let verdict = match &found.digest {
                Ok(digest) => match self.verdicts.get(digest) {
                    Some(verdict) => verdict.clone(),
                    None => {
                        let verdict = self.try_other(component, &found.path);
                        self.verdicts.insert(*digest, verdict.clone());
                        verdict
                    }
                },
                Err(refusal) => Err(refusal.clone()),
            };
            listed.push(FileVerdict {
                component: component.clone(),
                path: found.path.clone(),
                digest: found.digest.as_ref().ok().copied(),
                verdict,
            });
        }
        self.verdicts.retain(|digest, _| listed.iter().any(|it| it.digest == Some(*digest)));
        self.library.work().files = listed;
    }

    fn try_other(
        &self,
        component: &str,
        path: &std::path::Path,
    ) -> Result<(Slot, String, String), Refusal> {
        let content = folder::read(path)?;
        let slot = self.library.admission.find_slot(&content.bytes)?;
        let candidate = Candidate {
            bytes: &content.bytes,
            component,
            slot,
            config: "{}",
            limits: None,
            wasi_traps: false,
        };
        let admitted = self.library.admission.admit(&candidate, &self.library.cache)?;
        Ok((slot, admitted.manifest.name, admitted.manifest.version))
    }
}
