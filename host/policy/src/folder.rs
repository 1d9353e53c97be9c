//! The drop-in folder: which policies lie there, and their content. Watching it is somebody
//! else's.

use crate::admission::{MAX_FILE, Refusal, Stage, too_large};
use crate::generation::Digest;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// More files than this are not looked at.
const MAX_FILES: usize = 1_000;
/// A file changed so lately may change again unseen, within the file system's clock.
const RACY: Duration = Duration::from_secs(2);
const EXTENSION: &str = "wasm";

/// The content of one file.
#[derive(Clone)]
pub(crate) struct Content {
    pub bytes: Arc<[u8]>,
    pub digest: Digest,
}

/// A file as it was at the last scan; its digest is not computed again while its stamp stays.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    stamp: (u64, u64, i64, i64, i64, i64),
    digest: Digest,
}

#[derive(Default)]
pub(crate) struct Folder {
    path: Option<PathBuf>,
    seen: BTreeMap<PathBuf, Seen>,
}

/// One file found by a scan.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub path: PathBuf,
    pub digest: Result<Digest, Refusal>,
}

impl Folder {
    pub fn new(path: Option<PathBuf>) -> Folder {
        Folder { path, seen: BTreeMap::new() }
    }

    /// Its policies by file stem.
    ///
    /// # Errors
    /// The folder cannot be read; a folder that is not there is empty.
    pub fn scan(&mut self) -> io::Result<BTreeMap<String, Found>> {
        let mut found = BTreeMap::new();
        let Some(path) = self.path.clone() else {
            return Ok(found);
        };
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|it| is_policy(it))
            .collect();
        paths.sort();
        for path in paths.into_iter().take(MAX_FILES) {
            let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else {
                continue;
            };
            let digest = self.digest(&path);
            found.insert(stem.to_owned(), Found { digest, path: path.clone() });
        }
        self.seen.retain(|path, _| found.values().any(|it| it.path == *path));
        Ok(found)
    }

    fn digest(&mut self, path: &Path) -> Result<Digest, Refusal> {
        let metadata = std::fs::metadata(path).map_err(cannot_read)?;
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

/// Reads a policy once; what is admitted is what was read.
pub(crate) fn read(path: &Path) -> Result<Content, Refusal> {
    let metadata = std::fs::metadata(path).map_err(cannot_read)?;
    if !metadata.is_file() {
        return Err(Refusal::new(Stage::Read, "it is not a file"));
    }
    if metadata.len() > MAX_FILE as u64 {
        return Err(Refusal::new(Stage::Format, too_large(metadata.len())));
    }
    let bytes = std::fs::read(path).map_err(cannot_read)?;
    let digest = Digest::of(&bytes);
    Ok(Content { bytes: bytes.into(), digest })
}

fn cannot_read(error: io::Error) -> Refusal {
    Refusal::new(Stage::Read, format!("it cannot be read: {error}"))
}

fn is_policy(path: &Path) -> bool {
    let is_hidden =
        path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
    !is_hidden && path.extension().is_some_and(|it| it == EXTENSION)
}

fn stamp(metadata: &Metadata) -> (u64, u64, i64, i64, i64, i64) {
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
            let found = scanner.scan().unwrap();
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
        let found = Folder::new(Some(folder.path().to_owned())).scan().unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "e"]);
        assert_eq!(found["e"].digest.as_ref().unwrap_err().stage, Stage::Read);
        let nowhere = Folder::new(Some(folder.path().join("none"))).scan().unwrap();
        assert!(nowhere.is_empty());
    }
}
