//! Notices that a file or folder may have changed: renamed over, written in place, deleted and made
//! again, swapped by a symbolic link. It says "look again", never what happened: whoever looks
//! compares contents.

use notify::event::{EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Changes that follow each other within this time count as one.
const QUIET: Duration = Duration::from_millis(200);
/// A path that changes all the time is looked at after this long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Looked at anyway this often, unless asked otherwise: some file systems send no events.
const POLL: Duration = Duration::from_secs(2);
/// Entries of a folder that are looked at.
const MAX_ENTRIES: usize = 10_000;
/// Folders in it that are looked into.
const MAX_WITHIN: usize = 64;
const ARM_TRIES: usize = 5;

/// A watch on one file or folder, which need not exist.
pub struct Watch {
    path: PathBuf,
    poll: Duration,
    news: Arc<News>,
    /// None: there are no events on this machine, only the poll.
    watcher: Option<RecommendedWatcher>,
    /// The folders that are watched, as they were when that began.
    armed: Vec<(PathBuf, Identity)>,
    /// What the target looked like last time.
    seen: Vec<(OsString, Seen)>,
}

/// What the file system told since the last look.
#[derive(Debug, Default)]
struct News {
    woken: Notify,
    /// The target itself, as opposed to something near it, has changed.
    is_target: AtomicBool,
    /// Something was made, removed or renamed, perhaps a folder that is watched.
    is_structure: AtomicBool,
}

/// Tells a folder from another that takes its place, also if that gets the same inode.
type Identity = (u64, u64, Option<SystemTime>);

/// Identity, size and times of change of a file, through symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    /// Also of its rights: it may be readable again.
    changed: (i64, i64),
}

impl Watch {
    pub fn new(path: &Path) -> Watch {
        Watch::polling(path, POLL)
    }

    /// With another time between two looks when there are no events.
    pub fn polling(path: &Path, poll: Duration) -> Watch {
        // Events name absolute paths. It fails for an empty path only, where nothing can change.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let news = Arc::new(News::default());
        let (told, target) = (news.clone(), path.clone());
        let watcher = notify::recommended_watcher(move |event| told.take(&event, &target));
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "no file events; polling instead"))
            .ok();
        let mut watch = Watch { path, poll, news, watcher, armed: Vec::new(), seen: Vec::new() };
        watch.arm();
        watch.seen = look(&watch.path);
        watch
    }

    /// Waits until something may have changed, then until it is quiet.
    pub async fn changed(&mut self) {
        loop {
            let told = tokio::time::timeout(self.poll, self.news.woken.notified()).await;
            if told.is_ok() {
                self.wait_for_quiet().await;
            }
            if self.news.is_structure.swap(false, Ordering::AcqRel) {
                self.disarm();
            }
            // Before looking, so that nothing falls between.
            self.arm();
            let path = self.path.clone();
            // It fails only when the process ends.
            let Ok(seen) = tokio::task::spawn_blocking(move || look(&path)).await else { continue };
            // Two writes within one tick of the file system's clock look alike.
            let is_target = self.news.is_target.swap(false, Ordering::AcqRel);
            if is_target || seen != self.seen {
                self.seen = seen;
                return;
            }
        }
    }

    async fn wait_for_quiet(&self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if tokio::time::timeout(QUIET, self.news.woken.notified()).await.is_err() {
                return;
            }
        }
    }

    fn disarm(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        for (folder, _) in self.armed.drain(..) {
            // It may be gone already.
            let _ = watcher.unwatch(&folder);
        }
    }

    /// Watches the folders as they are now; those that cannot be watched are tried again next time.
    fn arm(&mut self) {
        // A folder can be made between being looked for and its parent being watched.
        for _ in 0..ARM_TRIES {
            let wanted = folders(&self.path);
            if wanted == self.armed {
                return;
            }
            self.disarm();
            let Some(watcher) = &mut self.watcher else { return };
            for (folder, identity) in wanted {
                match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                    Ok(()) => self.armed.push((folder, identity)),
                    Err(error) => {
                        tracing::debug!(%error, folder = %folder.display(), "cannot be watched now");
                    }
                }
            }
        }
    }
}

impl News {
    fn take(&self, event: &notify::Result<notify::Event>, target: &Path) {
        let (is_target, is_structure) = match event {
            // Events may have been lost.
            Err(_) => (true, true),
            Ok(event) if event.need_rescan() => (true, true),
            Ok(event) => match event.kind {
                // Looking is such an event. Whoever closes a file has written to it before.
                EventKind::Access(_) => return,
                EventKind::Modify(ModifyKind::Name(_))
                | EventKind::Create(_)
                | EventKind::Remove(_) => (concerns(event, target), true),
                EventKind::Modify(_) | EventKind::Any | EventKind::Other => {
                    (concerns(event, target), false)
                }
            },
        };
        if is_target {
            self.is_target.store(true, Ordering::Release);
        }
        if is_structure {
            self.is_structure.store(true, Ordering::Release);
        }
        self.woken.notify_one();
    }
}

