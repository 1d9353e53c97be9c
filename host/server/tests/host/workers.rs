//! The workers' protocol as the host sees it.

use crate::site::{Site, Worker, registration};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_goes_out_once_and_comes_back() {
    let site = Site::start().await;
    let mut worker = Worker::register(&site, "w", 1).await;
    let id = site.submit("a").await;
    let commands = worker.commands(&site).await;
    assert_eq!(commands.len(), 1);
    let attempt = commands[0]["do"]["start"]["attempt"].clone();
    assert_eq!(attempt[0], 1);
    assert_eq!(worker.commands(&site).await, commands, "not acknowledged, so told again");
    let n = commands[0]["n"].as_u64().unwrap();
    worker.acked = n;
    let reply = worker.sync(&site, json!({"started": [attempt]})).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let task = site.get(&format!("/v1/tasks/{id}")).await;
    assert_eq!((&task.body["state"], &task.body["worker_name"]), (&json!("RUNNING"), &json!("w")));
    let workers = site.get("/v1/workers").await;
    assert_eq!(workers.body[0]["running"], 1);
    assert!(workers.body[0]["last_heartbeat_ms_ago"].is_u64(), "{}", workers.body);
    worker.acked = 0;
    let finished = json!({"finished": [{"attempt": attempt, "ran_ms": 5}]});
    worker.acked = n;
    assert_eq!(worker.sync(&site, finished.clone()).await.status, 200);
    assert_eq!(site.get(&format!("/v1/tasks/{id}")).await.body["state"], "SUCCEEDED");
    // Told again, it is known to be over.
    let again = worker.sync(&site, finished).await;
    assert_eq!(again.body["stale"][0], attempt, "{}", again.body);
    let page = site.get("/v1/tasks?worker=w1").await;
    assert_eq!(page.body["items"][0]["id"], id.as_str());
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_says_of_its_limits_is_shown() {
    let site = Site::start().await;
    let mut worker = Worker::register(&site, "w", 1).await;
    let shown = async || site.get("/v1/workers").await.body[0]["limits"].clone();
    assert_eq!(shown().await, json!(null));
    let told = json!({"limits": "enforced by\u{1b}[2J cgroup v1"});
    assert_eq!(worker.sync(&site, told).await.status, 200);
    assert_eq!(shown().await, "enforced by[2J cgroup v1", "as plain text");
    assert_eq!(worker.sync(&site, json!({})).await.status, 200);
    assert_eq!(shown().await, "enforced by[2J cgroup v1", "until something else is said");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_that_was_replaced_starts_nothing() {
    let site = Site::start_with("[heartbeat]\ninterval = \"1s\"").await;
    let mut old = Worker::register(&site, "w", 1).await;
    let new = Worker::register(&site, "w", 2).await;
    assert_eq!(old.id, new.id);
    site.submit("a").await;
    let refused = old.poll(&site).await;
    assert_eq!((refused.status, refused.code()), (409, "old_life"), "{}", refused.body);
    let acked = new.commands(&site).await[0]["n"].as_u64().unwrap();
    // Nor does it take commands away from its successor.
    old.acked = acked;
    let refused = old.sync(&site, json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "old_life"), "{}", refused.body);
    assert_eq!(new.commands(&site).await.len(), 1);
    let id = &new.id;
    let missing = site.get(&format!("/v1/workers/{id}/commands?after=0")).await;
    assert_eq!((missing.status, missing.code()), (400, "bad_parameter"));
    let unknown = site.get("/v1/workers/w77/commands?after=0&life=1").await;
    assert_eq!((unknown.status, unknown.code()), (404, "unknown_worker"));
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_given_up_starts_nothing_until_it_registers() {
    let site = Site::start_with(
        "[heartbeat]\ninterval = \"100ms\"\nsuspect_after = \"250ms\"\nlost_after = \"500ms\"",
    )
    .await;
    let worker = Worker::register(&site, "w", 1).await;
    site.submit("a").await;
    worker.commands(&site).await;
    site.until("it is lost", async || {
        let workers = site.get("/v1/workers").await;
        workers.body[0]["state"].as_str().is_some_and(|it| it.eq_ignore_ascii_case("lost"))
    })
    .await;
    let refused = worker.poll(&site).await;
    assert_eq!((refused.status, refused.code()), (404, "unknown_worker"), "{}", refused.body);
    let worker = Worker::register(&site, "w", 1).await;
    let commands = worker.commands(&site).await;
    let attempts: Vec<_> = commands.iter().map(|it| &it["do"]["start"]["attempt"][1]).collect();
    assert_eq!(attempts, [2], "the attempt that had ended was told again");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_poll_is_woken_by_work_and_by_the_end() {
    let site = Site::start().await;
    let worker = Worker::register(&site, "w", 1).await;
    let url = site.url(&format!("/v1/workers/{}/commands?after=0&life=1", worker.id));
    let poll = |http: &reqwest::Client| tokio::spawn(http.get(url.clone()).send());
    let held = poll(&site.http);
    site.submit("a").await;
    let woken = tokio::time::timeout(Duration::from_secs(4), held).await;
    let woken = woken.expect("it is not held for the whole interval").unwrap().unwrap();
    assert!(woken.text().await.unwrap().contains("start"));
    let url = site.url(&format!("/v1/workers/{}/commands?after={}&life=1", worker.id, u64::MAX));
    let held = tokio::spawn(site.http.get(url).send());
    let stopped = tokio::time::timeout(Duration::from_secs(4), site.host.stop()).await;
    assert!(stopped.is_ok(), "it waits for a poll");
    // Answered, or refused if it came too late to be held.
    let _ = held.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_host_makes_workers_register_again() {
    let site = Site::start().await;
    let mut worker = Worker::register(&site, "w", 1).await;
    site.submit("a").await;
    worker.acked = worker.commands(&site).await[0]["n"].as_u64().unwrap();
    let site = site.restart().await;
    for reply in [worker.sync(&site, json!({})).await, worker.poll(&site).await] {
        assert_eq!((reply.status, reply.code()), (404, "unknown_worker"), "{}", reply.body);
    }
    let mut again = registration("w", 1);
    again["held"] = json!([{"attempt": [1, 1, 1], "running": true}]);
    let reply = site.post("/v1/workers", &again).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["worker"], worker.id.as_str());
    assert_eq!(site.get("/v1/tasks/t1").await.body["state"], "RUNNING");
    // Numbers of the earlier host hide nothing.
    site.submit("b").await;
    assert_eq!(worker.commands(&site).await.len(), 1);
    site.host.stop().await;
}
