//! What is wrong with a file is said, with its name; nothing starts empty by mistake.

use crate::samples::{added, commit, job};
use pointsman_scheduler::Record;
use pointsman_scheduler::record::JobState;
use pointsman_store::{SqliteStore, Store, StoreError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder, and the path of a store in it with 2,000 tasks.
fn filled() -> (TempDir, PathBuf) {
    let (folder, path) = empty();
    let mut store = SqliteStore::open(&path).unwrap();
    let term = store.begin_term().unwrap();
    let mut records: Vec<Record> = (1..=2_000).map(|id| Record::TaskAdded(added(id))).collect();
    records.push(Record::Job(job(1, JobState::Running)));
    commit(&mut store, term, &records).unwrap();
    (folder, path)
}

/// A folder, and the path of no file in it.
fn empty() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    (folder, path)
}

/// Why the store cannot be opened, or be read after that; checked to name the file.
fn refusal(path: &Path) -> StoreError {
    let error = match SqliteStore::open(path) {
        Ok(mut store) => {
            let loaded = store.load().map(|snapshot| snapshot.tasks.len());
            loaded.expect_err("something is wrong with the file")
        }
        Err(error) => error,
    };
    assert!(!error.is_retryable());
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    error
}

fn change(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn a_second_host_on_the_same_file_is_refused() {
    let (_folder, path) = empty();
    let first = SqliteStore::open(&path).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    drop(first);
    SqliteStore::open(&path).unwrap();
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let (_folder, path) = empty();
    let content = b"this is not a database, whatever its name says".repeat(50);
    std::fs::write(&path, &content).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[test]
fn the_database_of_another_program_is_refused_and_left_alone() {
    let (_folder, path) = empty();
    change(&path, "CREATE TABLE notes (text TEXT); PRAGMA user_version = 7");
    let content = std::fs::read(&path).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    assert!(refused.to_string().contains("another program"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[test]
fn an_emptied_file_is_not_taken_for_a_new_one() {
    let (_folder, path) = filled();
    std::fs::write(&path, b"").unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
}

#[test]
fn a_log_without_its_file_is_not_thrown_away() {
    let (_folder, path) = empty();
    let log = path.with_file_name("store.sqlite-wal");
    std::fs::write(&log, b"tasks that were acknowledged").unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    assert!(log.exists() && !path.exists());
}

#[test]
fn a_torn_file_is_refused_wherever_it_is_torn() {
    let (_folder, path) = filled();
    let whole = std::fs::metadata(&path).unwrap().len();
    let content = std::fs::read(&path).unwrap();
    for length in [1, 50, 100, 4_096, 8_192, whole / 2, whole - 4_096, whole - 1] {
        std::fs::write(&path, &content[..length as usize]).unwrap();
        let refused = refusal(&path);
        assert!(matches!(refused, StoreError::Damaged { .. }), "{length} of {whole}: {refused}");
    }
    std::fs::write(&path, &content).unwrap();
    assert_eq!(SqliteStore::open(&path).unwrap().load().unwrap().tasks.len(), 2_000);
}

#[test]
fn overwritten_pages_do_not_hide_tasks() {
    let (_folder, path) = filled();
    let middle = std::fs::metadata(&path).unwrap().len() / 2 / 4_096 * 4_096;
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(middle)).unwrap();
    file.write_all(&[0; 4_096]).unwrap();
    drop(file);
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
}

#[test]
fn a_table_that_is_gone_is_not_an_empty_one() {
    for table in ["meta", "job", "task", "task_status", "worker", "queue", "idempotency_key"] {
        let (_folder, path) = filled();
        change(&path, &format!("DROP TABLE {table}"));
        let refused = refusal(&path);
        assert!(refused.to_string().contains(table), "{refused}");
    }
}

#[test]
fn a_status_without_its_task_is_not_skipped() {
    let (_folder, path) = filled();
    change(&path, "INSERT INTO task_status SELECT 9999, body FROM task LIMIT 1");
    refusal(&path);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (_folder, path) = filled();
    change(&path, "PRAGMA user_version = 99");
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::NewerFormat { found: 99, .. }), "{refused}");
}

#[test]
fn a_row_in_a_newer_format_is_not_skipped() {
    let (_folder, path) = filled();
    change(&path, "UPDATE job SET body = x'63'");
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::NewerFormat { found: 0x63, .. }), "{refused}");
    assert!(refused.to_string().contains("job 1"), "{refused}");
}

#[test]
fn a_row_that_cannot_be_read_is_not_skipped() {
    for body in ["x''", "x'00'", "x'01'", "substr(body, 1, 5)", "CAST(body || x'00' AS BLOB)"] {
        let (_folder, path) = filled();
        change(&path, &format!("UPDATE task SET body = {body} WHERE id = 7"));
        let refused = refusal(&path);
        assert!(matches!(refused, StoreError::Unreadable { .. }), "{body}: {refused}");
        assert!(refused.to_string().contains("task 7"), "{refused}");
    }
}

#[test]
fn a_path_that_cannot_be_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    refusal(folder.path());
    refusal(&folder.path().join("no such folder").join("store.sqlite"));
}
