//! Holt-Winters: exponential smoothing with a level, a damped trend and, where wanted, a season, all additive.
//! Formulas: R. Hyndman and G. Athanasopoulos, *Forecasting: Principles and Practice*, 3rd edition, 8.3 and 8.4.

/// How fast the parts follow. Factors outside of 0 to 1, and NaN, count as the nearest end, NaN as 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HoltWinters {
    /// Of the level.
    pub alpha: f64,
    /// Of the trend.
    pub beta: f64,
    /// Of the season.
    pub gamma: f64,
    /// What remains of the trend from step to step.
    pub phi: f64,
    /// Samples of a season; below 2 there is none.
    pub season: usize,
}

/// Longer seasons count as none.
pub const SEASON_MAX: usize = 100_000;

impl Default for HoltWinters {
    /// A level that follows half of each change, and little trend: no worse than persistence on most loads.
    fn default() -> HoltWinters {
        HoltWinters { alpha: 0.5, beta: 0.05, gamma: 0.1, phi: 0.8, season: 0 }
    }
}

impl HoltWinters {
    /// What the series will be `horizon` steps after the last sample of a window, oldest sample first. What
    /// is not finite is missing: level and trend go on as foretold. Always finite; 0 if no sample is known.
    /// A season takes part only if the window holds two of them.
    pub fn forecast(&self, window: &[f64], horizon: usize) -> f64 {
        let season = if window.len() / 2 >= self.season { self.season } else { 0 };
        let mut smoothing = Smoothing::new(HoltWinters { season, ..*self });
        window.iter().for_each(|&value| smoothing.note(value));
        smoothing.forecast(horizon)
    }
}

/// Smoothing as it goes along a series.
#[derive(Debug, Clone)]
pub struct Smoothing {
    by: HoltWinters,
    /// The newest known value; None before the first.
    last: Option<f64>,
    level: f64,
    trend: f64,
    /// One per sample of a season; empty if there is none. Those of the first season are learnt as they come.
    season: Vec<f64>,
    /// How many samples came since the first known one.
    n_samples: usize,
}

impl Smoothing {
    pub fn new(by: HoltWinters) -> Smoothing {
        let within = |factor: f64| if factor.is_nan() { 0.0 } else { factor.clamp(0.0, 1.0) };
        let by = HoltWinters {
            alpha: within(by.alpha),
            beta: within(by.beta),
            gamma: within(by.gamma),
            phi: within(by.phi),
            season: if (2..=SEASON_MAX).contains(&by.season) { by.season } else { 0 },
        };
        let season = vec![0.0; by.season];
        Smoothing { by, last: None, level: 0.0, trend: 0.0, season, n_samples: 0 }
    }

    /// The next sample of the series; what is not finite is missing.
    pub fn note(&mut self, value: f64) {
        match (self.last, value.is_finite()) {
            (None, false) => {}
            (None, true) => self.begin(value),
            (Some(_), false) => {
                self.level += self.by.phi * self.trend;
                self.trend *= self.by.phi;
                self.n_samples += 1;
            }
            (Some(_), true) => self.follow(value),
        }
        if let Some(last) = self.last
            && !(self.level.is_finite() && self.trend.is_finite())
        {
            self.begin(last);
        }
    }

    /// `horizon` steps after the newest sample. Always finite; 0 before any known sample.
    pub fn forecast(&self, horizon: usize) -> f64 {
        let Some(last) = self.last else { return 0.0 };
        // φ + φ² + … + φ^h
        let phi = self.by.phi;
        let n_trends = if phi < 1.0 {
            phi * (1.0 - phi.powf(horizon as f64)) / (1.0 - phi)
        } else {
            horizon as f64
        };
        let ahead = self.n_samples + horizon.max(1) - 1;
        let of_season = self.season_at(ahead);
        let forecast = self.level + n_trends * self.trend + of_season;
        if forecast.is_finite() { forecast } else { last }
    }

    fn begin(&mut self, value: f64) {
        self.season.fill(0.0);
        (self.level, self.trend, self.last, self.n_samples) = (value, 0.0, Some(value), 1);
    }

