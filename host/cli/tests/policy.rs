//! `pointsman policy new | check | bench` as people and scripts use them: no host is needed.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod site;

use pointsman_bundle::{POLICIES, find};
use serde_json::Value;
use site::{Ended, Site, pointsman};
use std::fs;

/// A standard policy as a file.
fn standard(site: &Site, name: &str) -> String {
    let path = site.path(&format!("{name}.wasm"));
    fs::write(&path, find(name).unwrap().bytes).unwrap();
    path
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[test]
fn check_hides_nothing_that_a_host_learns_of_a_file() {
    let site = Site::without_host();
    let path = standard(&site, "least-connections");
    let told = pointsman(&["policy", "check", &path]);
    assert_eq!(told.code, 0, "{told:?}");
    for expected in [
        "can serve the slot scoring",
        "least-connections 0.1.0",
        "pointsman:policy 0.1.0",
        "running, connections, weight",
        "compiled; limits: 5 ms of CPU time a call, 16.0 MiB memory",
    ] {
        assert!(told.out.contains(expected), "{expected}: {}", told.out);
    }
    let it = json(&pointsman(&["--json", "policy", "check", &path]));
    assert_eq!(it["verdict"], "accepted");
    assert_eq!(it["slot"], "scoring");
    assert_eq!(it["guest"], "compiled");
    assert_eq!(it["needs_worker"], serde_json::json!(["running", "connections", "weight"]));
    assert_eq!(it["node_local"], true);
    assert_eq!(it["digest"].as_str().unwrap().len(), 64);
    assert_eq!(it["size"].as_u64().unwrap(), fs::metadata(&path).unwrap().len());
    assert!(it["memory"].as_u64().unwrap() > 65_536);
    assert_eq!(it["license"], "Apache-2.0 OR MIT", "as its Cargo.toml says");
    let made_with = it["made_with"].to_string();
    assert!(made_with.contains("rustc"), "{made_with}");
}

#[test]
fn check_refuses_by_the_stage_at_which_a_host_would() {
    let site = Site::without_host();
    let good = standard(&site, "least-connections");
    let junk = site.file("junk.wasm", "not WebAssembly at all");
    for (args, stage, reason) in [
        (&[&*junk][..], "format", "it is not WebAssembly"),
        (&[&good, "--slot", "queue"], "contract", "it is a scoring policy; the slot is queue"),
        (&[&good, "--config", "count = 1"], "start", "unknown field `count`"),
        (&[&good, "--config", r#"{"count_connections":7}"#], "start", "count_connections"),
    ] {
        let args = [&["policy", "check"], args].concat();
        let told = pointsman(&args);
        assert_eq!(told.code, 3, "{args:?}: {told:?}");
        assert!(told.out.contains(&format!(" at {stage}: ")), "{}", told.out);
        let it = json(&pointsman(&[&["--json"], &*args].concat()));
        assert_eq!(it["verdict"], "refused");
        assert_eq!(it["stage"], stage);
        assert!(it["reason"].as_str().unwrap().contains(reason), "{it}");
    }
}

#[test]
fn bad_input_is_told_apart_from_a_refusal() {
    let site = Site::without_host();
    let good = standard(&site, "fifo");
    for args in [
        &["check", "no-such-file.wasm"][..],
        &["check", &good, "--slot", "scorng"],
        &["check", &good, "--config", "{"],
        &["check", &good, "--config", "no-such-file.toml"],
        &["bench", &good, "--rows", "10001"],
        &["new", "Not_A_Name"],
        &["new", "fn"],
        &["new", "x", "--lang", "cobol"],
    ] {
        let ended = pointsman(&[&["policy"], args].concat());
        assert_eq!(ended.code, 2, "{args:?}: {ended:?}");
        assert_eq!(ended.out, "", "{args:?}");
        assert!(!ended.err.is_empty());
    }
}

#[test]
fn bench_measures_the_hosts_own_policy_beside() {
    let site = Site::without_host();
    let path = standard(&site, "fifo");
    let it = json(&pointsman(&["--json", "policy", "bench", &path, "--rows", "1,1000"]));
    assert_eq!(it["native"], "fifo");
    let rows = it["rows"].as_array().unwrap();
    let of = |index: usize, key: &str| rows[index][key].as_f64().unwrap();
    assert_eq!([of(0, "rows"), of(1, "rows")], [1.0, 1000.0]);
    assert!(of(1, "fuel") > 10.0 * of(0, "fuel"), "{it}");
    for key in ["us", "native_us", "ratio", "memory"] {
        assert!(of(1, key) > 0.0, "{key}: {it}");
    }
    // Fuel is alike each time.
    let again = json(&pointsman(&["--json", "policy", "bench", &path, "--rows", "1,1000"]));
    assert_eq!(again["rows"][1]["fuel"], it["rows"][1]["fuel"]);
    let told = pointsman(&["policy", "bench", &path, "--rows", "1"]);
    assert!(told.out.contains("native: fifo"), "{}", told.out);
}

#[test]
fn new_writes_over_nothing() {
    let site = Site::without_host();
    let folder = site.path("project");
    let new = ["policy", "new", "my-policy", "--slot", "queue", "--dir", &folder];
    let ended = pointsman(&[&new[..], &["--lang", "javascript"]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("npm run build"), "{}", ended.out);
    let policy = site.path("project/policy.js");
    fs::write(&policy, "mine").unwrap();
    let ended = pointsman(&[&new[..], &["--lang", "python"]].concat());
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("is not empty, and nothing is overwritten"), "{}", ended.err);
    assert_eq!(fs::read_to_string(&policy).unwrap(), "mine");
    assert!(!fs::exists(site.path("project/policy.py")).unwrap());
}

/// What operators read of a standard policy names all that it looks at and all that can be set.
#[test]
fn no_column_or_key_of_a_standard_policy_is_left_out_of_its_page() {
    let site = Site::without_host();
    let (mut n_words, mut missing) = (0, Vec::new());
    for policy in POLICIES {
        let name = policy.name;
        let page = format!("{}/../../plugins/{name}/README.md", env!("CARGO_MANIFEST_DIR"));
        let page = fs::read_to_string(page).unwrap();
        let path = standard(&site, name);
        if name == "lstm-forecast" {
            let folder = site.path(name);
            fs::create_dir(&folder).unwrap();
            let weights = pointsman_fixtures::weights("cpu-used", 5_000, 30, 0.0);
            fs::write(format!("{folder}/cpu-used.safetensors"), weights).unwrap();
        }
        let it = json(&pointsman(&["--json", "policy", "check", &path]));
        let needs = ["needs_worker", "needs_task"].map(|key| it[key].as_array().unwrap().clone());
        let columns = needs.concat();
        // Of a window, the column.
        let column = |it: &Value| it.as_str().unwrap().split('@').next().unwrap().to_owned();
        let columns = columns.iter().map(column);
        let no_key = &["--json", "policy", "check", &path, "--config", r#"{"no-key":1}"#];
        let refusal = json(&pointsman(no_key))["reason"].as_str().unwrap().to_owned();
        // "unknown field `no-key`, expected one of `a`, `b`"
        let keys = refusal.split('`').skip(3).step_by(2).map(str::to_owned);
        let is_separator = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        let named: Vec<&str> = page.split(is_separator).collect();
        for word in columns.chain(keys) {
            n_words += 1;
            let is_there = match word.contains(':') {
                true => page.contains(&word),
                false => named.contains(&word.as_str()),
            };
            if !is_there {
                missing.push(format!("{name}: {word}"));
            }
        }
    }
    assert_eq!(missing, [""; 0]);
    assert!(n_words > 40, "{n_words}");
}
