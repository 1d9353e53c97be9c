//! Foretells what workers will measure by trained networks: one stored file of weights for each column, which
//! lies beside the policy. Window, step and horizon are those that a network was trained with.
//!
#![doc = include_str!("../README.md")]

use pointsman_forecast_models::{Lstm, Weights};
use pointsman_policy_sdk::catalogue::MEASURED;
use pointsman_policy_sdk::prelude::*;

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Measured columns that are foretold; none: all of which there are weights.
    pub columns: Vec<String>,
}

#[derive(Debug)]
pub struct LstmForecast {
    networks: Vec<Lstm>,
    horizon_ms: u32,
    interval_ms: u32,
}

impl ModelForecasting for LstmForecast {
    type Config = Config;

    fn new(config: Config) -> Result<LstmForecast, String> {
        let networks = match config.columns.as_slice() {
            [] => all()?,
            columns => columns.iter().map(|column| wanted(column)).collect::<Result<_, _>>()?,
        };
        let first = networks[0].info();
        let horizon_ms = horizon(&networks[0])?;
        for network in &networks[1..] {
            if horizon(network)? != horizon_ms {
                let (column, other) = (&first.column, &network.info().column);
                return Err(format!(
                    "the weights of {column} look {horizon_ms} ms ahead, those of {other} {} ms; train \
                     them for the same time",
                    horizon(network)?
                ));
            }
        }
        let step_ms = networks.iter().map(|it| it.info().step_ms).min().unwrap_or(first.step_ms);
        // Between two steps there is nothing new to see.
        let interval_ms = step_ms.clamp(1_000, 3_600_000) as u32;
        Ok(LstmForecast { networks, horizon_ms, interval_ms })
    }

    fn about(&self) -> About {
        About::new("lstm-forecast", env!("CARGO_PKG_VERSION"))
            .description("foretells measured columns by trained networks")
            .horizon_ms(self.horizon_ms)
            .interval_ms(self.interval_ms)
    }

    fn needs_worker(&self) -> Vec<String> {
        let window = |network: &Lstm| {
            let info = network.info();
            let (from_ms, step_ms) = ((info.window as u64 - 1) * info.step_ms, info.step_ms);
            format!("{}@-{from_ms}ms..0ms/{step_ms}ms", info.column)
        };
        self.networks.iter().map(window).collect()
    }

    fn provides(&self) -> Vec<String> {
        self.networks.iter().map(|it| format!("predicted:{}", it.info().column)).collect()
    }

    fn forecast(&self, lists: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut rest = lists;
        let mut own = |network: &Lstm| {
            let (own, others) = rest.split_at(network.info().window);
            rest = others;
            network.forecast(own)
        };
        self.networks.iter().map(&mut own).collect()
    }
}

/// Of every measured column that has weights.
fn all() -> Result<Vec<Lstm>, String> {
    let mut networks = Vec::new();
    let mut missing = String::new();
    for column in MEASURED.iter().copied() {
        match host::asset(&file(column)) {
            Ok(bytes) => networks.push(read(column, &bytes)?),
            Err(why) => missing = why,
        }
    }
    if networks.is_empty() {
        return Err(format!(
            "there are no weights: put {}, as `pointsman forecast train` writes it, into the folder \
             lstm-forecast beside the policies ({missing})",
            file(MEASURED[0])
        ));
    }
    Ok(networks)
}

fn wanted(column: &str) -> Result<Lstm, String> {
    if !MEASURED.contains(&column) {
        return Err(format!(
            "columns: {column:?} is not measured; there are {}",
            MEASURED.join(", ")
        ));
    }
    let bytes = host::asset(&file(column)).map_err(|why| format!("columns: {column}: {why}"))?;
    read(column, &bytes)
}

fn file(column: &str) -> String {
    format!("{column}.safetensors")
}

fn read(column: &str, bytes: &[u8]) -> Result<Lstm, String> {
    let name = file(column);
    let weights = Weights::read(bytes).map_err(|error| format!("{name}: {error}"))?;
    let info = weights.info();
    if info.column != column {
        return Err(format!(
            "{name}: it was trained on {}; train it on {column}, or rename it",
            info.column
        ));
    }
    if info.step_ms % 1_000 != 0 {
        return Err(format!(
            "{name}: its step is {} ms; the host keeps whole seconds, train it on such a step",
            info.step_ms
        ));
    }
    Ok(Lstm::new(&weights))
}

