use super::*;
use pointsman_scheduler::settings::Discipline;
use std::time::Duration;

#[test]
fn the_documented_defaults_are_the_defaults() {
    assert_eq!(Config::parse("default.toml", DEFAULT_TOML), Ok(Config::default()));
    assert_eq!(Config::default().settings, Settings::default());
}

/// What is wrong, one problem per line.
fn problems(text: &str) -> String {
    let errors = Config::parse("p.toml", text).expect_err("something is wrong");
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(problems(text), expected, "{text}");
}

#[test]
fn no_unknown_key_is_dropped_without_a_word() {
    check(
        "[retry]\nmax_retires = 5",
        "p.toml:2:1: retry.max_retires: is no known key; did you mean \"max_retries\"?",
    );
    check(
        "[heartbeat]\nmax_retries = 5",
        "p.toml:2:1: heartbeat.max_retries: is no known key; it belongs in [retry]",
    );
    check("max_retries = 5", "p.toml:1:1: max_retries: is no known key; it belongs in [retry]");
    check(
        "[retention]\nfor = \"5d\"",
        "p.toml:2:1: retention.for: is no known key; known here: finished, finished_for",
    );
    check(
        "[sever]\nlisten = \"127.0.0.1:1\"",
        "p.toml:1:2: sever: is no known key; did you mean \"server\"?",
    );
    check(
        "[retry]\nbackof = { base = \"1s\" }",
        "p.toml:2:1: retry.backof: is no known key; did you mean \"backoff\"?",
    );
    check(
        "[retry]\nbackoff = { bas = \"1s\", cap = \"9s\" }",
        "p.toml:2:13: retry.backoff.bas: is no known key; did you mean \"base\"?",
    );
    check(
        "[queues.\"a b\"]\nlimits = 3",
        "p.toml:2:1: queues.\"a b\".limits: is no known key; did you mean \"limit\"?",
    );
    check(
        "policies.scoring.compnent = \"x\"",
        "p.toml:1:18: policies.scoring.compnent: is no known key; did you mean \"component\"?",
    );
}

#[test]
fn no_value_of_another_type_is_guessed_at() {
    check(
        "[heartbeat]\ninterval = 5",
        "p.toml:2:12: heartbeat.interval: is a whole number; write a duration in quotes, like \"5s\", from 10ms to 1d",
    );
    check(
        "[heartbeat]\ninterval = \"banana\"",
        "p.toml:2:12: heartbeat.interval: \"banana\" is not a duration; write a duration in quotes, like \"5s\", from 10ms to 1d",
    );
    check("heartbeat = \"banana\"", "p.toml:1:13: heartbeat: is a text; write a table [heartbeat]");
    check(
        "[[heartbeat]]\ninterval = \"1s\"",
        "p.toml:1:1: heartbeat: is a list; write a table [heartbeat]",
    );
    check(
        "[queues]\nlimit = 5",
        "p.toml:2:9: queues.limit: is a whole number; write a table [queues.limit]",
    );
    check(
        "[server]\ndata_dir = true",
        "p.toml:2:12: server.data_dir: is true or false; write a text in quotes",
    );
    check(
        "[server]\ndata_dir = \"\"",
        "p.toml:2:12: server.data_dir: \"\" is no path; write a path, or leave the key out",
    );
    check(
        "[server]\nlisten = \"localhost\"",
        "p.toml:2:10: server.listen: \"localhost\" is no address; write an IP address with a port, like \"127.0.0.1:7400\"",
    );
    check(
        "[store]\nbackend = \"etc\"",
        "p.toml:2:11: store.backend: \"etc\" is unknown; use \"sqlite\" or \"memory\"",
    );
    check(
        "[policies.scoring]\ncomponent = \"../x\"",
        "p.toml:2:13: policies.scoring.component: \"../x\" is no component name; use the file's name without folder and .wasm: letters, digits, '-', '_', '.'",
    );
    check(
        "[policies.scoring.config]\ncpu = nan",
        "p.toml:2:7: policies.scoring.config.cpu: is neither a finite number nor a text, list or table; write it as a text",
    );
    check(
        "[policies.scoring]\nconfig = 3",
        "p.toml:2:10: policies.scoring.config: is a whole number; write a table",
    );
    check(
        "[worker.labels]\nzone = 3",
        "p.toml:2:8: worker.labels.zone: is a whole number; write a text in quotes",
    );
    check(
        "[worker.capacity]\ncpu = 0.0001",
        "p.toml:2:7: worker.capacity.cpu: 0.0001 is finer than 0.001 cores; write a number of cores in steps of 0.001, like 0.5 or 4",
    );
    check(
        "[queues.\"a/b\"]",
        "p.toml:1:1: queues.\"a/b\": \"a/b\" contains '/'; use a name without slashes, for example with '.' or '-'",
    );
}

