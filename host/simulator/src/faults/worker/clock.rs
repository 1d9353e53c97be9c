//! A worker's monotonic clock: a little too fast or slow, still while the machine sleeps, and sometimes
//! ahead all of a sudden.

use pointsman_scheduler::Time;
use std::time::{Duration, Instant};

pub(super) struct Clock {
    /// What it shows, at the true time since when it runs evenly.
    shows: Instant,
    since: Time,
    /// Its seconds in a true second.
    rate: f64,
    is_still: bool,
    /// When it went on the last time after it had stood.
    woke: Option<Time>,
}

/// Whatever waited for the worker while it slept has come by then.
const WAKING: Duration = Duration::from_secs(60);

impl Clock {
    pub fn new(epoch: Instant, drift_ppm: i32) -> Clock {
        let rate = 1.0 + f64::from(drift_ppm) / 1e6;
        Clock { shows: epoch, since: Time::ZERO, rate, is_still: false, woke: None }
    }

    pub fn at(&self, now: Time) -> Instant {
        if self.is_still {
            return self.shows;
        }
        self.shows + now.since(self.since).mul_f64(self.rate)
    }

    /// The true time at which it shows this, if nothing happens to it; `now` if that is over.
    pub fn when(&self, shown: Instant, now: Time) -> Time {
        let left = shown.saturating_duration_since(self.at(now));
        now.after(left.div_f64(self.rate))
    }

    pub fn stop(&mut self, now: Time) {
        self.shows = self.at(now);
        self.since = now;
        self.is_still = true;
    }

    pub fn go_on(&mut self, now: Time) {
        self.shows = self.at(now);
        self.since = now;
        if std::mem::take(&mut self.is_still) {
            self.woke = Some(now);
        }
    }

    pub fn has_just_stood(&self, now: Time) -> bool {
        self.woke.is_some_and(|woke| now.since(woke) < WAKING)
    }

    pub fn jump(&mut self, now: Time, by: Duration) {
        self.shows = self.at(now) + by;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_never_goes_back() {
        let at = |s: u64| Time::ZERO.after(Duration::from_secs(s));
        let epoch = Instant::now();
        let mut clock = Clock::new(epoch, -500_000);
        assert_eq!(clock.at(at(10)), epoch + Duration::from_secs(5));
        assert_eq!(clock.when(epoch + Duration::from_secs(6), at(10)), at(12));
        clock.stop(at(10));
        assert_eq!(clock.at(at(100)), epoch + Duration::from_secs(5));
        clock.go_on(at(100));
        clock.jump(at(102), Duration::from_secs(60));
        assert_eq!(clock.at(at(102)), epoch + Duration::from_secs(66));
        assert_eq!(clock.when(epoch, at(102)), at(102));
    }
}
