//! The trait that every backend meets, and how it may fail.

use pointsman_scheduler::record::Snapshot;
use pointsman_scheduler::{Record, Term};
use std::path::PathBuf;

/// A durable set of records. One writer; a later record of a key replaces an earlier one.
pub trait Store: Send {
    /// Everything that was committed. Single records that cannot be read are set aside, if the rest
    /// fits together without them.
    ///
    /// # Errors
    /// Anything else that cannot be read; nothing is skipped silently.
    fn load(&mut self) -> Result<Snapshot, StoreError>;

    /// A term larger than any before, durable when this returns. From now on commits of earlier
    /// terms are refused.
    ///
    /// # Errors
    /// If it cannot be made durable.
    fn begin_term(&mut self) -> Result<Term, StoreError>;

    /// Makes the records durable, all or none.
    ///
    /// # Errors
    /// Nothing was kept; [`StoreError::is_retryable`] tells whether trying again makes sense.
    fn commit(&mut self, term: Term, records: &[&Record]) -> Result<(), StoreError>;

    /// Records that were set aside, in this and in earlier loads.
    fn set_aside(&self) -> Vec<SetAside> {
        Vec::new()
    }

    /// A piece of work that makes the store smaller, done while no commit waits. False: nothing is
    /// left to do until the next commit.
    ///
    /// # Errors
    /// If it does not work now; nothing that was committed is touched.
    fn tidy(&mut self) -> Result<bool, StoreError> {
        Ok(false)
    }
}

/// A record that could not be read, and what became of what it stood for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// When it was noticed, in UTC.
    pub at: String,
    /// Its table.
    pub kind: String,
    pub key: String,
    pub problem: String,
    pub outcome: String,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("failed to open {path}: {problem}")]
    Open { path: PathBuf, problem: String },
    #[error("{path} is in use by {holder}; two hosts may not share a data folder")]
    InUse { path: PathBuf, holder: String },
    #[error(
        "{path} is not a store, or is damaged: {problem}. It was left as it is; restore a backup, \
         or get out what can be read: pointsman store salvage {path} NEW-FILE"
    )]
    Damaged { path: PathBuf, problem: String },
    #[error(
        "{what} was written in format {found}, this build reads up to {known}: \
         use the newer build that wrote it"
    )]
    NewerFormat { what: String, found: u32, known: u32 },
    #[error("{what} cannot be read: {problem}")]
    Unreadable { what: String, problem: String },
    #[error("the term {ours:?} is over: another host has begun {current:?}")]
    OldTerm { ours: Term, current: Term },
    #[error("failed to write: {problem}")]
    Write { problem: String },
}

impl StoreError {
    /// Whether the same commit may succeed later: disk full, busy, input or output errors.
    pub fn is_retryable(&self) -> bool {
        match self {
            StoreError::Write { .. } => true,
            StoreError::Open { .. }
            | StoreError::InUse { .. }
            | StoreError::Damaged { .. }
            | StoreError::NewerFormat { .. }
            | StoreError::Unreadable { .. }
            | StoreError::OldTerm { .. } => false,
        }
    }
}