#[test]
fn no_value_out_of_range_is_taken() {
    check(
        "[retention]\nfinished = 0",
        "p.toml:2:12: retention.finished: 0 is out of range; write a whole number from 1 to 100000000",
    );
    check(
        "[retry]\nmax_retries = -1",
        "p.toml:2:15: retry.max_retries: -1 is out of range; write a whole number from 0 to 100",
    );
    check(
        "[retry.backoff]\nfactor = inf",
        "p.toml:2:10: retry.backoff.factor: inf is out of range; write a number from 1 to 100",
    );
    check(
        "[policies.limits.compiled]\nmemory = \"8GiB\"",
        "p.toml:2:10: policies.limits.compiled.memory: 8GiB is out of range; use 1MiB to 4GiB",
    );
    check(
        "[policies.limits.compiled]\nmemory = \"8 pages\"",
        "p.toml:2:10: policies.limits.compiled.memory: \"8 pages\" is not an amount of memory; write it like \"8GB\" (10^9 bytes), \"8GiB\" (2^30), or as whole bytes",
    );
    check(
        "[heartbeat]\ninterval = \"9ms\"",
        "p.toml:2:12: heartbeat.interval: \"9ms\" is out of range; write a duration in quotes, like \"5s\", from 10ms to 1d",
    );
    let rest = "write a duration in quotes, like \"5m\", from 1s to 30d, or \"off\"";
    for (value, flaw) in [("\"10ms\"", "\"10ms\" is out of range"), ("false", "is true or false")] {
        check(
            &format!("[queues.a]\nreserve_after = {value}"),
            &format!("p.toml:2:17: queues.a.reserve_after: {flaw}; {rest}"),
        );
    }
}

#[test]
fn no_values_at_odds_with_each_other_are_taken() {
    check(
        "[heartbeat]\ninterval = \"6s\"",
        "p.toml:2:12: heartbeat.interval: suspect_after (10s) is shorter than two intervals of 6s, so one late heartbeat would make a suspect; raise suspect_after or lower interval",
    );
    check(
        "[heartbeat]\nlost_after = \"10s\"",
        "p.toml:2:14: heartbeat.lost_after: lost_after (10s) is not longer than suspect_after (10s); raise lost_after or lower suspect_after",
    );
    check(
        "[retry.backoff]\nbase = \"90s\"",
        "p.toml:2:8: retry.backoff.base: cap (1m) is shorter than base (1m30s); raise cap or lower base",
    );
    check(
        "[server]\nlisten = \"0.0.0.0:7400\"",
        "p.toml:2:10: server.listen: 0.0.0.0:7400 is reachable from other machines, and this API runs scripts; set auth.admin and auth.worker to a token file, or listen on 127.0.0.1",
    );
    check(
        "[server]\nlisten = \"[::]:7400\"\n[auth]\nadmin = \"a\"",
        "p.toml:2:10: server.listen: [::]:7400 is reachable from other machines, and this API runs scripts; set auth.worker to a token file, or listen on 127.0.0.1",
    );
    let guarded = "[server]\nlisten = \"0.0.0.0:7400\"\n[auth]\nadmin = \"a\"\nworker = \"w\"";
    assert!(Config::parse("p.toml", guarded).is_ok());
}

#[test]
fn all_mistakes_are_told_at_once_and_nothing_follows_from_them() {
    let text = "[retry]\nmax_retries = -1\n[heartbeat]\ninterval = \"banana\"\nsuspect_after = \"1s\"\n\
                [server]\nworkers = \"two\"\nlitsen = 1\n[sever]\n";
    let errors = Config::parse("p.toml", text).expect_err("something is wrong");
    let places: Vec<(usize, &str)> =
        errors.iter().map(|error| (error.line, error.key.as_str())).collect();
    let expected = [
        (2, "retry.max_retries"),
        (4, "heartbeat.interval"),
        (7, "server.workers"),
        (8, "server.litsen"),
        (9, "sever"),
    ];
    assert_eq!(places, expected);
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_place() {
    for (text, place) in [
        ("[retry\n", "p.toml:1:7: "),
        (
            "[retry]\nmax_retries = 1\nmax_retries = 2",
            "p.toml:3:1: max_retries: duplicate key; it is there twice; keep one",
        ),
        ("[retry]\n[server]\n[retry]\n", "p.toml:3:"),
        ("[retry]\nmax_retries = ", "p.toml:2:15: "),
        ("# größer\nä = \"", "p.toml:2:1: "),
        ("a = \u{1}", "p.toml:1:5: "),
    ] {
        let told = problems(text);
        assert!(told.starts_with(place), "{text:?}: {told}");
    }
    // Neither the stack nor time runs out.
    problems(&format!("a = {}", "[".repeat(100_000)));
    problems(&format!("{}a = 1", "a.".repeat(10_000)));
}

#[test]
fn files_that_are_no_text_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("p.toml");
    let told = |content: &[u8]| {
        std::fs::write(&path, content).expect("written");
        let error = Config::load(&path).expect_err("something is wrong");
        error.to_string().replace(&path.display().to_string(), "p.toml")
    };
    assert_eq!(told(b"[retry]\n\"\xff\" = 1"), "p.toml:2:2: is no UTF-8; save the file as UTF-8");
    assert!(told(&vec![b'#'; 2 << 20]).contains("has more than 1048576 bytes"));
    std::fs::write(&path, "\u{feff}[retry]\nmax_retries = 4\n").expect("written");
    assert_eq!(Config::load(&path).expect("good").settings.retry.max_retries, 4);
    std::fs::remove_file(&path).expect("removed");
    assert!(matches!(Config::load(&path), Err(LoadError::Read { .. })));
}

