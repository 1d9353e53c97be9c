//! Foretells what workers will measure by exponential smoothing of a window: level, damped trend and, where it
//! is wanted, a season. Needs no training.
//!
#![doc = include_str!("../README.md")]

use pointsman_forecast_models::HoltWinters as Model;
use pointsman_policy_sdk::catalogue::MEASURED;
use pointsman_policy_sdk::prelude::*;

#[derive(Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Measured columns that are foretold.
    pub columns: Vec<String>,
    /// Seconds between two samples.
    pub step_s: u32,
    /// Samples that are looked at.
    pub window: u32,
    /// Steps ahead.
    pub horizon: u32,
    pub alpha: f64,
    pub beta: f64,
    pub gamma: f64,
    pub phi: f64,
    /// Samples of a season; 0: there is none.
    pub season: u32,
}

impl Default for Config {
    fn default() -> Config {
        let Model { alpha, beta, gamma, phi, .. } = Model::default();
        let columns = ["cpu-used", "memory-used"].map(str::to_owned).to_vec();
        Config { columns, step_s: 5, window: 30, horizon: 6, alpha, beta, gamma, phi, season: 0 }
    }
}

/// Lists that the host sends.
const MAX_LISTS: usize = 256;

#[derive(Debug)]
pub struct HoltWinters {
    config: Config,
    model: Model,
}

impl ModelForecasting for HoltWinters {
    type Config = Config;

    fn new(config: Config) -> Result<HoltWinters, String> {
        check_columns(&config.columns)?;
        for (key, value, least, largest) in [
            ("step_s", config.step_s, 1, 3_600),
            ("window", config.window, 2, 256),
            ("horizon", config.horizon, 1, 1_000),
            ("season", config.season, 0, 128),
        ] {
            if !(least..=largest).contains(&value) {
                return Err(format!(
                    "{key}: {value} is not a whole number from {least} to {largest}"
                ));
            }
        }
        let n_lists = config.window as usize * config.columns.len();
        if n_lists > MAX_LISTS {
            return Err(format!(
                "window: {} samples of {} columns are {n_lists}; {MAX_LISTS} in all are sent",
                config.window,
                config.columns.len()
            ));
        }
        let horizon_s = u64::from(config.step_s) * u64::from(config.horizon);
        if horizon_s > 86_400 {
            return Err(format!("horizon: that is {horizon_s} s ahead; a day at most is allowed"));
        }
        if config.season > 0 && config.window < 2 * config.season {
            return Err(format!(
                "season: a window of {} samples does not hold two seasons of {}",
                config.window, config.season
            ));
        }
        let Config { alpha, beta, gamma, phi, season, .. } = config;
        for (key, value) in [("alpha", alpha), ("beta", beta), ("gamma", gamma), ("phi", phi)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("{key}: {value} is not a number from 0 to 1"));
            }
        }
        let model = Model { alpha, beta, gamma, phi, season: season as usize };
        Ok(HoltWinters { config, model })
    }

    fn about(&self) -> About {
        let step_ms = self.config.step_s * 1_000;
        About::new("holt-winters", env!("CARGO_PKG_VERSION"))
            .description("foretells measured columns by level, damped trend and season")
            .horizon_ms(step_ms * self.config.horizon)
            .interval_ms(step_ms)
    }

    fn needs_worker(&self) -> Vec<String> {
        let Config { step_s, window, .. } = self.config;
        let from_s = step_s * (window - 1);
        let columns = self.config.columns.iter();
        columns.map(|column| format!("{column}@-{from_s}s..0s/{step_s}s")).collect()
    }

    fn provides(&self) -> Vec<String> {
        self.config.columns.iter().map(|column| format!("predicted:{column}")).collect()
    }

    fn forecast(&self, lists: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let n_rows = lists.first().map_or(0, Vec::len);
        let mut samples = vec![0.0; self.config.window as usize];
        let of_column = |column: &[Vec<f64>]| {
            let of_row = |row: usize| {
                samples.iter_mut().zip(column).for_each(|(sample, list)| *sample = list[row]);
                self.model.forecast(&samples, self.config.horizon as usize)
            };
            (0..n_rows).map(of_row).collect()
        };
        lists.chunks(self.config.window as usize).map(of_column).collect()
    }
}

fn check_columns(columns: &[String]) -> Result<(), String> {
    if columns.is_empty() {
        return Err("columns: name what is to be foretold, such as cpu-used".to_owned());
    }
    for (at, column) in columns.iter().enumerate() {
        if !MEASURED.contains(&column.as_str()) {
            let known = MEASURED.join(", ");
            return Err(format!("columns: {column:?} is not measured; there are {known}"));
        }
        if columns[..at].contains(column) {
            return Err(format!("columns: {column} is named twice"));
        }
    }
    Ok(())
}

export_model_forecasting!(HoltWinters);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::configured;

    fn policy(config: &str) -> Result<HoltWinters, String> {
        configured(config, HoltWinters::new)
    }

    #[test]
    fn a_rise_goes_on_for_a_while_and_each_column_has_its_own() {
        let policy = policy(r#"{"window":20,"horizon":1}"#).expect("a good configuration");
        let needs = ["cpu-used@-95s..0s/5s", "memory-used@-95s..0s/5s"];
        assert_eq!(policy.needs_worker(), needs);
        let rising = |at: usize| 0.02 * at as f64;
        let mut lists: Vec<Vec<f64>> = (0..20).map(|at| vec![rising(at), 0.5]).collect();
        lists.extend((0..20).map(|_| vec![0.25, f64::NAN]));
        let answer = policy.forecast(&lists);
        assert!(answer[0][0] > rising(18) && answer[0][0] < rising(22), "{answer:?}");
        assert_eq!((answer[0][1], answer[1][0], answer[1][1]), (0.5, 0.25, 0.0));
        assert!(policy.forecast(&[]).is_empty());
    }

    #[test]
    fn a_bad_configuration_is_refused_by_key() {
        for (config, expected) in [
            (r#"{"columns":[]}"#, "columns: name what is to be foretold, such as cpu-used"),
            (r#"{"columns":["cpu-used","cpu-used"]}"#, "columns: cpu-used is named twice"),
            (r#"{"step_s":0}"#, "step_s: 0 is not a whole number from 1 to 3600"),
            (r#"{"window":200}"#, "window: 200 samples of 2 columns are 400; 256 in all are sent"),
            (r#"{"season":20}"#, "season: a window of 30 samples does not hold two seasons of 20"),
            (r#"{"alpha":2}"#, "alpha: 2 is not a number from 0 to 1"),
            (
                r#"{"step_s":3600,"horizon":30}"#,
                "horizon: that is 108000 s ahead; a day at most is allowed",
            ),
        ] {
            assert_eq!(policy(config).map(|_| ()), Err(expected.to_owned()));
        }
        let unknown = policy(r#"{"columns":["cpu"]}"#).expect_err("unknown");
        assert!(unknown.starts_with("columns: \"cpu\" is not measured; there are cpu-used"));
    }
}
