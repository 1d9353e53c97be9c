//! A history that cannot be read is set aside, whole, and a new one is begun.

use crate::history::{all, measured, now_ms, open, site, write};
use pointsman_store::History;
use pointsman_store::history::{Bounds, HistoryError, Selection};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn aside(path: &Path, number: u32) -> PathBuf {
    PathBuf::from(format!("{}.set-aside-{number}", path.display()))
}

/// A file with rows in it, closed.
fn filled(n_rows: u64) -> (tempfile::TempDir, PathBuf) {
    let (folder, path) = site();
    let at = now_ms() - 3_600_000;
    write(&open(&path), (0..n_rows).map(|n| measured(at + n, 1, 0.5)).collect(), vec![]);
    (folder, path)
}

/// It begins anew, and the file is found under its other name, as it was.
fn check_set_aside(path: &Path) {
    let before = std::fs::read(path).unwrap();
    let history = open(path);
    assert_eq!(all(&history), []);
    assert!(std::fs::read(aside(path, 1)).unwrap() == before, "it was changed");
    let at = now_ms();
    write(&history, vec![measured(at, 1, 0.25)], vec![]);
    drop(history);
    assert_eq!(all(&open(path)), [(at, "name-1".to_owned(), 0.25)]);
    assert!(!aside(path, 2).exists());
}

#[test]
fn a_file_that_is_no_database_is_set_aside() {
    let (_folder, path) = site();
    std::fs::write(&path, "no database at all, but long enough to be looked at".repeat(50))
        .unwrap();
    check_set_aside(&path);
}

#[test]
fn a_database_of_another_program_is_set_aside() {
    let (_folder, path) = site();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (id INTEGER)").unwrap();
    drop(other);
    check_set_aside(&path);
}

#[test]
fn a_newer_format_is_set_aside() {
    let (_folder, path) = filled(3);
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 2).unwrap();
    drop(newer);
    check_set_aside(&path);
}

#[test]
fn a_missing_table_is_damage() {
    let (_folder, path) = filled(3);
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("DROP TABLE feedback").unwrap();
    drop(other);
    check_set_aside(&path);
}

#[test]
fn a_file_that_was_cut_off_is_set_aside() {
    let (_folder, path) = filled(10_000);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(8192).unwrap();
    check_set_aside(&path);
}

#[test]
fn an_empty_file_is_a_new_history() {
    let (_folder, path) = site();
    std::fs::write(&path, "").unwrap();
    write(&open(&path), vec![measured(now_ms(), 1, 0.5)], vec![]);
    assert_eq!(all(&open(&path)).len(), 1);
    assert!(!aside(&path, 1).exists());
}

#[test]
fn damage_in_the_middle_is_set_aside_when_it_is_read() {
    let (_folder, path) = filled(60_000);
    let length = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    // Two pages of many; those that lead to both ends lie elsewhere.
    file.write_all_at(&[0xff; 2 * 4096], length / 2 / 4096 * 4096).unwrap();
    let history = open(&path);
    assert!(!aside(&path, 1).exists(), "the ends are whole");
    let everything = Selection { limit: usize::MAX, ..Selection::default() };
    let error = history.measurements(&everything).unwrap_err();
    assert!(matches!(error, HistoryError::Read(_)), "{error}");
    // The thread looks before it writes; what waits by then goes to the new file.
    let patience = Duration::from_secs(60);
    assert!(history.flush(patience) && history.flush(patience));
    let at = now_ms();
    write(&history, vec![measured(at, 1, 0.25)], vec![]);
    assert!(aside(&path, 1).exists());
    assert_eq!(all(&history), [(at, "name-1".to_owned(), 0.25)]);
    assert_eq!(history.counts().measurements, 1);
}

#[test]
fn a_disk_is_not_filled_with_what_is_set_aside() {
    let (_folder, path) = site();
    for _ in 0..8 {
        std::fs::write(&path, "no database".repeat(500)).unwrap();
        History::open(&path, Bounds::default()).unwrap();
    }
    std::fs::write(&path, "no database".repeat(500)).unwrap();
    let error = History::open(&path, Bounds::default()).map(|_| ()).unwrap_err();
    assert!(matches!(error, HistoryError::TooManySetAside { .. }), "{error}");
    assert!(error.to_string().contains("history.sqlite"), "{error}");
}

#[test]
fn a_folder_in_its_place_is_told() {
    let (_folder, path) = site();
    std::fs::create_dir(&path).unwrap();
    let error = History::open(&path, Bounds::default()).map(|_| ()).unwrap_err();
    assert!(matches!(error, HistoryError::Open { .. }), "{error}");
}
