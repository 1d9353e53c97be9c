//! How a generation's failures are counted: when it may try again, when it is given up.

use crate::failure::FailureKind;
use std::collections::VecDeque;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(60);
/// So many failures within [`WINDOW`] quarantine the content.
const MAX_FAILURES: usize = 3;
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// Times are since the host began.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// Those within the window that count against the policy.
    failures: VecDeque<Duration>,
    backoff: Duration,
    last_failure: Option<Duration>,
    retry_at: Duration,
    is_quarantined: bool,
}

impl Health {
    /// The first failure in a while costs nothing but the round it happens in: one bad task must not
    /// keep the policy from the next one.
    pub fn note_failure(&mut self, now: Duration, kind: FailureKind) {
        let is_calm = self.last_failure.is_none_or(|it| now.saturating_sub(it) >= WINDOW);
        self.backoff = match is_calm {
            true => Duration::ZERO,
            false => (self.backoff * 2).clamp(FIRST_BACKOFF, LONGEST_BACKOFF),
        };
        self.retry_at = now + self.backoff;
        self.last_failure = Some(now);
        while self.failures.front().is_some_and(|it| now.saturating_sub(*it) >= WINDOW) {
            self.failures.pop_front();
        }
        if kind.counts_against_policy() {
            self.failures.push_back(now);
            self.is_quarantined |= self.failures.len() >= MAX_FAILURES;
        }
    }

    pub fn is_quarantined(&self) -> bool {
        self.is_quarantined
    }

    pub fn may_serve(&self, now: Duration) -> bool {
        !self.is_quarantined && now >= self.retry_at
    }

    pub fn retry_at(&self) -> Duration {
        self.retry_at
    }

    /// Whether it is worth going back to: nothing failed lately.
    pub fn is_good(&self, now: Duration) -> bool {
        let is_calm = self.last_failure.is_none_or(|it| now.saturating_sub(it) >= WINDOW);
        is_calm && !self.is_quarantined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn three_failures_within_a_minute_quarantine() {
        let mut health = Health::default();
        for at in [0, 1] {
            health.note_failure(secs(at), FailureKind::Trap);
            assert!(!health.is_quarantined());
        }
        health.note_failure(secs(59), FailureKind::Trap);
        assert!(health.is_quarantined());
        assert!(!health.may_serve(secs(10_000)));
    }

    #[test]
    fn failures_far_apart_or_by_the_wall_clock_alone_never_quarantine() {
        let mut health = Health::default();
        for i in 0..20 {
            health.note_failure(secs(i * 31), FailureKind::Trap);
        }
        for i in 0..20 {
            health.note_failure(secs(10_000 + i), FailureKind::WallLimit);
        }
        assert!(!health.is_quarantined());
    }

    #[test]
    fn the_wait_before_a_retry_doubles_up_to_half_a_minute_and_is_none_after_a_calm_minute() {
        let mut health = Health::default();
        let mut waits = Vec::new();
        for _ in 0..7 {
            let now = health.retry_at();
            health.note_failure(now, FailureKind::WallLimit);
            waits.push((health.retry_at() - now).as_secs());
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 30]);
        let calm = health.retry_at() + secs(60);
        health.note_failure(calm, FailureKind::WallLimit);
        assert_eq!(health.retry_at(), calm);
    }
}
