//! The time limit of one call, read lazily: a call that ends before the first tick of the engine's
//! ticker costs no system call.

use crate::limits::WALL_FACTOR;
use std::time::{Duration, Instant};

/// Which limit a call overran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overrun {
    Cpu(Duration),
    Wall(Duration),
}

/// Watches one call at a time. Its clock starts at the first tick after the entry.
#[derive(Debug, Default)]
pub(crate) struct CallClock {
    limit: Duration,
    started: Option<(Duration, Instant)>,
    overrun: Option<Overrun>,
}

impl CallClock {
    pub fn enter(&mut self, limit: Duration) {
        self.limit = limit;
        self.started = None;
        self.overrun = None;
    }

    /// At each tick inside the call: whether it may go on.
    pub fn tick(&mut self) -> bool {
        let cpu_now = thread_cpu_time();
        let now = Instant::now();
        let Some((cpu_start, start)) = self.started else {
            self.started = Some((cpu_now, now));
            return true;
        };
        let cpu = cpu_now.saturating_sub(cpu_start);
        if cpu >= self.limit {
            self.overrun = Some(Overrun::Cpu(self.limit));
        } else if now.duration_since(start) >= self.limit * WALL_FACTOR {
            self.overrun = Some(Overrun::Wall(self.limit * WALL_FACTOR));
        }
        self.overrun.is_none()
    }

    pub fn overrun(&self) -> Option<Overrun> {
        self.overrun
    }
}

/// CPU time that this thread has used.
pub(crate) fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that outlives the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "CLOCK_THREAD_CPUTIME_ID exists on every supported system");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
