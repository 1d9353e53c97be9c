//! `pointsman policy bench`: what the calls of a policy cost, beside the host's own policy.

use super::check;
use super::series;
use super::subject::{SubjectArgs, inspector};
use crate::commands::forecast::{self, table};
use crate::exit::{Exit, Failure};
use crate::output::{Colour, Output, Table};
use crate::shown;
use pointsman_policy::{Bench, BenchRow};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// Measures calls of a policy beside the host's own policy of that slot; needs no host
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Rows of a call, up to 10,000
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = ROWS,
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rows: Vec<u32>,
    /// Recorded measurements to try a forecasting policy on, as "forecast backtest" takes them
    #[arg(long, value_name = "FILE", num_args = 1..)]
    series: Vec<PathBuf>,
    /// Multiply what is read from --series by this: 0.01 turns percent into the fractions that workers
    /// measure
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = forecast::parse_factor,
        requires = "series")]
    factor: f64,
}

const AFTER_HELP: &str = "\
Fuel counts instructions and is alike on every machine; times are medians on this one. Exit codes: 0 every
call was answered; 1 calls of some size fail; 2 the file cannot be read, or wrong usage; 3 refused.";

const ROWS: [u32; 4] = [1, 100, 1_000, 10_000];

pub fn bench(args: &Args, output: Output) -> Result<Exit, Failure> {
    let loaded = args.subject.load()?;
    let rows: Vec<usize> = args.rows.iter().map(|n_rows| *n_rows as usize).collect();
    let bench = match inspector()?.bench(&loaded.subject(), &rows) {
        Ok(bench) => bench,
        Err(refusal) => return Ok(loaded.tell_refusal(&refusal, output)),
    };
    let reports = match args.series.as_slice() {
        [] => Vec::new(),
        files => series::reports(&inspector()?, &loaded, files, args.factor)?,
    };
    if output.json {
        let mut value = to_json(&bench, &loaded.shown());
        if !args.series.is_empty() {
            value["series"] = reports.iter().map(table::to_json).collect();
        }
        output.raw(&value.to_string());
    } else {
        tell(&bench, output);
        if !args.series.is_empty() {
            output.line("");
            table::tell(&reports, series::MODEL, output);
        }
    }
    let is_answered = bench.rows.iter().all(|row| row.cost.is_ok());
    Ok(if is_answered { Exit::Ok } else { Exit::NotSucceeded })
}

fn to_json(bench: &Bench, file: &str) -> Value {
    let mut value = check::to_json(&bench.inspected, file);
    let rows: Vec<Value> = bench.rows.iter().map(row_to_json).collect();
    value["rows"] = json!(rows);
    value["native"] = json!(bench.native);
    value
}

fn row_to_json(row: &BenchRow) -> Value {
    let native_us = row.native.map(shown::micros);
    match &row.cost {
        Ok(cost) => json!({
            "rows": row.n_rows,
            "us": shown::micros(cost.took),
            "fuel": cost.fuel,
            "memory": cost.memory,
            "native_us": native_us,
            "ratio": ratio(cost.took, row.native),
        }),
        Err(reason) => json!({ "rows": row.n_rows, "failed": reason, "native_us": native_us }),
    }
}

fn tell(bench: &Bench, output: Output) {
    let inspected = &bench.inspected;
    let compared = bench.native.map_or_else(
        || "the host has no policy of its own to compare with".to_owned(),
        |native| format!("native: {native}"),
    );
    output.line(format!(
        "{} {} ({}); {compared}",
        inspected.name,
        inspected.version,
        inspected.slot.name()
    ));
    let mut table =
        Table::new(&["ROWS", "PER CALL", "PER ROW", "FUEL", "MEMORY", "NATIVE", "RATIO"]);
    let mut failures = Vec::new();
    for row in &bench.rows {
        let native = shown::or_dash(row.native.map(shown::duration));
        let n_rows = row.n_rows.to_string();
        match &row.cost {
            Ok(cost) => {
                let ratio = ratio(cost.took, row.native).map(|ratio| format!("{ratio:.1}×"));
                table.plain([
                    n_rows,
                    shown::duration(cost.took),
                    shown::duration(cost.took / row.n_rows as u32),
                    cost.fuel.to_string(),
                    shown::bytes(cost.memory),
                    native,
                    shown::or_dash(ratio),
                ]);
            }
            Err(reason) => {
                let failed = (Colour::Red, "fails".to_owned());
                table.row([(Colour::Plain, n_rows), failed]);
                failures.push(format!("{} rows: {reason}", row.n_rows));
            }
        }
    }
    output.table(&table);
    for failure in failures {
        output.wrapped("", &failure);
    }
    if cfg!(debug_assertions) {
        output
            .line("This pointsman is a debug build, whose own policies are several times slower.");
    }
    output.line(format!(
        "{}, compiled in {}, instance started in {}",
        shown::bytes(inspected.size),
        shown::duration(inspected.compile),
        shown::duration(inspected.start)
    ));
}

fn ratio(took: Duration, native: Option<Duration>) -> Option<f64> {
    let ratio = took.as_secs_f64() / native?.as_secs_f64();
    ratio.is_finite().then_some(ratio)
}
