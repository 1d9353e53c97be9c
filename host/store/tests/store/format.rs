//! The stored form is fixed: what one build wrote, every later one reads.

use crate::samples::*;
use pointsman_scheduler::record::QueueRecord;
use pointsman_scheduler::*;
use pointsman_store::{SqliteStore, Store, check};
use rusqlite::Connection;
use std::fmt::Write;
use std::path::Path;

/// Lines of table, key and body. Written once; a later format gets a file of its own, and these
/// stay, together with the code that reads them.
const FORMAT_1: &str = include_str!("format-1.txt");
/// The same bodies, sealed.
const FORMAT_2: &str = include_str!("format-2.txt");

const SCHEMA_1: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE job (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE task (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE task_status (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE worker (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE queue (name TEXT PRIMARY KEY, paused INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE idempotency_key (key TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('term', 3), ('last_job', 0), ('last_task', 0), ('last_worker', 0);
    INSERT INTO queue VALUES ('night', 1);
    PRAGMA application_id = 0x50544d4e;
    PRAGMA user_version = 1;
";

const TABLES: [(&str, &str); 5] = [
    ("job", "id"),
    ("task", "id"),
    ("task_status", "id"),
    ("worker", "id"),
    ("idempotency_key", "key"),
];

fn records() -> Vec<Record> {
    let mut records: Vec<Record> = jobs().into_iter().map(Record::Job).collect();
    records.extend(workers().into_iter().map(Record::Worker));
    records.push(Record::Queue(QueueRecord { name: "night".into(), paused: true }));
    records.push(Record::Key(key("k", Some(TaskId(2)))));
    records.push(Record::Key(key("l", None)));
    for (status, id) in statuses().into_iter().zip(1..) {
        records.push(Record::TaskAdded(if id == 1 { added(id) } else { plain(id) }));
        records.push(Record::Task(TaskId(id), status));
    }
    records
}

fn dump(path: &Path) -> String {
    let connection = Connection::open(path).unwrap();
    let mut lines = String::new();
    for (table, key) in TABLES {
        let sql = format!("SELECT CAST({key} AS TEXT), hex(body) FROM {table} ORDER BY {key}");
        let mut statement = connection.prepare(&sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (key, body): (String, String) = (row.get(0).unwrap(), row.get(1).unwrap());
            writeln!(lines, "{table} {key} {body}").unwrap();
        }
    }
    lines
}

#[test]
fn the_stored_form_never_changes_unnoticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.sqlite");
    let mut store = SqliteStore::open(&path).unwrap();
    let term = store.begin_term().unwrap();
    commit(&mut store, term, &records()).unwrap();
    drop(store);
    let written = dump(&path);
    assert!(
        written == FORMAT_2,
        "the stored form has changed: give it a new version and keep reading the old one. \
         It is now:\n{written}"
    );
}

#[test]
fn what_was_written_in_format_1_is_read_and_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["old.sqlite", "new.sqlite"].map(|name| folder.path().join(name));
    let connection = Connection::open(&old).unwrap();
    connection.execute_batch(SCHEMA_1).unwrap();
    for line in FORMAT_1.lines() {
        let [table, key, body] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let sql = format!("INSERT INTO {table} VALUES (?, unhex(?))");
        connection.execute(&sql, [key, body]).unwrap();
    }
    for name in ["job", "task", "worker"] {
        let sql = format!(
            "UPDATE meta SET value = (SELECT max(id) FROM {name}) WHERE name = 'last_{name}'"
        );
        connection.execute(&sql, []).unwrap();
    }
    drop(connection);
    assert_eq!(check(&old).unwrap().format, 1);
    let mut store = SqliteStore::open(&new).unwrap();
    let term = store.begin_term().unwrap();
    commit(&mut store, term, &records()).unwrap();
    let mut upgraded = SqliteStore::open(&old).unwrap();
    assert_eq!(upgraded.load().unwrap(), store.load().unwrap());
    assert!(upgraded.set_aside().is_empty());
    assert_eq!(upgraded.begin_term().unwrap(), Term(4), "terms go on");
    drop(upgraded);
    assert_eq!(dump(&old), FORMAT_2);
    let auto_vacuum: u32 = Connection::open(&old)
        .unwrap()
        .query_row("PRAGMA auto_vacuum", [], |row| row.get(0))
        .unwrap();
    assert_eq!(auto_vacuum, 2, "the file of an upgraded store gets smaller too");
    assert_eq!(check(&old).unwrap().format, 2);
}
