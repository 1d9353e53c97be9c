//! What a model has to beat: rules without parameters, and small models fitted by least squares or search.

mod least_squares;
mod smoothing;

pub use smoothing::fit as fit_holt_winters;

use crate::forecaster::Forecaster;
use std::ops::Range;

/// Nothing changes.
#[derive(Debug, Clone, Copy)]
pub struct Persistence;

impl Forecaster for Persistence {
    fn walk(&self, values: &[f64], targets: Range<usize>, horizon: usize) -> Vec<f64> {
        targets.map(|target| values[target - horizon]).collect()
    }
}

/// As one season ago; the latest one that is known when the horizon is longer than a season.
#[derive(Debug, Clone, Copy)]
pub struct SeasonalNaive {
    /// In steps, at least 1.
    pub season: usize,
}

impl SeasonalNaive {
    /// How far back the value lies.
    pub fn lag(&self, horizon: usize) -> usize {
        horizon.div_ceil(self.season) * self.season
    }
}

/// Where a series is younger than a season: nothing changes.
impl Forecaster for SeasonalNaive {
    fn walk(&self, values: &[f64], targets: Range<usize>, horizon: usize) -> Vec<f64> {
        let lag = self.lag(horizon);
        targets.map(|it| values[it.checked_sub(lag).unwrap_or(it - horizon)]).collect()
    }
}

/// Always the mean of what it was trained on.
#[derive(Debug, Clone, Copy)]
pub struct TrainingMean {
    pub mean: f64,
}

impl TrainingMean {
    /// The mean of all values; 0 if there are none.
    pub fn fit(training: &[&[f64]]) -> TrainingMean {
        let n: usize = training.iter().map(|values| values.len()).sum();
        let sum: f64 = training.iter().copied().flatten().sum();
        TrainingMean { mean: sum / n.max(1) as f64 }
    }
}

impl Forecaster for TrainingMean {
    fn walk(&self, _values: &[f64], targets: Range<usize>, _horizon: usize) -> Vec<f64> {
        vec![self.mean; targets.len()]
    }
}

/// AR(p) with a constant: linear in the last p known values, fitted by least squares straight for its horizon.
#[derive(Debug, Clone)]
pub struct AutoRegression {
    /// Of the newest value first.
    pub coefficients: Vec<f64>,
    pub constant: f64,
}

/// Lags of the autoregression in tables.
pub const N_LAGS: usize = 12;

impl AutoRegression {
    /// None if there are fewer equations than unknowns.
    pub fn fit(training: &[&[f64]], n_lags: usize, horizon: usize) -> Option<AutoRegression> {
        let mut rows = Vec::new();
        let mut wanted = Vec::new();
        for values in training {
            for target in (n_lags + horizon - 1)..values.len() {
                rows.extend((0..n_lags).map(|lag| values[target - horizon - lag]));
                wanted.push(values[target]);
            }
        }
        if wanted.len() <= n_lags {
            return None;
        }
        let (coefficients, constant) = least_squares::solve(&rows, &wanted);
        Some(AutoRegression { coefficients, constant })
    }
}

/// Where a series is younger than the lags: nothing changes.
impl Forecaster for AutoRegression {
    fn walk(&self, values: &[f64], targets: Range<usize>, horizon: usize) -> Vec<f64> {
        let forecast = |target: usize| {
            let known = &values[..=target - horizon];
            if known.len() < self.coefficients.len() {
                return values[target - horizon];
            }
            let products = known.iter().rev().zip(&self.coefficients).map(|(value, by)| value * by);
            self.constant + products.sum::<f64>()
        };
        targets.map(forecast).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_forecast_models::HoltWinters;

    /// x[t] = 1 + 0.5·x[t-1] - 0.25·x[t-2] with kicks, so that all lags are seen.
    fn recurrence(n: usize) -> Vec<f64> {
        let mut values = vec![1.0, 2.0];
        for at in 2..n {
            let kick = if at % 17 == 0 { 3.0 } else { 0.0 };
            values.push(1.0 + 0.5 * values[at - 1] - 0.25 * values[at - 2] + kick);
        }
        values
    }

    #[test]
    fn an_autoregression_finds_the_recurrence_that_made_the_series() {
        let values: Vec<f64> = recurrence(17);
        let model = AutoRegression::fit(&[&values], 2, 1).expect("enough points");
        assert!((model.constant - 1.0).abs() < 1e-9, "{model:?}");
        assert!((model.coefficients[0] - 0.5).abs() < 1e-9, "{model:?}");
        assert!((model.coefficients[1] + 0.25).abs() < 1e-9, "{model:?}");
        assert!(AutoRegression::fit(&[&values[..4]], 2, 1).is_none());
        // A flat line has no unique answer, but a good one.
        let flat = AutoRegression::fit(&[&[7.0; 50]], 12, 1).expect("enough points");
        let ahead = flat.walk(&[7.0; 50], 40..41, 1)[0];
        assert!((ahead - 7.0).abs() < 1e-9, "{flat:?}");
    }

    #[test]
    fn no_baseline_looks_ahead() {
        let values = recurrence(120);
        let training: &[&[f64]] = &[&values[..60]];
        let models: [&dyn Forecaster; 5] = [
            &Persistence,
            &SeasonalNaive { season: 7 },
            &TrainingMean::fit(training),
            &AutoRegression::fit(training, 12, 3).expect("enough points"),
            &HoltWinters { season: 7, ..HoltWinters::default() },
        ];
        for (which, model) in models.into_iter().enumerate() {
            let whole = model.walk(&values, 60..120, 3);
            let mut other = values.clone();
            other[98..].fill(1e9);
            // values[100] is forecast from values[..=97].
            assert_eq!(model.walk(&other, 60..101, 3), whole[..41], "{which}");
            // These two do not go by the newest value, the others do.
            let is_indifferent = [1, 2].contains(&which);
            assert_eq!(model.walk(&other, 60..102, 3) == whole[..42], is_indifferent, "{which}");
            // Where a walk begins makes no difference.
            assert_eq!(model.walk(&values, 90..120, 3), whole[30..], "{which}");
        }
    }

    #[test]
    fn the_parameters_of_holt_winters_are_found_where_they_matter() {
        let wave = |at: usize| 10.0 + (at as f64 * std::f64::consts::TAU / 12.0).sin() * 4.0;
        let values: Vec<f64> = (0..240).map(wave).collect();
        let seasonal = fit_holt_winters(&[&values], Some(12), 1);
        assert_eq!(seasonal.season, 12);
        let off = seasonal.walk(&values, 200..240, 1);
        assert!((200..240).zip(off).all(|(at, it)| (it - wave(at)).abs() < 0.2), "{seasonal:?}");
        let walk: Vec<f64> = (0..240).map(|at| if at % 40 < 20 { 1.0 } else { 5.0 }).collect();
        assert!(fit_holt_winters(&[&walk], None, 1).alpha > 0.9);
    }

    #[test]
    fn a_season_ago_is_always_known() {
        let naive = SeasonalNaive { season: 4 };
        assert_eq!((naive.lag(1), naive.lag(4), naive.lag(5)), (4, 4, 8));
        let values: Vec<f64> = (0..20).map(f64::from).collect();
        assert_eq!(naive.walk(&values, 2..6, 1), [1.0, 2.0, 0.0, 1.0]);
    }
}
