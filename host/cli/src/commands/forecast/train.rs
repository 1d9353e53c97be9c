//! `pointsman forecast train`: weights from recorded measurements, and what they are worth.

use super::bar::Bar;
use super::table::{self, LSTM};
use super::{parse_factor, parse_step, read};
use crate::exit::{BadInput, Exit, Failure};
use crate::output::{Colour, Output};
use anyhow::{Context, anyhow};
use pointsman_forecast::backtest::{self, Report};
use pointsman_forecast::series::{Series, Wanted};
use pointsman_forecast_models::{Lstm, Weights};
use pointsman_training::{Options, Trained};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Train a network on the first 70 % of recorded measurements, and measure it on the rest
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Histories that Pointsman exported (CSV or JSON lines), or series of NAB, Bitbrains or PlanetLab
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What to forecast: cpu-used, memory-used, iops-used, rtt-ms, connections, or a name in the file's
    /// header; files with a single column are taken whatever it is
    #[arg(long, default_value = "cpu-used")]
    column: String,
    /// Time between the samples of a window, to which a history is brought [default: 1m; the other
    /// formats have points every 5m]
    #[arg(long, value_name = "DURATION", value_parser = parse_step)]
    step: Option<u64>,
    /// Multiply what is read by this: 0.01 turns percent into the fractions that workers measure
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = parse_factor)]
    factor: f64,
    /// Samples that a forecast goes by [default: 30, fewer for short series]
    #[arg(long, value_name = "N")]
    window: Option<usize>,
    /// How many steps ahead to forecast
    #[arg(long, value_name = "N", default_value_t = 1)]
    horizon: usize,
    /// Hidden units of a layer
    #[arg(long, value_name = "N", default_value_t = Options::HIDDEN)]
    hidden: usize,
    /// 1 or 2
    #[arg(long, value_name = "N", default_value_t = 1)]
    layers: usize,
    /// The same seed gives the same weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Where to write the weights [default: they are measured, not kept]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A network of its own for each file, measured only
    #[arg(long, conflicts_with = "out")]
    each: bool,
}

const AFTER_HELP: &str = "\
All files, and all workers in a history, train one network; so they are to be in the same unit. Of the first 70 % the
last fifth only chooses the best epoch; the last 30 % are never trained on, and every model of the table is measured
there, always fed what really came. GATE is what a host would say of the forecasts; see \"forecast backtest --help\".
Exit codes: 0 it was trained and measured, whatever came of it; 1 the weights cannot be written; 2 bad input.";

pub fn train(args: &Args, output: Output) -> Result<Exit, Failure> {
    if let Some(out) = &args.out {
        check_folder(out)?;
    }
    let wanted = Wanted { column: args.column.clone(), step_ms: args.step };
    let all = read(&args.files, &wanted, args.factor)?;
    let groups: Vec<&[Series]> = if args.each { all.chunks(1).collect() } else { vec![&all] };
    let mut runs = Vec::new();
    for group in groups {
        runs.push(Run::of(group, args)?);
    }
    if let (Some(out), [run]) = (&args.out, runs.as_slice()) {
        write(out, &run.trained.weights)?;
    }
    if output.json {
        output.raw(&to_json(&runs, args).to_string());
    } else {
        tell(&runs, args, output);
    }
    Ok(Exit::Ok)
}

/// One network, and what it is worth on the series it was trained on.
struct Run {
    trained: Trained,
    reports: Vec<Report>,
}

impl Run {
    fn of(group: &[Series], args: &Args) -> Result<Run, Failure> {
        let first = &group[0];
        if let Some(other) = group.iter().find(|it| it.step_ms != first.step_ms) {
            let (a, b) = (&first.name, &other.name);
            let (a_ms, b_ms) = (first.step_ms, other.step_ms);
            let flaw = anyhow!(
                "the points of {a} are {a_ms} ms apart, those of {b} {b_ms} ms: give --step, or --each"
            );
            return Err(flaw).bad_input();
        }
        let options = Options {
            window: args.window,
            horizon: args.horizon,
            n_hidden: args.hidden,
            n_layers: args.layers,
            seed: args.seed,
            ..Options::new(&args.column, first.step_ms)
        };
        let name = match group {
            [one] => one.name.clone(),
            several => format!("{} series", several.len()),
        };
        let mut bar = Bar::new(&name);
        let training: Vec<&[f64]> = group.iter().flat_map(backtest::training).collect();
        let trained =
            pointsman_training::train(&training, &options, &mut |epoch| bar.update(epoch));
        bar.finish();
        let trained = trained.context(name).bad_input()?;
        let lstm = Lstm::new(&trained.weights);
        let report = |it: &Series| backtest::run(it, args.horizon, &[(LSTM, &lstm)]).bad_input();
        let reports: Result<_, Failure> = group.iter().map(report).collect();
        Ok(Run { reports: reports?, trained })
    }

    /// What the part that chose the epoch says of it.
    fn line(&self) -> String {
        let Trained { weights, n_epochs, best_epoch, .. } = &self.trained;
        let info = weights.info();
        format!(
            "window {} samples, horizon {}, {} layer(s) of {}; epoch {best_epoch} of {n_epochs} was best",
            info.window,
            info.horizon,
            weights.n_layers(),
            weights.n_hidden(),
        )
    }
}

fn tell(runs: &[Run], args: &Args, output: Output) {
    for run in runs {
        let names: Vec<&str> = run.reports.iter().map(|it| it.series.as_str()).collect();
        output.parts(&[
            (Colour::Bold, &names.join(", ")),
            (Colour::Plain, &format!(": {}", run.line())),
        ]);
    }
    output.line("");
    let reports: Vec<Report> = runs.iter().flat_map(|run| run.reports.clone()).collect();
    table::tell(&reports, LSTM, output);
    match &args.out {
        Some(out) => output.line(format!("{}: the weights", out.display())),
        None if args.each => {}
        None => output.line("the weights were not kept; --out FILE keeps them"),
    }
}

fn to_json(runs: &[Run], args: &Args) -> Value {
    let networks = runs.iter().map(|run| {
        let Trained { weights, n_epochs, best_epoch, validation_mae, persistence_mae } =
            &run.trained;
        let info = weights.info();
        json!({
            "column": info.column,
            "step_ms": info.step_ms,
            "window": info.window,
            "horizon": info.horizon,
            "scale": info.scale,
            "layers": weights.n_layers(),
            "hidden": weights.n_hidden(),
            "seed": args.seed,
            "n_epochs": n_epochs,
            "best_epoch": best_epoch,
            "validation_mae": validation_mae,
            "validation_persistence_mae": persistence_mae,
            "series": run.reports.iter().map(table::to_json).collect::<Vec<_>>(),
        })
    });
    json!({ "weights": args.out, "networks": networks.collect::<Vec<_>>() })
}

/// The folder that a file is to be written to.
fn folder(out: &Path) -> &Path {
    out.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Before the work, not after it.
fn check_folder(out: &Path) -> Result<(), Failure> {
    if folder(out).is_dir() {
        return Ok(());
    }
    Err(Failure::usage(format!("--out: there is no folder {}", folder(out).display())))
}

/// Whole, or not at all: a policy may be built from this file at the same time.
fn write(out: &Path, weights: &Weights) -> Result<(), Failure> {
    let written = || -> std::io::Result<()> {
        let readable = Permissions::from_mode(0o666);
        let mut file = tempfile::Builder::new().permissions(readable).tempfile_in(folder(out))?;
        file.write_all(&weights.write())?;
        file.persist(out)?;
        Ok(())
    };
    written().with_context(|| format!("failed to write {}", out.display()))?;
    Ok(())
}