#[test]
fn what_is_written_is_what_is_in_force() {
    let text = r#"
        [heartbeat]
        interval = "500ms"
        [retry]
        backoff = { base = "2s", factor = 3 }
        [queues.fast]
        discipline = "backfill"
        reserve_after = "off"
        [queues.slow]
        reserve_after = "1h"
        [policies.limits.interpreted]
        memory = 134217728
        cpu_per_call = "70ms"
        [worker.capacity]
        cpu = 0.5
        memory = "2GB"
        [worker.labels]
        zone = "a"
    "#;
    let config = Config::parse("p.toml", text).expect("good");
    let settings = &config.settings;
    assert_eq!(settings.heartbeat.interval, Duration::from_millis(500));
    assert_eq!((settings.retry.base, settings.retry.factor), (Duration::from_secs(2), 3.0));
    assert_eq!(settings.queues["fast"].discipline, Some(Discipline::Backfill));
    assert_eq!(settings.queues["default"].limit, Some(1_000_000));
    let reserve_after = |queue: &str| settings.queues[queue].reserve_after.map(|it| it.as_secs());
    let all = ["fast", "slow", "default"].map(reserve_after);
    assert_eq!(all, [None, Some(3600), Some(600)]);
    let [_, interpreted] = config.policies.limits;
    assert_eq!((interpreted.memory, interpreted.cpu_per_call.as_millis()), (128 << 20, 70));
    assert_eq!(config.worker.cpu_milli, Some(500));
    assert_eq!(config.worker.memory, Some(2_000_000_000));
    assert_eq!(config.worker.labels["zone"], "a");
    let quoted = Config::parse("p.toml", "[worker.capacity]\ncpu = \"1.5\"").expect("good");
    assert_eq!(quoted.worker.cpu_milli, Some(1500));
}

#[test]
fn a_policys_own_table_is_handed_on() {
    let text = "[policies.scoring.config]\ncpu = 0.5\nnames = [\"a\"]\n\
                [policies.scoring.config.inner]\nx = 1\n[[policies.scoring.config.many]]\ny = true";
    let config = Config::parse("p.toml", text).expect("nothing is wrong");
    let expected = serde_json::json!({
        "cpu": 0.5, "names": ["a"], "inner": {"x": 1}, "many": [{"y": true}],
    });
    assert_eq!(config.policies.scoring.config, expected);
}

#[test]
fn what_needs_a_restart_is_named() {
    let text = "[server]\nlisten = \"127.0.0.1:1\"\n[retry]\nmax_retries = 1\n[store]\nbackend = \"memory\"";
    let new = Config::parse("p.toml", text).expect("good");
    assert_eq!(Config::default().needs_restart(&new), ["server.listen", "store"]);
    let applied = new.keeping_until_restart(&Config::default());
    assert_eq!(applied.settings.retry.max_retries, 1);
    assert_eq!(Config::default().needs_restart(&applied), [""; 0]);
}

#[test]
fn the_effective_configuration_can_be_read_back() {
    let text = "[worker.labels]\nweight = \"2\"\n[queues.fast]\ndiscipline = \"backfill\"\n\
                reserve_after = \"off\"\n[worker.capacity]\ncpu = 0.25\n[policies]\npoll = \"5s\"\n\
                [policies.scoring.config]\ncpu = 0.5\nx = [1, \"a\", { b = 2 }]\n[auth]\nread = \"r\"";
    let config = Config::parse("p.toml", text).expect("good");
    assert_eq!(Config::parse("effective.toml", &config.effective_toml()), Ok(config));
}
