//! The online judgement of a forecaster. One [`Gate`] per forecast column compares what was forecast with
//! what came, and with what two rules without any model would have said: *persistence* (nothing changes)
//! and *seasonal naive* (as one season ago). The host, `policy bench` and `forecast backtest` all ask this
//! module, so that they give the same numbers.
//!
//! Forecasts are pooled over workers. The gate knows no time and no worker: whoever feeds it says when a
//! round is over, and what matured in it.

use std::collections::VecDeque;

/// Fewer matured forecasts are no ground to judge a model by.
pub const MATURED_MIN: usize = 30;
/// At least so many of the latest rounds are looked at.
pub const ROUNDS_MIN: usize = 20;
/// And at least so many of the latest samples: the errors of fewer tell too little to go back and forth by.
pub const SAMPLES_MIN: usize = 120;
/// Above this ratio a column becomes unfit.
pub const UNFIT_ABOVE: f64 = 1.1;
/// Below this ratio an unfit column becomes fit again.
pub const FIT_BELOW: f64 = 1.0;
/// Larger ratios count as this one: a baseline without any error would make them infinite.
pub const RATIO_MAX: f64 = 1000.0;
/// Larger errors, and those of forecasts that are no finite number, count as this one, so that sums stay
/// finite.
pub const ERROR_MAX: f64 = 1e12;

/// A forecast whose moment has come. All values are in the unit of the column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matured {
    pub forecast: f64,
    /// What was measured at that moment. Unless this and `persistence` are finite, the sample is ignored.
    pub actual: f64,
    /// The last value known when the forecast was made.
    pub persistence: f64,
    /// The value one season before the moment that was forecast, where it is known.
    pub seasonal: Option<f64>,
}

/// What the gate says of a column, and why. Errors are mean absolute errors over the samples looked at, in
/// the unit of the column, and 0 where there are none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    pub is_fit: bool,
    /// How many samples are looked at.
    pub n_matured: usize,
    pub mae: f64,
    pub persistence_mae: f64,
    /// Over those samples that have a seasonal value; None where these are fewer than [`MATURED_MIN`].
    pub seasonal_mae: Option<f64>,
    /// The error by the best baseline's: the larger one of the ratios to persistence, and to seasonal naive
    /// over the samples that have it. From 0 to [`RATIO_MAX`]; None below [`MATURED_MIN`] samples.
    pub ratio: Option<f64>,
}

/// Judges one forecast column. It starts fit, becomes unfit above [`UNFIT_ABOVE`] and fit again below
/// [`FIT_BELOW`]; in between it stays as it was, so that it does not flap.
#[derive(Debug, Clone)]
pub struct Gate {
    noise: f64,
    keeps_all: bool,
    is_fit: bool,
    /// Oldest first; none is empty.
    rounds: VecDeque<Sums>,
}

impl Gate {
    /// Looks at the latest rounds: at least [`ROUNDS_MIN`] of them with at least [`SAMPLES_MIN`] samples,
    /// where there are so many. `noise` is an absolute error in the unit of the column that counts as
    /// nothing: no baseline is taken to be better than that, so that a flat line makes no good model unfit.
    pub fn new(noise: f64) -> Gate {
        // `max` takes the other number instead of NaN.
        let noise = noise.max(f64::MIN_POSITIVE);
        Gate { noise, keeps_all: false, is_fit: true, rounds: VecDeque::new() }
    }

    /// As [`Gate::new`], but never forgets a round: for the numbers over a whole recording.
    pub fn over_all(noise: f64) -> Gate {
        Gate { keeps_all: true, ..Gate::new(noise) }
    }

    /// Takes in what matured together. A round without a usable sample leaves everything as it was.
    pub fn note_round(&mut self, matured: impl IntoIterator<Item = Matured>) {
        let mut round = Sums::default();
        matured.into_iter().for_each(|it| round.add(it));
        if round.n == 0 {
            return;
        }
        match self.rounds.back_mut() {
            Some(all) if self.keeps_all => all.merge(&round),
            _ => self.rounds.push_back(round),
        }
        self.forget();
        if let Some(ratio) = self.verdict().ratio {
            self.is_fit = if self.is_fit { ratio <= UNFIT_ABOVE } else { ratio < FIT_BELOW };
        }
    }

