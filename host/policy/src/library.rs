//! The policy library: what is bound to each slot, and what the drop-in folder offers. A cheap
//! handle for any thread; the work is done in [`crate::reload`].

mod orders;

pub use orders::{RollbackError, RolledBack, UploadError, UseError};

use crate::admission::{Admission, LimitsByKind, Refusal};
use crate::cache::CompileCache;
use crate::engine::{EngineError, PolicyEngine};
use crate::folder::Content;
use crate::forecast_host::ForecastHost;
use crate::generation::{ContentKey, Digest, Generation, Origin};
use crate::host::{PolicyHost, native_names};
use crate::ladder::{Change, OnFailure};
use crate::limits::Limits;
use crate::memory::{Kept, Memory, MemoryFolder};
use crate::predicted::PredictedColumns;
use crate::provenance::Provenance;
use crate::reload::{FileVerdict, Refusals, Refused};
use crate::shared::{Handover, N_SLOTS, index, lock};
use crate::status::{LookedAt, RefusedStatus};
use crate::time::HostTime;
use pointsman_scheduler::Slot;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A policy that the caller carries.
#[derive(Debug, Clone)]
pub struct StandardPolicy {
    pub name: String,
    pub slot: Slot,
    pub bytes: Cow<'static, [u8]>,
}

/// Where policies come from and are kept.
#[derive(Debug, Clone, Default)]
pub struct LibrarySettings {
    /// The drop-in folder; need not exist. None: standard policies only.
    pub directory: Option<PathBuf>,
    /// Accepted and compiled policies are kept in `policies` and `policy-cache` below it. None:
    /// nothing outlives the process.
    pub data_dir: Option<PathBuf>,
    pub standard: Vec<StandardPolicy>,
    pub limits: LimitsByKind,
}

/// What the configuration says about a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Stem of a file in the folder, else a standard policy's name, else a native one's.
    pub component: String,
    /// JSON, handed to `configure`.
    pub config: String,
    pub on_failure: OnFailure,
    /// Only a file of this SHA-256 is taken.
    pub sha256: Option<Digest>,
    /// Imports that the host does not offer trap when called, instead of refusing the file.
    pub wasi_traps: bool,
    /// None: by the kind of guest.
    pub limits: Option<Limits>,
}

impl Binding {
    /// `component` without configuration and with every default.
    pub fn to(component: impl Into<String>) -> Binding {
        Binding {
            component: component.into(),
            config: "{}".to_owned(),
            on_failure: OnFailure::default(),
            sha256: None,
            wasi_traps: false,
            limits: None,
        }
    }

    fn fingerprint(&self) -> Digest {
        Digest::of(format!("{self:?}").as_bytes())
    }
}

/// The library does not start.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("no thread to admit policies on: {0}")]
    Thread(#[source] std::io::Error),
}

/// A standard policy with what is asked of it again and again.
pub(crate) struct Carried {
    pub name: String,
    pub slot: Slot,
    pub content: Content,
    pub provenance: Provenance,
}

impl Carried {
    fn of(policy: StandardPolicy) -> Carried {
        let StandardPolicy { name, slot, bytes } = policy;
        let content = Content { digest: Digest::of(&bytes), bytes: Arc::from(&*bytes) };
        Carried { name, slot, provenance: Provenance::of(&content.bytes), content }
    }
}

/// What one slot is to be and what came of it.
#[derive(Default)]
pub(crate) struct SlotWork {
    pub binding: Option<Binding>,
    /// Admit again though content and configuration are the same.
    pub is_forced: bool,
    /// Take what was rolled back or given up, because somebody asks for it.
    pub is_unparked: bool,
    pub installed: Option<Installed>,
    pub refused: Option<Refused>,
    pub refusals: Refusals,
    pub quarantined: BTreeSet<ContentKey>,
    pub warning: Option<String>,
    /// Handed over by hand, to be admitted first.
    pub upload: Option<Upload>,
    /// What to go back to, when the driver has it no more.
    pub restore: Option<Kept>,
}

