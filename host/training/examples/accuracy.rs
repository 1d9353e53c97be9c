//! Trains on the first 70 % of each of eleven recorded series, with the default recipe, and prints what
//! comes of it on the rest, beside the baselines: MAE / RMSE in the unit of the series, one step ahead.
//!
//! `cargo run --release -p pointsman-training --example accuracy -- FOLDER [SEED]`, where FOLDER holds
//! `nab/` and `cpu-traces/`; without it, the one that tests use.

use pointsman_forecast::backtest::{self, Report};
use pointsman_forecast::series::{self, Series, Wanted};
use pointsman_forecast_models::Lstm;
use pointsman_training::{Options, train};
use std::path::{Path, PathBuf};
use std::time::Instant;

const SERIES: [(&str, &str); 11] = [
    ("cpu-traces/planetlab-20110303", "cpu-used"),
    ("cpu-traces/bitbrains-fastStorage-vm100", "cpu-used"),
    ("cpu-traces/bitbrains-fastStorage-vm100", "memory-used"),
    ("nab/realAWSCloudwatch__ec2_cpu_utilization_5f5533", "cpu-used"),
    ("nab/realAWSCloudwatch__ec2_cpu_utilization_ac20cd", "cpu-used"),
    ("nab/realAWSCloudwatch__ec2_cpu_utilization_825cc2", "cpu-used"),
    ("nab/realAWSCloudwatch__rds_cpu_utilization_cc0c53", "cpu-used"),
    ("nab/realAWSCloudwatch__elb_request_count_8c0756", "requests"),
    ("nab/artificialNoAnomaly__art_daily_small_noise", "cpu-used"),
    ("nab/artificialNoAnomaly__art_noisy", "cpu-used"),
    ("nab/realKnownCause__cpu_utilization_asg_misconfiguration", "cpu-used"),
];

const MODELS: [&str; 6] =
    ["persistence", "seasonal naive", "training mean", "AR(12)", "Holt-Winters", "LSTM"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = args.next().map_or_else(beside, PathBuf::from);
    let seed = args.next().map_or(Ok(0), |seed| seed.parse())?;
    println!("| series | {} | LSTM / persistence | LSTM / AR(12) | s |", MODELS.join(" | "));
    println!("|---|{}---|---|---|", "---|".repeat(MODELS.len()));
    for (file, column) in SERIES {
        let wanted = Wanted { column: column.to_owned(), step_ms: None };
        let series = series::read(&folder.join(file).with_extension("csv"), &wanted)?;
        let begun = Instant::now();
        let report = report(&series, seed)?;
        println!("{}{:.1} |", row(&report), begun.elapsed().as_secs_f64());
    }
    Ok(())
}

fn report(series: &Series, seed: u64) -> Result<Report, Box<dyn std::error::Error>> {
    let options = Options { seed, ..Options::new(&series.column, series.step_ms) };
    let trained = train(&backtest::training(series), &options, &mut |_| {})?;
    let lstm = Lstm::new(&trained.weights);
    Ok(backtest::run(series, options.horizon, &[("LSTM", &lstm)])?)
}

fn row(report: &Report) -> String {
    let name = report.series.split("__").last().unwrap_or_default();
    let mut text = format!("| {name} {} | ", report.column);
    for model in MODELS {
        let row = report.row(model);
        let cell = row.map_or("-".to_owned(), |row| format!("{:.4} / {:.4}", row.mae, row.rmse));
        text.push_str(&format!("{cell} | "));
    }
    let by = |model: &str| {
        let mae = |model| report.row(model).map_or(f64::NAN, |row| row.mae);
        mae("LSTM") / mae(model)
    };
    text.push_str(&format!("{:.3} | {:.3} | ", by("persistence"), by("AR(12)")));
    text
}
