//! `pointsman forecast backtest`: stored weights on recorded measurements.

use super::table::{self, LSTM};
use super::{parse_factor, parse_step, read};
use crate::exit::{BadInput, Exit, Failure};
use crate::output::Output;
use anyhow::{Context, anyhow};
use pointsman_forecast::backtest;
use pointsman_forecast::series::Wanted;
use pointsman_forecast_models::weights::BYTES_MAX;
use pointsman_forecast_models::{Lstm, Weights};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Say what stored weights are worth on the last 30 % of recorded measurements
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// As "forecast train" takes them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A safetensors file, as "forecast train" writes it
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// What to take from the files [default: the column that the weights are for]
    #[arg(long)]
    column: Option<String>,
    /// What a history is brought to, like "1m" [default: the step that the weights are for]
    #[arg(long, value_name = "DURATION", value_parser = parse_step)]
    step: Option<u64>,
    /// Multiply what is read by this: 0.01 turns percent into the fractions that workers measure
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = parse_factor)]
    factor: f64,
}

const AFTER_HELP: &str = "\
Every baseline is fitted to the first 70 % of each file, then all are always fed what really came. GATE is what a
host would say of these forecasts, RATIO the error by that of the better of persistence and the season before: above
1.1 they are unfit. FIT ROUNDS is the part of the time in which a host, which looks at the latest rounds, uses them.
Exit codes: 0 it was measured, whatever came of it; 2 a file cannot be read or does not go with the weights.";

pub fn backtest(args: &Args, output: Output) -> Result<Exit, Failure> {
    let weights = read_weights(&args.weights)?;
    let info = weights.info();
    let column = args.column.clone().unwrap_or_else(|| info.column.clone());
    let wanted = Wanted { column, step_ms: Some(args.step.unwrap_or(info.step_ms)) };
    let lstm = Lstm::new(&weights);
    let mut reports = Vec::new();
    for series in read(&args.files, &wanted, args.factor)? {
        if series.step_ms != info.step_ms {
            let (name, step_ms) = (args.weights.display(), info.step_ms);
            let flaw = anyhow!("{name} is for steps of {step_ms} ms, not of {}", series.step_ms);
            return Err(flaw).bad_input();
        }
        reports.push(backtest::run(&series, info.horizon, &[(LSTM, &lstm)]).bad_input()?);
    }
    if output.json {
        let series: Vec<Value> = reports.iter().map(table::to_json).collect();
        output.raw(&json!({ "weights": args.weights, "series": series }).to_string());
    } else {
        table::tell(&reports, LSTM, output);
    }
    Ok(Exit::Ok)
}

fn read_weights(path: &Path) -> Result<Weights, Failure> {
    let name = || path.display().to_string();
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(name).bad_input()?;
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).with_context(name).bad_input()?;
    Weights::read(&bytes).with_context(name).bad_input()
}