/// Whether an event is about the target, what is in it, or what it links to in another folder, and
/// not about a neighbour.
fn concerns(event: &notify::Event, target: &Path) -> bool {
    let is_neighbour =
        |path: &PathBuf| !path.starts_with(target) && path.parent() == target.parent();
    !event.paths.iter().all(is_neighbour)
}

/// The folders in which a change of the target shows: the one it is in, or the nearest above that
/// exists, the one that holds what it links to, itself, and those in it.
fn folders(path: &Path) -> Vec<(PathBuf, Identity)> {
    let above = path.ancestors().skip(1).find(|folder| folder.is_dir()).map(Path::to_owned);
    let linked = path.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
    let itself = path.is_dir().then(|| path.to_owned());
    let mut folders: Vec<(PathBuf, Identity)> = Vec::new();
    let within = entries(path).filter(|entry| entry.is_dir()).take(MAX_WITHIN);
    for folder in [above, linked, itself].into_iter().flatten().chain(within) {
        let Ok(metadata) = std::fs::metadata(&folder) else { continue };
        let identity = (metadata.dev(), metadata.ino(), metadata.created().ok());
        // The same folder by two names is watched once: giving up one name would give up both.
        if !folders.iter().any(|(_, known)| *known == identity) {
            folders.push((folder, identity));
        }
    }
    folders
}

/// What is in a folder; nothing if it is none.
fn entries(path: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.take(MAX_ENTRIES).map(|entry| entry.path())
}

/// The target, in a folder each entry, and in the folders there each of theirs: writing over a file shows in
/// nothing but the file itself.
fn look(path: &Path) -> Vec<(OsString, Seen)> {
    let see = |path: PathBuf| {
        let metadata = std::fs::metadata(&path).ok()?;
        Some((path.into_os_string(), Seen::of(&metadata)))
    };
    let own: Vec<PathBuf> = entries(path).collect();
    let within = own.iter().filter(|entry| entry.is_dir()).take(MAX_WITHIN);
    let within: Vec<PathBuf> = within.flat_map(|folder| entries(folder)).collect();
    let all = [path.to_owned()].into_iter().chain(own).chain(within);
    let mut seen: Vec<(OsString, Seen)> = all.filter_map(see).collect();
    seen.sort();
    seen
}

impl Seen {
    fn of(metadata: &Metadata) -> Seen {
        Seen {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// No poll comes to the help of events within a test's time.
    const EVENTS_ONLY: Duration = Duration::from_secs(3600);

    /// Waits until `is_seen`, after any number of calls to look again.
    async fn expect(watch: &mut Watch, what: &str, is_seen: impl Fn() -> bool) {
        let seen = async {
            loop {
                watch.changed().await;
                if is_seen() {
                    return;
                }
            }
        };
        let outcome = tokio::time::timeout(Duration::from_secs(20), seen).await;
        assert!(outcome.is_ok(), "not noticed: {what}");
    }

    /// Every way in which editors and operators change a file.
    async fn change_in_all_ways(poll: Duration, is_deaf: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let mut watch = Watch::polling(&path, poll);
        if is_deaf {
            watch.watcher = None;
        }
        let reads = |text: &str| {
            let (path, text) = (path.clone(), text.to_owned());
            move || fs::read_to_string(&path).unwrap_or_default() == text
        };
        fs::write(&path, "1").unwrap();
        expect(&mut watch, "made", reads("1")).await;
        for round in 0..3 {
            let text = format!("renamed over {round}");
            fs::write(folder.path().join("new"), &text).unwrap();
            fs::rename(folder.path().join("new"), &path).unwrap();
            expect(&mut watch, &text, reads(&text)).await;
        }
        fs::write(&path, "written in place").unwrap();
        expect(&mut watch, "written in place", reads("written in place")).await;
        // As vim does.
        fs::rename(&path, folder.path().join("config.toml~")).unwrap();
        fs::write(&path, "with a copy of before").unwrap();
        fs::remove_file(folder.path().join("config.toml~")).unwrap();
        expect(&mut watch, "moved away and made", reads("with a copy of before")).await;
        fs::remove_file(&path).unwrap();
        expect(&mut watch, "deleted", || !path.exists()).await;
        fs::write(&path, "again").unwrap();
        expect(&mut watch, "made again", reads("again")).await;
    }

    #[tokio::test]
    async fn what_is_written_over_a_file_in_a_folder_within_is_noticed() {
        for (poll, is_deaf) in [(EVENTS_ONLY, false), (Duration::from_millis(20), true)] {
            let folder = tempfile::tempdir().unwrap();
            let within = folder.path().join("within");
            fs::create_dir(&within).unwrap();
            fs::write(within.join("file"), "one").unwrap();
            let mut watch = Watch::polling(folder.path(), poll);
            if is_deaf {
                watch.watcher = None;
            }
            fs::write(within.join("file"), "three").unwrap();
            let told = tokio::time::timeout(Duration::from_secs(20), watch.changed()).await;
            assert!(told.is_ok(), "deaf: {is_deaf}");
        }
    }

    #[tokio::test]
    async fn no_way_to_change_a_file_goes_unnoticed() {
        change_in_all_ways(EVENTS_ONLY, false).await;
    }

    #[tokio::test]
    async fn nothing_goes_unnoticed_where_there_are_no_events() {
        change_in_all_ways(Duration::from_millis(10), true).await;
    }

    #[tokio::test]
    async fn a_change_that_leaves_size_and_time_alone_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, "max_retries = 3").unwrap();
        let modified = fs::metadata(&path).unwrap().modified().unwrap();
        let mut watch = Watch::polling(&path, EVENTS_ONLY);
        fs::write(&path, "max_retries = 4").unwrap();
        fs::File::options().append(true).open(&path).unwrap().set_modified(modified).unwrap();
        expect(&mut watch, "same size and time", || true).await;
    }

