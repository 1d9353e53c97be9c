//! The columns are listed once, in the scheduler; what repeats them for authors of policies is made
//! from that list.

use pointsman_scheduler::columns::{ColumnInfo, Presence, TaskColumn, WorkerColumn};
use std::fmt::Write;
use std::fs;
use std::path::Path;

fn worker_columns() -> Vec<ColumnInfo> {
    WorkerColumn::ALL.iter().map(|column| column.info()).collect()
}

fn task_columns() -> Vec<ColumnInfo> {
    TaskColumn::ALL.iter().map(|column| column.info()).collect()
}

/// Compares the file at `path` with what it should hold, or writes it when that is asked for.
fn check_made(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    if std::env::var_os("POINTSMAN_BLESS").is_some() {
        fs::write(&file, expected).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is not what the columns say; run `cargo xtask bless`");
}

#[test]
fn the_sdk_knows_no_other_columns_than_the_host() {
    let mut text = String::from(
        "//! Made from the host's list of columns; `cargo xtask bless` writes it again.\n\n\
         use super::{Column, Range};\n",
    );
    let lists = [
        ("WORKER", "what is known about a worker", worker_columns()),
        ("TASK", "what is known about a task", task_columns()),
    ];
    for (constant, what, columns) in lists {
        writeln!(text, "\n/// Columns of {what}.\n#[rustfmt::skip]").unwrap();
        writeln!(text, "pub const {constant}: &[Column] = &[").unwrap();
        for ColumnInfo { name, unit, range, presence, meaning } in columns {
            let can_be_missing = presence != Presence::Always;
            writeln!(
                text,
                "    Column {{ name: {name:?}, unit: {unit:?}, range: Range::{range:?}, \
                 can_be_missing: {can_be_missing}, meaning: {meaning:?} }},"
            )
            .unwrap();
        }
        text.push_str("];\n");
    }
    check_made("plugins/sdk/src/catalogue/columns.rs", &text);
}

#[test]
fn no_column_is_undocumented() {
    let mut text = String::from(
        "# Columns\n\n\
         <!-- Made from host/scheduler/src/columns.rs; `cargo xtask bless` writes it again. -->\n\n\
         The numbers by which policies decide. A policy names those it needs, and only they are sent. A \
         missing value is NaN (`None` in the SDK). Times are milliseconds; a *name number* is what \
         `host::intern` tells for a name.\n",
    );
    let lists = [("Worker", worker_columns()), ("Task", task_columns())];
    for (title, columns) in lists {
        write!(text, "\n## {title}\n\n").unwrap();
        text.push_str("| Column | Unit | Range | Missing | Meaning |\n|---|---|---|---|---|\n");
        for ColumnInfo { name, unit, range, presence, meaning } in columns {
            let (range, missing) = (range.text(), presence.text());
            writeln!(text, "| `{name}` | {unit} | {range} | {missing} | {meaning} |").unwrap();
        }
    }
    check_made("docs/columns.md", &text);
}
