use super::*;

#[test]
fn the_documented_defaults_are_the_defaults() {
    assert_eq!(Config::parse("default.toml", DEFAULT_TOML), Ok(Config::default()));
}

/// What is wrong, one problem per line.
fn problems(text: &str) -> String {
    let errors = Config::parse("p.toml", text).expect_err("something is wrong");
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_mistake_is_dropped_without_a_word() {
    for (text, expected) in [
        (
            "[retry]\nmax_retires = 5",
            "p.toml:2:15: retry.max_retires: is no known key; did you mean \"max_retries\"?",
        ),
        (
            "[heartbeat]\nmax_retries = 5",
            "p.toml:2:15: heartbeat.max_retries: is no known key; known here: interval, suspect_after, lost_after",
        ),
        (
            "[heartbeat]\ninterval = 5",
            "p.toml:2:12: heartbeat.interval: is a whole number; write a duration in quotes, like \"5s\", from 10ms to 1d",
        ),
        (
            "[heartbeat]\ninterval = \"6s\"",
            "p.toml:1:1: heartbeat.suspect_after: is less than two intervals, so one late heartbeat would make a suspect; raise it, or lower heartbeat.interval",
        ),
        (
            "[heartbeat]\nlost_after = \"10s\"",
            "p.toml:2:14: heartbeat.lost_after: is not longer than suspect_after; raise it, or lower heartbeat.suspect_after",
        ),
        ("heartbeat = \"banana\"", "p.toml:1:13: heartbeat: is a text; write a table [heartbeat]"),
        (
            "[server]\nlisten = \"0.0.0.0:7400\"",
            "p.toml:2:10: server.listen: 0.0.0.0:7400 is reachable from other machines, and this API runs scripts; set auth.admin and auth.worker to token files, or listen on 127.0.0.1",
        ),
        (
            "[store]\nbackend = \"etc\"",
            "p.toml:2:11: store.backend: \"etc\" is unknown; use sqlite or memory",
        ),
        (
            "[policies.scoring]\ncomponent = \"../x\"",
            "p.toml:2:13: policies.scoring.component: \"../x\" is no component name; use the file's name without folder and .wasm: letters, digits, '-', '_', '.'",
        ),
        (
            "[retention]\nfinished = 0",
            "p.toml:2:12: retention.finished: 0 is out of range; write a whole number from 1 to 100000000",
        ),
    ] {
        assert_eq!(problems(text), expected);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let text = "[retry]\nmax_retries = -1\n[server]\nworkers = \"two\"\n[sever]\n";
    let told = problems(text);
    assert_eq!(told.lines().count(), 3, "{told}");
    assert!(problems("[retry]\nmax_retries = 1\nmax_retries = 2").contains("duplicate key"));
    assert!(problems("[retry\n").starts_with("p.toml:1:7"));
}

#[test]
fn a_policys_own_table_is_handed_on() {
    let text = "[policies.scoring.config]\ncpu = 0.5\nnames = [\"a\"]\n[policies.scoring.config.inner]\nx = 1";
    let config = Config::parse("p.toml", text).expect("nothing is wrong");
    let expected = serde_json::json!({"cpu": 0.5, "names": ["a"], "inner": {"x": 1}});
    assert_eq!(config.policies.scoring.config, expected);
}

#[test]
fn what_needs_a_restart_is_named() {
    let new = Config::parse("p.toml", "[server]\nlisten = \"127.0.0.1:1\"").expect("good");
    assert_eq!(Config::default().needs_restart(&new), ["server.listen"]);
}

#[test]
fn the_effective_configuration_can_be_read_back() {
    let text = "[worker.labels]\nweight = \"2\"\n[queues.fast]\ndiscipline = \"backfill\"";
    let config = Config::parse("p.toml", text).expect("good");
    assert_eq!(Config::parse("effective.toml", &config.effective_toml()), Ok(config));
}
