//! What a training promises: the same bytes again, less error than persistence where there is something to
//! learn, and a refusal where there is not.

use pointsman_forecast::backtest::{self, Report};
use pointsman_forecast::series::{self, Segment, Series, Wanted};
use pointsman_forecast_models::{Lstm, Weights};
use pointsman_training::{Options, Trained, train};
use std::path::Path;

/// A wave with noise, from which the next value can be told better than by the last one.
fn wave(n: usize, level: f64) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(9);
    let value = |at: usize| (at as f64 * 0.9).sin() * 0.2 + level + random.f64() * 0.1;
    (0..n).map(value).collect()
}

fn options(seed: u64) -> Options {
    Options { n_hidden: 8, window: Some(12), seed, ..Options::new("cpu-used", 60_000) }
}

fn trained(series: &[&[f64]], options: &Options) -> Trained {
    train(series, options, &mut |_| {}).expect("enough points")
}

fn report(series: &Series, trained: &Trained) -> Report {
    let lstm = Lstm::new(&trained.weights);
    let horizon = trained.weights.info().horizon;
    backtest::run(series, horizon, &[("LSTM", &lstm)]).expect("long enough")
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let values = wave(300, 0.5);
    let bytes = |seed| trained(&[&values], &options(seed)).weights.write();
    let first = bytes(7);
    assert_eq!(bytes(7), first);
    assert_ne!(bytes(8), first);
}

#[test]
fn one_network_is_trained_for_all_workers_and_any_horizon() {
    let (low, high) = (wave(300, 0.2), wave(300, 0.7));
    let segment = |values: &Vec<f64>| Segment { worker: None, values: values.clone() };
    let series = Series {
        name: "history".to_owned(),
        column: "cpu-used".to_owned(),
        step_ms: 60_000,
        segments: [&low, &high].map(segment).into(),
    };
    for (horizon, n_layers) in [(1, 1), (3, 2)] {
        let options = Options { horizon, n_layers, ..options(1) };
        let mut epochs = Vec::new();
        let training = backtest::training(&series);
        let trained = train(&training, &options, &mut |it| epochs.push(it)).expect("enough points");
        assert_eq!(epochs.len(), trained.n_epochs);
        assert_eq!(epochs[trained.best_epoch - 1].validation_mae, trained.validation_mae);
        assert!(epochs.iter().all(|it| it.validation_mae >= trained.validation_mae));
        let stored = Weights::read(&trained.weights.write()).expect("own bytes");
        let info = stored.info();
        assert_eq!((info.column.as_str(), info.step_ms), ("cpu-used", 60_000));
        assert_eq!((info.window, info.horizon, stored.n_layers()), (12, horizon, n_layers));
        let report = report(&series, &trained);
        let to_persistence = report.row("LSTM").and_then(|row| row.to_persistence);
        assert!(to_persistence.is_some_and(|it| it < 0.6), "{horizon}: {report:?}");
        assert!(report.judged[0].whole.is_fit, "{horizon}: {report:?}");
    }
}

#[test]
fn what_cannot_be_trained_is_refused_with_what_is_needed() {
    let values = wave(300, 0.5);
    let check = |values: &[f64], options: Options, expected: &str| {
        let error = train(&[values], &options, &mut |_| {}).expect_err("a refusal");
        assert_eq!(error.to_string(), expected);
    };
    check(
        &values[..50],
        options(0),
        "there are 28 windows to train from and 10 to choose by; 20 of each are needed: take more \
         points or a smaller window",
    );
    check(
        &[],
        options(0),
        "there are 0 windows to train from and 0 to choose by; 20 of each are needed: take more \
         points or a smaller window",
    );
    check(
        &values,
        Options { window: Some(300), ..options(0) },
        "window: 300 is not a whole number from 4 to 256",
    );
    check(
        &values,
        Options { n_layers: 3, ..options(0) },
        "layers: 3 is not a whole number from 1 to 2",
    );
    check(
        &values,
        Options { n_hidden: 0, ..options(0) },
        "hidden: 0 is not a whole number from 1 to 128",
    );
    check(
        &values,
        Options { horizon: 0, ..options(0) },
        "horizon: 0 is not a whole number from 1 to 1000",
    );
}

#[test]
fn a_flat_line_is_forecast_as_flat() {
    let trained = trained(&[&[0.5; 300]], &options(0));
    let ahead = Lstm::new(&trained.weights).forecast_rows(&[[0.5; 12]])[0];
    assert!((ahead - 0.5).abs() < 1e-3, "{ahead}");
}

/// The shortest of the recorded series, of which 201 points are left to train from.
#[test]
fn a_day_of_machines_is_forecast_better_than_by_persistence() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/cpu-traces");
    if !folder.is_dir() {
        println!("skipped: no folder {}", folder.display());
        return;
    }
    let wanted = Wanted { column: "cpu-used".to_owned(), step_ms: None };
    let series = series::read(&folder.join("planetlab-20110303.csv"), &wanted).expect("a series");
    for seed in 0..3 {
        let options = Options { seed, ..Options::new("cpu-used", series.step_ms) };
        let report = report(&series, &trained(&backtest::training(&series), &options));
        let mae = |model| report.row(model).expect("a row").mae;
        assert!(mae("LSTM") < 0.95 * mae("persistence"), "{report:?}");
        assert!(mae("LSTM") < 1.05 * mae("AR(12)"), "{report:?}");
    }
}
