//! Whatever names, reasons and messages of others say, each command prints it as text: nothing of it
//! moves the cursor, changes colours or begins a line.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod site;
mod fake_host;

use fake_host::Host;
use serde_json::{Value, json};
use site::Ended;

const HOSTILE: &str = "\x1b]0;owned\x07\x1b[2J\r\nforged \u{9b}31m\u{202e}\u{200b}end";

fn check(what: &str, ended: &Ended) {
    let told = format!("{}{}", ended.out, ended.err);
    assert!(told.contains("owned"), "{what} shows it: {told:?}");
    for line in told.lines() {
        let is_plain = |c: char| !c.is_control() && !matches!(c, '\u{200b}' | '\u{202e}');
        assert!(line.chars().all(is_plain), "{what}: {line:?}");
        assert!(!line.starts_with("forged"), "{what}: {told:?}");
    }
}

fn amounts() -> Value {
    json!({ "cpu": 1.0, "memory": 1_000_000, "gpu": 0.0 })
}

const AT: &str = "2026-11-26T10:00:00.250Z";

fn task(state: &str) -> Value {
    json!({
        "id": "t1", "job": "j1", "name": HOSTILE, "state": state, "queue": HOSTILE, "tenant": HOSTILE,
        "priority": 0, "resources": {}, "amounts": amounts(), "n_dependencies": 0, "submitted": AT,
        "reason": { "code": HOSTILE, "text": HOSTILE, "starts_when": HOSTILE },
        "end_reason": { "code": HOSTILE, "text": HOSTILE }, "worker_name": HOSTILE,
        "retries_used": 0, "losses_used": 0, "on_disconnect": "keep"
    })
}

fn job(state: &str) -> Value {
    json!({
        "id": "j1", "name": HOSTILE, "state": state, "submitted": AT, "ended": AT, "n_tasks": 1,
        "counts": { "failed": 1 }
    })
}

#[test]
fn an_explanation_is_text() {
    let verdict = json!({
        "worker": "w1", "worker_name": HOSTILE, "verdict": HOSTILE, "text": HOSTILE
    });
    let scored = json!({
        "worker": "w2", "worker_name": HOSTILE, "verdict": "fits", "text": HOSTILE, "score": 0.5,
        "terms": [[HOSTILE, 0.5]]
    });
    let stamp = json!({ "generation": 1, "digest": HOSTILE });
    let explanation = json!({
        "task": "t1", "name": HOSTILE, "state": "PENDING", "queue_position": 1,
        "reason": { "code": HOSTILE, "text": HOSTILE, "starts_when": HOSTILE },
        "queue_policy": stamp, "scoring_policy": stamp, "terms_missing": HOSTILE,
        "workers": [verdict, scored]
    });
    let (ended, _) = Host::that_answers(vec![(200, explanation)]).run(&["explain", "t1"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    check("explain", &ended);
}

#[test]
fn tables_and_states_are_text() {
    let row = json!({
        "task": "t1", "name": HOSTILE, "status": "RUNNING", "worker": "w1", "worker_name": HOSTILE,
        "reason": HOSTILE
    });
    let config = json!({
        "n_applied": 0, "n_refused": 1, "waiting": HOSTILE, "at_next_start": [HOSTILE],
        "refused": { "at": AT, "text": HOSTILE.replace('\n', " "), "errors": [] }
    });
    let status = json!({
        "at": AT, "term": 1, "counts": {}, "n_workers_live": 1, "n_workers": 1, "config": config,
        "tasks": [row]
    });
    let worker = json!({
        "id": "w1", "name": HOSTILE, "state": "live", "incarnation": 1, "capacity": amounts(),
        "labels": { HOSTILE: HOSTILE }, "running": 0
    });
    let queue = json!({ "name": HOSTILE, "paused": false, "pending": 0, "placed": 0 });
    let in_force =
        json!({ "effective": { "worker": { "name": "a\u{9b}31m\u{202e}b" } }, "refused": HOSTILE });
    let on_path = json!({
        "id": "t1", "name": HOSTILE, "state": "PENDING", "spent_ms": 0, "left_ms": 1e300,
        "slack_ms": -1, "is_on_path": false
    });
    let path = json!({
        "job": "j1", "at": AT, "length_ms": -1e300, "left_ms": 1e300, "projected_finish": AT,
        "n_unknown": 1, "n_on_path": 1, "tasks": [on_path]
    });
    let items = json!({ "items": [task("PENDING")] });
    let of_job = vec![(200, job("FAILED")), (200, items.clone()), (200, path)];
    // A host that is older, or has too many tasks to tell it.
    let problem = json!({ "title": "t", "status": 422, "code": "c", "detail": "d" });
    let without_path = vec![(200, job("FAILED")), (200, items), (422, problem)];
    for (command, answers) in [
        (&["status"][..], vec![(200, status)]),
        (&["status", "--job", "j1"], of_job),
        (&["status", "--job", "j1"], without_path),
        (&["workers"], vec![(200, json!([worker]))]),
        (&["queues"], vec![(200, json!([queue]))]),
        (&["config", "show", "--effective"], vec![(200, in_force)]),
    ] {
        let (ended, _) = Host::that_answers(answers).run(command);
        assert_eq!(ended.code, 0, "{ended:?}");
        check(&command.join(" "), &ended);
    }
}

#[test]
fn outcomes_and_refusals_are_text() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.json");
    std::fs::write(&file, r#"{"name":"a","tasks":[{"task_name":"a","script":"false"}]}"#).unwrap();
    let submit = ["submit", "--wait", file.to_str().unwrap()];
    let submitted = json!({ "job": "j1", "tasks": [{ "name": "a", "id": "t1" }] });
    let failed = json!({ "items": [task("FAILED")] });
    let answers = vec![(201, submitted), (200, job("FAILED")), (200, failed)];
    let (ended, _) = Host::that_answers(answers).run(&submit);
    assert_eq!(ended.code, 1, "{ended:?}");
    check("submit", &ended);

    let problem = json!({
        "type": "about:blank", "title": HOSTILE, "status": 409, "code": HOSTILE, "detail": HOSTILE,
        "field": HOSTILE, "remedy": HOSTILE
    });
    for command in [&["cancel", "t1"][..], &["retry", "t1"], &["logs", "t1"], &["explain", "t1"]] {
        let (ended, _) = Host::that_answers(vec![(409, problem.clone())]).run(command);
        assert_eq!(ended.code, 3, "{ended:?}");
        check(&command.join(" "), &ended);
    }
}
