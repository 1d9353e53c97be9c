//! Notices that a file or folder may have changed: renamed over, written in place, deleted and made
//! again, swapped by a symbolic link. It says "look again", never what happened: whoever looks
//! compares contents.

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Changes that follow each other within this time count as one.
const QUIET: Duration = Duration::from_millis(200);
/// A path that changes all the time is looked at after this long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Looked at anyway this often: some file systems send no events.
const POLL: Duration = Duration::from_secs(2);

/// A watch on one file or folder, which need not exist.
pub struct Watch {
    path: PathBuf,
    news: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    /// The folders that are watched, with the identity they had when that began.
    armed: Vec<(PathBuf, Option<Seen>)>,
    /// What the target looked like last time.
    seen: Vec<Seen>,
}

/// Identity, size and time of change of a file, through symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    inode: u64,
    len: u64,
    modified_ns: i128,
}

impl Watch {
    pub fn new(path: &Path) -> Watch {
        let news = Arc::new(Notify::new());
        let waker = news.clone();
        let watcher = notify::recommended_watcher(move |_| waker.notify_one());
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "no file events; polling instead"))
            .ok();
        let mut watch =
            Watch { path: path.to_owned(), news, watcher, armed: Vec::new(), seen: Vec::new() };
        watch.arm();
        watch.seen = watch.look();
        watch
    }

    /// Waits until something may have changed, then until it is quiet.
    pub async fn changed(&mut self) {
        loop {
            let woken = tokio::time::timeout(POLL, self.news.notified()).await.is_ok();
            if woken {
                self.wait_for_quiet().await;
            }
            self.arm();
            let seen = self.look();
            if seen != self.seen {
                self.seen = seen;
                return;
            }
        }
    }

    async fn wait_for_quiet(&self) {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if tokio::time::timeout(QUIET, self.news.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Watches the path, its parent, and the parent of what it links to, as they are now.
    fn arm(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let parent = |path: &Path| path.parent().map(Path::to_owned);
        let mut folders: Vec<PathBuf> = parent(&self.path).into_iter().collect();
        folders.extend(self.path.canonicalize().ok().as_deref().and_then(parent));
        if self.path.is_dir() {
            folders.push(self.path.clone());
        }
        for folder in &mut folders {
            if folder.as_os_str().is_empty() {
                *folder = PathBuf::from(".");
            }
        }
        let wanted: Vec<(PathBuf, Option<Seen>)> = folders
            .into_iter()
            .map(|folder| {
                let identity = see(&folder).map(|seen| Seen { len: 0, modified_ns: 0, ..seen });
                (folder, identity)
            })
            .collect();
        for (folder, _) in self.armed.iter().filter(|it| !wanted.contains(it)) {
            // It may be gone already.
            let _ = watcher.unwatch(folder);
        }
        for (folder, _) in wanted.iter().filter(|it| !self.armed.contains(it)) {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::debug!(%error, folder = %folder.display(), "cannot be watched now");
            }
        }
        self.armed = wanted;
    }

    /// The target, and in a folder each entry.
    fn look(&self) -> Vec<Seen> {
        let mut seen: Vec<Seen> = see(&self.path).into_iter().collect();
        if let Ok(entries) = std::fs::read_dir(&self.path) {
            let mut paths: Vec<PathBuf> =
                entries.flatten().take(10_000).map(|entry| entry.path()).collect();
            paths.sort();
            seen.extend(paths.iter().filter_map(|path| see(path)));
        }
        seen
    }
}

fn see(path: &Path) -> Option<Seen> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    let modified_ns =
        i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Some(Seen { inode: metadata.ino(), len: metadata.len(), modified_ns })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    async fn expect_change(watch: &mut Watch, what: &str) {
        let changed = tokio::time::timeout(Duration::from_secs(20), watch.changed()).await;
        assert!(changed.is_ok(), "not noticed: {what}");
    }

    #[tokio::test]
    async fn no_way_to_change_a_file_goes_unnoticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let mut watch = Watch::new(&path);
        fs::write(&path, "1").unwrap();
        expect_change(&mut watch, "made").await;
        for round in 0..3 {
            fs::write(folder.path().join("new"), format!("renamed over {round}")).unwrap();
            fs::rename(folder.path().join("new"), &path).unwrap();
            expect_change(&mut watch, "renamed over").await;
        }
        fs::write(&path, "written in place").unwrap();
        expect_change(&mut watch, "written in place").await;
        fs::remove_file(&path).unwrap();
        expect_change(&mut watch, "deleted").await;
        fs::write(&path, "again").unwrap();
        expect_change(&mut watch, "made again").await;
    }

    #[tokio::test]
    async fn swaps_of_a_linked_folder_are_noticed_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let lay_out = |version: usize| {
            let content = at(&format!("..{version}"));
            fs::create_dir(&content).unwrap();
            fs::write(content.join("config.toml"), format!("version = {version}")).unwrap();
            symlink(format!("..{version}"), at("..new")).unwrap();
            fs::rename(at("..new"), at("..data")).unwrap();
        };
        lay_out(0);
        symlink("..data/config.toml", at("config.toml")).unwrap();
        let mut watch = Watch::new(&at("config.toml"));
        for version in 1..5 {
            lay_out(version);
            fs::remove_dir_all(at(&format!("..{}", version - 1))).unwrap();
            expect_change(&mut watch, "swapped").await;
            let text = fs::read_to_string(at("config.toml")).unwrap();
            assert_eq!(text, format!("version = {version}"));
        }
    }

    #[tokio::test]
    async fn a_folder_that_vanishes_and_returns_is_watched_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("policies");
        fs::create_dir(&folder).unwrap();
        let mut watch = Watch::new(&folder);
        fs::remove_dir_all(&folder).unwrap();
        expect_change(&mut watch, "vanished").await;
        fs::create_dir(&folder).unwrap();
        expect_change(&mut watch, "returned").await;
        fs::write(folder.join("a.wasm"), "x").unwrap();
        expect_change(&mut watch, "file in the returned folder").await;
    }
}
