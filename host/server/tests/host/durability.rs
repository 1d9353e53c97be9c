//! Nothing is told before it is stored, and a store that fails is no reason to lose or invent things.

use crate::site::{Reply, Site, Worker, reply};
use serde_json::json;
use std::time::Duration;

fn submission(site: &Site, key: &str) -> reqwest::RequestBuilder {
    let body = json!({"task_name": "a", "script": "true"});
    site.http.post(site.url("/v1/tasks")).header("Idempotency-Key", key).json(&body)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_a_task_before_it_is_stored() {
    let site = Site::start().await;
    let worker = Worker::register(&site, "w", 1).await;
    let events_before = site.host.app().events.newest();
    site.gate.close();
    let submit = tokio::spawn(reply(submission(&site, "k")));
    site.until("the commit waits", async || site.gate.is_waited_at()).await;
    assert_eq!(site.get("/v1/tasks").await.body["items"], json!([]));
    assert_eq!(site.get("/v1/jobs").await.body["items"], json!([]));
    assert_eq!(site.get("/v1/tasks/t1").await.status, 404);
    assert_eq!(site.host.app().events.newest(), events_before);
    let hold = Duration::from_millis(300);
    let life = worker.life;
    let id = worker.id.parse().unwrap();
    let polled = site.host.app().outboxes.poll(id, life, 0, hold).await.unwrap();
    assert_eq!(polled, vec![], "a start left before its record was stored");
    assert!(!submit.is_finished(), "an answer left before its record was stored");
    site.gate.open();
    let submitted = submit.await.unwrap();
    assert_eq!(submitted.status, 201);
    assert_eq!(site.get("/v1/tasks").await.body["items"][0]["name"], "a");
    assert_eq!(worker.commands(&site).await.len(), 1);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_store_is_never_answered_with_success_and_needs_no_restart() {
    let site = Site::start().await;
    site.submit("before").await;
    site.gate.store.fail_next(u32::MAX);
    let in_batch = tokio::spawn(reply(submission(&site, "k")));
    site.until("the failure is noticed", async || site.get("/readyz").await.status == 503).await;
    let refused = site.post("/v1/tasks", &json!({"task_name": "b", "script": "true"})).await;
    assert_eq!((refused.status, refused.code()), (503, "store_unavailable"), "{}", refused.body);
    assert!(refused.headers.contains_key("retry-after"));
    let unknown: Reply = in_batch.await.unwrap();
    assert_eq!((unknown.status, unknown.code()), (503, "outcome_unknown"), "{}", unknown.body);
    assert_eq!(site.get("/healthz").await.status, 200);
    let listed = site.get("/v1/tasks").await;
    assert_eq!(listed.body["items"][0]["name"], "before");
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 1, "{}", listed.body);
    assert_eq!(listed.body["items"][0]["reason"]["code"], "no_worker_can_ever_fit");
    site.gate.store.fail_next(0);
    site.until("the store works again", async || site.get("/readyz").await.status == 200).await;
    let again = reply(submission(&site, "k")).await;
    assert!(matches!(again.status, 200 | 201), "{}", again.body);
    let names: Vec<String> = site.get("/v1/tasks").await.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| task["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["before", "a"], "done twice or not at all");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_do_not_wait_for_a_store_that_hangs() {
    let site = Site::start().await;
    let id = site.submit("waits").await;
    site.gate.close();
    let mut waiting = Vec::new();
    // More batches than the driver keeps undurable.
    for k in 0..50 {
        let body = json!({"task_name": format!("x{k}"), "script": "true"});
        waiting.push(tokio::spawn(reply(site.http.post(site.url("/v1/tasks")).json(&body))));
        tokio::task::yield_now().await;
    }
    site.until("the commit waits", async || site.gate.is_waited_at()).await;
    let path = format!("/v1/tasks/{id}");
    let read = tokio::time::timeout(Duration::from_secs(1), site.get(&path));
    let read = read.await.expect("it is answered at once");
    assert_eq!(read.body["reason"]["code"], "no_worker_can_ever_fit", "{}", read.body);
    site.gate.open();
    for submit in waiting {
        assert_eq!(submit.await.unwrap().status, 201);
    }
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_the_host() {
    let site = Site::start().await;
    site.submit("kept").await;
    let submitted = site.submit_many(3).await;
    let status = site.get("/v1/status").await;
    let site = site.restart().await;
    let after = site.get("/v1/status").await;
    assert_eq!(after.body["counts"], status.body["counts"]);
    assert!(after.body["term"].as_u64() > status.body["term"].as_u64());
    let job = submitted.body["job"].as_str().unwrap();
    assert_eq!(site.get(&format!("/v1/jobs/{job}")).await.body["n_tasks"], 3);
    let next = site.submit("next").await;
    assert_eq!(next, "t5", "an id was given twice");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_never_recovers_does_not_keep_the_host_from_ending() {
    let site = Site::start().await;
    site.gate.store.fail_next(u32::MAX);
    let lost = tokio::spawn(reply(submission(&site, "k")));
    site.until("the failure is noticed", async || site.get("/readyz").await.status == 503).await;
    let stopped = tokio::time::timeout(Duration::from_secs(20), site.host.stop()).await;
    assert!(stopped.is_ok(), "it hangs");
    assert_ne!(lost.await.unwrap().status, 201);
    // Its threads end with it.
    site.gate.store.fail_next(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_breaks_down_is_noticed_and_nothing_stored_is_lost() {
    let site = Site::start().await;
    site.submit("kept").await;
    let handle = site.host.app().driver.clone();
    let broken = handle.query(|_, _, _| -> u32 { panic!("a defect, for this test") }).await;
    assert!(broken.is_err());
    let noticed = tokio::time::timeout(Duration::from_secs(20), handle.ended()).await;
    assert!(noticed.is_ok(), "nobody is told");
    let refused = site.post("/v1/tasks", &json!({"task_name": "b", "script": "true"})).await;
    assert_eq!((refused.status, refused.code()), (503, "stopping"), "{}", refused.body);
    assert_eq!(site.get("/readyz").await.status, 503);
    let site = site.restart().await;
    assert_eq!(site.get("/v1/tasks").await.body["items"][0]["name"], "kept");
    site.host.stop().await;
}
