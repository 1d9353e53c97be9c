//! From series to what a network is fed: scaled differences, and the scaled change that follows.

use pointsman_forecast_models::weights::Info;

/// The last part of each training series, to choose an epoch by.
const VALIDATION_PART: f64 = 0.2;

/// Index of the first point to choose by.
pub(crate) fn validation_from(n_points: usize) -> usize {
    n_points - (n_points as f64 * VALIDATION_PART) as usize
}

/// What differences are divided by: their median size, as that of a normal distribution's deviation, but no
/// less than half their mean size, since a series that mostly stands still has a median of 0. 1 for a flat one.
pub(crate) fn scale(series: &[&[f64]]) -> f64 {
    let pairs = series.iter().flat_map(|values| values.windows(2));
    let mut sizes: Vec<f64> = pairs.map(|pair| (pair[1] - pair[0]).abs()).collect();
    if sizes.is_empty() {
        return 1.0;
    }
    let mean = sizes.iter().sum::<f64>() / sizes.len() as f64;
    let middle = sizes.len() / 2;
    let (_, median, _) = sizes.select_nth_unstable_by(middle, f64::total_cmp);
    let scale = (*median * 1.4826).max(mean * 0.5);
    if scale.is_normal() { scale } else { 1.0 }
}

/// Windows with what follows them. All windows are whole.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    /// Raw samples, the oldest first, one window after the other.
    windows: Vec<f64>,
    window: usize,
    /// Of each window, `horizon` steps after its last sample.
    pub targets: Vec<f64>,
}

impl Samples {
    pub fn new(window: usize) -> Samples {
        Samples { window, ..Samples::default() }
    }

    /// Adds the windows whose targets lie in `targets`, as far as there is a whole one before.
    pub fn add(&mut self, values: &[f64], targets: std::ops::Range<usize>, horizon: usize) {
        let first = targets.start.max(self.window + horizon - 1);
        for target in first..targets.end {
            let end = target + 1 - horizon;
            self.windows.extend(&values[end - self.window..end]);
            self.targets.push(values[target]);
        }
    }

    pub fn n(&self) -> usize {
        self.targets.len()
    }

    pub fn windows(&self) -> Vec<&[f64]> {
        self.windows.chunks_exact(self.window.max(1)).collect()
    }

    /// Mean absolute error of forecasts, one per window.
    pub fn mae(&self, forecasts: &[f64]) -> f64 {
        let errors = forecasts.iter().zip(&self.targets).map(|(a, b)| (a - b).abs());
        errors.sum::<f64>() / self.n() as f64
    }

    /// What the last samples say.
    pub fn persistence(&self) -> Vec<f64> {
        self.windows().into_iter().map(|window| window[self.window - 1]).collect()
    }

    pub fn scaled(&self, info: &Info) -> Scaled {
        let differences = |window: &[f64]| -> Vec<f32> {
            window.windows(2).map(|pair| info.scaled(pair[0], pair[1])).collect()
        };
        let changes = self.targets.iter().zip(self.persistence());
        Scaled {
            differences: self.windows().into_iter().map(differences).collect(),
            changes: changes.map(|(target, last)| ((target - last) / info.scale) as f32).collect(),
        }
    }
}

/// What the network sees, and is to answer.
#[derive(Debug, Clone)]
pub(crate) struct Scaled {
    /// [n][window - 1]
    pub differences: Vec<Vec<f32>>,
    /// [n]
    pub changes: Vec<f32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_a_horizon_before_its_target() {
        let values: Vec<f64> = (0..10).map(f64::from).collect();
        let mut samples = Samples::new(3);
        samples.add(&values, 0..10, 2);
        assert_eq!((samples.n(), samples.targets[0]), (6, 4.0));
        assert_eq!(samples.windows()[0], [0.0, 1.0, 2.0]);
        assert_eq!(samples.windows()[5], [5.0, 6.0, 7.0]);
        assert_eq!(samples.mae(&samples.persistence()), 2.0);
        let mut last = Samples::new(3);
        last.add(&values, validation_from(10)..10, 2);
        assert_eq!(last.targets, [8.0, 9.0]);
    }

    #[test]
    fn a_scale_is_robust_and_never_0() {
        assert_eq!(scale(&[&[5.0; 9]]), 1.0);
        assert_eq!(scale(&[]), 1.0);
        let mut steps: Vec<f64> = (0..101).map(f64::from).collect();
        assert_eq!(scale(&[&steps]), 1.4826);
        steps[100] = 1e5;
        assert!(scale(&[&steps]) < 1000.0);
        let mut mostly_flat = [0.0; 101];
        mostly_flat[50] = 10.0;
        assert_eq!(scale(&[&mostly_flat]), 0.1);
    }
}
