//! What a worker's CPUs will do: what they did, the newer the more it counts.

use pointsman_policy_sdk::prelude::*;

/// What the host is to tell about each worker: its last ten minutes, the oldest sample first. None
/// where it was not measured.
#[derive(Debug, Columns)]
pub struct Worker {
    #[column("cpu-used@-9m..0s/1m")]
    cpu_used: [Option<f64>; 10],
}

/// What is forecast: field `cpu_used` becomes the column `predicted:cpu-used`.
#[derive(Debug, PartialEq, Forecast)]
pub struct Soon {
    pub cpu_used: f64,
}

/// The slot's `config` table.
#[derive(Debug, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How far ahead, in milliseconds.
    pub horizon_ms: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config { horizon_ms: 300_000 }
    }
}

#[derive(Debug)]
pub struct Policy {
    horizon_ms: u32,
}

/// What a sample weighs against all that came before it, from 0 to 1.
const NEWER: f64 = 0.4; // <-- change this line

impl Forecasting for Policy {
    type Config = Config;
    type Worker = Worker;
    type Forecast = Soon;

    fn new(config: Config) -> Result<Policy, String> {
        if !(1_000..=86_400_000).contains(&config.horizon_ms) {
            return Err(format!("horizon_ms: {} is not 1000 to 86400000", config.horizon_ms));
        }
        Ok(Policy { horizon_ms: config.horizon_ms })
    }

    fn about(&self) -> About {
        About::new("{{name}}", env!("CARGO_PKG_VERSION"))
            .description("a mean in which newer samples count more")
            .horizon_ms(self.horizon_ms)
    }

    /// What the columns will be, `horizon_ms` after the newest sample.
    fn forecast(&self, worker: &Worker) -> Soon {
        let samples = worker.cpu_used.iter().flatten().copied();
        let mean = samples.reduce(|mean, sample| (1.0 - NEWER) * mean + NEWER * sample);
        Soon { cpu_used: mean.unwrap_or(0.0) }
    }
}

export_forecasting!(Policy);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_policy_sdk::testing::{Table, configured, fuzz_forecasting};

    #[test]
    fn newer_samples_count_more_and_gaps_not_at_all() {
        let policy = configured("{}", Policy::new).unwrap();
        let workers: Table<Worker> = Table::parse(
            "         cpu-used@-9m..0s/1m
             steady   2
             rising   0,0,0,0,0,0,0,0,0,1
             gappy    -,-,-,3,-,-,-,3,-,-
             unknown  -",
        );
        let soon = |name| policy.forecast(&workers.row(name)).cpu_used;
        assert!((soon("steady") - 2.0).abs() < 1e-9);
        assert!(soon("rising") > 0.1);
        assert!((soon("gappy") - 3.0).abs() < 1e-9);
        assert_eq!(soon("unknown"), 0.0);
    }

    #[test]
    fn no_input_breaks_it() {
        fuzz_forecasting(&configured("{}", Policy::new).unwrap());
        assert!(configured(r#"{"horizon_ms":0}"#, Policy::new).is_err());
    }
}
