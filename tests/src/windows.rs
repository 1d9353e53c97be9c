//! Latency with something against without it: windows that alternate in one process, compared pair
//! by pair, so that what the machine does meanwhile hits both alike.

/// What the pairs of windows show.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub n_pairs: usize,
    /// Medians of the windows' p99, ms.
    pub with_ms: f64,
    pub without_ms: f64,
    /// Median over the pairs of p99 with / p99 without.
    pub ratio: f64,
    /// Of that median: the 95 % bootstrap interval.
    pub low: f64,
    pub high: f64,
}

const N_RESAMPLES: usize = 2_000;
/// Differences below this, in ms, are the clock's and the machine's.
const NEGLIGIBLE_MS: f64 = 0.5;

impl Comparison {
    /// From each window's p99 in ms; `with[i]` and `without[i]` are neighbours.
    pub fn of(with: &[f64], without: &[f64]) -> Comparison {
        let ratios: Vec<f64> = with.iter().zip(without).map(|(with, rest)| with / rest).collect();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = || {
            // SplitMix64, so that equal windows give an equal interval.
            random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) as usize
        };
        let mut resampled = || (0..ratios.len()).map(|_| ratios[draw() % ratios.len()]).collect();
        let mut medians: Vec<f64> = (0..N_RESAMPLES).map(|_| median(resampled())).collect();
        medians.sort_unstable_by(f64::total_cmp);
        Comparison {
            n_pairs: ratios.len(),
            with_ms: median(with.to_vec()),
            without_ms: median(without.to_vec()),
            low: medians[N_RESAMPLES / 40],
            high: medians[N_RESAMPLES - 1 - N_RESAMPLES / 40],
            ratio: median(ratios),
        }
    }

    /// Whether it may be said that the ratio is at most `bound`.
    pub fn is_within(&self, bound: f64) -> bool {
        self.low <= bound || self.with_ms - self.without_ms < NEGLIGIBLE_MS
    }
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "p99 {:.2} ms with, {:.2} ms without; ratio {:.2} ({:.2} to {:.2}) over {} pairs of windows",
            self.with_ms, self.without_ms, self.ratio, self.low, self.high, self.n_pairs
        )
    }
}

/// The middle one; NaN of none.
pub fn median(values: Vec<f64>) -> f64 {
    percentile(values, 0.5)
}

/// The value that the fraction `at` of all values does not exceed; NaN of none.
pub fn percentile(mut values: Vec<f64>, at: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let index = (values.len() as f64 * at) as usize;
    values.get(index.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slowdown_is_told_from_noise() {
        let noise = |i: usize| 1.0 + 0.2 * ((i * 7919) % 11) as f64;
        let rest: Vec<f64> = (0..30).map(noise).collect();
        let other: Vec<f64> = (5..35).map(noise).collect();
        assert!(Comparison::of(&other, &rest).is_within(1.2));
        let slower: Vec<f64> = other.iter().map(|ms| ms * 2.0).collect();
        let comparison = Comparison::of(&slower, &rest);
        assert!(!comparison.is_within(1.2), "{comparison}");
        assert!(comparison.low <= comparison.ratio && comparison.ratio <= comparison.high);
        assert_eq!(comparison.n_pairs, 30);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(values.clone(), 0.99), 100.0);
        assert_eq!(median(values), 51.0);
        assert!(median(vec![]).is_nan());
    }
}
