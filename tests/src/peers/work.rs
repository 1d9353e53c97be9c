//! What each system is asked to do, and what comes of it.

use std::fmt;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// So many processes of `/bin/true`: tasks/s from the first submission to the last end.
    Processes { n: usize },
    /// Tasks that do nothing, without a process: tasks/s. How many is [`NOOP_TASKS`], or more.
    Noop,
    /// One task at a time on an idle system, so many: ms from submitting to its first act.
    Latency { n: usize },
    /// So many tasks and no worker: MiB that the server has resident, before and with them.
    Waiting { n: usize },
}

/// Takes a slow system some seconds. Fast ones get more, so that they take long enough to be timed.
pub const NOOP_TASKS: usize = 5_000;
/// How often systems are asked whether they are done: each time costs them something.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// Between the start of a task and the next submission, in which its end settles. HyperQueue plans in
/// rounds some 30 ms apart, so a shorter pause would find it busy.
pub const PAUSE: Duration = Duration::from_millis(100);
/// Until the memory of a server that has taken everything is looked at.
pub const SETTLE: Duration = Duration::from_secs(2);
/// Tasks before the first that counts, as a part of those that do.
pub const WARM_UP: usize = 10;

/// Tasks/s, one value; latencies in ms, each; or MiB, before and with the tasks.
pub type Measured = Result<Vec<f64>, Missing>;

/// Why there is no figure.
#[derive(Debug, Clone)]
pub enum Missing {
    /// The system has no such thing.
    Cannot(String),
    /// It has, and it did not run.
    Failed(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Missing::Cannot(reason) => write!(f, "{reason}"),
            Missing::Failed(problem) => write!(f, "did not run: {problem}"),
        }
    }
}

pub fn cannot(reason: &str) -> Measured {
    Err(Missing::Cannot(reason.to_owned()))
}

pub fn failed(problem: impl fmt::Display) -> Missing {
    Missing::Failed(problem.to_string())
}

/// What a task does whose start is timed: appends the time, in ns, to a file.
pub fn stamp(file: &Path) -> String {
    format!("date +%s%N >> {}", file.display())
}

/// MiB that a process has resident.
pub fn resident_mib(id: u32) -> Result<f64, Missing> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).map_err(failed)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| failed("no resident memory told"))
}
