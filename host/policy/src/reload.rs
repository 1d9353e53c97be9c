//! The thread that keeps the slots in line with bindings and folder: it looks, admits what is new,
//! and hands what passed to the driver. One candidate at a time, at low priority.

mod install;
mod offer;
mod others;
mod refusals;

pub(crate) use others::FileVerdict;
pub(crate) use refusals::Refusals;

use crate::admission::{Refusal, Stage};
use crate::assets::Assets;
use crate::folder::{self, Content, Folder, Found, Unread};
use crate::generation::{ContentKey, Origin};
use crate::library::{Library, Upload};
use crate::memory::{Choice, Kept};
use crate::status::RefusedStatus;
use offer::{Offer, Offered, Wish};
use others::Dated;
use pointsman_scheduler::Slot;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A candidate that does not serve.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub component: String,
    /// None: it could not be read.
    pub key: Option<ContentKey>,
    pub refusal: Refusal,
    pub at: SystemTime,
}

/// The niceness of the thread: the least that is not starved. Whatever the host has to do comes first.
const NICE: i32 = 19;
/// The longest that Linux takes; older ones do without.
const SLICE: Duration = Duration::from_millis(100);
/// Compiling recurses deeply.
const STACK: usize = 8 << 20;

/// What could not be read is tried again after this long: no event tells that it can be.
const RETRY: Duration = Duration::from_secs(2);
/// So is what is being written.
const RETRY_PENDING: Duration = Duration::from_millis(100);

/// Starts the thread; it ends when the library is stopped.
pub(crate) fn spawn(library: Arc<Library>) -> io::Result<()> {
    let thread = std::thread::Builder::new().name("policy-admission".to_owned()).stack_size(STACK);
    thread.spawn(move || {
        lower_priority();
        Reloader {
            folder: Folder::new(library.directory.clone()),
            verdicts: BTreeMap::new(),
            others_refused: Refusals::default(),
            retry: None,
            library,
        }
        .run();
    })?;
    Ok(())
}

/// Whoever wakes up takes the processor at once: as a batch thread this one gives way to others, and
/// the kernel lets a thread finish its slice before one with a longer slice only.
fn lower_priority() {
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_BATCH as u32,
        sched_flags: 0,
        sched_nice: NICE,
        sched_priority: 0,
        sched_runtime: SLICE.as_nanos() as u64,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: a plain system call about this thread, which reads a structure of the size told in it.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if result != 0 {
        tracing::debug!("policies are compiled at normal priority");
    }
}

struct Reloader {
    library: Arc<Library>,
    folder: Folder,
    /// Of files bound to no slot, by content.
    verdicts: BTreeMap<ContentKey, Dated>,
    /// Refused ones of them that were told of.
    others_refused: Refusals,
    /// Something that is there could not be read, and is looked at again after this long.
    retry: Option<Duration>,
}

type Files = BTreeMap<String, Found>;

/// When to look at it again, without being told.
fn retry(unread: &Unread) -> Option<Duration> {
    match unread {
        Unread::Pending(_) => Some(RETRY_PENDING),
        Unread::Refused(refusal) => (refusal.stage == Stage::Read).then_some(RETRY),
    }
}

/// Whether content is to be admitted.
enum Judgement {
    Wanted,
    /// It serves.
    Serves,
    Refused(Refusal),
    /// It was rolled back or failed too often.
    GivenUp(String),
}

impl Reloader {
    fn run(&mut self) {
        while let Some(asked) = self.wait() {
            self.pass(asked);
            self.library.handover.free_retired();
            let mut work = self.library.work();
            work.finished = work.finished.max(asked);
            drop(work);
            self.library.settled.notify_all();
        }
        self.library.kept.sync();
    }

