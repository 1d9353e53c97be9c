//! The binary as people and scripts use it: what it prints, and the codes it exits with.

mod site;

use site::{Site, pointsman};
use std::time::{Duration, Instant};

const NO_HOST: &[&str] = &["--host", "http://127.0.0.1:1"];

#[test]
fn help_names_every_command_and_the_exit_codes() {
    let ended = pointsman(&["--help"]);
    assert_eq!(ended.code, 0);
    for command in ["serve", "worker", "submit", "run", "explain", "simulate", "forecast", "demo"] {
        assert!(ended.out.contains(&format!("\n  {command} ")), "{}", ended.out);
    }
    assert!(ended.out.contains("4 the host is not reachable"), "{}", ended.out);
}

#[test]
fn wrong_usage_is_told_apart_from_failure() {
    assert_eq!(pointsman(&["run"]).code, 2);
    assert_eq!(pointsman(&["retry", "7"]).code, 2);
    assert_eq!(pointsman(&["policy", "use", "scorng", "fifo"]).code, 2);
    let ended = pointsman(&["cancel", "x1"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("neither a task like t12 nor a job like j3"), "{}", ended.err);
}

#[test]
fn without_a_host_every_command_says_what_to_do() {
    for command in [
        &["status"][..],
        &["run", "true"],
        &["explain", "t1"],
        &["logs", "-f", "t1"],
        &["workers"],
        &["policy", "list"],
        &["config", "show", "--effective"],
    ] {
        let ended = pointsman(&[NO_HOST, command].concat());
        assert_eq!(ended.code, 4, "{command:?}");
        assert_eq!(
            ended.err,
            "error: no host answers at http://127.0.0.1:1; is \"pointsman serve\" running?\n"
        );
        assert_eq!(ended.out, "", "{command:?}");
    }
    let ended = pointsman(&["--host", "nonsense", "status"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("write it like http://127.0.0.1:7400"), "{}", ended.err);
}

#[test]
fn a_bad_configuration_is_refused_with_all_that_is_wrong() {
    let site = Site::without_host();
    let good = site.file("good.toml", "[retry]\nmax_retries = 5\n");
    assert_eq!(pointsman(&["config", "check", &good]).code, 0);
    let bad = site.file("bad.toml", "[retry]\nmax_retires = 5\n[server]\nworkers = \"two\"\n");
    for command in [&["config", "check", &bad][..], &["serve", "--config", &bad]] {
        let ended = pointsman(command);
        assert_eq!(ended.code, 2);
        assert!(ended.err.contains("did you mean \"max_retries\"?"), "{}", ended.err);
        assert!(ended.err.contains("server.workers"), "{}", ended.err);
    }
    let shown = pointsman(&["config", "show", &good]);
    assert!(shown.out.contains("max_retries = 5"), "{}", shown.out);
    let default = pointsman(&["config", "show", "--default"]);
    let default = site.file("default.toml", &default.out);
    assert_eq!(pointsman(&["config", "check", &default]).code, 0);
}

#[test]
fn a_host_open_to_others_without_tokens_does_not_start() {
    let site = Site::without_host();
    let data = site.path("data");
    let ended = pointsman(&["serve", "--listen", "0.0.0.0:0", "--data-dir", &data]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("set auth.admin and auth.worker"), "{}", ended.err);
}

#[test]
fn a_job_is_simulated_under_several_policies() {
    let site = Site::without_host();
    let job = site.file(
        "job.toml",
        "name = \"two\"\n[[tasks]]\ntask_name = \"a\"\nscript = \"true\"\nexpected = \"10s\"\n\
         [[tasks]]\ntask_name = \"b\"\nscript = \"true\"\nexpected = \"5s\"\ndependencies = [\"a\"]\n",
    );
    let ended = pointsman(&[
        "simulate",
        &job,
        "--workers",
        "2",
        "--policy",
        "fifo",
        "--policy",
        "native:fifo",
    ]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("two: 2 tasks, 1 edges, on 2 workers"), "{}", ended.out);
    assert_eq!(ended.out.matches(" 15.000 ").count(), 5, "{}", ended.out);
    let ended = pointsman(&["simulate", &job, "--policy", "fifoo"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("did you mean \"fifo\"?"), "{}", ended.err);
    let silent = site.file("silent.json", r#"{"task_name": "x", "script": "true"}"#);
    let ended = pointsman(&["simulate", &silent]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("expected is missing"), "{}", ended.err);
}

#[test]
fn the_embedded_workflow_can_be_simulated() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/workflow/airrflow.json");
    let ended = pointsman(&["simulate", file, "--workers", "6", "--json", "--policy", "fifo"]);
    let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(report["n_tasks"], 212);
    assert_eq!(report["n_edges"], 327);
    assert_eq!(report["contenders"][0]["n_succeeded"], 212);
}

#[test]
fn a_script_runs_with_its_output_and_its_outcome() {
    let site = Site::new();
    let ended = site.run(&["run", "echo out; echo err >&2; printf 'no newline'"]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "out\nno newline"), "{}", ended.err);
    assert_eq!(ended.err, "err\n");
    let ended = site.run(&["run", "--retries", "0", "--env", "CODE=3", "exit $CODE"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("FAILED: exit code 3"), "{}", ended.err);
    let ended = site.run(&["run", "--memory", "8GBs", "true"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("resources.memory: \"8GBs\""), "{}", ended.err);
}

#[test]
fn waiting_for_a_job_ends_with_its_outcome() {
    let site = Site::new();
    let good = site.file(
        "good.toml",
        "name = \"good\"\n[[tasks]]\ntask_name = \"a\"\nscript = \"true\"\n\
         [[tasks]]\ntask_name = \"b\"\nscript = \"echo b\"\ndependencies = [\"a\"]\n",
    );
    let ended = site.run(&["submit", "--wait", &good]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("(good) SUCCEEDED"), "{}", ended.out);
    let bad = site.file(
        "bad.json",
        r#"{"name": "bad", "tasks": [
            {"task_name": "a", "script": "echo why >&2; exit 9", "max_retries": 0},
            {"task_name": "b", "script": "true", "dependencies": ["a"]}
        ]}"#,
    );
    let ended = site.run(&["submit", "--wait", &bad]);
    assert_eq!(ended.code, 1);
    assert!(ended.out.contains("(bad) FAILED"), "{}", ended.out);
    assert!(ended.out.contains("1 failed, 1 skipped"), "{}", ended.out);
    let failed = site.id_of("a");
    assert!(ended.out.contains(&format!("pointsman logs {failed}")), "{}", ended.out);
    assert_eq!(site.run(&["logs", "--stderr", &failed]).out, "why\n");
    let ended = site.run(&["submit", "--wait", "--json", &good]);
    let job: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(job["state"], "SUCCEEDED");
}

#[test]
fn bad_files_and_refused_jobs_are_told_apart_and_nothing_is_stored() {
    let site = Site::new();
    let bad = site.file("bad.toml", "name = \"x\"\n[[tasks]]\ntask_name = \"a\"\nscrpt = \"\"\n");
    let ended = site.run(&["submit", &bad]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("bad.toml: tasks[0].scrpt"), "{}", ended.err);
    let cycle = site.file(
        "cycle.json",
        r#"[{"task_name": "a", "script": "true", "dependencies": ["b"]},
            {"task_name": "b", "script": "true", "dependencies": ["a"]}]"#,
    );
    let ended = site.run(&["submit", &cycle]);
    assert_eq!(ended.code, 3);
    assert!(ended.err.contains("remove one of these dependencies"), "{}", ended.err);
    assert_eq!(site.run(&["submit", "nowhere.json"]).code, 2);
    assert!(site.run(&["status"]).out.starts_with("no tasks; 1 of 1 workers live"));
}

#[test]
fn the_same_key_submits_nothing_twice() {
    let site = Site::new();
    let task = site.file("task.json", r#"{"task_name": "once", "script": "true"}"#);
    let first = site.run(&["submit", "--key", "k1", "--wait", &task]);
    assert_eq!(first.code, 0, "{}", first.err);
    let second = site.run(&["submit", "--key", "k1", &task]);
    assert!(second.out.contains("submitted before with this key"), "{}", second.out);
    assert!(site.run(&["status"]).out.starts_with("1 task: 1 succeeded"));
}

#[test]
fn a_task_that_waits_is_explained_and_can_be_cancelled_and_retried() {
    let site = Site::new();
    let large = r#"{"task_name": "large", "script": "true", "resources": {"memory": "900TiB"}}"#;
    site.run(&["submit", &site.file("large.json", large)]);
    let large = site.id_of("large");
    let ended = site.run(&["explain", &large]);
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(ended.out.contains("[no_worker_can_ever_fit]"), "{}", ended.out);
    assert!(ended.out.contains("too_small"), "{}", ended.out);
    let ended = site.run(&["cancel", &large]);
    assert!(ended.out.contains("CANCELLED"), "{}", ended.out);
    let ended = site.run(&["retry", &large]);
    assert!(ended.out.contains("1 task to run again"), "{}", ended.out);
    assert_eq!(site.run(&["cancel", &large]).code, 0);
    for refused in [["explain", "t999"], ["logs", "t999"], ["retry", "t999"], ["cancel", "j999"]] {
        let ended = site.run(&refused);
        assert_eq!(ended.code, 3, "{refused:?}");
        assert!(ended.err.contains("no task t999") || ended.err.contains("no job j999"));
    }
}

#[test]
fn output_is_followed_over_the_attempts_of_a_task() {
    let site = Site::new();
    let config = "first=$POINTSMAN_WITNESS; if [ -e \"$first\" ]; then echo second; else touch \"$first\"; echo first; exit 1; fi";
    let script = config.replace("$POINTSMAN_WITNESS", &site.path("witness"));
    let task = serde_json::json!({"task_name": "twice", "script": script, "max_retries": 1});
    site.run(&["submit", &site.file("twice.json", &task.to_string())]);
    let ended = site.run(&["logs", "-f", &site.id_of("twice")]);
    assert_eq!((ended.code, ended.out.as_str()), (0, "first\nsecond\n"), "{}", ended.err);
    let ended = site.run(&["logs", "--attempt", "1", &site.id_of("twice")]);
    assert_eq!(ended.out, "first\n");
}

#[test]
fn policies_queues_and_workers_are_changed_while_it_runs() {
    let site = Site::new();
    let ended = site.run(&["policy", "use", "queue", "fifo"]);
    assert!(ended.out.contains("fifo"), "{}{}", ended.out, ended.err);
    let serving = |site: &Site| {
        let policies: serde_json::Value =
            serde_json::from_str(&site.run(&["policy", "list", "--json"]).out).unwrap();
        let slots = policies["slots"].as_array().unwrap().clone();
        let queue = slots.iter().find(|slot| slot["slot"] == "queue").unwrap();
        queue["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(serving(&site), "fifo");
    assert_eq!(site.run(&["policy", "rollback", "queue"]).code, 0);
    assert_eq!(serving(&site), "priority-ageing");
    let ended = site.run(&["policy", "use", "queue", "fifoo"]);
    assert_eq!(ended.code, 3);
    assert!(ended.err.contains("policies for this slot: fifo"), "{}", ended.err);
    assert_eq!(site.run(&["queues", "pause", "default"]).code, 0);
    assert!(site.run(&["queues"]).out.contains("paused"));
    assert_eq!(site.run(&["queues", "pause", "no/such?"]).code, 3);
    assert_eq!(site.run(&["workers", "drain", "w1"]).code, 0);
    assert!(site.run(&["workers"]).out.contains("draining"));
    assert_eq!(site.run(&["workers", "resume", "w1"]).code, 0);
    assert_eq!(site.run(&["queues", "resume", "default"]).code, 0);
    assert_eq!(site.run(&["run", "true"]).code, 0);
}

#[test]
fn an_interrupted_run_leaves_nothing_running() {
    let site = Site::new();
    let mut run = site.spawn(&["run", "--name", "long", "echo begun; sleep 600"]);
    run.wait_for_line("begun");
    run.interrupt();
    let ended = run.wait();
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("is cancelled"), "{}", ended.err);
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = site.run(&["status"]);
        if status.out.starts_with("1 task: 1 cancelled") {
            return;
        }
        assert!(Instant::now() < deadline, "{}", status.out);
    }
}
