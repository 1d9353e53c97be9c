//! When a failed attempt is tried again: exponential backoff with full jitter, saturating.

use crate::random::Random;
use crate::settings::Retry;
use std::time::Duration;

/// The delay before the retry after the `n_failures`-th charged failure (from 1): uniform in
/// [0, min(cap, base · factor^(n−1))], "full jitter" (Brooker, AWS Architecture Blog, 2015).
pub(crate) fn backoff(retry: &Retry, n_failures: u32, random: &mut Random) -> Duration {
    random_part(ceiling(retry, n_failures), random)
}

fn ceiling(retry: &Retry, n_failures: u32) -> Duration {
    let exponent = i32::try_from(n_failures.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = retry.base.as_secs_f64() * retry.factor.powi(exponent);
    if seconds.is_finite() && seconds < retry.cap.as_secs_f64() {
        Duration::from_secs_f64(seconds)
    } else {
        retry.cap
    }
}

fn random_part(ceiling: Duration, random: &mut Random) -> Duration {
    Duration::from_secs_f64(ceiling.as_secs_f64() * random.next_unit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn backoff_grows_and_never_passes_the_cap() {
        let retry = Settings::default().retry;
        let ceilings = [1, 2, 3, 6, 7, 8, u32::MAX].map(|n| ceiling(&retry, n).as_secs());
        assert_eq!(ceilings, [1, 2, 4, 32, 60, 60, 60]);
        let mut random = Random::seeded(7);
        let delays: Vec<f64> =
            (0..1000).map(|_| backoff(&retry, 7, &mut random).as_secs_f64()).collect();
        assert!(delays.iter().all(|delay| (0.0..=60.0).contains(delay)));
        let mean = delays.iter().sum::<f64>() / 1000.0;
        assert!((25.0..35.0).contains(&mean), "jitter is over the whole range, mean {mean}");
    }
}
