//! The stored form is fixed: what one build wrote, every later one reads.

use crate::samples::*;
use pointsman_scheduler::*;
use pointsman_store::{SqliteStore, Store};
use rusqlite::Connection;
use std::fmt::Write;
use std::path::Path;

/// Lines of table, key and body. Written once; a later format gets a file of its own, and this one
/// stays, together with the code that reads it.
const FORMAT_1: &str = include_str!("format-1.txt");
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
        written == FORMAT_1,
        "the stored form has changed: give it a new version and keep reading the old one. \
         It is now:\n{written}"
    );
}

#[test]
fn what_was_written_in_format_1_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let [old, new] = ["old.sqlite", "new.sqlite"].map(|name| folder.path().join(name));
    drop(SqliteStore::open(&old).unwrap());
    let connection = Connection::open(&old).unwrap();
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
    let mut store = SqliteStore::open(&new).unwrap();
    let term = store.begin_term().unwrap();
    commit(&mut store, term, &records()).unwrap();
    assert_eq!(SqliteStore::open(&old).unwrap().load().unwrap(), store.load().unwrap());
}