    /// The number of the latest request; None: stop.
    fn wait(&self) -> Option<u64> {
        let retry = self.retry.map(|retry| Instant::now() + retry);
        let mut work = self.library.work();
        while work.requested == work.finished && !work.is_stopped {
            let now = Instant::now();
            let sync = self.library.kept.sync_due();
            if sync.is_some_and(|due| due <= now) {
                drop(work);
                self.library.kept.sync();
                work = self.library.work();
            } else if retry.is_some_and(|due| due <= now) {
                break;
            } else {
                let wake = &self.library.wake;
                work = match retry.into_iter().chain(sync).min() {
                    None => wake.wait(work).unwrap_or_else(PoisonError::into_inner),
                    Some(due) => {
                        let waited = wake.wait_timeout(work, due - now);
                        waited.unwrap_or_else(PoisonError::into_inner).0
                    }
                };
            }
        }
        (!work.is_stopped).then_some(work.requested)
    }

    fn pass(&mut self, asked: u64) {
        for slot in Slot::ALL {
            self.take_upload(slot);
            self.take_restore(slot);
        }
        let wishes = Slot::ALL.into_iter().filter_map(|slot| Some((slot, self.wish(slot)?)));
        let wishes: Vec<(Slot, Wish)> = wishes.collect();
        let wished = wishes.iter().map(|(_, wish)| wish.component.clone()).collect();
        let files = self.look(&wished);
        self.retry = match &files {
            Some(files) => files.values().filter_map(|it| retry(it.digest.as_ref().err()?)).min(),
            None => Some(RETRY),
        };
        // A folder that cannot be read keeps nobody from standard and kept policies.
        for (slot, mut wish) in wishes {
            let assets = self.folder.assets(&wish.component);
            match assets {
                Ok(assets) => {
                    wish.assets = assets;
                    let is_gone =
                        files.as_ref().is_some_and(|it| !it.contains_key(&wish.component));
                    if is_gone && wish.assets.digest().is_none() {
                        wish.assets = self.library.assets_of_vanished(slot, &wish.component);
                    }
                    self.pass_slot(slot, &wish, files.as_ref().unwrap_or(&Files::new()));
                }
                Err(unread) => {
                    self.retry = self.retry.into_iter().chain(retry(&unread)).min();
                    if let Unread::Refused(refusal) = unread {
                        self.refuse(slot, &wish, None, refusal);
                    }
                    self.fall_back(slot, &wish);
                }
            }
        }
        if let Some(files) = files {
            self.look_at_others(&files, &wished, asked);
        }
    }

    /// None: the folder cannot be read.
    fn look(&mut self, wished: &BTreeSet<String>) -> Option<Files> {
        let (files, problem) = match self.folder.scan(wished) {
            Ok(scan) if scan.n_left_out == 0 => (Some(scan.files), None),
            Ok(scan) => {
                let n_left_out = scan.n_left_out;
                let told =
                    format!("the policy folder holds too many files; {n_left_out} are ignored");
                (Some(scan.files), Some(told))
            }
            Err(error) => (None, Some(format!("the policy folder cannot be read: {error}"))),
        };
        let mut work = self.library.work();
        if work.folder_error != problem
            && let Some(problem) = &problem
        {
            tracing::warn!("{problem}");
        }
        work.folder_error = problem;
        files
    }

    fn wish(&self, slot: Slot) -> Option<Wish> {
        let mut work = self.library.work();
        self.library.note_quarantined(&mut work);
        let binding = work.slot(slot).binding.clone()?;
        Some(match work.memory.slot(slot).choice.clone() {
            Some(Choice { component, config, upload, .. }) => {
                Wish { component, config, assets: Assets::default(), binding, upload }
            }
            None => Wish {
                component: binding.component.clone(),
                config: binding.config.clone(),
                assets: Assets::default(),
                binding,
                upload: None,
            },
        })
    }

    fn pass_slot(&self, slot: Slot, wish: &Wish, files: &Files) {
        let warning = match self.library.offer(slot, wish, files) {
            Ok(Offer::Native) => {
                self.install_native(slot, wish);
                None
            }
            Ok(Offer::Guest(offered)) => self.pass_guest(slot, wish, offered),
            Ok(Offer::Pending) => {
                self.fall_back(slot, wish);
                return;
            }
            Err(refusal) => {
                self.refuse(slot, wish, None, refusal);
                None
            }
        };
        let mut work = self.library.work();
        let slot_work = work.slot(slot);
        slot_work.is_forced = false;
        slot_work.is_unparked = false;
        if slot_work.warning != warning
            && let Some(warning) = &warning
        {
            tracing::warn!(slot = slot.name(), "{warning}");
        }
        slot_work.warning = warning;
        drop(work);
        self.fall_back(slot, wish);
    }