    pub fn verdict(&self) -> Verdict {
        let mut sums = Sums::default();
        self.rounds.iter().for_each(|round| sums.merge(round));
        let seasonal_mae =
            (sums.n_seasonal >= MATURED_MIN).then(|| mean(sums.seasonal, sums.n_seasonal));
        Verdict {
            is_fit: self.is_fit,
            n_matured: sums.n,
            mae: mean(sums.error, sums.n),
            persistence_mae: mean(sums.persistence, sums.n),
            seasonal_mae,
            ratio: self.ratio(&sums),
        }
    }

    fn ratio(&self, sums: &Sums) -> Option<f64> {
        if sums.n < MATURED_MIN {
            return None;
        }
        let by = |error: f64, baseline: f64, n: usize| {
            (mean(error, n) / mean(baseline, n).max(self.noise)).min(RATIO_MAX)
        };
        let to_persistence = by(sums.error, sums.persistence, sums.n);
        if sums.n_seasonal < MATURED_MIN {
            return Some(to_persistence);
        }
        let to_seasonal = by(sums.error_where_seasonal, sums.seasonal, sums.n_seasonal);
        Some(to_persistence.max(to_seasonal))
    }

    fn forget(&mut self) {
        let mut n: usize = self.rounds.iter().map(|round| round.n).sum();
        while self.rounds.len() > ROUNDS_MIN && n - self.rounds[0].n >= SAMPLES_MIN {
            n -= self.rounds[0].n;
            self.rounds.pop_front();
        }
    }
}

/// Absolute errors of some samples, added up.
#[derive(Debug, Clone, Default)]
struct Sums {
    n: usize,
    error: f64,
    persistence: f64,
    /// Samples with a seasonal value, and their errors.
    n_seasonal: usize,
    error_where_seasonal: f64,
    seasonal: f64,
}

impl Sums {
    fn add(&mut self, matured: Matured) {
        let Matured { forecast, actual, persistence, seasonal } = matured;
        if !actual.is_finite() || !persistence.is_finite() {
            return;
        }
        let error = error_of(forecast, actual);
        self.n += 1;
        self.error += error;
        self.persistence += error_of(persistence, actual);
        if let Some(seasonal) = seasonal.filter(|it| it.is_finite()) {
            self.n_seasonal += 1;
            self.error_where_seasonal += error;
            self.seasonal += error_of(seasonal, actual);
        }
    }

    fn merge(&mut self, other: &Sums) {
        self.n += other.n;
        self.error += other.error;
        self.persistence += other.persistence;
        self.n_seasonal += other.n_seasonal;
        self.error_where_seasonal += other.error_where_seasonal;
        self.seasonal += other.seasonal;
    }
}

fn error_of(said: f64, actual: f64) -> f64 {
    // `min` takes the other number instead of NaN.
    (said - actual).abs().min(ERROR_MAX)
}

