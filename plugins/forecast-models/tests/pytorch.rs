//! What PyTorch stores is read, and gives what PyTorch gives. The fixtures are made by `pytorch/make.py`.

use pointsman_forecast_models::{Lstm, Weights};
use serde_json::Value;
use std::path::Path;

fn check(name: &str, n_layers: usize, n_hidden: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pytorch");
    let bytes = std::fs::read(folder.join(name).with_extension("safetensors")).expect("a fixture");
    let weights = Weights::read(&bytes).expect("PyTorch's file is understood");
    assert_eq!((weights.n_layers(), weights.n_hidden()), (n_layers, n_hidden));
    let cases =
        std::fs::read_to_string(folder.join(name).with_extension("json")).expect("a fixture");
    let cases: Value = serde_json::from_str(&cases).expect("JSON");
    let windows: Vec<Vec<f64>> = numbers(&cases["windows"]);
    let expected: Vec<f64> = serde_json::from_value(cases["forecasts"].clone()).expect("numbers");
    let lstm = Lstm::new(&weights);
    let scale = weights.info().scale;
    let off = |answers: &[f64]| -> f64 {
        let pairs = answers.iter().zip(&expected);
        pairs.map(|(answer, expected)| (answer - expected).abs() / scale).fold(0.0, f64::max)
    };
    let by_row = lstm.forecast_rows(&windows);
    println!("{name}: at most {:.2e} scaled changes off", off(&by_row));
    assert!(off(&by_row) < 2e-6, "{}", off(&by_row));
    // A policy gets the same samples as one list per age.
    let by_column: Vec<Vec<f64>> = (0..weights.info().window)
        .map(|at| windows.iter().map(|window| window[at]).collect())
        .collect();
    assert_eq!(lstm.forecast(&by_column), by_row);
    // What was read is written: every byte of the values, in a file of the same meaning.
    assert_eq!(Weights::read(&weights.write()).expect("own bytes"), weights);
}

/// null is a missing sample.
fn numbers(windows: &Value) -> Vec<Vec<f64>> {
    let windows: Vec<Vec<Option<f64>>> = serde_json::from_value(windows.clone()).expect("windows");
    let known = |window: Vec<Option<f64>>| window.iter().map(|it| it.unwrap_or(f64::NAN)).collect();
    windows.into_iter().map(known).collect()
}

#[test]
fn one_layer_agrees_with_pytorch() {
    check("one-layer", 1, 12);
}

#[test]
fn two_layers_agree_with_pytorch() {
    check("two-layers", 2, 6);
}
