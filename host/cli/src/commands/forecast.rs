//! `pointsman forecast`: from recorded measurements to the weights that a forecasting policy runs, and what
//! such weights are worth. No host is asked.

mod backtest;
mod bar;
pub(super) mod table;
mod train;

use crate::exit::{BadInput, Exit, Failure};
use crate::output::Output;
use pointsman_forecast::series::{self, Series, Wanted};
use pointsman_protocol::duration::parse_duration;
use std::path::PathBuf;

/// Train a forecaster from recorded measurements, and see what it is worth
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Train(train::Args),
    Backtest(backtest::Args),
}

pub fn forecast(args: &Args, output: Output) -> Result<Exit, Failure> {
    match &args.action {
        Action::Train(args) => train::train(args, output),
        Action::Backtest(args) => backtest::backtest(args, output),
    }
}

/// In milliseconds.
fn parse_step(text: &str) -> Result<u64, String> {
    const REMEDY: &str = "write a duration from 1ms to 24h, like \"5m\"";
    let step = parse_duration(text).map_err(|flaw| format!("{}; {REMEDY}", flaw.problem))?;
    match u64::try_from(step.as_millis()) {
        Ok(step_ms @ 1..=86_400_000) => Ok(step_ms),
        _ => Err(REMEDY.to_owned()),
    }
}

/// What was measured, in another unit if that is asked for.
pub(super) fn read(
    files: &[PathBuf],
    wanted: &Wanted,
    factor: f64,
) -> Result<Vec<Series>, Failure> {
    let read = |file: &PathBuf| -> Result<Series, Failure> {
        let mut series = series::read(file, wanted).bad_input()?;
        let values = series.segments.iter_mut().flat_map(|segment| &mut segment.values);
        values.for_each(|value| *value *= factor);
        Ok(series)
    };
    files.iter().map(read).collect()
}

pub(super) fn parse_factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (1e-15..=1e15).contains(factor));
    factor.ok_or_else(|| "write a number above 0, like 0.01".to_owned())
}
