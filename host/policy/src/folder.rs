//! The drop-in folder: which policies lie there, and their content. Watching it is somebody
//! else's.

use crate::admission::{MAX_FILE, Refusal, Stage, too_large};
use crate::assets::{self, Assets};
use crate::generation::Digest;
use crate::lease::{Writers, writers};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// More files than this are not looked at, unless a slot asks for them.
const MAX_FILES: usize = 1_000;
/// A file changed so lately may change again unseen, within the file system's clock.
const RACY: Duration = Duration::from_secs(2);
const EXTENSION: &str = "wasm";

/// Where the file system does not tell who writes, a file that changed so lately may be half written.
const YOUNG: Duration = Duration::from_secs(1);
/// A file that is not there as a whole after this long is told of.
const PATIENCE: Duration = Duration::from_secs(10);
/// So is a link whose target does not come.
const PATIENCE_WITH_LINKS: Duration = Duration::from_secs(2);

/// The content of one file.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub bytes: Arc<[u8]>,
    pub digest: Digest,
}

/// Why there is no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is about to be there, and nothing to tell anybody of.
    Pending(Pending),
    Refused(Refusal),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pending {
    /// Somebody has it open for writing, or it changed just now.
    Writing,
    /// A link to nothing, as between the two steps of a swap.
    Dangling,
}

/// A file as it was at the last scan; its digest is not computed again while its stamp stays.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    stamp: Stamp,
    digest: Digest,
}

type Stamp = (u64, u64, i64, i64, i64, i64);

#[derive(Default)]
pub(crate) struct Folder {
    path: Option<PathBuf>,
    seen: BTreeMap<PathBuf, Seen>,
    /// Since when they have not been there as a whole.
    pending: BTreeMap<PathBuf, Instant>,
    /// The files beside policies, as they were at the last look, by the policy's name.
    assets: BTreeMap<String, (Vec<(String, Stamp)>, Assets)>,
}

/// One file found by a scan.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub path: PathBuf,
    pub digest: Result<Digest, Unread>,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// By file stem.
    pub files: BTreeMap<String, Found>,
    /// Policies that were not looked at, because there are too many.
    pub n_left_out: usize,
}

impl Folder {
    pub fn new(path: Option<PathBuf>) -> Folder {
        Folder { path, ..Folder::default() }
    }

