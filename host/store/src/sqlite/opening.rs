//! Opening the file: the lock, the modes, the tables of a new one. What is not surely a store that
//! this build can read is refused and left as it is; nothing begins empty by mistake.

use super::open_error;
use crate::store::StoreError;
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Version of the tables.
const SCHEMA_VERSION: u32 = 1;

/// Tells a store from the databases of other programs: "PTMN".
const APPLICATION_ID: u32 = 0x5054_4d4e;

const SCHEMA: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE job (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE task (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE task_status (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE worker (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE queue (name TEXT PRIMARY KEY, paused INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE idempotency_key (key TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT, WITHOUT ROWID;
    INSERT INTO meta VALUES ('term', 0), ('last_job', 0), ('last_task', 0), ('last_worker', 0);
";

/// The store at `path`, locked for as long as the connection lives.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let damaged = |problem: &str| {
        Err(StoreError::Damaged { path: path.to_owned(), problem: problem.to_owned() })
    };
    // A log that was not yet copied may complete the file.
    let has_log = std::fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0);
    let length = match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() == 0 => return damaged("it is empty"),
        Ok(metadata) => Some(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // SQLite would throw the log away, with all that was not yet copied from it.
            if has_log {
                return damaged("the file is missing while its log, named …-wal, is there");
            }
            create(path)?;
            None
        }
        Err(error) => return Err(file_error(path, &error)),
    };
    let failed = |error: rusqlite::Error| open_error(path, &error);
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    check_format(&connection, path)?;
    let page: u32 =
        connection.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(failed)?;
    // SQLite reads the rest of a torn last page as zeros.
    if !has_log && length.is_some_and(|length| !length.is_multiple_of(page.into())) {
        return damaged("its last page is torn");
    }
    set_modes(&connection).map_err(failed)?;
    Ok(connection)
}

/// Makes an empty store. It gets its name when it is complete: an empty file is always damage.
fn create(path: &Path) -> Result<(), StoreError> {
    let unfinished = beside(path, ".new");
    match std::fs::remove_file(&unfinished) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(file_error(&unfinished, &error)),
    }
    make_tables(&unfinished).map_err(|error| open_error(&unfinished, &error))?;
    // Not renamed, so that a host that starts at the same time keeps what it has made.
    match std::fs::hard_link(&unfinished, path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        // A file system without links.
        Err(_) => {
            return std::fs::rename(&unfinished, path)
                .and_then(|()| sync_folder_of(path))
                .map_err(|error| file_error(path, &error));
        }
    }
    std::fs::remove_file(&unfinished)
        .and_then(|()| sync_folder_of(path))
        .map_err(|error| file_error(path, &error))
}

fn make_tables(path: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let mut connection = connect(path, flags)?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
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
    // A host holds its lock for life: waiting for it makes no sense.
    connection.busy_timeout(Duration::ZERO)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn check_format(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |sql: &str| {
        connection
            .query_row(sql, [], |row| row.get::<_, u32>(0))
            .map_err(|error| open_error(path, &error))
    };
    if pragma("PRAGMA application_id")? != APPLICATION_ID {
        return Err(StoreError::Damaged {
            path: path.to_owned(),
            problem: "it holds tables of another program".to_owned(),
        });
    }
    match pragma("PRAGMA user_version")? {
        SCHEMA_VERSION => Ok(()),
        found if found > SCHEMA_VERSION => Err(StoreError::NewerFormat {
            what: path.display().to_string(),
            found,
            known: SCHEMA_VERSION,
        }),
        _ => Err(StoreError::Damaged {
            path: path.to_owned(),
            problem: "its tables have no version".to_owned(),
        }),
    }
}

fn set_modes(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // KiB, as it is negative.
    connection.pragma_update(None, "cache_size", -65_536)?;
    // Pages: 16 MB of log are copied at once.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    // Bytes: what one huge commit took is given back.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn file_error(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Open { path: path.to_owned(), problem: error.to_string() }
}
