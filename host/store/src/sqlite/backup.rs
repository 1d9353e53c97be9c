//! A whole copy of a store at one moment, while a host may go on writing to it.

use super::check::log_of_resting;
use super::log::LogState;
use super::opening::{beside, damaged, file_error, name_finished, open_to_read, remove_if_there};
use super::reading::Reader;
use super::{describe, open_error};
use crate::store::StoreError;
use std::path::Path;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    pub bytes: u64,
    pub n_jobs: usize,
    pub n_tasks: usize,
    /// Rows that cannot be read; they were copied as they are.
    pub problems: Vec<String>,
}

/// Copies the store to `out`, which gets its name when it is complete and was read through.
///
/// # Errors
/// If `out` exists, if the store cannot be read, or if the copy cannot be written.
pub fn backup(path: &Path, out: &Path) -> Result<Backup, StoreError> {
    refuse_existing(out)?;
    if let LogState::Damaged { offset, .. } = log_of_resting(path)? {
        return Err(damaged(path, format!("its log is damaged at byte {offset}")));
    }
    let (connection, version) = open_to_read(path)?;
    let unfinished = beside(out, ".new");
    remove_if_there(&unfinished)?;
    let reader = Reader { connection: &connection, path, version };
    let name = unfinished.to_str().ok_or_else(|| StoreError::Open {
        path: out.to_owned(),
        problem: "its name is not valid UTF-8".to_owned(),
    })?;
    let copied = connection.execute("VACUUM INTO ?", [name]).map_err(|error| {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull | rusqlite::ErrorCode::CannotOpen) => {
                open_error(out, &error)
            }
            _ => reader.read_error(&error),
        }
    });
    let outcome = copied.and_then(|_| read_through(&unfinished, version));
    match outcome {
        Ok(backup) => name_finished(&unfinished, out).map(|()| backup),
        Err(error) => {
            remove_if_there(&unfinished)?;
            Err(error)
        }
    }
}

pub(super) fn refuse_existing(out: &Path) -> Result<(), StoreError> {
    match std::fs::symlink_metadata(out) {
        Ok(_) => {
            let problem = "it exists, and nothing is overwritten".to_owned();
            Err(StoreError::Open { path: out.to_owned(), problem })
        }
        Err(_) => Ok(()),
    }
}

fn read_through(copy: &Path, version: u32) -> Result<Backup, StoreError> {
    let (connection, _) = open_to_read(copy)?;
    let reader = Reader { connection: &connection, path: copy, version };
    let parts = reader.read()?;
    reader.check_pages()?;
    Ok(Backup {
        bytes: std::fs::metadata(copy).map_err(|error| file_error(copy, &error))?.len(),
        n_jobs: parts.jobs.len(),
        n_tasks: parts.added.len(),
        problems: parts.bad.iter().map(describe).collect(),
    })
}
