//! How much goes wrong, and where.

use std::time::Duration;

/// Which faults happen, and how often. Spans are means; the moments are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub name: &'static str,
    pub n_workers: usize,
    pub n_jobs: usize,
    /// Faults and submissions end here; what is left has to come to its end by itself.
    pub active: Duration,
    pub host_crashes: Option<Duration>,
    pub host_pauses: Option<Duration>,
    /// Of each worker.
    pub worker_crashes: Option<Duration>,
    pub worker_pauses: Option<Duration>,
    /// Between the host and some of the workers, in one direction or both.
    pub partitions: Option<Duration>,
    pub store_faults: Option<Duration>,
    /// Fraction of the messages.
    pub loss: f64,
    pub duplication: f64,
    /// Fraction of the calls that fail; a review then proposes whatever comes to its mind.
    pub policy_faults: f64,
    /// Largest step of the wall clock between two lives of the host, either way.
    pub clock_step: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// Nothing goes wrong but the scripts.
const CALM: Profile = Profile {
    name: "calm",
    n_workers: 4,
    n_jobs: 25,
    active: Duration::from_secs(300),
    host_crashes: None,
    host_pauses: None,
    worker_crashes: None,
    worker_pauses: None,
    partitions: None,
    store_faults: None,
    loss: 0.0,
    duplication: 0.0,
    policy_faults: 0.0,
    clock_step: Duration::ZERO,
};

const CRASHES: Profile = Profile {
    name: "crashes",
    host_crashes: Some(Duration::from_secs(40)),
    worker_crashes: Some(MINUTE),
    clock_step: Duration::from_secs(7200),
    ..CALM
};

const PAUSES: Profile =
    Profile { name: "pauses", host_pauses: Some(MINUTE), worker_pauses: Some(MINUTE), ..CALM };

const NETWORK: Profile = Profile {
    name: "network",
    partitions: Some(Duration::from_secs(30)),
    loss: 0.05,
    duplication: 0.05,
    ..CALM
};

const STORE: Profile = Profile {
    name: "store",
    store_faults: Some(Duration::from_secs(20)),
    host_crashes: Some(MINUTE),
    ..CALM
};

const POLICIES: Profile = Profile { name: "policies", policy_faults: 0.2, ..CALM };

const ALL: Profile = Profile {
    name: "all",
    host_crashes: Some(MINUTE),
    host_pauses: Some(Duration::from_secs(90)),
    worker_crashes: Some(Duration::from_secs(120)),
    worker_pauses: Some(Duration::from_secs(120)),
    partitions: Some(MINUTE),
    store_faults: Some(MINUTE),
    loss: 0.02,
    duplication: 0.02,
    policy_faults: 0.1,
    clock_step: Duration::from_secs(7200),
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

    /// Long enough for every retry, loss and backoff of what is left when the faults end.
    pub(super) fn patience(&self) -> Duration {
        3600 * SECOND
    }
}