fn horizon(network: &Lstm) -> Result<u32, String> {
    let info = network.info();
    let horizon_ms = info.step_ms * info.horizon as u64;
    u32::try_from(horizon_ms).ok().filter(|ms| (1_000..=86_400_000).contains(ms)).ok_or_else(|| {
        format!("{}: it looks {horizon_ms} ms ahead; 1 s to a day is allowed", file(&info.column))
    })
}

export_model_forecasting!(LstmForecast);

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_forecast_models::weights::{Info, Tensor, expected};
    use pointsman_policy_sdk::testing::{configured, with_assets};

    fn weights(column: &str, step_ms: u64, horizon: usize) -> Vec<u8> {
        let column = column.to_owned();
        let info = Info { column, step_ms, window: 6, horizon, scale: 0.1, clip: 8.0 };
        let tensor = |shape: Vec<usize>| {
            let n: usize = shape.iter().product();
            Tensor { values: (0..n).map(|at| (at % 7) as f32 * 0.1 - 0.3).collect(), shape }
        };
        let tensors = expected(1, 4).into_iter().map(|(name, shape)| (name, tensor(shape)));
        Weights::new(info, tensors.collect()).expect("good weights").write()
    }

    fn policy(config: &str, files: &[(&str, &[u8])]) -> Result<LstmForecast, String> {
        with_assets(files, || configured(config, LstmForecast::new))
    }

    #[test]
    fn every_column_with_weights_is_foretold_from_its_own_window() {
        let (cpu, memory) = (weights("cpu-used", 5_000, 2), weights("memory-used", 10_000, 1));
        let files: [(&str, &[u8]); 2] =
            [("cpu-used.safetensors", &cpu), ("memory-used.safetensors", &memory)];
        let both = policy("{}", &files).expect("good weights");
        let needs = ["cpu-used@-25000ms..0ms/5000ms", "memory-used@-50000ms..0ms/10000ms"];
        assert_eq!(both.needs_worker(), needs);
        assert_eq!(both.provides(), ["predicted:cpu-used", "predicted:memory-used"]);
        let one = policy(r#"{"columns":["memory-used"]}"#, &files).expect("good weights");
        assert_eq!(one.provides(), ["predicted:memory-used"]);
        let lists: Vec<Vec<f64>> = (0..12).map(|at| vec![0.1 * f64::from(at % 5), 0.5]).collect();
        let answer = both.forecast(&lists);
        assert_eq!(answer[1], one.forecast(&lists[6..])[0]);
        assert!(answer[0] != answer[1] && answer.iter().all(|list| list.len() == 2));
    }

    #[test]
    fn weights_that_do_not_fit_are_refused_with_what_to_do() {
        let (cpu, odd) = (weights("cpu-used", 5_000, 1), weights("cpu-used", 5_500, 1));
        let memory = weights("memory-used", 5_000, 2);
        type Files<'a> = &'a [(&'a str, &'a [u8])];
        let refused: [(&str, Files<'_>, &str); 7] = [
            ("{}", &[], "there are no weights: put cpu-used.safetensors"),
            ("{}", &[("cpu-used.safetensors", b"junk")], "cpu-used.safetensors: "),
            ("{}", &[("memory-used.safetensors", &cpu)], "it was trained on cpu-used"),
            ("{}", &[("cpu-used.safetensors", &odd)], "the host keeps whole seconds"),
            (
                "{}",
                &[("cpu-used.safetensors", &cpu), ("memory-used.safetensors", &memory)],
                "train them for the same time",
            ),
            (r#"{"columns":["cpu-load"]}"#, &[], "\"cpu-load\" is not measured"),
            (r#"{"columns":["rtt-ms"]}"#, &[("cpu-used.safetensors", &cpu)], "rtt-ms"),
        ];
        for (config, files, expected) in refused {
            let error = policy(config, files).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}