/// Content that somebody wants to serve, and waits for the outcome.
pub(crate) struct Upload {
    pub component: String,
    pub config: String,
    pub content: Content,
    pub outcome: Sender<Result<(), Refusal>>,
}

/// What was last handed to the driver.
#[derive(Clone)]
pub(crate) struct Installed {
    pub component: String,
    /// None: a native policy.
    pub key: Option<ContentKey>,
    pub origin: Origin,
    /// To serve on when the file goes; None: to be read from where it is kept.
    pub bytes: Option<Content>,
}

pub(crate) struct Work {
    pub requested: u64,
    pub finished: u64,
    pub is_stopped: bool,
    pub slots: [SlotWork; N_SLOTS],
    pub memory: Memory,
    pub files: Vec<FileVerdict>,
    pub folder_error: Option<String>,
    pub looking_at: Option<LookedAt>,
}

impl Work {
    pub fn slot(&mut self, slot: Slot) -> &mut SlotWork {
        &mut self.slots[index(slot)]
    }
}

type Waker = Arc<dyn Fn() + Send + Sync>;
type Listener = Arc<dyn Fn(Option<Slot>, &RefusedStatus) + Send + Sync>;

pub(crate) struct Library {
    pub admission: Admission,
    pub cache: CompileCache,
    pub kept: MemoryFolder,
    pub directory: Option<PathBuf>,
    pub standard: Vec<Carried>,
    pub handover: Arc<Handover>,
    work: Mutex<Work>,
    /// Somebody asked for a pass, or to stop.
    pub wake: Condvar,
    /// A pass has ended.
    pub settled: Condvar,
    waker: Mutex<Option<Waker>>,
    /// Until the thread that asks for forecasts takes it.
    forecasts: Mutex<Option<ForecastHost>>,
    ear: Mutex<Ear>,
}

/// Who is told of refusals, and what there was to tell before anybody listened: a library begins to look
/// at its folder before its owner can.
#[derive(Default)]
struct Ear {
    listener: Option<Listener>,
    untold: Vec<(Option<Slot>, RefusedStatus)>,
}

/// Refusals that wait for somebody to listen.
const UNTOLD_MAX: usize = 100;

impl Library {
    /// Tells of a refusal that is new. Not to be called while holding the work.
    pub fn tell(&self, slot: Option<Slot>, refused: &RefusedStatus) {
        let mut ear = lock(&self.ear);
        let Some(listener) = ear.listener.clone() else {
            if ear.untold.len() < UNTOLD_MAX {
                ear.untold.push((slot, refused.clone()));
            }
            return;
        };
        drop(ear);
        listener(slot, refused);
    }

    pub fn work(&self) -> MutexGuard<'_, Work> {
        lock(&self.work)
    }

    /// Shows meanwhile what is being admitted, which may take long. Not to be called while holding the
    /// work.
    pub fn looking_at<R>(
        &self,
        slot: Option<Slot>,
        component: &str,
        look: impl FnOnce() -> R,
    ) -> R {
        let component = component.to_owned();
        self.work().looking_at = Some(LookedAt { slot, component, since: SystemTime::now() });
        let found = look();
        self.work().looking_at = None;
        found
    }

    /// Hands a change to the driver and wakes it.
    pub fn hand_over(&self, slot: Slot, change: Change) {
        self.handover.push(slot, change);
        let waker = lock(&self.waker).clone();
        if let Some(waker) = waker {
            waker();
        }
    }

    /// Notes what the driver has given up, and what it serves instead.
    pub fn note_quarantined(&self, work: &mut Work) {
        for generation in self.handover.take_quarantined() {
            let Some(key) = generation.key else { continue };
            let slot = generation.slot;
            let active = self.handover.view(slot).and_then(|view| view.active);
            let slot_work = work.slot(slot);
            slot_work.quarantined.insert(key);
            let is_installed = slot_work.installed.as_ref().and_then(|it| it.key) == Some(key);
            if let (true, Some(active)) = (is_installed, active)
                && active.key != Some(key)
            {
                slot_work.installed = Some(Installed::of(&active));
            }
        }
    }

    /// Writes down what is to outlive the process, and the machine. Not to be called while holding the work.
    pub fn save(&self) {
        self.kept.save(|| self.work().memory.clone());
    }

    /// The same without waiting for the disk, for what can be done again: the file lies in the folder.
    pub fn save_soon(&self) {
        self.kept.save_soon(|| self.work().memory.clone());
    }

    /// What the driver has in force for `slot`, even if a lower rung serves at the moment.
    pub fn active(&self, slot: Slot) -> Option<ContentKey> {
        self.handover.view(slot).and_then(|view| view.active?.key)
    }
}

