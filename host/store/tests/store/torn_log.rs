//! The log of a host that was cut off: what was acknowledged is there, a torn end is dropped, and
//! damage with acknowledged writes behind it is refused.

use crate::samples::{commit, plain};
use crate::site::{empty, overwrite};
use pointsman_scheduler::Record;
use pointsman_store::{SqliteStore, Store, StoreError};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const HEADER: u64 = 32;
const FRAME: u64 = 24 + 4_096;

fn log_of(path: &Path) -> PathBuf {
    path.with_file_name("store.sqlite-wal")
}

/// A store as a killed host leaves it, with one task a commit; and how long the log was after each.
fn killed(n_commits: u64) -> (TempDir, PathBuf, Vec<u64>) {
    let (folder, live) = empty();
    let mut store = SqliteStore::open(&live).unwrap();
    let term = store.begin_term().unwrap();
    let mut lengths = Vec::new();
    for id in 1..=n_commits {
        commit(&mut store, term, &[Record::TaskAdded(plain(id))]).unwrap();
        lengths.push(std::fs::metadata(log_of(&live)).unwrap().len());
    }
    // As the files are now: closing would copy the log.
    let path = folder.path().join("killed").join("store.sqlite");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    std::fs::copy(&live, &path).unwrap();
    std::fs::copy(log_of(&live), log_of(&path)).unwrap();
    (folder, path, lengths)
}

fn n_tasks(path: &Path) -> Result<usize, StoreError> {
    SqliteStore::open(path)?.load().map(|snapshot| snapshot.tasks.len())
}

#[test]
fn a_log_cut_anywhere_keeps_every_write_that_is_whole() {
    let (_folder, path, lengths) = killed(5);
    let (file, log) = (std::fs::read(&path).unwrap(), std::fs::read(log_of(&path)).unwrap());
    let whole = log.len() as u64;
    for n_cut in (1..4_096).step_by(97).chain([4_096, 2 * FRAME, whole - HEADER, whole]) {
        std::fs::write(&path, &file).unwrap();
        let left = whole - n_cut;
        std::fs::write(log_of(&path), &log[..left as usize]).unwrap();
        let expected = lengths.iter().filter(|length| **length <= left).count();
        assert_eq!(n_tasks(&path).unwrap(), expected, "{n_cut} bytes cut");
    }
}

#[test]
fn a_torn_last_write_is_dropped() {
    let (_folder, path, lengths) = killed(5);
    let (begin, end) = (lengths[3], lengths[4]);
    let (file, log) = (std::fs::read(&path).unwrap(), std::fs::read(log_of(&path)).unwrap());
    for offset in (begin..end).step_by(1_000) {
        std::fs::write(&path, &file).unwrap();
        std::fs::write(log_of(&path), &log).unwrap();
        overwrite(&log_of(&path), offset, &[0xa5; 16]);
        assert_eq!(n_tasks(&path).unwrap(), 4, "damaged at {offset}");
    }
}

#[test]
fn damage_before_acknowledged_writes_is_refused_with_its_place() {
    let (_folder, path, lengths) = killed(8);
    let (file, log) = (std::fs::read(&path).unwrap(), std::fs::read(log_of(&path)).unwrap());
    let last = lengths[6];
    for (offset, bytes) in [
        // A page, a frame's header, two whole pages of zeros, the header of all.
        (HEADER + 24 + 100, vec![0xa5; 16]),
        (HEADER + FRAME + 8, vec![0xa5; 16]),
        (HEADER + 3 * FRAME, vec![0; 8_192]),
        (8, vec![0xa5; 16]),
    ] {
        assert!(offset < last);
        std::fs::write(&path, &file).unwrap();
        std::fs::write(log_of(&path), &log).unwrap();
        overwrite(&log_of(&path), offset, &bytes);
        let damaged = std::fs::read(log_of(&path)).unwrap();
        let refused = n_tasks(&path).unwrap_err();
        assert!(matches!(refused, StoreError::Damaged { .. }), "{offset}: {refused}");
        assert!(refused.to_string().contains("-wal, is damaged at byte "), "{refused}");
        assert_eq!(std::fs::read(log_of(&path)).unwrap(), damaged, "it was left as it is");
    }
}
