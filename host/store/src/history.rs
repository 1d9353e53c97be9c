//! What was measured and reported over time: a record for people and for forecasts, of which the scheduler
//! needs nothing. Owns the file `history.sqlite`, its format, its bounds, and the thread that writes it.
//! Whoever appends never waits: rows beyond a bound are dropped and counted. What was appended is written
//! about once a second, and the last second may be lost at a power cut. A file that is damaged, or of a newer
//! format, is set aside under another name, and a new one begun.

mod file;
mod reading;
mod row;
mod tidying;
mod waiting;
mod writing;

pub use row::{Column, Cursor, Fed, FedRow, Measured, MeasuredRow, Page, Selection};

use pointsman_scheduler::{TaskId, WorkerId};
use rusqlite::{Connection, ErrorCode};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;
use waiting::Waiting;

/// A cheap handle. The last one that is dropped writes what waits and ends the thread.
#[derive(Debug, Clone)]
pub struct History {
    running: Arc<Running>,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// What is older, by the wall clock, is forgotten.
    pub keep: Duration,
    /// Measurements at most, and as many rows of feedback; the oldest are forgotten.
    pub rows: u64,
}

/// So many rows are kept now, and so many were dropped since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub measurements: u64,
    pub feedback: u64,
    pub dropped_measurements: u64,
    pub dropped_feedback: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("failed to open {path}: {problem}")]
    Open { path: PathBuf, problem: String },
    #[error(
        "{path} is to be set aside ({problem}), and {} were already; remove those that nobody needs",
        file::SET_ASIDE_MAX
    )]
    TooManySetAside { path: PathBuf, problem: String },
    #[error("failed to read the history")]
    Read(#[source] rusqlite::Error),
    #[error("failed to start the thread that writes the history")]
    Thread(#[source] std::io::Error),
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { keep: Duration::from_secs(30 * 86_400), rows: 5_000_000 }
    }
}

/// Rows of a kind that wait to be written at most.
pub const WAITING_MAX: usize = 65_536;
/// Rows of a kind that are kept in memory at most, whatever the bounds say: some 20 MB.
pub const IN_MEMORY_MAX: u64 = 200_000;

impl History {
    /// Opens the file, or makes it. What cannot be read is set aside with a warning.
    ///
    /// # Errors
    /// If there can be no file there, or no thread.
    pub fn open(path: &Path, bounds: Bounds) -> Result<History, HistoryError> {
        let writer = file::open(path)?;
        let reader = file::open_beside(path)?;
        History::start(Shared::new(Some(path.to_owned()), writer, Some(reader), bounds))
    }

    /// One that ends with the process.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn in_memory(bounds: Bounds) -> Result<History, HistoryError> {
        History::start(Shared::new(None, file::in_memory()?, None, bounds))
    }

    fn start(shared: Shared) -> Result<History, HistoryError> {
        let shared = Arc::new(shared);
        let thread = writing::spawn(shared.clone()).map_err(HistoryError::Thread)?;
        Ok(History { running: Arc::new(Running { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// Hands rows over to be written. Never waits for the disk; what finds no room is dropped, and counted.
    pub fn append(&self, measured: Vec<Measured>, fed: Vec<Fed>) {
        let (n_measured, n_fed) = self.running.shared.waiting.put(measured, fed);
        self.running.shared.figures.note_dropped(n_measured, n_fed);
    }

    /// Waits until what was appended before is written, or dropped. False: that takes longer than `patience`.
    pub fn flush(&self, patience: Duration) -> bool {
        self.running.shared.waiting.flush(patience)
    }

    /// Writes what waits and ends the thread; what is appended from now on is dropped. Reading goes on.
    pub fn close(&self) {
        self.running.close();
    }

    /// Takes effect at once; what is too much is forgotten piece by piece.
    pub fn set_bounds(&self, bounds: Bounds) {
        *self.running.shared.bounds.lock().expect("nobody panics while holding them") = bounds;
    }

    pub fn counts(&self) -> Counts {
        self.running.shared.figures.counts()
    }

    /// Measurements in the order of their times, and as they came.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn measurements(&self, selection: &Selection) -> Result<Page<MeasuredRow>, HistoryError> {
        self.read(|connection| reading::measurements(connection, selection))
    }

    /// Feedback in the order of its times, and as it came; of one task, or of all.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn feedback(
        &self,
        selection: &Selection,
        task: Option<TaskId>,
    ) -> Result<Page<FedRow>, HistoryError> {
        self.read(|connection| reading::feedback(connection, selection, task))
    }

    /// The mean of a column for each worker that measured it after the one time and not after the other,
    /// in milliseconds since the Unix epoch. A worker that took another's name goes on with its history.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn means(
        &self,
        column: Column,
        from_ms_exclusive: u64,
        to_ms_inclusive: u64,
    ) -> Result<Vec<(WorkerId, f64)>, HistoryError> {
        self.read(|connection| {
            reading::means(connection, column, from_ms_exclusive, to_ms_inclusive)
        })
    }

    /// The newest measurements, at most `limit`, none from before `since_ms`; oldest first.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn recent(&self, since_ms: u64, limit: usize) -> Result<Vec<MeasuredRow>, HistoryError> {
        self.read(|connection| reading::recent(connection, since_ms, limit))
    }

    fn read<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, HistoryError> {
        let shared = &self.running.shared;
        let connection = lock(shared.reader.as_ref().unwrap_or(&shared.writer));
        ask(&connection).map_err(|error| {
            if is_damage(&error) {
                // While the connection is held: the file is still the one that is damaged.
                shared.is_damaged.store(true, Ordering::Release);
            }
            HistoryError::Read(error)
        })
    }
}

