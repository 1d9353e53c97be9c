//! Measurements from elsewhere: what a file says of a worker's load reaches the host, whatever the machine
//! itself is doing.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod site;

use serde_json::{Value, json};
use site::Site;
use std::time::{Duration, Instant};

const OFTEN: &str =
    "[heartbeat]\ninterval = \"100ms\"\nsuspect_after = \"20s\"\nlost_after = \"30s\"\n";

/// Asks `/v1/workers` until `is_there` of what was measured of that worker.
fn until(site: &Site, name: &str, is_there: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let ended = site.run(&["workers", "--json"]);
        assert_eq!(ended.code, 0, "{}", ended.err);
        let page: Value = serde_json::from_str(&ended.out).expect("JSON");
        let workers = page.as_array().expect("workers");
        let measured = workers.iter().find(|it| it["name"] == name).map(|it| &it["measurements"]);
        if let Some(measured) = measured.filter(|it| is_there(it)) {
            return measured.clone();
        }
        assert!(Instant::now() < deadline, "not in time: {page:#}");
    }
}

#[test]
fn what_a_file_says_is_what_the_host_hears_of_a_worker() {
    let folder = tempfile::tempdir().unwrap();
    let load = folder.path().join("load.json");
    // No machine measures this of itself: its own values are multiples of something else.
    std::fs::write(&load, r#"{"cpu_used":0.123456789,"connections":4000000000}"#).unwrap();
    let site = Site::with(&format!("{OFTEN}[worker]\nmeasurements = {:?}\n", load.display()));
    let own = site.path("own.json");
    let worker = site.spawn(&[
        "worker",
        "--name",
        "apart",
        "--measurements",
        &own,
        "--data-dir",
        &site.path("apart"),
    ]);
    let said = |it: &Value| it["cpu_used"] == json!(0.123_456_789);
    let measured = until(&site, "local-1", said);
    assert_eq!(measured["connections"], 4_000_000_000_u64);
    assert!(measured["memory_used"].is_f64(), "the rest is the machine's: {measured}");

    let apart = until(&site, "apart", |it| it["memory_used"].is_f64());
    assert!(!said(&apart), "each worker has its own file, and this one is not there: {apart}");
    std::fs::write(&own, r#"{"cpu_used":0.987654321}"#).unwrap();
    until(&site, "apart", |it| it["cpu_used"] == json!(0.987_654_321));
    std::fs::write(&own, r#"{"cpu_used":98.7654321}"#).unwrap();
    until(&site, "apart", |it| it["cpu_used"].as_f64().is_none_or(|it| it != 0.987_654_321));
    worker.interrupt();
    let ended = worker.wait();
    assert_eq!(ended.code, 0, "{}", ended.err);
    let told = ended.out.matches("cpu_used is 98.7654321, not from 0 to 1").count()
        + ended.err.matches("cpu_used is 98.7654321, not from 0 to 1").count();
    assert_eq!(told, 1, "{}{}", ended.out, ended.err);
}