impl Installed {
    fn of(generation: &Generation) -> Installed {
        Installed {
            component: generation.component.clone(),
            key: generation.key,
            origin: generation.origin.clone(),
            bytes: None,
        }
    }
}

/// Stops the admission thread when the last handle goes.
struct Handle(Arc<Library>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.work().is_stopped = true;
        self.0.wake.notify_all();
    }
}

/// The handle. Cheap to clone. Asking is quick, but for [`Self::settle`], [`Self::explain`],
/// [`Self::check`] and [`Self::bench`]; orders wait for the disk.
#[derive(Clone)]
pub struct PolicyLibrary(Arc<Handle>);

impl PolicyHost {
    /// A host whose policies come from a library. The host goes to the thread that plans. Nothing
    /// is bound yet: native policies serve.
    ///
    /// # Errors
    /// The WebAssembly engine or a thread does not start.
    pub fn start(settings: LibrarySettings) -> Result<(PolicyHost, PolicyLibrary), LibraryError> {
        PolicyHost::start_on(PolicyEngine::with_clock()?, settings)
    }

    pub(crate) fn start_on(
        engine: PolicyEngine,
        settings: LibrarySettings,
    ) -> Result<(PolicyHost, PolicyLibrary), LibraryError> {
        let handover = Arc::new(Handover::default());
        let below = |name: &str| settings.data_dir.as_ref().map(|it| it.join(name));
        let kept = MemoryFolder::new(below("policies"));
        let memory = kept.load();
        let library = Arc::new(Library {
            admission: Admission::new(engine, settings.limits),
            cache: CompileCache::new(below("policy-cache")),
            kept,
            directory: settings.directory,
            standard: settings.standard.into_iter().map(Carried::of).collect(),
            handover: handover.clone(),
            work: Mutex::new(Work {
                requested: 0,
                finished: 0,
                is_stopped: false,
                slots: Default::default(),
                memory,
                files: Vec::new(),
                folder_error: None,
                looking_at: None,
            }),
            wake: Condvar::new(),
            settled: Condvar::new(),
            waker: Mutex::new(None),
            forecasts: Mutex::new(Some(ForecastHost::new(handover.clone()))),
            ear: Mutex::default(),
        });
        crate::reload::spawn(library.clone()).map_err(LibraryError::Thread)?;
        let host = PolicyHost::with(HostTime::real(), Some(handover));
        Ok((host, PolicyLibrary(Arc::new(Handle(library)))))
    }
}

impl PolicyLibrary {
    pub(crate) fn library(&self) -> &Library {
        &self.0.0
    }

    /// Called whenever a change waits for the driver's next round, from the thread that made it.
    /// It must not block or call the library.
    pub fn set_waker(&self, waker: impl Fn() + Send + Sync + 'static) {
        *lock(&self.library().waker) = Some(Arc::new(waker));
    }

    /// What asks the forecasting policy, for the thread that does so; None: it was taken already.
    pub fn take_forecasts(&self) -> Option<ForecastHost> {
        lock(&self.library().forecasts).take()
    }

