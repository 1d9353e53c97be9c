//! How long to wait before trying again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(5);

/// Growing ceilings with full jitter, also at the largest one: many workers that lost the same host
/// do not come back at the same moment.
#[derive(Debug)]
pub(crate) struct Backoff {
    ceiling: Duration,
    last: Duration,
    random: u64,
}

impl Backoff {
    pub fn new(seed: u64) -> Backoff {
        Backoff { ceiling: FIRST, last: LAST, random: seed | 1 }
    }

    /// A host that is back gives workers up after this time: none may still be waiting by then.
    pub fn fit(&mut self, lease: Duration) {
        self.last = LAST.min(lease / 3);
    }

    /// It went well: the next failure is a first one.
    pub fn reset(&mut self) {
        self.ceiling = FIRST;
    }

    /// Uniform in [0, ceiling]; the ceiling doubles.
    pub fn next_delay(&mut self) -> Duration {
        // xorshift64: any spread will do.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let delay =
            self.ceiling.min(self.last).mul_f64((self.random >> 11) as f64 / (1u64 << 53) as f64);
        self.ceiling = (self.ceiling * 2).min(self.last);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_workers_do_not_come_back_together_even_at_the_cap() {
        let delays = (1..=200u64).map(|seed| {
            let mut backoff = Backoff::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            (0..20).for_each(|_| assert!(backoff.next_delay() <= LAST));
            backoff.next_delay()
        });
        let mut delays: Vec<Duration> = delays.collect();
        delays.sort();
        assert!(delays[20] < LAST / 4 && delays[180] > LAST * 3 / 4, "{delays:?}");
    }

    #[test]
    fn no_worker_waits_for_so_long_that_it_is_given_up_meanwhile() {
        let mut backoff = Backoff::new(1);
        let lease = Duration::from_millis(600);
        backoff.fit(lease);
        let longest = (0..200).map(|_| backoff.next_delay()).max();
        assert!(longest.is_some_and(|it| it > lease / 6 && it <= lease / 3), "{longest:?}");
    }
}
