//! The name of one attempt, and how it ended, as executor and agent use them.

use std::fmt;
use std::time::Duration;

/// One dispatch of a task. Reports are fenced by the whole triple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptKey {
    /// The number of the task's id: 12 for `t12`.
    pub task: u64,
    /// Counted from 1 over the task's life.
    pub number: u32,
    /// The leader's term in which the attempt was dispatched.
    pub term: u64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub outcome: Outcome,
    /// From process start to end; `None` if no process started.
    pub ran: Option<Duration>,
}

/// A closed set. Exit code 0 is success, everything else is a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    ExitCode(i32),
    Signal(i32),
    Timeout,
    /// The kernel says that it killed for memory while this attempt died by SIGKILL.
    OutOfMemory,
    Stopped(StopReason),
    /// No process could be started; why, and what to do.
    StartFailed(String),
}

/// Why the agent ended an attempt. A closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    Cancelled,
    Migrated,
    Preempted,
    /// The host does not count this attempt any more.
    Stale,
    /// The host was out of reach until the lease ended, and the task asked for `on_disconnect = stop`.
    LeaseEnded,
    /// The agent itself is ending.
    Shutdown,
}

impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}-{}-{}", self.task, self.number, self.term)
    }
}