    /// Answers what is to be told of what serves then.
    fn pass_guest(&self, slot: Slot, wish: &Wish, offered: Offered) -> Option<String> {
        let key = wish.key(offered.digest);
        if let Err(refusal) = wish.check_pin(offered.digest) {
            self.refuse(slot, wish, Some(key), refusal);
            return offered.warning;
        }
        match self.judge(slot, wish, key) {
            Judgement::Wanted => {}
            Judgement::Serves => return offered.warning,
            Judgement::GivenUp(warning) => return Some(warning),
            Judgement::Refused(refusal) => {
                self.refuse(slot, wish, Some(key), refusal);
                return offered.warning;
            }
        }
        let content = match (offered.content, &offered.origin) {
            (Some(content), _) => content,
            (None, Origin::File(path)) => match folder::read(path) {
                Ok(content) => content,
                // Written to since it was listed, of which events tell.
                Err(Unread::Pending(_)) => return offered.warning,
                Err(Unread::Refused(refusal)) => {
                    self.refuse(slot, wish, None, refusal);
                    return offered.warning;
                }
            },
            (None, _) => unreachable!("only files are offered without content"),
        };
        if content.digest != offered.digest {
            // It has changed since it was listed, and is judged by what was read.
            let (digest, content) = (content.digest, Some(content));
            return self.pass_guest(slot, wish, Offered { digest, content, ..offered });
        }
        let origin = offered.origin;
        if let Err(refusal) = self.admit(slot, wish, content, origin) {
            self.refuse(slot, wish, Some(key), refusal);
        }
        offered.warning
    }

    fn judge(&self, slot: Slot, wish: &Wish, key: ContentKey) -> Judgement {
        let mut work = self.library.work();
        if work.slot(slot).is_unparked {
            work.slot(slot).quarantined.remove(&key);
            work.memory.slot_mut(slot).parked.remove(&key);
        }
        let is_parked = work.memory.slot(slot).parked.contains(&key);
        let slot_work = work.slot(slot);
        if is_parked || slot_work.quarantined.contains(&key) {
            // A refusal would be one of content that lay there before.
            slot_work.refused = None;
            let why = if is_parked { "was rolled back" } else { "failed too often" };
            return Judgement::GivenUp(format!(
                "the content of {} {why} and is not taken until it changes or is asked for by hand",
                wish.component
            ));
        }
        if slot_work.is_forced {
            return Judgement::Wanted;
        }
        let is_installed = slot_work
            .installed
            .as_ref()
            .is_some_and(|it| it.key == Some(key) && it.component == wish.component);
        if is_installed {
            slot_work.refused = None;
            return Judgement::Serves;
        }
        match slot_work.refusals.of(key) {
            Some(refusal) => Judgement::Refused(refusal.clone()),
            None => Judgement::Wanted,
        }
    }

    /// What was handed over goes first, and is chosen if it is admitted.
    fn take_upload(&mut self, slot: Slot) {
        let mut work = self.library.work();
        let Some(upload) = work.slot(slot).upload.take() else { return };
        let Some(binding) = work.slot(slot).binding.clone() else { return };
        drop(work);
        let Upload { component, config, content, outcome } = upload;
        let digest = content.digest;
        let assets = self.folder.assets(&component).map_err(|unread| match unread {
            Unread::Refused(refusal) => refusal,
            Unread::Pending(_) => {
                Refusal::new(Stage::Read, "a file beside it is being written; try again")
            }
        });
        let upload = Some(digest);
        let (assets, unread) = match assets {
            Ok(assets) => (assets, Ok(())),
            Err(refusal) => (Assets::default(), Err(refusal)),
        };
        let wish = Wish { component, config, assets, binding, upload };
        let admitted = unread.and_then(|()| wish.check_pin(digest));
        let admitted = admitted.and_then(|()| self.admit(slot, &wish, content, Origin::Uploaded));
        if admitted.is_ok() {
            let mut work = self.library.work();
            let key = wish.key(digest);
            work.slot(slot).quarantined.remove(&key);
            work.memory.slot_mut(slot).parked.remove(&key);
            if let Some(installed) = work.slot(slot).installed.clone() {
                self.library.follow(slot, &mut work, &installed, &wish.config);
            }
            drop(work);
            self.library.save();
        }
        // Whoever handed it over may have gone.
        let _ = outcome.send(admitted);
    }