    /// Its policies; those named `wished` in any case, others until there are too many.
    ///
    /// # Errors
    /// The folder cannot be read; a folder that is not there is empty.
    pub fn scan(&mut self, wished: &BTreeSet<String>) -> io::Result<Scan> {
        let mut scan = Scan::default();
        let Some(path) = &self.path else {
            return Ok(scan);
        };
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(scan),
            Err(error) => return Err(error),
        };
        let policies = entries.filter_map(|entry| {
            let path = entry.ok()?.path();
            let stem = path.file_stem()?.to_str()?.to_owned();
            // Wished ones come first.
            is_policy(&path).then(|| (!wished.contains(&stem), stem, path))
        });
        let mut policies: Vec<_> = policies.collect();
        policies.sort();
        for (is_other, stem, path) in policies {
            if is_other && scan.files.len() >= MAX_FILES {
                scan.n_left_out += 1;
                continue;
            }
            let digest = self.digest(&path).map_err(|unread| self.bear(&path, unread));
            // Gone since it was listed; a link to nothing is still there.
            if digest.is_err() && path.symlink_metadata().is_err() {
                continue;
            }
            scan.files.insert(stem, Found { path, digest });
        }
        self.assets.retain(|name, _| scan.files.contains_key(name) || wished.contains(name));
        self.seen.retain(|path, _| scan.files.values().any(|it| it.path == *path));
        let unread: BTreeSet<&PathBuf> =
            scan.files.values().filter(|it| it.digest.is_err()).map(|it| &it.path).collect();
        let policies = self.path.as_deref();
        self.pending.retain(|path, _| unread.contains(path) || path.parent() != policies);
        Ok(scan)
    }

    /// The files beside the policy `component`: those in the folder of its name.
    pub fn assets(&mut self, component: &str) -> Result<Assets, Unread> {
        let Some(path) = self.path.as_ref().map(|path| path.join(component)) else {
            return Ok(Assets::default());
        };
        let refuse = |reason: String| Unread::Refused(Refusal::new(Stage::Read, reason));
        let names = assets::names(&path).map_err(|error| refuse(error.told(&path)))?;
        let mut stamps = Vec::with_capacity(names.len());
        let mut is_settled = true;
        let mut n_bytes = 0;
        for name in names {
            let file = path.join(&name);
            let metadata = std::fs::metadata(&file);
            let metadata = metadata.map_err(|error| {
                // It was listed just before: somebody is at work there.
                let is_gone = error.kind() == io::ErrorKind::NotFound;
                let unread = match is_gone {
                    true => Unread::Pending(Pending::Writing),
                    false => cannot_open(&file, error),
                };
                self.bear(&file, unread)
            })?;
            n_bytes += metadata.len();
            is_settled &= !is_racy(&metadata);
            stamps.push((name, stamp(&metadata)));
        }
        if n_bytes > assets::MAX_BYTES as u64 {
            return Err(refuse(assets::too_large(&path)));
        }
        match self.assets.get(component) {
            Some((seen, assets)) if is_settled && *seen == stamps => return Ok(assets.clone()),
            Some(_) | None => {}
        }
        let mut files = BTreeMap::new();
        for (name, _) in &stamps {
            let file = path.join(name);
            let content = read(&file).map_err(|unread| self.bear(&file, unread))?;
            files.insert(name.clone(), content.bytes);
        }
        let now = assets::names(&path).map_err(|error| refuse(error.told(&path)))?;
        if !now.iter().eq(stamps.iter().map(|(name, _)| name)) {
            return Err(Unread::Pending(Pending::Writing));
        }
        self.pending.retain(|it, _| !it.starts_with(&path));
        let assets = Assets::of(files);
        self.assets.insert(component.to_owned(), (stamps, assets.clone()));
        Ok(assets)
    }

    /// What is pending for too long counts as refused.
    fn bear(&mut self, path: &Path, unread: Unread) -> Unread {
        let Unread::Pending(pending) = unread else { return unread };
        let since = *self.pending.entry(path.to_owned()).or_insert_with(Instant::now);
        let (patience, reason) = match pending {
            Pending::Writing => (
                PATIENCE,
                "another process has it open for writing; it is taken once that closes it",
            ),
            Pending::Dangling => (PATIENCE_WITH_LINKS, "it is a link to nothing"),
        };
        if since.elapsed() < patience {
            return unread;
        }
        Unread::Refused(Refusal::new(Stage::Read, reason))
    }

    fn digest(&mut self, path: &Path) -> Result<Digest, Unread> {
        let metadata = std::fs::metadata(path).map_err(|error| cannot_open(path, error))?;
        let stamp = stamp(&metadata);
        match self.seen.get(path) {
            Some(seen) if seen.stamp == stamp && !is_racy(&metadata) => Ok(seen.digest),
            Some(_) | None => {
                let content = read(path)?;
                self.seen.insert(path.to_owned(), Seen { stamp, digest: content.digest });
                Ok(content.digest)
            }
        }
    }
}

/// Reads a policy once; what is admitted is what was read. Nobody writes to it meanwhile, as far as
/// the system can tell.
pub(crate) fn read(path: &Path) -> Result<Content, Unread> {
    // Opening a pipe would otherwise wait for somebody to write to it.
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = open.map_err(|error| cannot_open(path, error))?;
    let metadata = file.metadata().map_err(cannot_read)?;
    if !metadata.is_file() {
        return Err(Unread::Refused(Refusal::new(Stage::Read, "it is not a file")));
    }
    let _lease = match writers(&file) {
        Writers::Nobody(lease) => Some(lease),
        Writers::Unknown if !is_younger(&metadata, YOUNG) => None,
        Writers::Somebody | Writers::Unknown => return Err(Unread::Pending(Pending::Writing)),
    };
    let metadata = file.metadata().map_err(cannot_read)?;
    let bytes = read_bounded(&file, metadata.len())?;
    // It matters where there is no lease.
    if stamp(&file.metadata().map_err(cannot_read)?) != stamp(&metadata) {
        return Err(Unread::Pending(Pending::Writing));
    }
    let digest = Digest::of(&bytes);
    Ok(Content { bytes: bytes.into(), digest })
}

/// It may grow meanwhile.
fn read_bounded(file: &File, len: u64) -> Result<Vec<u8>, Unread> {
    let max = MAX_FILE as u64;
    let mut bytes = Vec::with_capacity(len.min(max) as usize);
    let read = if len > max { Ok(0) } else { file.take(max + 1).read_to_end(&mut bytes) };
    read.map_err(cannot_read)?;
    let len = len.max(bytes.len() as u64);
    if len > max {
        return Err(Unread::Refused(Refusal::new(Stage::Format, too_large(len))));
    }
    Ok(bytes)
}

fn cannot_open(path: &Path, error: io::Error) -> Unread {
    let is_dangling = error.kind() == io::ErrorKind::NotFound
        && path.symlink_metadata().is_ok_and(|it| it.is_symlink());
    if is_dangling { Unread::Pending(Pending::Dangling) } else { cannot_read(error) }
}

