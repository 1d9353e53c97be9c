//! Small files of each format, and what is said of broken ones.

use super::*;

fn wanted(column: &str, step_ms: Option<u64>) -> Wanted {
    Wanted { column: column.to_owned(), step_ms }
}

fn check(text: &str, column: &str, expected: &[f64]) {
    let series = parse("folder/a.csv", text, &wanted(column, None)).expect("a series");
    assert_eq!((series.name.as_str(), series.step_ms), ("a", 300_000));
    assert_eq!(series.segments, [Segment { worker: None, values: expected.to_vec() }]);
    assert_eq!((series.season(), series.n_points()), (Some(288), expected.len()));
}

#[test]
fn points_are_taken_as_they_stand() {
    let nab = "timestamp,value\n2014-02-14 14:30:00,0.132\n2014-02-14 14:30:00,2\n";
    check(nab, "cpu-used", &[0.132, 2.0]);
    check(&nab.replace('\n', "\r\n"), "cpu-used", &[0.132, 2.0]);
    let bitbrains =
        "Timestamp [ms];\tCPU usage [%];\tMemory usage [KB]\n1;\t0.5;\t7\n9;\t1.5;\t8.5\n";
    check(bitbrains, "cpu-used", &[0.5, 1.5]);
    check(bitbrains, "memory-used", &[7.0, 8.5]);
    check(bitbrains, "CPU usage [%]", &[0.5, 1.5]);
    check("a,1,2,3\nb,3,4,8\n", "cpu-used", &[2.0, 3.0, 5.5]);
}

const HISTORY: &str = "at_ms,worker,cpu_used,memory_used,iops_used,rtt_ms,connections\n";

/// (worker, values) of each segment.
fn resampled(text: &str, step_ms: Option<u64>) -> Vec<(String, Vec<f64>)> {
    let series = parse("a.csv", text, &wanted("cpu-used", step_ms)).expect("a series");
    let named = |it: Segment| (it.worker.expect("a worker"), it.values);
    series.segments.into_iter().map(named).collect()
}

#[test]
fn a_history_is_brought_to_a_step_and_split_where_too_much_is_missing() {
    // Steps end at 60 s, 120 s …: two values in the first, none in the second and third; after the fifth
    // three are empty. Out of order, and with a missing value of another worker.
    let rows = "60000,b,0.5,,,,\n1,b,0.25,0.1,,,\n240000,b,1,,,,\n250000,a,,0.5,,,\n\
                480001,b,3,,,,\n541000,a,7,,,1.5,2\n";
    let expected = [
        ("a".to_owned(), vec![7.0]),
        ("b".to_owned(), vec![0.375, 0.375, 0.375, 1.0]),
        ("b".to_owned(), vec![3.0]),
    ];
    assert_eq!(resampled(&format!("{HISTORY}{rows}"), None), expected);
    let coarse = resampled(&format!("{HISTORY}{rows}"), Some(300_000));
    assert_eq!(coarse[1], ("b".to_owned(), vec![1.75 / 3.0, 3.0]));
    let json = "{\"at_ms\":60000,\"worker\":\"b\",\"cpu_used\":0.5}\n\
                {\"at_ms\":1,\"worker\":\"b\",\"cpu_used\":0.25,\"memory_used\":null}\n\
                {\"at_ms\":1,\"worker\":\"b\",\"cpu_used\":null}\n";
    assert_eq!(resampled(json, None), [("b".to_owned(), vec![0.375])]);
    // The end of time costs no memory.
    let far = format!("{HISTORY}1,b,1,,,,\n{},b,2,,,,\n", u64::MAX);
    assert_eq!(resampled(&far, Some(1)).len(), 2);
}

#[test]
fn a_broken_file_is_named_with_line_and_column_and_what_to_do() {
    let check = |text: &str, column: &str, step_ms: Option<u64>, expected: &str| {
        let error = parse("a.csv", text, &wanted(column, step_ms)).expect_err("a refusal");
        let error = error.to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check("", "cpu-used", None, "a.csv is no series: expected is CSV of the Numenta");
    check("x;y\n1;2\n", "cpu-used", None, "a.csv is no series: expected is CSV of the Numenta");
    check(
        "timestamp,value\nx,1\ny,NaN\n",
        "cpu-used",
        None,
        "a.csv:3: column 2 is \"NaN\"; expected is a finite number",
    );
    check("timestamp,value\nx\n", "cpu-used", None, "a.csv:2: there are 1 columns; expected are 2");
    check("timestamp,value\n", "cpu-used", None, "a.csv has no value of cpu-used; choose another");
    check(
        "timestamp,value\nx,1\n",
        "cpu-used",
        Some(60_000),
        "the points of a.csv are five minutes apart and are taken as they stand, not every 60000 ms",
    );
    check(
        "Timestamp [ms];\tCPU usage [%]\n1;\t2\n",
        "memory-used",
        None,
        "a.csv has no column \"memory-used\"; choose one of Timestamp [ms], CPU usage [%]",
    );
    check("a,1,2\nb,1\n", "cpu-used", None, "a.csv:2: there are 2 columns; expected are 3");
    check("a,1\n", "rtt-ms", None, "a.csv has no column \"rtt-ms\"; choose one of cpu-used");
    let history = format!("{HISTORY}x,b,1,,,,\n");
    check(&history, "cpu-used", None, "a.csv:2: column 1 is \"x\"; expected is a whole number");
    let history = format!("{HISTORY}1,b,inf,,,,\n");
    check(&history, "cpu-used", None, "a.csv:2: column 3 is \"inf\"; expected is a finite number");
    check(&history, "rtt-ms", None, "a.csv has no value of rtt-ms; choose another column or file");
    check("{\"at_ms\":1}\nx", "cpu-used", None, "a.csv:1: column 1 is \"null\"; expected is an");
    check("{\n", "cpu-used", None, "a.csv:1: this is no JSON object of a history");
    check(
        "{}\n",
        "load",
        None,
        "a.csv has no column \"load\"; choose one of cpu-used, memory-used",
    );
}
