//! Other schedulers beside Pointsman, on this machine in one run: the same work for each, measured alike.
//!
//! A measurement starts its system in a folder of its own, warms it up, measures once and ends it, so that
//! none is measured while another one idles. Peers are driven by scripts in their own language, which live
//! in `tests/scripts/peers`; this owns what is asked of them, not how figures are compared.

pub mod work;
pub mod ours;
pub mod scripted;
pub mod bare;
pub mod installed;

use installed::Installed;
use std::path::PathBuf;
use work::{Measured, Work};

/// A scheduler in one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// As it comes.
    Pointsman,
    /// Without control groups, as the peers are.
    PointsmanUnlimited,
    HyperQueue,
    /// Its journal is what makes its jobs durable.
    HyperQueueJournal,
    Dask,
    /// No scheduler: threads that start the same processes. What the machine allows.
    Bare,
}

pub const ALL: [System; 6] = [
    System::Pointsman,
    System::PointsmanUnlimited,
    System::HyperQueue,
    System::HyperQueueJournal,
    System::Dask,
    System::Bare,
];

/// What all systems are given.
#[derive(Debug)]
pub struct Setting {
    /// The binary `pointsman`.
    pub binary: PathBuf,
    pub installed: Installed,
    /// Tasks at a time.
    pub n_slots: usize,
}

impl System {
    pub fn name(self) -> &'static str {
        match self {
            System::Pointsman => "Pointsman",
            System::PointsmanUnlimited => "Pointsman, limits off",
            System::HyperQueue => "HyperQueue",
            System::HyperQueueJournal => "HyperQueue, journal",
            System::Dask => "Dask",
            System::Bare => "no scheduler",
        }
    }

    /// Whether what was submitted is on disk before the submitter is told yes.
    pub fn is_durable(self) -> bool {
        matches!(self, System::Pointsman | System::PointsmanUnlimited)
    }

    /// How it runs, and what it guarantees by that.
    pub fn about(self) -> &'static str {
        match self {
            System::Pointsman => {
                "host and worker processes over HTTP; every submission and end in SQLite, synced (WAL, \
                 synchronous=FULL) before it is acknowledged; tasks are shell scripts, output kept, one \
                 control group per script where the machine allows them"
            }
            System::PointsmanUnlimited => "the same, without control groups",
            System::HyperQueue => {
                "the wheel's LocalCluster: server and worker are threads of a Python process, over \
                 encrypted TCP; in memory only; tasks start without a shell, output discarded; the \
                 program hq, which it is mostly run by, is not in the wheel and may be faster"
            }
            System::HyperQueueJournal => "not measured: its journal would make jobs durable",
            System::Dask => {
                "dask scheduler and dask worker processes (nannies on, two threads each) over TCP; in \
                 memory only; tasks are Python functions, processes by subprocess.run"
            }
            System::Bare => "as many threads as slots, each starting one process after the other",
        }
    }

    /// Whether this is one of the rows for that work; the others would tell nothing.
    pub fn takes_part(self, work: Work) -> bool {
        let is_scheduled_only = matches!(work, Work::Noop | Work::Waiting { .. });
        match self {
            System::Pointsman | System::HyperQueue | System::Dask => true,
            // Differs by how processes are started.
            System::PointsmanUnlimited | System::Bare => !is_scheduled_only,
            System::HyperQueueJournal => matches!(work, Work::Processes { .. }),
        }
    }

    /// Starts it, measures once, ends it.
    pub fn measure(self, work: Work, setting: &Setting) -> Measured {
        match self {
            System::Pointsman => ours::measure(work, setting, true),
            System::PointsmanUnlimited => ours::measure(work, setting, false),
            System::HyperQueue => scripted::measure("hyperqueue_peer.py", work, setting),
            System::HyperQueueJournal => work::cannot(
                "the journal is an option of the program hq, which the wheel does not bring",
            ),
            System::Dask => scripted::measure("dask_peer.py", work, setting),
            System::Bare => bare::measure(work, setting.n_slots),
        }
    }
}