    /// Goes back to content that served before this host was started.
    fn take_restore(&self, slot: Slot) {
        let mut work = self.library.work();
        let Some(kept) = work.slot(slot).restore.take() else { return };
        let before = work.slot(slot).installed.as_ref().and_then(|it| it.key);
        let Some(binding) = work.slot(slot).binding.clone() else { return };
        drop(work);
        let Some((content, assets)) = self.library.read_kept(&kept) else { return };
        let Kept { component, config, .. } = kept;
        let wish = Wish { component, config, assets, binding, upload: None };
        match self.admit(slot, &wish, content, Origin::Kept) {
            Ok(()) => {
                let mut work = self.library.work();
                work.memory.slot_mut(slot).parked.extend(before);
                if let Some(installed) = work.slot(slot).installed.clone() {
                    self.library.follow(slot, &mut work, &installed, &wish.config);
                }
                drop(work);
                self.library.save();
            }
            Err(refusal) => {
                tracing::warn!(
                    slot = slot.name(),
                    "not rolled back to {}: {refusal}",
                    wish.component
                );
            }
        }
    }

    /// Notes it, and tells of it if this content has not been refused so before.
    fn refuse(&self, slot: Slot, wish: &Wish, key: Option<ContentKey>, refusal: Refusal) {
        let mut work = self.library.work();
        let slot_work = work.slot(slot);
        let is_current = slot_work.refused.as_ref().is_some_and(|it| {
            it.key == key && it.refusal == refusal && it.component == wish.component
        });
        if is_current {
            return;
        }
        let is_new = slot_work.refusals.note(key, &refusal);
        let refused =
            Refused { component: wish.component.clone(), key, refusal, at: SystemTime::now() };
        let told = RefusedStatus::from(&refused);
        slot_work.refused = Some(refused);
        drop(work);
        let digest = told.digest.map(|it| it.to_string()).unwrap_or_default();
        let (slot_name, component) = (slot.name(), &told.component);
        if is_new {
            tracing::warn!(slot = slot_name, digest, "policy {component} is {}", told.refusal());
            self.library.tell(Some(slot), &told);
        } else {
            tracing::debug!(slot = slot_name, digest, "policy {component} is refused again");
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
        let kept = remembered.kept.iter().filter(|it| it.component == wish.component).cloned();
        let kept: Vec<Kept> = kept.collect();
        drop(work);
        let again = |config, assets| Wish { config, assets, ..wish.clone() };
        let read = |it: Kept| {
            let (content, assets) = self.library.read_kept(&it)?;
            Some((again(it.config, assets), Origin::Kept, content))
        };
        let mut candidates: Vec<(Wish, Origin, Content)> =
            kept.into_iter().filter_map(read).collect();
        let standard = self.library.standard(slot, &wish.component);
        candidates.extend(standard.map(|it| (wish.clone(), Origin::Standard, it)));
        for (again, origin, content) in candidates {
            let key = again.key(content.digest);
            if Some(key) == refused
                || parked.contains(&key)
                || wish.check_pin(content.digest).is_err()
            {
                continue;
            }
            let refusal = self.library.work().slot(slot).refused.take();
            let result = self.admit(slot, &again, content, origin);
            // What was wished is still refused.
            self.library.work().slot(slot).refused = refusal;
            if result.is_ok() {
                return;
            }
        }
    }
}
