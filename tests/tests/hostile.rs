//! Hostile policies in force while tasks flow: every task succeeds, requests are answered, and the failure
//! is shown. `cargo xtask bench hostile` measures latency for longer.

use pointsman_fixtures::{Fault, hostile};
use pointsman_policy::Digest;
use pointsman_tests::guests::Guest;
use pointsman_tests::hostile::{HostileOptions, run};
use pointsman_tests::site::{Crew, Site, job};
use serde_json::Value;
use std::time::Duration;

async fn try_fault(function: &'static str, fault: Fault, kind: &str) {
    let options = HostileOptions {
        function,
        fault,
        requests_per_s: 100.0,
        window: Duration::from_secs(1),
        n_pairs: 1,
        n_filling: 0,
    };
    let report = run(options).await;
    let what = format!("{function} {}: {report}", fault.name());
    assert_eq!(report.complaints, [""; 0], "{what}");
    assert_eq!(report.n_failed, 0, "{what}");
    // A warm window, one at rest, one with faults; every fourth request is a task.
    assert_eq!(report.n_succeeded, 75, "{what}");
    let slot = function.split('.').next().unwrap();
    let failed = report.policy.last_failure.unwrap_or_else(|| panic!("{what}"));
    assert_eq!(failed.name, format!("hostile-{slot}"), "{what}");
    assert_eq!(failed.digest, Digest::of(hostile(slot).bytes).to_string(), "{what}");
    assert_eq!((failed.version.as_str(), failed.stage.as_str()), ("6.6.6", "call"), "{what}");
    let is_slow_machine = kind == "cpu_limit" && failed.kind == "wall_limit";
    assert!(failed.kind == kind || is_slow_machine, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_scoring_policy_keeps_a_task_from_succeeding() {
    for (fault, kind) in [
        (Fault::Panic, "trap"),
        (Fault::Endless, "cpu_limit"),
        (Fault::Grow, "memory_limit"),
        (Fault::Above, "out_of_range"),
        (Fault::TooFew, "wrong_length"),
        (Fault::NotANumber, "not_a_number"),
    ] {
        try_fault("scoring.score", fault, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_queue_policy_keeps_a_task_from_succeeding() {
    for (fault, kind) in [
        (Fault::Recurse, "trap"),
        (Fault::Endless, "cpu_limit"),
        (Fault::GiantAnswer, "answer_too_large"),
        (Fault::Infinite, "out_of_range"),
    ] {
        try_fault("queue.rank", fault, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_hostile_rescheduling_policy_keeps_a_task_from_succeeding() {
    for (fault, kind) in [(Fault::Endless, "cpu_limit"), (Fault::UnknownRow, "unknown_row")] {
        try_fault("rescheduling.review", fault, kind).await;
    }
}

/// How many tasks each worker got, by name.
async fn placed(site: &Site) -> Vec<(String, usize)> {
    let tasks = reqwest::get(site.url("/v1/tasks?limit=100")).await.unwrap();
    let page: Value = tasks.json().await.unwrap();
    let name = |task: &Value| task["attempts"][0]["worker_name"].as_str().unwrap().to_owned();
    let mut counts = std::collections::BTreeMap::new();
    for task in page["items"].as_array().unwrap() {
        *counts.entry(name(task)).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_scores_for_all_never_put_all_on_one_worker() {
    for n_at_once in [8, 1] {
        let site = Site::start_with("[policies.scoring]\ncomponent = \"equal\"\n").await;
        site.drop_in("equal", &Guest::constant("equal", 1.0).build());
        site.reload_policies().await;
        for (name, cpus) in [("w1", 24), ("w2", 10)] {
            let crew = Crew { n_workers: 1, cpus, no_execution: false };
            site.hire_as(&[name.to_owned()], crew).await;
        }
        for _ in 0..8 / n_at_once {
            site.submit(&job(n_at_once, "sleep 1")).await;
        }
        site.until_succeeded(8).await;
        let placed = placed(&site).await;
        assert_eq!(placed.len(), 2, "{placed:?}");
        assert_eq!(placed.iter().map(|(_, n)| n).sum::<usize>(), 8);
        site.stop().await;
    }
}