fn cannot_read(error: io::Error) -> Unread {
    Unread::Refused(Refusal::new(Stage::Read, format!("it cannot be read: {error}")))
}

fn is_policy(path: &Path) -> bool {
    let is_hidden =
        path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
    !is_hidden && path.extension().is_some_and(|it| it == EXTENSION)
}

fn stamp(metadata: &Metadata) -> Stamp {
    (
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    )
}

fn is_racy(metadata: &Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|it| SystemTime::now().duration_since(it).ok());
    age.is_none_or(|age| age < RACY)
}

/// By a clock that runs with this one.
fn is_younger(metadata: &Metadata, span: Duration) -> bool {
    let age = metadata.modified().ok().and_then(|it| SystemTime::now().duration_since(it).ok());
    age.is_some_and(|age| age < span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewrite_of_equal_length_is_never_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.wasm");
        let mut scanner = Folder::new(Some(folder.path().to_owned()));
        for i in 0..50u8 {
            std::fs::write(&path, [i; 8]).unwrap();
            let found = scanner.scan(&BTreeSet::new()).unwrap().files;
            assert_eq!(found["p"].digest, Ok(Digest::of(&[i; 8])));
        }
    }

    #[test]
    fn other_files_and_hidden_ones_are_no_policies() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.wasm", ".b.wasm", "c.txt", "d.wasm.tmp"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        std::fs::create_dir(folder.path().join("e.wasm")).unwrap();
        let scan = |path: PathBuf| Folder::new(Some(path)).scan(&BTreeSet::new()).unwrap();
        let found = scan(folder.path().to_owned()).files;
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "e"]);
        let not_a_file = Refusal::new(Stage::Read, "it is not a file");
        assert_eq!(found["e"].digest, Err(Unread::Refused(not_a_file)));
        assert!(scan(folder.path().join("none")).files.is_empty());
    }

    #[test]
    fn no_link_to_nothing_pipe_or_huge_file_is_waited_for_or_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink("nowhere", at("link.wasm")).unwrap();
        let pipe = std::ffi::CString::new(at("pipe.wasm").to_str().unwrap()).unwrap();
        // SAFETY: the path is a string that ends with a zero byte.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        File::create(at("huge.wasm")).unwrap().set_len(MAX_FILE as u64 + 1).unwrap();
        let found = Folder::new(Some(folder.path().to_owned())).scan(&BTreeSet::new()).unwrap();
        let refused = |stage, reason: &str| Err(Unread::Refused(Refusal::new(stage, reason)));
        assert_eq!(found.files["link"].digest, Err(Unread::Pending(Pending::Dangling)));
        assert_eq!(found.files["pipe"].digest, refused(Stage::Read, "it is not a file"));
        let reason = too_large(MAX_FILE as u64 + 1);
        assert_eq!(found.files["huge"].digest, refused(Stage::Format, &reason));
    }

    #[test]
    fn no_policy_that_a_slot_asks_for_is_lost_among_too_many() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..MAX_FILES + 5 {
            std::fs::write(folder.path().join(format!("p{i:04}.wasm")), "").unwrap();
        }
        std::fs::write(folder.path().join("wished.wasm"), "wished").unwrap();
        let wished = BTreeSet::from(["wished".to_owned()]);
        let scan = Folder::new(Some(folder.path().to_owned())).scan(&wished).unwrap();
        assert_eq!((scan.files.len(), scan.n_left_out), (MAX_FILES, 6));
        assert_eq!(scan.files["wished"].digest, Ok(Digest::of(b"wished")));
    }

    #[test]
    fn no_file_is_read_while_somebody_writes_to_it_and_it_is_told_of_when_that_never_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.wasm");
        let writer = File::create(&path).unwrap();
        let mut scanner = Folder::new(Some(folder.path().to_owned()));
        let look = |scanner: &mut Folder| {
            scanner.scan(&BTreeSet::new()).unwrap().files.remove("p").unwrap().digest
        };
        assert_eq!(look(&mut scanner), Err(Unread::Pending(Pending::Writing)));
        let long_ago = Instant::now().checked_sub(PATIENCE).unwrap();
        *scanner.pending.get_mut(&path).unwrap() = long_ago;
        let Err(Unread::Refused(refusal)) = look(&mut scanner) else { panic!("it is not told of") };
        assert_eq!(refusal.stage, Stage::Read);
        drop(writer);
        assert_eq!(look(&mut scanner), Ok(Digest::of(b"")));
        assert!(scanner.pending.is_empty());
    }
}
