//! What an operator can set about scheduling. Defaults are those of the documentation.

use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub heartbeat: Heartbeat,
    pub retry: Retry,
    pub quarantine: Quarantine,
    /// Queues named here exist; `default` always does. A task may only name an existing queue.
    pub queues: BTreeMap<String, QueueSettings>,
    pub rescheduling: Rescheduling,
    /// Finished tasks kept, the newest.
    pub retention_finished: u64,
    /// How long a finished task is kept at most; None: however long.
    pub retention_finished_for: Option<Duration>,
    /// Starts at most this many tasks in one planning round.
    pub max_placements_per_round: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    pub interval: Duration,
    pub suspect_after: Duration,
    pub lost_after: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    pub max_retries: u32,
    pub max_worker_losses: u32,
    pub base: Duration,
    pub factor: f64,
    pub cap: Duration,
}

/// When a worker is set aside that fails whatever it gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantine {
    /// Failures in a row; 0: never.
    pub after: u32,
    /// From an attempt's start to its failure; slower ones do not count.
    pub within: Duration,
    /// For how long the first time; twice as long each time without a success between.
    pub base: Duration,
    pub cap: Duration,
}

#[derive(Debug, Clone, PartialEq)]
pub struct QueueSettings {
    /// Tasks not yet ended; None: no limit.
    pub limit: Option<u64>,
    /// None: as the queue policy's manifest says, else greedy.
    pub discipline: Option<Discipline>,
    /// A task overtaken by others that has been ready for so long goes first; None: never.
    pub reserve_after: Option<Duration>,
}

impl Default for QueueSettings {
    fn default() -> QueueSettings {
        QueueSettings {
            limit: None,
            discipline: None,
            reserve_after: Some(Duration::from_secs(600)),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Discipline {
    /// Whatever fits starts, in order.
    #[default]
    Greedy,
    /// A head that does not fit now blocks its queue.
    Strict,
    /// EASY: one reservation for the best-ranked blocked head; later tasks may not delay it.
    Backfill,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rescheduling {
    /// Per task, between two accepted proposals.
    pub cool_down: Duration,
    /// Accepted migrations and requeues a minute, all together.
    pub rate_per_minute: u32,
    /// Accepted migrations and requeues per worker and review.
    pub per_worker: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            heartbeat: Heartbeat {
                interval: Duration::from_secs(5),
                suspect_after: Duration::from_secs(10),
                lost_after: Duration::from_secs(15),
            },
            retry: Retry {
                max_retries: 3,
                max_worker_losses: 3,
                base: Duration::from_secs(1),
                factor: 2.0,
                cap: Duration::from_secs(60),
            },
            quarantine: Quarantine {
                after: 5,
                within: Duration::from_secs(10),
                base: Duration::from_secs(60),
                cap: Duration::from_secs(1800),
            },
            queues: BTreeMap::from([(
                crate::spec::DEFAULT.to_owned(),
                QueueSettings { limit: Some(1_000_000), ..QueueSettings::default() },
            )]),
            rescheduling: Rescheduling {
                cool_down: Duration::from_secs(60),
                rate_per_minute: 60,
                per_worker: 1,
            },
            retention_finished: 100_000,
            retention_finished_for: None,
            max_placements_per_round: 1000,
        }
    }
}
