//! What every model is to the backtest: something that walks along a series and never looks ahead.

use pointsman_forecast_models::Lstm;
use std::ops::Range;

/// Says what will come.
pub trait Forecaster {
    /// Forecasts of `values[t]` for each `t` of `targets`, made from `values[..=t - horizon]` alone. `horizon`
    /// is at least 1, `targets` lies within `values` and begins at `horizon` or later. Values are finite, and
    /// so are the answers.
    fn walk(&self, values: &[f64], targets: Range<usize>, horizon: usize) -> Vec<f64>;
}

/// Whatever the horizon, an LSTM answers for its own: `lstm.info().horizon`.
impl Forecaster for Lstm {
    fn walk(&self, values: &[f64], targets: Range<usize>, horizon: usize) -> Vec<f64> {
        let window = |target: usize| {
            let end = target - horizon + 1;
            &values[end.saturating_sub(self.info().window)..end]
        };
        self.forecast_rows(&targets.map(window).collect::<Vec<_>>())
    }
}
