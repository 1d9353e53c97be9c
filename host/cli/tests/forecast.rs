//! From a history to weights and back: what `pointsman forecast` writes, says and refuses.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod site;

use serde_json::Value;
use site::{Ended, Site, pointsman};

const HEADER: &str = "at_ms,worker,cpu_used,memory_used,iops_used,rtt_ms,connections\n";

/// Two workers under a wave of load, measured every 20 s for four hours.
fn history() -> String {
    let mut text = HEADER.to_owned();
    for tick in 1..=720_u32 {
        for (worker, level) in [("w1", 0.3), ("w2", 0.6)] {
            let cpu = level + (f64::from(tick) * 0.3).sin() * 0.2;
            let at_ms = 1_700_000_000_000 + u64::from(tick) * 20_000;
            text.push_str(&format!("{at_ms},{worker},{cpu:.4},,,,\n"));
        }
    }
    text
}

fn forecast(args: &[&str]) -> Ended {
    pointsman(&[&["forecast"], args].concat())
}

fn json(ended: &Ended) -> Value {
    assert_eq!(ended.code, 0, "{}", ended.err);
    serde_json::from_str(&ended.out).expect("JSON")
}

fn mae(series: &Value, model: &str) -> f64 {
    let models = series["models"].as_array().expect("models");
    let row = models.iter().find(|row| row["model"] == model).expect(model);
    row["mae"].as_f64().expect("a number")
}

#[test]
fn a_history_becomes_weights_that_a_backtest_finds_as_good_as_the_training_did() {
    let site = Site::without_host();
    let file = site.file("load.csv", &history());
    let (first, second) = (site.path("first.safetensors"), site.path("second.safetensors"));
    let train = |out: &str| {
        let options = ["--hidden", "6", "--window", "10", "--seed", "5", "--out", out];
        forecast(&[&["train", &file, "--json"][..], &options].concat())
    };
    let trained = json(&train(&first));
    let network = &trained["networks"][0];
    assert_eq!(network["step_ms"], 60_000);
    assert_eq!((&network["window"], &network["hidden"]), (&10.into(), &6.into()));
    let series = &network["series"][0];
    assert_eq!((&series["series"], &series["column"]), (&"load".into(), &"cpu-used".into()));
    assert!(mae(series, "LSTM") < 0.7 * mae(series, "persistence"), "{series}");
    assert_eq!(series["gate"]["is_fit"], true, "{series}");
    json(&train(&second));
    let bytes = |path: &str| std::fs::read(path).expect("weights");
    assert_eq!(bytes(&first), bytes(&second), "the same seed gives the same bytes");

    let measured = json(&forecast(&["backtest", &file, "--weights", &first, "--json"]));
    assert_eq!(measured["series"][0], *series);
    let told = forecast(&["backtest", &file, "--weights", &first]);
    assert_eq!(told.code, 0, "{}", told.err);
    for word in ["persistence", "training mean", "AR(12)", "Holt-Winters", "LSTM", "fit", "100 %"] {
        assert!(told.out.contains(word), "{word} in {}", told.out);
    }
    assert!(!told.out.contains("seasonal naive"), "younger than a day: {}", told.out);
}

#[test]
fn each_file_can_have_a_network_of_its_own() {
    let site = Site::without_host();
    let first = site.file("first.csv", &history());
    let second = site.file("second.csv", &history());
    let options = ["--hidden", "2", "--window", "6"];
    let both = forecast(&[&["train", &first, &second, "--each", "--json"][..], &options].concat());
    assert_eq!(json(&both)["networks"].as_array().map(Vec::len), Some(2));
    let told = forecast(&[&["train", &first, &second][..], &options].concat());
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.out.starts_with("first, second: window 6 samples"), "{}", told.out);
    assert!(
        told.out.ends_with("the weights were not kept; --out FILE keeps them\n"),
        "{}",
        told.out
    );
}