    #[tokio::test]
    async fn swaps_of_a_linked_folder_are_noticed_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let lay_out = |version: usize| {
            let content = at(&format!("..{version}"));
            fs::create_dir(&content).unwrap();
            fs::write(content.join("config.toml"), format!("version = {version:02}")).unwrap();
            symlink(format!("..{version}"), at("..new")).unwrap();
            fs::rename(at("..new"), at("..data")).unwrap();
        };
        // The link is there before its target.
        symlink("..data/config.toml", at("config.toml")).unwrap();
        let mut watch = Watch::polling(&at("config.toml"), EVENTS_ONLY);
        for version in 0..20 {
            lay_out(version);
            if let Some(before) = version.checked_sub(1) {
                fs::remove_dir_all(at(&format!("..{before}"))).unwrap();
            }
            let text = format!("version = {version:02}");
            let path = at("config.toml");
            expect(&mut watch, &text, || fs::read_to_string(&path).unwrap() == text).await;
        }
        // A folder of such links, as the drop-in folder may be.
        let mut watch = Watch::polling(folder.path(), EVENTS_ONLY);
        lay_out(20);
        expect(&mut watch, "folder", || true).await;
    }

    #[tokio::test]
    async fn folders_that_vanish_and_return_are_watched_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/pointsman");
        let path = folder.join("config.toml");
        let mut of_file = Watch::polling(&path, EVENTS_ONLY);
        let mut of_folder = Watch::polling(&folder, EVENTS_ONLY);
        for round in 0..3 {
            fs::create_dir_all(&folder).unwrap();
            expect(&mut of_folder, "returned", || true).await;
            fs::write(&path, format!("{round}")).unwrap();
            expect(&mut of_file, "file in the returned folder", || path.exists()).await;
            expect(&mut of_folder, "entry of the returned folder", || path.exists()).await;
            fs::write(&path, format!("changed {round}")).unwrap();
            expect(&mut of_file, "change in the returned folder", || true).await;
            fs::remove_dir_all(root.path().join("etc")).unwrap();
            expect(&mut of_file, "vanished", || !path.exists()).await;
            expect(&mut of_folder, "vanished", || !folder.exists()).await;
        }
    }

    #[test]
    fn what_neighbours_do_does_not_concern_a_file() {
        let target = Path::new("/etc/pointsman/config.toml");
        for (path, expected) in [
            ("/etc/pointsman/config.toml", true),
            ("/etc/pointsman/host.log", false),
            ("/etc/pointsman", true),
            ("/etc/pointsman/..2026/config.toml", true),
        ] {
            let event = notify::Event::new(EventKind::Any).add_path(path.into());
            assert_eq!(concerns(&event, target), expected, "{path}");
        }
        let folder = Path::new("/var/policies");
        for (path, expected) in [("/var/policies/a.wasm", true), ("/var/log", false)] {
            let event = notify::Event::new(EventKind::Any).add_path(path.into());
            assert_eq!(concerns(&event, folder), expected, "{path}");
        }
    }
}
