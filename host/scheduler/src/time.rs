//! Time as the scheduler sees it: a number handed in with every event. It reads no clock.

use std::time::Duration;

/// Nanoseconds since the Unix epoch by the host's monotonic clock, anchored to the wall clock when
/// the host started; in the simulator, virtual nanoseconds since the start. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    pub const ZERO: Time = Time(0);
    pub const NEVER: Time = Time(u64::MAX);

    /// Saturating: a deadline too far away is [`Time::NEVER`].
    pub fn after(self, span: Duration) -> Time {
        Time(self.0.saturating_add(nanos(span)))
    }

    /// The span from `earlier` to `self`; zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Milliseconds with fractions, as policies see times.
    pub fn as_ms(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

/// A duration in nanoseconds, saturating at `u64::MAX` (584 years).
pub fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration in milliseconds with fractions, as policies see durations.
pub fn duration_ms(span: Duration) -> f64 {
    nanos(span) as f64 / 1e6
}
