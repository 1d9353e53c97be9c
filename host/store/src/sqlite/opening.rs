//! Opening the file: the lock, the modes, the tables of a new one. What is not surely a store that
//! this build can read is refused and left as it is; nothing begins empty by mistake.

use super::lock::{self, Lock};
use super::log::{self, LogState};
use super::{open_error, upgrade};
use crate::store::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Version of the tables.
pub(super) const SCHEMA_VERSION: u32 = 2;

/// Tells a store from the databases of other programs: "PTMN".
const APPLICATION_ID: u32 = 0x5054_4d4e;

/// The bodies, and the rows of `meta` and `queue`, are sealed: see [`crate::encoding::seal`].
/// `set_aside` holds rows that could not be read, as they were found.
const SCHEMA: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL, sum INTEGER NOT NULL)
        STRICT, WITHOUT ROWID;
    CREATE TABLE job (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE task (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE task_status (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE worker (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE queue (name TEXT PRIMARY KEY, paused INTEGER NOT NULL, sum INTEGER NOT NULL)
        STRICT, WITHOUT ROWID;
    CREATE TABLE idempotency_key (key TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
";
pub(super) const SET_ASIDE: &str = "
    CREATE TABLE set_aside (
        id INTEGER PRIMARY KEY,
        at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
        kind TEXT NOT NULL, key TEXT NOT NULL, problem TEXT NOT NULL, outcome TEXT NOT NULL,
        body BLOB
    ) STRICT;
";

/// Busy is whoever copies the log at this moment; a host is kept off by its own lock.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);

/// The store at `path`, and the lock on it.
pub(super) fn open(path: &Path) -> Result<(Connection, Lock), StoreError> {
    if path.is_dir() {
        let problem = "it is a folder".to_owned();
        return Err(StoreError::Open { path: path.to_owned(), problem });
    }
    let mut lock = Lock::take(path)?;
    let has_log = check_log(path)?;
    if !check_length(path, has_log)? {
        if lock.has_store() {
            return Err(damaged(
                path,
                format!(
                    "the file is missing, though a store was made here (to begin anew all the \
                     same, remove {})",
                    lock::path_of(path).display()
                ),
            ));
        }
        create(path)?;
    }
    let failed = |error: rusqlite::Error| open_error(path, &error);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let version = format_of(&connection, path)?;
    check_last_page(&connection, path, has_log)?;
    if version < SCHEMA_VERSION {
        upgrade::upgrade(&mut connection, path)?;
    }
    set_modes(&connection).map_err(failed)?;
    lock.note_store()?;
    Ok((connection, lock))
}

/// Only to read, beside a host that may be running. Nothing is written, nor repaired.
pub(super) fn open_to_read(path: &Path) -> Result<(Connection, u32), StoreError> {
    if !path.is_file() {
        let problem = "there is no such file".to_owned();
        return Err(StoreError::Open { path: path.to_owned(), problem });
    }
    let failed = |error: rusqlite::Error| open_error(path, &error);
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let version = format_of(&connection, path)?;
    Ok((connection, version))
}

/// A copy of a damaged one, to get out what can be read.
pub(super) fn open_damaged(copy: &Path) -> Result<(Connection, u32), StoreError> {
    let failed = |error: rusqlite::Error| open_error(copy, &error);
    let connection = connect(copy, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let version = format_of(&connection, copy)?;
    Ok((connection, version))
}

/// False: there is no file.
fn check_length(path: &Path, has_log: bool) -> Result<bool, StoreError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() == 0 => Err(damaged(path, "it is empty")),
        Ok(_) => Ok(true),
        // SQLite would throw the log away, with all that was not yet copied from it.
        Err(error) if error.kind() == ErrorKind::NotFound && has_log => {
            Err(damaged(path, "the file is missing while its log, named …-wal, is there"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(file_error(path, &error)),
    }
}

/// SQLite reads the rest of a torn last page as zeros. A log may complete the page.
fn check_last_page(connection: &Connection, path: &Path, has_log: bool) -> Result<(), StoreError> {
    let length = std::fs::metadata(path).map_err(|error| file_error(path, &error))?.len();
    let page: u32 = connection
        .query_row("PRAGMA page_size", [], |row| row.get(0))
        .map_err(|error| open_error(path, &error))?;
    if !has_log && !length.is_multiple_of(page.into()) {
        return Err(damaged(path, format!("its last page, at byte {length}, is torn")));
    }
    Ok(())
}

/// Whether there is a log. A write that was cut off is dropped, and told.
fn check_log(path: &Path) -> Result<bool, StoreError> {
    match log::inspect(path).map_err(|error| file_error(&beside(path, "-wal"), &error))? {
        LogState::Empty => Ok(false),
        LogState::Whole => Ok(true),
        LogState::Torn { offset } => {
            let log = beside(path, "-wal");
            tracing::warn!(
                log = %log.display(),
                offset,
                "the last write was cut off before it was complete; it is dropped, nobody was \
                 told of it"
            );
            Ok(true)
        }
        LogState::Damaged { offset, n_frames_after } => Err(damaged(
            path,
            format!(
                "its log, {}, is damaged at byte {offset}, with {n_frames_after} whole pages of \
                 later writes behind that",
                beside(path, "-wal").display()
            ),
        )),
    }
}

/// Makes an empty store. It gets its name when it is complete: an empty file is always damage.
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let unfinished = beside(path, ".new");
    remove_if_there(&unfinished)?;
    make_tables(&unfinished).map_err(|error| open_error(&unfinished, &error))?;
    name_finished(&unfinished, path)
}

/// Gives a complete file its name, durably, and never that of another.
pub(super) fn name_finished(unfinished: &Path, path: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| file_error(path, &error);
    File::open(unfinished).and_then(|file| file.sync_all()).map_err(failed)?;
    match std::fs::hard_link(unfinished, path) {
        Ok(()) => std::fs::remove_file(unfinished).map_err(failed)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(failed(error)),
        // A file system without links.
        Err(_) => std::fs::rename(unfinished, path).map_err(failed)?,
    }
    sync_folder_of(path).map_err(failed)
}

pub(super) fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(file_error(path, &error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn make_tables(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = connect(path, flags)?;
    // Only a file without tables takes this. Pages that retention frees are given back.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute_batch(SET_ASIDE)?;
    for name in ["term", "last_job", "last_task", "last_worker"] {
        super::put_meta(&transaction, name, 0)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)
}

fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Nothing is written by this: a file that turns out to be foreign stays as it is.
fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_PATIENCE)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// The version of the tables, if this build can read them.
fn format_of(connection: &Connection, path: &Path) -> Result<u32, StoreError> {
    let pragma = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, u32>(0))
            .map_err(|error| open_error(path, &error))
    };
    if pragma("PRAGMA application_id")? != APPLICATION_ID {
        return Err(damaged(path, "it holds tables of another program"));
    }
    match pragma("PRAGMA user_version")? {
        0 => Err(damaged(path, "its tables have no version")),
        found if found > SCHEMA_VERSION => Err(StoreError::NewerFormat {
            what: path.display().to_string(),
            found,
            known: SCHEMA_VERSION,
        }),
        found => Ok(found),
    }
}

fn set_modes(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // KiB, as it is negative.
    connection.pragma_update(None, "cache_size", -16_384)?;
    // Pages: 16 MB of log are copied at once.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    // Bytes: what one huge commit took is given back.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn damaged(path: &Path, problem: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), problem: problem.into() }
}

pub(super) fn file_error(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Open { path: path.to_owned(), problem: error.to_string() }
}
