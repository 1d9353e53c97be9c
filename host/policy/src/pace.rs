//! How much of the driver's time all policies together may take, and the time as they see it.

use crate::time::HostTime;
use std::time::{Duration, Instant};

/// Of one host; all slots share it.
#[derive(Debug)]
pub(crate) struct Pace {
    time: HostTime,
    second: Duration,
    in_second: Duration,
}

const MAX_PER_SECOND: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);

impl Pace {
    pub fn new(time: HostTime) -> Pace {
        Pace { time, second: Duration::ZERO, in_second: Duration::ZERO }
    }

    /// Since the host began.
    pub fn now(&self) -> Duration {
        self.time.now()
    }

    pub fn tell(&mut self, now: Duration) {
        self.time.tell(now);
    }

    /// The start of a call to measure; None if time does not pass by itself.
    pub fn begin(&self) -> Option<Instant> {
        self.time.begin()
    }

    /// Fills the budget if the second is over.
    pub fn begin_round(&mut self) {
        let now = self.now();
        if now.saturating_sub(self.second) >= SECOND {
            self.second = now;
            self.in_second = Duration::ZERO;
        }
    }

    pub fn spend(&mut self, took: Duration) {
        self.in_second += took;
    }

    /// Whether policies have had their half of this second.
    pub fn is_used_up(&self) -> bool {
        self.in_second >= MAX_PER_SECOND
    }

    /// When there is time again.
    pub fn filled_at(&self) -> Duration {
        if self.is_used_up() { self.second + SECOND } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mixture_of_slots_takes_more_than_half_of_a_second() {
        let mut pace = Pace::new(HostTime::Told(Duration::ZERO));
        for _ in 0..3 {
            assert!(!pace.is_used_up());
            pace.spend(Duration::from_millis(170));
        }
        assert!(pace.is_used_up());
        pace.tell(Duration::from_millis(999));
        pace.begin_round();
        assert_eq!((pace.is_used_up(), pace.filled_at()), (true, SECOND));
        pace.tell(SECOND);
        pace.begin_round();
        assert!(!pace.is_used_up());
    }
}
