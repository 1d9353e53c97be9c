//! The host's time: the wall clock read once at the start, the monotonic clock from then on.

use pointsman_scheduler::Time;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Never goes back, also not over a restart: it begins no earlier than the newest stored time.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    anchor: Time,
    started: Instant,
}

impl Clock {
    pub fn starting_after(newest_stored: Time) -> Clock {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Time(pointsman_scheduler::time::nanos(since_epoch));
        Clock { anchor: wall.max(newest_stored), started: Instant::now() }
    }

    pub fn now(&self) -> Time {
        self.anchor.after(self.started.elapsed())
    }
}
