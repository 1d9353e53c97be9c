//! How much goes wrong, and where.

use super::kind::FaultKind;
use super::plan::Rates;
use std::time::Duration;

/// Which faults happen, and how often. The moments are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub name: &'static str,
    pub n_workers: usize,
    pub n_jobs: usize,
    /// Faults and submissions end here; what is left has to come to its end by itself.
    pub active: Duration,
    /// With the mean time from the end of one to the next, anywhere in the world.
    pub faults: &'static [(FaultKind, Duration)],
    pub rates: Rates,
    /// Largest deviation of a worker's clock, in millionths.
    pub drift_ppm: u32,
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Nothing goes wrong but the scripts.
const CALM: Profile = Profile {
    name: "calm",
    n_workers: 4,
    n_jobs: 25,
    active: seconds(300),
    faults: &[],
    rates: Rates { loss: 0.0, duplication: 0.0, delay: 0.0, policy_failures: 0.0 },
    drift_ppm: 0,
};

const CRASHES: Profile = Profile {
    name: "crashes",
    faults: &[
        (FaultKind::HostCrash, seconds(60)),
        (FaultKind::CrashBeforeAck, seconds(60)),
        (FaultKind::HostFailover, seconds(90)),
        (FaultKind::HostClockStep, seconds(60)),
        (FaultKind::WorkerCrash, seconds(20)),
        (FaultKind::MassLoss, seconds(180)),
    ],
    ..CALM
};

const PAUSES: Profile = Profile {
    name: "pauses",
    faults: &[
        (FaultKind::HostPause, seconds(60)),
        (FaultKind::WorkerPause, seconds(20)),
        (FaultKind::WorkerSleep, seconds(60)),
        (FaultKind::WorkerClockStep, seconds(60)),
    ],
    drift_ppm: 20_000,
    ..CALM
};

const NETWORK: Profile = Profile {
    name: "network",
    faults: &[
        (FaultKind::Partition, seconds(60)),
        (FaultKind::HostDeaf, seconds(120)),
        (FaultKind::WorkersDeaf, seconds(120)),
    ],
    rates: Rates { loss: 0.05, duplication: 0.05, delay: 0.02, ..CALM.rates },
    ..CALM
};

const STORE: Profile = Profile {
    name: "store",
    faults: &[
        (FaultKind::DiskFull, seconds(30)),
        (FaultKind::SlowDisk, seconds(60)),
        (FaultKind::HostCrash, seconds(90)),
        (FaultKind::CrashBeforeAck, seconds(60)),
    ],
    ..CALM
};

const POLICIES: Profile = Profile {
    name: "policies",
    faults: &[
        (FaultKind::PolicySwap, seconds(30)),
        (FaultKind::PolicyHold, seconds(60)),
        (FaultKind::SlowPolicy, seconds(60)),
        (FaultKind::SenselessPolicy, seconds(30)),
        (FaultKind::BrokenWorker, seconds(120)),
    ],
    rates: Rates { policy_failures: 0.2, ..CALM.rates },
    ..CALM
};

const ALL: Profile = Profile {
    name: "all",
    faults: &[
        (FaultKind::Partition, seconds(120)),
        (FaultKind::HostDeaf, seconds(240)),
        (FaultKind::WorkersDeaf, seconds(240)),
        (FaultKind::HostCrash, seconds(90)),
        (FaultKind::CrashBeforeAck, seconds(120)),
        (FaultKind::HostPause, seconds(120)),
        (FaultKind::HostFailover, seconds(180)),
        (FaultKind::HostClockStep, seconds(90)),
        (FaultKind::DiskFull, seconds(90)),
        (FaultKind::SlowDisk, seconds(180)),
        (FaultKind::WorkerCrash, seconds(45)),
        (FaultKind::WorkerPause, seconds(60)),
        (FaultKind::WorkerSleep, seconds(120)),
        (FaultKind::WorkerClockStep, seconds(120)),
        (FaultKind::BrokenWorker, seconds(240)),
        (FaultKind::MassLoss, seconds(300)),
        (FaultKind::PolicyHold, seconds(180)),
        (FaultKind::SlowPolicy, seconds(180)),
        (FaultKind::PolicySwap, seconds(90)),
        (FaultKind::SenselessPolicy, seconds(90)),
    ],
    rates: Rates { loss: 0.02, duplication: 0.02, delay: 0.01, policy_failures: 0.1 },
    drift_ppm: 20_000,
    ..CALM
};

impl Profile {
    pub const EACH: [Profile; 7] = [CALM, CRASHES, PAUSES, NETWORK, STORE, POLICIES, ALL];

    pub fn find(name: &str) -> Option<Profile> {
        Profile::EACH.into_iter().find(|it| it.name == name)
    }

    pub fn all() -> Profile {
        ALL
    }
}
