//! Real hosts and real agents under load, killed and frozen again and again: nothing that was
//! acknowledged is lost, nothing counts twice, nothing is left running, all capacity comes back.
//!
//! Each kind of fault has a cluster of its own. What is checked in the end is the same for all of
//! them, see [`verdict`]; the rest is what the fault itself must not do.

pub mod processes;
pub mod cluster;
pub mod work;
pub mod verdict;
pub mod faults;
pub mod crowd;

use std::fmt;
use std::time::Duration;

/// What came of one kind of fault.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub n_rounds: usize,
    pub figures: verdict::Figures,
    /// What the fault is measured by, and the longest that it took.
    pub measured: &'static str,
    pub longest: Duration,
    /// What must not have happened, and did.
    pub complaints: Vec<String>,
}

/// The table's head.
pub const HEAD: &str = "fault           rounds tasks attempts worker-lost | lost doubled overlaps orphans leaks | longest";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = &self.figures;
        write!(
            f,
            "{:<15} {:>6} {:>5} {:>8} {:>11} | {:>4} {:>7} {:>8} {:>7} {:>5} | {} {:.2} s",
            self.name,
            self.n_rounds,
            it.n_tasks,
            it.n_attempts,
            it.n_worker_lost,
            it.n_lost,
            it.n_doubled,
            it.n_overlaps,
            it.n_orphans,
            it.n_leaks,
            self.measured,
            self.longest.as_secs_f64(),
        )
    }
}