    fn follow(&mut self, value: f64) {
        let HoltWinters { alpha, beta, gamma, phi, .. } = self.by;
        let of_season = self.season_at(self.n_samples);
        let foretold = self.level + phi * self.trend;
        let level = alpha * (value - of_season) + (1.0 - alpha) * foretold;
        self.trend = beta * (level - self.level) + (1.0 - beta) * phi * self.trend;
        self.level = level;
        if !self.season.is_empty() {
            let at = self.n_samples % self.season.len();
            self.season[at] = gamma * (value - foretold) + (1.0 - gamma) * of_season;
        }
        self.last = Some(value);
        self.n_samples += 1;
    }

    /// Of the sample with this number.
    fn season_at(&self, sample: usize) -> f64 {
        if self.season.is_empty() { 0.0 } else { self.season[sample % self.season.len()] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(by: HoltWinters, window: &[f64], horizon: usize, expected: f64) {
        let found = by.forecast(window, horizon);
        assert!((found - expected).abs() < 1e-9, "{by:?} {window:?}: {found} for {expected}");
    }

    /// Steps of the recurrence, worked out by hand.
    #[test]
    fn level_and_trend_follow_the_formulas() {
        let by = HoltWinters { alpha: 0.5, beta: 0.5, gamma: 0.0, phi: 0.5, season: 0 };
        // Level 10, trend 0; then level 12, trend 1; then level 0.5·16 + 0.5·12.5, trend 0.5·2.25 + 0.25.
        check(by, &[10.0, 14.0, 16.0], 1, 14.25 + 0.5 * 1.375);
        check(by, &[10.0, 14.0, 16.0], 3, 14.25 + 0.875 * 1.375);
        // A hole goes on as foretold: level 12.5, trend 0.5.
        check(by, &[10.0, 14.0, f64::NAN], 1, 12.75);
        check(HoltWinters { alpha: 1.0, beta: 0.0, ..by }, &[3.0, 1.0, 2.0], 5, 2.0);
        check(HoltWinters { alpha: 1.0, beta: 1.0, phi: 1.0, ..by }, &[1.0, 2.0, 3.0], 4, 7.0);
    }

    #[test]
    fn a_season_is_learnt_and_taken_at_its_place() {
        let by = HoltWinters { alpha: 0.05, beta: 0.0, gamma: 0.5, phi: 0.0, season: 4 };
        let wave = |at: usize| 10.0 + [0.0, 5.0, 0.0, -5.0][at % 4];
        let window: Vec<f64> = (0..400).map(wave).collect();
        for horizon in 1..=8 {
            let found = by.forecast(&window, horizon);
            assert!((found - wave(399 + horizon)).abs() < 0.1, "{horizon}: {found}");
        }
        // Fewer than two seasons are none.
        let plain = HoltWinters { season: 0, ..by };
        assert_eq!(by.forecast(&window[..7], 1), plain.forecast(&window[..7], 1));
    }

    #[test]
    fn no_window_and_no_parameter_gives_anything_but_a_finite_number() {
        let odd = [f64::NAN, f64::INFINITY, -1.0, 0.0, 0.5, 1.0, 2.0, f64::MAX, f64::MIN_POSITIVE];
        let mut random = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut pick = || odd[random.usize(..odd.len())];
            let (alpha, beta, gamma, phi) = (pick(), pick(), pick(), pick());
            let season = [0, 1, 2, 3, usize::MAX][random.usize(..5)];
            let by = HoltWinters { alpha, beta, gamma, phi, season };
            let sign = [-1.0, 1.0];
            let mut value = || odd[random.usize(..odd.len())] * sign[random.usize(..2)];
            let window: Vec<f64> = (0..9).map(|_| value()).collect();
            for horizon in [0, 1, 7, usize::MAX / 2] {
                assert!(by.forecast(&window, horizon).is_finite(), "{by:?} {window:?}");
            }
        }
        assert_eq!(HoltWinters::default().forecast(&[f64::NAN; 3], 1), 0.0);
        assert_eq!(HoltWinters::default().forecast(&[], 1), 0.0);
        assert_eq!(HoltWinters::default().forecast(&[f64::NAN, 4.0, f64::NAN], 1), 4.0);
    }
}