fn mean(sum: f64, n: usize) -> f64 {
    if n == 0 { 0.0 } else { sum / n as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(error: f64, persistence: f64, seasonal: Option<f64>) -> Matured {
        let actual = 5.0;
        Matured {
            forecast: actual + error,
            actual,
            persistence: actual - persistence,
            seasonal: seasonal.map(|error| actual + error),
        }
    }

    fn feed(gate: &mut Gate, n_rounds: usize, n_workers: usize, sample: Matured) {
        (0..n_rounds).for_each(|_| gate.note_round(vec![sample; n_workers]));
    }

    #[test]
    fn a_bad_model_of_three_workers_is_unfit_within_ten_rounds_and_not_before_it_can_be_known() {
        let mut gate = Gate::new(0.001);
        feed(&mut gate, 9, 3, sample(2.0, 1.0, None));
        assert!(gate.verdict().is_fit, "27 forecasts are too few");
        assert_eq!((gate.verdict().n_matured, gate.verdict().ratio), (27, None));
        feed(&mut gate, 1, 3, sample(2.0, 1.0, None));
        let verdict = gate.verdict();
        assert!(!verdict.is_fit);
        assert_eq!((verdict.n_matured, verdict.mae, verdict.persistence_mae), (30, 2.0, 1.0));
        assert_eq!((verdict.seasonal_mae, verdict.ratio), (None, Some(2.0)));
    }

    #[test]
    fn between_the_limits_a_column_stays_as_it_was() {
        let mut gate = Gate::new(0.0);
        feed(&mut gate, 20, 6, sample(1.05, 1.0, None));
        assert!(gate.verdict().is_fit);
        feed(&mut gate, 20, 6, sample(1.2, 1.0, None));
        assert!(!gate.verdict().is_fit);
        feed(&mut gate, 20, 6, sample(1.05, 1.0, None));
        assert!(!gate.verdict().is_fit);
        feed(&mut gate, 20, 6, sample(0.9, 1.0, None));
        assert!(gate.verdict().is_fit);
    }

    #[test]
    fn what_is_long_ago_counts_no_more() {
        let mut gate = Gate::new(0.0);
        feed(&mut gate, 500, 3, sample(9.0, 1.0, None));
        feed(&mut gate, 20, 6, sample(0.5, 1.0, None));
        let verdict = gate.verdict();
        assert_eq!((verdict.n_matured, verdict.mae, verdict.is_fit), (120, 0.5, true));
        // Of a single worker 120 rounds are looked at.
        let mut gate = Gate::new(0.0);
        feed(&mut gate, 500, 1, sample(9.0, 1.0, None));
        assert_eq!(gate.verdict().n_matured, 120);
        let mut all = Gate::over_all(0.0);
        feed(&mut all, 500, 3, sample(9.0, 1.0, None));
        feed(&mut all, 500, 3, sample(0.0, 1.0, None));
        assert_eq!((all.verdict().n_matured, all.verdict().mae), (3000, 4.5));
    }

    #[test]
    fn the_better_baseline_is_the_measure_where_it_is_known() {
        let mut gate = Gate::new(0.0);
        feed(&mut gate, 20, 6, sample(0.5, 1.0, Some(0.25)));
        let verdict = gate.verdict();
        assert_eq!((verdict.seasonal_mae, verdict.ratio), (Some(0.25), Some(2.0)));
        assert!(!verdict.is_fit);
        // A worker that joined has no season yet: the others are still compared with theirs.
        let mut gate = Gate::new(0.0);
        for _ in 0..10 {
            gate.note_round([sample(0.5, 1.0, Some(0.25)), sample(0.1, 1.0, None)]);
            gate.note_round([sample(0.5, 1.0, Some(0.25)), sample(0.1, 1.0, None)]);
        }
        let verdict = gate.verdict();
        assert_eq!(verdict.seasonal_mae, None, "20 samples are too few");
        assert!(verdict.is_fit);
        feed(&mut gate, 10, 2, sample(0.5, 1.0, Some(0.25)));
        assert_eq!(gate.verdict().ratio, Some(2.0));
    }

    #[test]
    fn a_flat_line_makes_no_good_model_unfit_and_a_bad_one_neither_infinite_nor_fit() {
        let mut gate = Gate::new(0.001);
        feed(&mut gate, 20, 6, sample(0.0009, 0.0, Some(0.0)));
        assert!(gate.verdict().is_fit, "{:?}", gate.verdict());
        feed(&mut gate, 20, 6, sample(0.5, 0.0, Some(0.0)));
        assert!(!gate.verdict().is_fit);
        let mut gate = Gate::new(f64::NAN);
        feed(&mut gate, 20, 6, sample(0.0, 0.0, None));
        assert_eq!((gate.verdict().is_fit, gate.verdict().ratio), (true, Some(0.0)));
        feed(&mut gate, 20, 6, sample(0.5, 0.0, None));
        assert_eq!((gate.verdict().is_fit, gate.verdict().ratio), (false, Some(RATIO_MAX)));
    }

    #[test]
    fn what_is_no_number_is_ignored_but_for_a_forecast() {
        let mut gate = Gate::new(0.0);
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let good = sample(1.0, 1.0, Some(1.0));
            gate.note_round([
                Matured { actual: bad, ..good },
                Matured { persistence: bad, ..good },
            ]);
            gate.note_round([]);
        }
        assert_eq!(gate.verdict(), Gate::new(0.0).verdict());
        feed(&mut gate, 20, 6, sample(1.0, 1.0, Some(f64::NAN)));
        assert_eq!((gate.verdict().seasonal_mae, gate.verdict().ratio), (None, Some(1.0)));
        for bad in [f64::NAN, f64::INFINITY, f64::MAX] {
            feed(&mut gate, 1, 1, Matured { forecast: bad, ..sample(1.0, 1.0, None) });
            let verdict = gate.verdict();
            assert!(!verdict.is_fit && verdict.mae.is_finite(), "{verdict:?}");
        }
    }
}
