//! What models are worth on series: for people, and as JSON.

use crate::output::{Colour, Output, Table};
use crate::shown;
use pointsman_forecast::backtest::{Judged, Report};
use pointsman_forecast::gate::Verdict;
use serde_json::{Value, json};

/// The name of the trained network among the models.
pub const LSTM: &str = "LSTM";

/// Every model on every series, then how the gate sees the network.
/// `model` is the one that it is about.
pub fn tell(reports: &[Report], model: &str, output: Output) {
    let mut table = Table::new(&["SERIES", "MODEL", "MAE", "RMSE", "BY PERSISTENCE"]);
    for report in reports {
        let mut name = report.series.clone();
        for row in &report.rows {
            let ratio = row.to_persistence;
            let is_network = row.model == model;
            let colour = if is_network { worth(ratio) } else { Colour::Plain };
            table.row([
                (Colour::Bold, std::mem::take(&mut name)),
                (if is_network { Colour::Bold } else { Colour::Plain }, row.model.clone()),
                (colour, number(row.mae)),
                (colour, number(row.rmse)),
                (colour, shown::or_dash(ratio.map(|ratio| format!("{ratio:.3}")))),
            ]);
        }
    }
    output.table(&table);
    output.line("");
    output.table(&gates(reports));
    for report in reports {
        let better = better(report, model);
        if !better.is_empty() {
            let note = format!("{}: better than the {model}: {}", report.series, better.join(", "));
            output.parts(&[(Colour::Yellow, &note)]);
        }
    }
}

fn gates(reports: &[Report]) -> Table {
    let mut table = Table::new(&[
        "SERIES",
        "FORECASTS",
        "MAE",
        "PERSISTENCE",
        "SEASONAL",
        "RATIO",
        "GATE",
        "FIT ROUNDS",
    ]);
    for report in reports {
        for Judged { whole, fit_part, .. } in &report.judged {
            let (colour, verdict) =
                if whole.is_fit { (Colour::Green, "fit") } else { (Colour::Red, "unfit") };
            table.row([
                (Colour::Bold, report.series.clone()),
                (Colour::Plain, whole.n_matured.to_string()),
                (Colour::Plain, number(whole.mae)),
                (Colour::Plain, number(whole.persistence_mae)),
                (Colour::Plain, shown::or_dash(whole.seasonal_mae.map(number))),
                (Colour::Plain, shown::or_dash(whole.ratio.map(|ratio| format!("{ratio:.3}")))),
                (colour, verdict.to_owned()),
                (Colour::Plain, shown::percent(Some(*fit_part))),
            ]);
        }
    }
    table
}

fn worth(to_persistence: Option<f64>) -> Colour {
    match to_persistence {
        Some(ratio) if ratio < 1.0 => Colour::Green,
        Some(_) => Colour::Red,
        None => Colour::Plain,
    }
}

/// The models whose mean absolute error is smaller than the network's.
fn better<'a>(report: &'a Report, model: &str) -> Vec<&'a str> {
    let Some(network) = report.row(model) else { return Vec::new() };
    let rows = report.rows.iter().filter(|row| row.mae < network.mae);
    rows.map(|row| row.model.as_str()).collect()
}

/// Four decimals, or so many digits that a small error does not look like none.
fn number(value: f64) -> String {
    if value == 0.0 || value.abs() >= 0.01 { format!("{value:.4}") } else { format!("{value:.2e}") }
}

pub fn to_json(report: &Report) -> Value {
    let models = report.rows.iter().map(|row| {
        json!({
            "model": row.model,
            "mae": row.mae,
            "rmse": row.rmse,
            "to_persistence": row.to_persistence,
        })
    });
    let gate = report.judged.first().map(|judged| {
        let Verdict { is_fit, n_matured, mae, persistence_mae, seasonal_mae, ratio } = judged.whole;
        json!({
            "is_fit": is_fit,
            "n_matured": n_matured,
            "mae": mae,
            "persistence_mae": persistence_mae,
            "seasonal_mae": seasonal_mae,
            "ratio": ratio,
            "fit_part": judged.fit_part,
        })
    });
    json!({
        "series": report.series,
        "column": report.column,
        "horizon": report.horizon,
        "n_points": report.n_points,
        "n_test": report.n_test,
        "models": models.collect::<Vec<_>>(),
        "gate": gate,
    })
}
