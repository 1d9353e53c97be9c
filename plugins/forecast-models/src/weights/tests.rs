//! Good weights survive being written; nothing else is taken, whatever the bytes.

use super::*;

fn info() -> Info {
    Info {
        column: "cpu-used".to_owned(),
        step_ms: 60_000,
        window: 30,
        horizon: 1,
        scale: 0.037,
        clip: 8.0,
    }
}

/// All values differ.
fn tensors(n_layers: usize, n_hidden: usize) -> Tensors {
    let mut next = 0.0;
    let mut tensor = |shape: Vec<usize>| {
        let values = (0..shape.iter().product()).map(|_| {
            next += 0.001;
            next
        });
        Tensor { values: values.collect(), shape }
    };
    let shapes = expected(n_layers, n_hidden);
    shapes.into_iter().map(|(name, shape)| (name, tensor(shape))).collect()
}

fn good() -> Weights {
    Weights::new(info(), tensors(2, 3)).expect("good weights")
}

/// The file of good weights with a text of its header replaced by one as long or shorter.
fn forged(from: &str, to: &str) -> Vec<u8> {
    let mut bytes = good().write();
    let at = bytes.windows(from.len()).position(|it| it == from.as_bytes()).expect("in the header");
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

fn refusal(outcome: Result<Weights, WeightsError>) -> String {
    let error = outcome.expect_err("a refusal");
    let source = std::error::Error::source(&error).map(|it| format!(": {it}"));
    format!("{error}{}", source.unwrap_or_default())
}

#[test]
fn what_is_written_is_read_and_equal_weights_are_equal_bytes() {
    for n_layers in [1, 2] {
        let weights = Weights::new(info(), tensors(n_layers, 5)).expect("good weights");
        let bytes = weights.write();
        assert_eq!(Weights::read(&bytes).expect("own bytes"), weights);
        assert_eq!(weights.clone().write(), bytes);
        assert_eq!((weights.n_layers(), weights.n_hidden()), (n_layers, 5));
    }
}

#[test]
fn each_gate_is_found_where_pytorch_puts_it() {
    let weights = Weights::new(info(), tensors(1, 2)).expect("good weights");
    let hh = &weights.tensors()["lstm.weight_hh_l0"].values;
    let layer = &weights.interleaved()[0];
    // Of hidden unit 1 from hidden unit 0: rows 1, 3, 5, 7 of eight, column 0.
    assert_eq!(layer.weights[3 + 1], [hh[2], hh[6], hh[10], hh[14]]);
}

#[test]
fn a_bad_tensor_is_named_with_what_is_expected() {
    let check = |change: &dyn Fn(&mut Tensors), expected: &str| {
        let mut tensors = tensors(1, 2);
        change(&mut tensors);
        assert_eq!(refusal(Weights::new(info(), tensors)), expected);
    };
    let one = || Tensor { shape: vec![1], values: vec![0.0] };
    check(
        &|it| drop(it.remove("lstm.bias_hh_l0")),
        "the tensor lstm.bias_hh_l0 is missing; expected is one of shape [8]",
    );
    check(
        &|it| drop(it.insert("lstm.bias_hh_l0".to_owned(), one())),
        "the tensor lstm.bias_hh_l0 is [1]; expected is [8]",
    );
    check(
        &|it| drop(it.remove("head.weight")),
        "the tensor head.weight is nothing; expected is [1, H] with H from 1 to 128",
    );
    check(
        &|it| it.get_mut("head.bias").expect("there").values[0] = f32::NAN,
        "the tensor head.bias has the value NaN; expected are numbers from -1000000 to 1000000",
    );
    check(
        &|it| drop(it.insert("lstm.bias_hh_l1".to_owned(), one())),
        "the tensor lstm.bias_hh_l1 is [1]; expected is [8]",
    );
    check(
        &|it| drop(it.insert("x".repeat(100), one())),
        &format!(
            "there is a tensor \"{}…\"; expected are lstm.weight_ih_l0, lstm.weight_hh_l0, \
             lstm.bias_ih_l0, lstm.bias_hh_l0, all four once more with _l1 for a second layer, \
             head.weight and head.bias",
            "x".repeat(60)
        ),
    );
}

#[test]
fn bad_metadata_are_named_with_what_is_expected() {
    for (from, to, expected) in [
        (
            "pointsman-lstm/1",
            "pointsman-lstm/2",
            r#"format in the metadata is "pointsman-lstm/2": this version reads pointsman-lstm/1"#,
        ),
        (
            r#""window":"30""#,
            r#""window":"03""#,
            r#"window in the metadata is "3": write a whole number of samples from 4 to 256"#,
        ),
        (
            r#""scale":"0.037""#,
            r#""scale":"-0.03""#,
            r#"scale in the metadata is "-0.03": write a finite number above 0 in the unit of the column"#,
        ),
        (
            r#""scale":"0.037""#,
            r#""scale":"  NaN""#,
            r#"scale in the metadata is "  NaN": write a finite number above 0 in the unit of the column"#,
        ),
        (r#""step_ms":"60000""#, r#""step_ms":"99999""#, ""),
        (
            r#""horizon""#,
            r#""horizom""#,
            "the metadata lack the key \"horizon\": write a whole number of steps from 1 to 1000",
        ),
        (
            r#""clip":"8""#,
            r#""clip":"0""#,
            r#"clip in the metadata is "0": write a number above 0, at most 1000"#,
        ),
        (
            r#""dtype":"F32""#,
            r#""dtype":"I32""#,
            "the tensor head.bias has values of type I32; expected is F32",
        ),
    ] {
        let outcome = Weights::read(&forged(from, to));
        if expected.is_empty() {
            assert!(outcome.is_ok(), "{outcome:?}");
        } else {
            assert_eq!(refusal(outcome), expected);
        }
    }
}

#[test]
fn no_bytes_break_the_reader() {
    assert!(refusal(Weights::read(&[])).starts_with("this is no safetensors file: "));
    assert!(refusal(Weights::read(&[0xff; 64])).starts_with("this is no safetensors file: "));
    let too_large = vec![0; BYTES_MAX + 1];
    let expected = "the file has 4194305 bytes; weights have at most 4194304";
    assert_eq!(refusal(Weights::read(&too_large)), expected);
    let bytes = good().write();
    for length in 0..bytes.len() {
        Weights::read(&bytes[..length]).expect_err("half a file");
    }
    let mut random = fastrand::Rng::with_seed(1);
    let mut n_taken = 0;
    for _ in 0..20_000 {
        let mut bytes = bytes.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        // What is taken can be run, and answers a number.
        if let Ok(weights) = Weights::read(&bytes) {
            n_taken += 1;
            let window: Vec<f64> = (0..9).map(f64::from).collect();
            assert!(crate::Lstm::new(&weights).forecast_rows(&[window])[0].is_finite());
        }
    }
    assert!(n_taken > 100, "{n_taken}: most changes of values are harmless");
}