/// The thread, as long as there is a handle.
#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Running {
    fn close(&self) {
        self.shared.waiting.close();
        let thread = self.thread.lock().expect("nobody panics while holding it").take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the history's thread panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.close();
    }
}

/// What handles and the thread share.
#[derive(Debug)]
struct Shared {
    /// None: in memory.
    path: Option<PathBuf>,
    waiting: Waiting,
    bounds: Mutex<Bounds>,
    figures: Figures,
    /// A reader found damage: the thread sets the file aside.
    is_damaged: AtomicBool,
    writer: Mutex<Connection>,
    /// None: the one connection is also read from.
    reader: Option<Mutex<Connection>>,
}

impl Shared {
    fn new(
        path: Option<PathBuf>,
        writer: Connection,
        reader: Option<Connection>,
        bounds: Bounds,
    ) -> Shared {
        Shared {
            path,
            waiting: Waiting::default(),
            bounds: Mutex::new(bounds),
            figures: Figures::default(),
            is_damaged: AtomicBool::new(false),
            writer: Mutex::new(writer),
            reader: reader.map(Mutex::new),
        }
    }

    fn bounds(&self) -> Bounds {
        let bounds = *self.bounds.lock().expect("nobody panics while holding them");
        match self.path {
            Some(_) => bounds,
            None => Bounds { rows: bounds.rows.min(IN_MEMORY_MAX), ..bounds },
        }
    }
}

/// As [`Counts`].
#[derive(Debug, Default)]
struct Figures {
    measurements: AtomicU64,
    feedback: AtomicU64,
    dropped_measurements: AtomicU64,
    dropped_feedback: AtomicU64,
}

impl Figures {
    fn note_dropped(&self, n_measured: usize, n_fed: usize) {
        self.dropped_measurements.fetch_add(n_measured as u64, Ordering::Relaxed);
        self.dropped_feedback.fetch_add(n_fed as u64, Ordering::Relaxed);
    }

    fn note_kept(&self, n_measurements: u64, n_feedback: u64) {
        self.measurements.store(n_measurements, Ordering::Relaxed);
        self.feedback.store(n_feedback, Ordering::Relaxed);
    }

    fn counts(&self) -> Counts {
        Counts {
            measurements: self.measurements.load(Ordering::Relaxed),
            feedback: self.feedback.load(Ordering::Relaxed),
            dropped_measurements: self.dropped_measurements.load(Ordering::Relaxed),
            dropped_feedback: self.dropped_feedback.load(Ordering::Relaxed),
        }
    }
}

fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().expect("nobody panics while holding a connection")
}

fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        // A column holds another type than was ever written.
        rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::IntegralValueOutOfRange(..) => {
            true
        }
        other => matches!(
            other.sqlite_error_code(),
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt)
        ),
    }
}
