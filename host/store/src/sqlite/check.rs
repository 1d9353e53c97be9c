//! Looking at a store without changing it, beside a host that may be running.

use super::describe;
use super::lock::{self, Lock};
use super::log::{self, LogState};
use super::opening::{beside, file_error, open_to_read};
use super::reading::Reader;
use crate::mending::inconsistencies;
use crate::store::{SetAside, StoreError};
use std::path::Path;

/// What is in a store, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Of the tables.
    pub format: u32,
    pub bytes: u64,
    pub term: u64,
    pub n_jobs: usize,
    pub n_tasks: usize,
    /// Tasks that have ended.
    pub n_finished: usize,
    pub n_workers: usize,
    /// Set aside at earlier starts.
    pub set_aside: Vec<SetAside>,
    /// Nothing that was acknowledged is lost by these.
    pub notes: Vec<String>,
    pub problems: Vec<String>,
}

/// # Errors
/// If the file is no store, or one of a newer build, or so damaged that it cannot be opened.
pub fn check(path: &Path) -> Result<Checked, StoreError> {
    let (mut notes, mut problems) = (Vec::new(), Vec::new());
    match log_of_resting(path)? {
        LogState::Empty | LogState::Whole => {}
        LogState::Torn { offset } => notes.push(format!(
            "the last write was cut off, at byte {offset} of the log; the next start drops it, \
             nobody was told of it"
        )),
        LogState::Damaged { offset, n_frames_after } => problems.push(format!(
            "the log is damaged at byte {offset}, with {n_frames_after} whole pages of later \
             writes behind that"
        )),
    }
    let (connection, format) = open_to_read(path)?;
    let reader = Reader { connection: &connection, path, version: format };
    // One moment of a store that is written meanwhile.
    let failed = |error: rusqlite::Error| reader.read_error(&error);
    let transaction = connection.unchecked_transaction().map_err(failed)?;
    let pages = reader.page_problems("integrity_check").map_err(failed)?;
    let parts = match reader.read() {
        Ok(parts) => parts,
        Err(error) if pages.is_empty() => return Err(error),
        Err(_) => Default::default(),
    };
    if pages.is_empty() {
        problems.extend(inconsistencies(&parts));
    }
    problems.extend(pages);
    problems.extend(parts.bad.iter().map(describe));
    let set_aside = if problems.is_empty() { reader.set_aside()? } else { Vec::new() };
    let checked = Checked {
        format,
        bytes: std::fs::metadata(path).map_err(|error| file_error(path, &error))?.len(),
        term: reader.meta("term").unwrap_or_default() as u64,
        n_jobs: parts.jobs.len(),
        n_tasks: parts.added.len(),
        n_finished: parts.statuses.values().filter(|it| it.state.is_terminal()).count(),
        n_workers: parts.workers.len(),
        set_aside,
        notes,
        problems,
    };
    drop(transaction);
    Ok(checked)
}

/// The log of a store that no host has open; a log that is being written is not judged.
pub(super) fn log_of_resting(path: &Path) -> Result<LogState, StoreError> {
    let inspect = || log::inspect(path).map_err(|error| file_error(&beside(path, "-wal"), &error));
    // Nobody ever held a lock that is not there; one made here might belong to another user.
    if !lock::path_of(path).exists() {
        return inspect();
    }
    match Lock::take(path) {
        Ok(_held) => log::inspect(path).map_err(|error| file_error(&beside(path, "-wal"), &error)),
        Err(StoreError::InUse { .. }) => Ok(LogState::Whole),
        Err(error) => Err(error),
    }
}
