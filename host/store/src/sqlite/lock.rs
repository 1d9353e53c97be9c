//! One host at a time: a lock on a file beside the store. The file also says who holds it, and that
//! a store was made here, so that a missing one is not taken for a new one.

use super::opening::{beside, file_error};
use crate::store::StoreError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Held until it is dropped, or the process ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    has_store: bool,
}

const N_TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_millis(25);
const HAS_STORE: &str = "store";
const HAS_NONE: &str = "empty";

pub(super) fn path_of(store: &Path) -> PathBuf {
    beside(store, ".lock")
}

impl Lock {
    pub fn take(store: &Path) -> Result<Lock, StoreError> {
        let path = path_of(store);
        let failed = |error: std::io::Error| file_error(&path, &error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let mut content = String::new();
        match try_for_a_while(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // The holder may be writing it right now.
                let _ = file.read_to_string(&mut content);
                return Err(StoreError::InUse { path: store.to_owned(), holder: holder(&content) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // What cannot be read says nothing.
        let _ = file.read_to_string(&mut content);
        let has_store = content.starts_with(HAS_STORE);
        let lock = Lock { file, path, has_store };
        lock.write()?;
        Ok(lock)
    }

    /// Whether a store was made here before.
    pub fn has_store(&self) -> bool {
        self.has_store
    }

    pub fn note_store(&mut self) -> Result<(), StoreError> {
        self.has_store = true;
        self.write()
    }

    /// Always as long, so that no moment finds it empty.
    fn write(&self) -> Result<(), StoreError> {
        let word = if self.has_store { HAS_STORE } else { HAS_NONE };
        let content = format!("{word} pid {:010}\n", std::process::id());
        self.file
            .write_all_at(content.as_bytes(), 0)
            .map_err(|error| file_error(&self.path, &error))
    }
}

/// Whoever looks at the log before reading holds the lock for a moment.
fn try_for_a_while(file: &File) -> Result<(), TryLockError> {
    for _ in 1..N_TRIES {
        match file.try_lock() {
            // Waiting for a lock with a deadline is nothing that the system offers.
            Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
            outcome => return outcome,
        }
    }
    file.try_lock()
}

fn holder(content: &str) -> String {
    let pid = content.rsplit(' ').next().and_then(|pid| pid.trim().parse::<u32>().ok());
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
