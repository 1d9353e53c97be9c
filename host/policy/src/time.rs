//! Time as the failure ladder and the budgets see it: real, or told by a simulator.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub(crate) enum HostTime {
    Real {
        start: Instant,
    },
    /// Moves only when told; calls take no time.
    Told(Duration),
}

impl HostTime {
    pub fn real() -> HostTime {
        HostTime::Real { start: Instant::now() }
    }

    /// Since the host began.
    pub fn now(&self) -> Duration {
        match self {
            HostTime::Real { start } => start.elapsed(),
            HostTime::Told(now) => *now,
        }
    }

    pub fn tell(&mut self, now: Duration) {
        match self {
            HostTime::Real { .. } => {}
            HostTime::Told(told) => *told = now.max(*told),
        }
    }

    /// The start of a call to measure; None if time does not pass by itself.
    pub fn begin(&self) -> Option<Instant> {
        match self {
            HostTime::Real { .. } => Some(Instant::now()),
            HostTime::Told(_) => None,
        }
    }
}
