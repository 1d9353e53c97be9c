//! The file: its tables, its modes, and how it is set aside. A history is worth less than a host that starts:
//! unlike the store, it is begun anew when it cannot be read.

use super::{HistoryError, is_damage};
use rusqlite::{Connection, OpenFlags};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Version of the tables.
const FORMAT: u32 = 1;

/// Tells a history from the databases of other programs: "PTMH".
const APPLICATION_ID: u32 = 0x5054_4d48;

/// `seq` tells rows of one time apart. `worker.id` is that of whoever had the name last. The counts in
/// `meta` spare counting millions of rows.
const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('n_measurements', 0), ('n_feedback', 0);
    CREATE TABLE worker (
        key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, id INTEGER UNIQUE, last_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE measurement (
        at_ms INTEGER NOT NULL, seq INTEGER NOT NULL, worker INTEGER NOT NULL,
        cpu_used REAL, memory_used REAL, iops_used REAL, rtt_ms REAL, connections INTEGER,
        PRIMARY KEY (at_ms, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE feedback (
        at_ms INTEGER NOT NULL, seq INTEGER NOT NULL, task INTEGER NOT NULL, task_name TEXT NOT NULL,
        attempt INTEGER NOT NULL, worker INTEGER, phase TEXT, progress REAL,
        duration_ms INTEGER NOT NULL, cpu_usage REAL, memory_mb REAL,
        PRIMARY KEY (at_ms, seq)
    ) STRICT, WITHOUT ROWID;
";

/// Files that were set aside at most: a broken disk shall not be filled with them.
pub(super) const SET_ASIDE_MAX: u32 = 8;

/// Busy is whoever reads the file with another program.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);

/// Why a file is not taken.
enum Unfit {
    /// It is to be set aside.
    Unreadable(String),
    Failed(String),
}

/// Opens the file, or makes it.
pub(super) fn open(path: &Path) -> Result<Connection, HistoryError> {
    let failed = |problem| HistoryError::Open { path: path.to_owned(), problem };
    match try_open(path) {
        Ok(connection) => Ok(connection),
        Err(Unfit::Failed(problem)) => Err(failed(problem)),
        Err(Unfit::Unreadable(problem)) => {
            set_aside(path, &problem)?;
            try_open(path).map_err(|unfit| match unfit {
                Unfit::Failed(problem) | Unfit::Unreadable(problem) => failed(problem),
            })
        }
    }
}

/// A second connection, only to read; the file is there.
pub(super) fn open_beside(path: &Path) -> Result<Connection, HistoryError> {
    connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|error| HistoryError::Open { path: path.to_owned(), problem: error.to_string() })
}

pub(super) fn in_memory() -> Result<Connection, HistoryError> {
    let made = Connection::open_in_memory().and_then(|mut connection| {
        make_tables(&mut connection)?;
        Ok(connection)
    });
    made.map_err(|error| HistoryError::Open {
        path: PathBuf::from(":memory:"),
        problem: error.to_string(),
    })
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn try_open(path: &Path) -> Result<Connection, Unfit> {
    let unfit = |error: rusqlite::Error| match is_damage(&error) {
        true => Unfit::Unreadable(error.to_string()),
        false => Unfit::Failed(error.to_string()),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = connect(path, flags).map_err(unfit)?;
    let pragma = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u32>(0));
    let application = pragma("PRAGMA application_id").map_err(unfit)?;
    let format = pragma("PRAGMA user_version").map_err(unfit)?;
    let n_pages = pragma("PRAGMA page_count").map_err(unfit)?;
    match (application, format, n_pages) {
        (_, _, 0) => make_tables(&mut connection).map_err(unfit)?,
        (APPLICATION_ID, FORMAT, _) => {
            // What lies there without a table that belongs there is damage too.
            check(&connection).map_err(|error| Unfit::Unreadable(error.to_string()))?;
        }
        (APPLICATION_ID, found, _) => {
            let problem = format!("it is of format {found}, this build knows format {FORMAT}");
            return Err(Unfit::Unreadable(problem));
        }
        _ => return Err(Unfit::Unreadable("it holds tables of another program".to_owned())),
    }
    set_modes(&connection).map_err(unfit)?;
    Ok(connection)
}

fn make_tables(connection: &mut Connection) -> rusqlite::Result<()> {
    // Only a file without tables takes this. Pages that are freed are given back.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.commit()
}

/// Both ends of each table; what lies between is found when it is read.
fn check(connection: &Connection) -> rusqlite::Result<()> {
    super::tidying::kept(connection)?;
    for sql in [
        "SELECT count(*) FROM worker",
        "SELECT count(*) FROM (SELECT * FROM measurement ORDER BY at_ms LIMIT 1)",
        "SELECT count(*) FROM (SELECT * FROM measurement ORDER BY at_ms DESC LIMIT 1)",
        "SELECT count(*) FROM (SELECT * FROM feedback ORDER BY at_ms LIMIT 1)",
        "SELECT count(*) FROM (SELECT * FROM feedback ORDER BY at_ms DESC LIMIT 1)",
    ] {
        connection.query_row(sql, [], |row| row.get::<_, i64>(0))?;
    }
    Ok(())
}

fn set_modes(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Only a checkpoint waits for the disk: the last commits may be lost at a power cut, no more.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // Bytes: what a large commit took is given back.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)
}

/// Renames the file, with its log. Nobody has it open.
pub(super) fn set_aside(path: &Path, problem: &str) -> Result<(), HistoryError> {
    let is_free = |number: &u32| !aside(path, *number).exists();
    let number = (1..=SET_ASIDE_MAX).find(is_free).ok_or_else(|| {
        HistoryError::TooManySetAside { path: path.to_owned(), problem: problem.to_owned() }
    })?;
    let new_path = aside(path, number);
    // The log first: without its file it would be taken for that of the new one.
    for suffix in ["-wal", "-shm", ""] {
        match std::fs::rename(beside(path, suffix), beside(&new_path, suffix)) {
            Ok(()) => {}
            // Logs are there only if whoever wrote them did not end well.
            Err(error) if error.kind() == ErrorKind::NotFound && !suffix.is_empty() => {}
            Err(error) => {
                let problem = format!("{problem}; and it cannot be renamed: {error}");
                return Err(HistoryError::Open { path: path.to_owned(), problem });
            }
        }
    }
    tracing::warn!(
        file = %path.display(),
        set_aside_as = %new_path.display(),
        problem,
        "the history cannot be read; a new one is begun"
    );
    Ok(())
}

fn aside(path: &Path, number: u32) -> PathBuf {
    beside(path, &format!(".set-aside-{number}"))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
