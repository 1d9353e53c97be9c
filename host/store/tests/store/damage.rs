//! What is wrong with a file is said, with its name; nothing starts empty by mistake.

use crate::site::{change, empty, filled, overwrite, seal};
use pointsman_store::{SqliteStore, Store, StoreError};
use std::path::Path;

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

#[test]
fn a_second_host_on_the_same_file_is_refused() {
    let (_folder, path) = empty();
    let first = SqliteStore::open(&path).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    let holder = format!("process {}", std::process::id());
    assert!(refused.to_string().contains(&holder), "{refused}");
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
    let n_pages = std::fs::metadata(&path).unwrap().len() / 4_096;
    let content = std::fs::read(&path).unwrap();
    // Not the first, which is no database then, nor the second, which tells what others are.
    for page in (2..n_pages).step_by(7) {
        overwrite(&path, page * 4_096, &[0; 4_096]);
        let refused = refusal(&path);
        assert!(matches!(refused, StoreError::Damaged { .. }), "{page}: {refused}");
        // Of the roots SQLite does not always tell it.
        assert!(page < 12 || refused.to_string().contains("at byte "), "{page}: {refused}");
        assert!(refused.to_string().contains("pointsman store salvage"), "{refused}");
        std::fs::write(&path, &content).unwrap();
    }
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
fn a_store_that_is_gone_is_not_begun_anew() {
    let (_folder, path) = filled();
    std::fs::remove_file(&path).unwrap();
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    assert!(refused.to_string().contains("a store was made here"), "{refused}");
    assert!(!path.exists());
    std::fs::remove_file(path.with_file_name("store.sqlite.lock")).unwrap();
    assert!(SqliteStore::open(&path).unwrap().load().unwrap().tasks.is_empty());
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let (_folder, path) = filled();
    change(&path, "PRAGMA user_version = 99");
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::NewerFormat { found: 99, .. }), "{refused}");
}

#[test]
fn a_row_in_a_newer_format_is_not_set_aside() {
    let (_folder, path) = filled();
    let sealed = seal("job", 1, &[0x63, 1, 2, 3]);
    change(&path, &format!("UPDATE job SET body = x'{sealed}' WHERE id = 1"));
    let refused = refusal(&path);
    assert!(matches!(refused, StoreError::NewerFormat { found: 0x63, known: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("job 1"), "{refused}");
}

#[test]
fn the_last_ids_and_the_term_are_not_taken_on_trust() {
    for name in ["term", "last_job", "last_task", "last_worker"] {
        let (_folder, path) = filled();
        change(&path, &format!("UPDATE meta SET value = value + 1 WHERE name = '{name}'"));
        let refused = refusal(&path);
        assert!(refused.to_string().contains(name), "{refused}");
    }
}

#[test]
fn a_path_that_cannot_be_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    refusal(folder.path());
    refusal(&folder.path().join("no such folder").join("store.sqlite"));
}
