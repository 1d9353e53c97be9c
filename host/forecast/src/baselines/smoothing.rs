//! Holt-Winters along a series, and the search for its parameters.

use crate::forecaster::Forecaster;
use pointsman_forecast_models::HoltWinters;
use pointsman_forecast_models::holt_winters::Smoothing;
use std::ops::Range;

/// Goes along the whole series; what comes before the targets settles level, trend and season.
impl Forecaster for HoltWinters {
    fn walk(&self, values: &[f64], targets: Range<usize>, horizon: usize) -> Vec<f64> {
        let mut smoothing = Smoothing::new(*self);
        let mut n_noted = 0;
        let forecast = |target: usize| {
            let known = &values[n_noted..=target - horizon];
            known.iter().for_each(|&value| smoothing.note(value));
            n_noted += known.len();
            smoothing.forecast(horizon)
        };
        targets.map(forecast).collect()
    }
}

const ALPHAS: [f64; 10] = [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0];
const BETAS: [f64; 4] = [0.0, 0.01, 0.05, 0.2];
const PHIS: [f64; 4] = [0.0, 0.8, 0.9, 0.98];
const GAMMAS: [f64; 3] = [0.05, 0.2, 0.5];

/// The parameters with the smallest absolute error over the training parts, of a fixed grid: without a
/// season, and with one where a training part holds two of them.
pub fn fit(training: &[&[f64]], season: Option<usize>, horizon: usize) -> HoltWinters {
    let mut best = (f64::INFINITY, HoltWinters::default());
    let mut consider = |by: HoltWinters| {
        let error = training_error(&by, training, season.unwrap_or(0), horizon);
        if error < best.0 {
            best = (error, by);
        }
    };
    let longest = training.iter().map(|values| values.len()).max().unwrap_or(0);
    let season = season.filter(|season| longest / 2 >= *season);
    for alpha in ALPHAS {
        for beta in BETAS {
            for phi in PHIS {
                consider(HoltWinters { alpha, beta, gamma: 0.0, phi, season: 0 });
                for (gamma, season) in GAMMAS.into_iter().flat_map(|it| season.map(|s| (it, s))) {
                    consider(HoltWinters { alpha, beta, gamma, phi, season });
                }
            }
        }
    }
    best.1
}

/// Summed up from where a season is settled, the same for all.
fn training_error(by: &HoltWinters, training: &[&[f64]], season: usize, horizon: usize) -> f64 {
    let mut error = 0.0;
    for values in training {
        let from = if values.len() / 2 >= season { season } else { 0 }.max(horizon);
        if from >= values.len() {
            continue;
        }
        let forecasts = by.walk(values, from..values.len(), horizon);
        error += forecasts.iter().zip(&values[from..]).map(|(a, b)| (a - b).abs()).sum::<f64>();
    }
    error
}