    /// Which forecasts can be relied on from the next round on. Policies that need others do not serve.
    pub fn set_predicted(&self, columns: PredictedColumns) {
        let columns = Arc::new(columns);
        for slot in [Slot::Scoring, Slot::Rescheduling] {
            self.library().hand_over(slot, Change::Predicted(columns.clone()));
        }
    }

    /// Called whenever a candidate is refused, once for each content, from the thread that refuses
    /// it: with the slot that asks for it or that it is made for, if that can be told. It must not
    /// block or call the library. What was refused before anybody listened is told at once.
    pub fn set_listener(
        &self,
        told: impl Fn(Option<Slot>, &RefusedStatus) + Send + Sync + 'static,
    ) {
        let untold = {
            let mut ear = lock(&self.library().ear);
            ear.listener = Some(Arc::new(told));
            std::mem::take(&mut ear.untold)
        };
        untold.iter().for_each(|(slot, refused)| self.library().tell(*slot, refused));
    }

    /// Sets what the configuration binds to `slot`; None: nothing, the native default serves. An
    /// unchanged binding does nothing; a changed one ends a choice made with [`Self::use_policy`].
    pub fn bind(&self, slot: Slot, binding: Option<Binding>) {
        let library = self.library();
        let mut work = library.work();
        let fingerprint = binding.as_ref().map(Binding::fingerprint);
        let choice = &mut work.memory.slot_mut(slot).choice;
        let ends_choice = choice.take_if(|choice| Some(choice.binding) != fingerprint).is_some();
        let slot_work = work.slot(slot);
        if slot_work.binding == binding {
            return;
        }
        match (&slot_work.binding, &binding) {
            (_, None) => {
                slot_work.installed = None;
                slot_work.refused = None;
                slot_work.warning = None;
                library.hand_over(slot, Change::Unbind);
            }
            (old, Some(new)) => {
                let sandbox = |it: &Binding| (it.wasi_traps, it.limits);
                slot_work.is_forced |= old.as_ref().is_some_and(|old| sandbox(old) != sandbox(new));
                library.hand_over(slot, Change::OnFailure(new.on_failure));
            }
        }
        slot_work.binding = binding;
        request(library, &mut work);
        drop(work);
        if ends_choice {
            library.save();
        }
    }

    /// Looks at the folder again, soon, on the library's thread. Cheap; calls in a row are one.
    pub fn rescan(&self) {
        let library = self.library();
        request(library, &mut library.work());
    }

    /// Waits until everything asked for so far is decided: admitted and handed to the driver, or
    /// refused. False: not within `patience`.
    pub fn settle(&self, patience: Duration) -> bool {
        let library = self.library();
        let deadline = Instant::now() + patience;
        let mut work = library.work();
        let asked = work.requested;
        while work.finished < asked {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = library.settled.wait_timeout(work, left);
            work = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

pub(crate) fn request(library: &Library, work: &mut Work) {
    work.requested += 1;
    library.wake.notify_all();
}

impl Library {
    /// Every name by which a policy for `slot` could be bound.
    pub fn names(&self, slot: Slot, work: &Work) -> Vec<String> {
        let files = work.files.iter().map(|file| file.component.clone());
        let fresh = self.directory.iter().flat_map(|path| std::fs::read_dir(path).into_iter());
        let fresh = fresh.flatten().filter_map(|entry| {
            let path = entry.ok()?.path();
            let is_policy = path.extension().is_some_and(|it| it == "wasm");
            is_policy.then(|| Some(path.file_stem()?.to_str()?.to_owned())).flatten()
        });
        let standard = self.standard.iter().filter(|it| it.slot == slot).map(|it| it.name.clone());
        let native = native_names(slot).into_iter().map(str::to_owned);
        let kept = work.memory.slot(slot).kept.iter().map(|kept| kept.component.clone());
        let all: BTreeSet<String> =
            files.chain(fresh).chain(standard).chain(native).chain(kept).collect();
        all.into_iter().collect()
    }
}
