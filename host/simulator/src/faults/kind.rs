//! The kinds of faults there are, and how often each of them struck.

use std::fmt;

/// One way in which something goes wrong: a closed set, each of which the profile `all` has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Of single messages.
    Loss,
    Duplication,
    Delay,
    /// Between the host and some workers, both ways.
    Partition,
    /// Nothing that these workers say reaches the host.
    HostDeaf,
    /// Nothing that the host says reaches these workers.
    WorkersDeaf,
    HostCrash,
    /// What was written is durable, and nobody was told.
    CrashBeforeAck,
    HostPause,
    /// Another host takes over; the old one wakes later and believes that it still leads.
    HostFailover,
    /// Of the wall clock, which counts at the next start.
    HostClockStep,
    DiskFull,
    SlowDisk,
    WorkerCrash,
    /// Frozen; its clock goes on.
    WorkerPause,
    /// Frozen, and its clock stands still.
    WorkerSleep,
    /// Its clock jumps ahead.
    WorkerClockStep,
    /// Whatever runs there fails at once.
    BrokenWorker,
    /// Most workers crash in one moment, and come back in one moment.
    MassLoss,
    PolicyFailure,
    PolicyHold,
    SlowPolicy,
    PolicySwap,
    /// Scores, ranks and proposals without any sense.
    SenselessPolicy,
}

impl FaultKind {
    pub const ALL: [FaultKind; 24] = [
        FaultKind::Loss,
        FaultKind::Duplication,
        FaultKind::Delay,
        FaultKind::Partition,
        FaultKind::HostDeaf,
        FaultKind::WorkersDeaf,
        FaultKind::HostCrash,
        FaultKind::CrashBeforeAck,
        FaultKind::HostPause,
        FaultKind::HostFailover,
        FaultKind::HostClockStep,
        FaultKind::DiskFull,
        FaultKind::SlowDisk,
        FaultKind::WorkerCrash,
        FaultKind::WorkerPause,
        FaultKind::WorkerSleep,
        FaultKind::WorkerClockStep,
        FaultKind::BrokenWorker,
        FaultKind::MassLoss,
        FaultKind::PolicyFailure,
        FaultKind::PolicyHold,
        FaultKind::SlowPolicy,
        FaultKind::PolicySwap,
        FaultKind::SenselessPolicy,
    ];

    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Loss => "loss",
            FaultKind::Duplication => "duplication",
            FaultKind::Delay => "delay",
            FaultKind::Partition => "partition",
            FaultKind::HostDeaf => "host-deaf",
            FaultKind::WorkersDeaf => "workers-deaf",
            FaultKind::HostCrash => "host-crash",
            FaultKind::CrashBeforeAck => "crash-before-ack",
            FaultKind::HostPause => "host-pause",
            FaultKind::HostFailover => "host-failover",
            FaultKind::HostClockStep => "host-clock-step",
            FaultKind::DiskFull => "disk-full",
            FaultKind::SlowDisk => "slow-disk",
            FaultKind::WorkerCrash => "worker-crash",
            FaultKind::WorkerPause => "worker-pause",
            FaultKind::WorkerSleep => "worker-sleep",
            FaultKind::WorkerClockStep => "worker-clock-step",
            FaultKind::BrokenWorker => "broken-worker",
            FaultKind::MassLoss => "mass-loss",
            FaultKind::PolicyFailure => "policy-failure",
            FaultKind::PolicyHold => "policy-hold",
            FaultKind::SlowPolicy => "slow-policy",
            FaultKind::PolicySwap => "policy-swap",
            FaultKind::SenselessPolicy => "senseless-policy",
        }
    }

    pub fn find(name: &str) -> Option<FaultKind> {
        FaultKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// How often each kind struck: a message lost counts one, and so does a disk that was full for a while.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strikes {
    n: [u64; FaultKind::ALL.len()],
}

impl Strikes {
    pub(super) fn add(&mut self, kind: FaultKind) {
        self.n[kind as usize] += 1;
    }

    pub fn of(&self, kind: FaultKind) -> u64 {
        self.n[kind as usize]
    }

    pub fn merge(&mut self, other: &Strikes) {
        self.n.iter_mut().zip(other.n).for_each(|(n, more)| *n += more);
    }
}

impl fmt::Display for Strikes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let struck = FaultKind::ALL.into_iter().filter(|kind| self.of(*kind) > 0);
        let texts: Vec<String> =
            struck.map(|kind| format!("{} {}", kind.name(), self.of(kind))).collect();
        f.write_str(if texts.is_empty() { "none" } else { "" })?;
        f.write_str(&texts.join(", "))
    }
}
