//! Deadlines, in order. Timers are not cancelled: whoever fires checks whether it still applies.

use crate::ids::TaskId;
use crate::time::Time;
use crate::worker::WorkerIdx;
use std::collections::BTreeSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The backoff of a retry ends: the task becomes ready.
    Backoff(TaskId),
    /// A worker's silence may have lasted too long. One per worker, re-armed when it fires.
    WorkerCheck(WorkerIdx),
    /// A quarantined worker gets work again.
    EndQuarantine(WorkerIdx),
    /// A worker in the lowest band may take a start again.
    Unrestrict(WorkerIdx),
    /// Ranks that change with time are computed again.
    RefreshRanks,
    /// The rescheduling policy reviews running work.
    Review,
    /// Idempotency keys expire.
    ExpireKeys,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    set: BTreeSet<(Time, Timer)>,
}

impl Timers {
    pub fn arm(&mut self, at: Time, timer: Timer) {
        self.set.insert((at, timer));
    }

    pub fn next(&self) -> Option<Time> {
        self.set.first().map(|(at, _)| *at)
    }

    pub fn pop_due(&mut self, now: Time) -> Option<(Time, Timer)> {
        if self.next()? > now { None } else { self.set.pop_first() }
    }
}
