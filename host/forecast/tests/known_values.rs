//! The baselines on recorded series, against the values that the READMEs beside the data state: each to its
//! printed digits.

use pointsman_forecast::backtest::{self, Report};
use pointsman_forecast::series::{self, Wanted};
use std::path::{Path, PathBuf};

/// The folder beside the checkout; None, with a note, where there is none.
fn data() -> Option<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !all.is_dir() {
        println!("skipped: no folder {}", all.display());
        return None;
    }
    Some(all)
}

/// The file of a row of a README's table, and the column in it.
fn file_of(series: &str) -> (String, &'static str) {
    match series {
        "planetlab 20110303 mean over VMs" => ("planetlab-20110303.csv".to_owned(), "cpu-used"),
        "bitbrains CPU usage [%]" => {
            ("bitbrains-fastStorage-vm100.csv".to_owned(), "CPU usage [%]")
        }
        "bitbrains Memory usage [KB]" => {
            ("bitbrains-fastStorage-vm100.csv".to_owned(), "memory-used")
        }
        other => (format!("{other}.csv"), "cpu-used"),
    }
}

/// Compares every row of the README's table of forecast baselines; answers how many there are.
fn check(folder: &Path) -> usize {
    let readme = std::fs::read_to_string(folder.join("README.md")).expect("a README");
    let table = readme.split("| series | points |").nth(1).expect("the table of baselines");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [name, n_points, from, stated @ ..] = cells.as_slice() else { panic!("{row}") };
        let (file, column) = file_of(name);
        let wanted = Wanted { column: column.to_owned(), step_ms: None };
        let series = series::read(&folder.join(file), &wanted).expect("a series");
        let report = backtest::run(&series, 1, &[]).expect("long enough");
        assert_eq!(report.n_points.to_string(), **n_points, "{name}");
        assert_eq!((report.n_points - report.n_test).to_string(), **from, "{name}");
        let models = ["persistence", "seasonal naive", "training mean", "AR(12)"];
        for (model, stated) in models.into_iter().zip(stated) {
            assert_eq!(shown(&report, model), **stated, "{name}: {model}");
        }
    })
    .count()
}

fn shown(report: &Report, model: &str) -> String {
    let row = report.row(model);
    row.map_or("-".to_owned(), |row| format!("{:.4} / {:.4}", row.mae, row.rmse))
}

#[test]
fn the_baselines_are_those_of_the_benchmark_series() {
    let Some(data) = data() else { return };
    assert_eq!(check(&data.join("nab")), 8);
}

#[test]
fn the_baselines_are_those_of_the_traces() {
    let Some(data) = data() else { return };
    assert_eq!(check(&data.join("cpu-traces")), 3);
}
