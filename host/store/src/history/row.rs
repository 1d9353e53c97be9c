//! Rows as they are appended and read, and what is asked for.

use pointsman_scheduler::event::{Feedback, Measurements};
use pointsman_scheduler::{TaskId, WorkerId};

/// What a worker measured of itself, to be appended.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub worker: WorkerId,
    pub worker_name: String,
    pub measurements: Measurements,
}

/// What was reported of a running task, to be appended.
#[derive(Debug, Clone, PartialEq)]
pub struct Fed {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub task: TaskId,
    pub task_name: String,
    /// From 1.
    pub attempt: u32,
    /// None: nobody knows it any more.
    pub worker: Option<(WorkerId, String)>,
    pub feedback: Feedback,
}

/// What a worker measured of itself, as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredRow {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The worker that had this name last; None: it has another name now.
    pub worker: Option<WorkerId>,
    pub worker_name: String,
    pub measurements: Measurements,
}

/// What was reported of a running task, as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct FedRow {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    pub task: TaskId,
    pub task_name: String,
    /// From 1.
    pub attempt: u32,
    pub worker_name: Option<String>,
    pub feedback: Feedback,
}

/// Which rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Only those of this name.
    pub worker: Option<String>,
    /// None before, in milliseconds since the Unix epoch.
    pub from_ms: u64,
    /// None then or later.
    pub to_ms: u64,
    /// Only what comes behind it.
    pub after: Option<Cursor>,
    /// Rows at most; at least 1.
    pub limit: usize,
}

impl Default for Selection {
    fn default() -> Selection {
        Selection { worker: None, from_ms: 0, to_ms: u64::MAX, after: None, limit: 1000 }
    }
}

/// A place between two rows. What is appended later comes behind it, unless the clock was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Counted from 0 among rows of the same time.
    pub seq: u64,
}

/// A part of what was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub rows: Vec<T>,
    /// Where to go on; None: there is no more now.
    pub next: Option<Cursor>,
}

/// A number that workers measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    CpuUsed,
    MemoryUsed,
    IopsUsed,
    RttMs,
    Connections,
}

impl Column {
    /// As the table calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Column::CpuUsed => "cpu_used",
            Column::MemoryUsed => "memory_used",
            Column::IopsUsed => "iops_used",
            Column::RttMs => "rtt_ms",
            Column::Connections => "connections",
        }
    }
}