#[test]
fn bad_input_is_named_and_exits_with_2() {
    let site = Site::without_host();
    let good = site.file("good.csv", &history());
    let short = site.file("short.csv", &format!("{HEADER}1,w1,0.5,,,,\n"));
    let broken = site.file("broken.csv", &format!("{HEADER}1,w1,much,,,,\n"));
    let nab = site.file("nab.csv", "timestamp,value\nx,1\n");
    let weights = site.file("bad.safetensors", "no weights");
    let refused = |args: &[&str], expected: &str| {
        let ended = forecast(args);
        assert_eq!(ended.code, 2, "{args:?}: {}", ended.err);
        assert!(ended.err.contains(expected), "{}", ended.err);
        assert_eq!(ended.out, "", "{args:?}");
    };
    refused(&["train", &site.path("none.csv")], "failed to read");
    refused(&["train", &broken], "broken.csv:2: column 3 is \"much\"; expected is a finite number");
    refused(&["train", &good, "--column", "cpu"], "choose one of at-ms, worker, cpu-used");
    refused(&["train", &good, "--column", "rtt-ms"], "has no value of rtt-ms");
    refused(&["train", &short], "there are 0 windows to train from");
    refused(&["train", &nab, "--step", "1m"], "only a history can be brought to a step");
    refused(&["train", &good, &nab], "give --step, or --each");
    refused(&["train", &good, "--layers", "3"], "layers: 3 is not a whole number from 1 to 2");
    refused(&["train", &good, "--step", "0s"], "write a duration from 1ms to 24h");
    refused(
        &["train", &good, "--out", &site.path("no/w.safetensors")],
        "--out: there is no folder",
    );
    refused(&["backtest", &good, "--weights", &weights], "bad.safetensors: this is no safetensors");
    refused(&["backtest", &good], "--weights");
}

/// What the table and the gate say of a model, to five digits.
fn worth(series: &Value, model: &str) -> Vec<String> {
    let gate = &series["gate"];
    let numbers = [&gate["mae"], &gate["persistence_mae"], &gate["ratio"], &gate["fit_part"]];
    let numbers = numbers.map(|it| it.as_f64().expect("a number"));
    let all = [mae(series, model), mae(series, "AR(12)")].into_iter().chain(numbers);
    all.map(|number| format!("{number:.5}")).chain([gate["n_matured"].to_string()]).collect()
}

#[test]
fn the_component_is_worth_what_the_backtest_says_of_its_weights() {
    let site = Site::without_host();
    let file = site.file("load.csv", &history());
    let folder = site.path("lstm-forecast");
    std::fs::create_dir(&folder).expect("a folder");
    let weights = format!("{folder}/cpu-used.safetensors");
    let options = ["--hidden", "6", "--window", "10", "--out", &weights];
    json(&forecast(&[&["train", &file, "--json"][..], &options].concat()));
    let tested = json(&forecast(&["backtest", &file, "--weights", &weights, "--json"]));
    let wasm = site.path("lstm-forecast.wasm");
    let policy = pointsman_bundle::find("lstm-forecast").expect("a standard policy");
    std::fs::write(&wasm, policy.bytes).expect("a file");
    let bench = ["policy", "bench", &wasm, "--rows", "1", "--series", &file];
    let benched = json(&pointsman(&[&["--json"][..], &bench].concat()));
    assert_eq!(worth(&benched["series"][0], "policy"), worth(&tested["series"][0], "LSTM"));
    let told = pointsman(&bench);
    assert!(told.out.contains("policy") && told.out.contains("AR(12)"), "{}", told.out);

    let percent = site.file("percent.csv", &history().replace(",0.", ",50.0"));
    let ended = pointsman(&["policy", "bench", &wasm, "--series", &percent]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("give --factor, 0.01 for percent"), "{}", ended.err);
    let ended = pointsman(&["policy", "bench", &wasm, "--series", &percent, "--factor", "0"]);
    assert_eq!(ended.code, 2);
}
