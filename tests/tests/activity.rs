//! What operators look back on and where work is held up, asked of a real host.

use pointsman_protocol::api::{
    AlertKind, BottlenecksView, Page, PoliciesView, Stage, TaskView, WireSlot, WorkerView,
};
use pointsman_protocol::events::{EventBody, PolicyChange, PublicEvent};
use pointsman_tests::site::{Crew, Site};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

async fn get<T: DeserializeOwned>(site: &Site, path: &str) -> T {
    reqwest::get(site.url(path)).await.unwrap().json().await.unwrap()
}

async fn send(site: &Site, method: reqwest::Method, path: &str, body: &Value) {
    let request = reqwest::Client::new().request(method, site.url(path)).json(body);
    let response = request.send().await.unwrap();
    assert!(response.status().is_success(), "{}", response.text().await.unwrap());
}

async fn activity(site: &Site) -> Vec<PublicEvent> {
    get::<Page<PublicEvent>>(site, "/v1/activity?limit=1000").await.items
}

/// Asks again until there is an answer.
async fn until<T>(ask: impl AsyncFn() -> Option<T>) -> T {
    let asked = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    asked.await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn swaps_are_told_with_what_served_then_and_why() {
    let site = Site::start().await;
    let choose = async |name: &str| {
        let body = json!({"component": name});
        send(&site, reqwest::Method::PUT, "/v1/policies/queue", &body).await;
    };
    choose("fifo").await;
    choose("shortest-first").await;
    send(&site, reqwest::Method::POST, "/v1/policies/queue/rollback", &json!({})).await;
    let expected = ["fifo", "shortest-first", "fifo", "priority-ageing"];
    let history = get::<PoliciesView>(&site, "/v1/policies").await.history;
    let of_queue: Vec<_> = history.iter().filter(|it| it.slot == WireSlot::Queue).collect();
    let names: Vec<&str> = of_queue.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, expected, "newest first");
    let causes: Vec<&str> = of_queue.iter().map(|it| it.cause.as_str()).collect();
    assert_eq!(causes, ["chosen", "chosen", "chosen", "configured"]);
    let generations: Vec<u32> = of_queue.iter().map(|it| it.generation).collect();
    assert_eq!(generations[0], generations[2], "rolled back to the same one");
    assert!(generations[1..].is_sorted_by(|a, b| a > b), "{generations:?}");
    let told = activity(&site).await;
    let swapped = told.iter().filter_map(|event| match &event.body {
        EventBody::Policy {
            slot: Some(WireSlot::Queue),
            change: PolicyChange::Swapped,
            policy: Some(policy),
            ..
        } => Some(policy.name.as_str()),
        _ => None,
    });
    assert_eq!(swapped.collect::<Vec<&str>>(), expected, "as it was then");
    assert!(told.iter().map(|event| event.n).is_sorted_by(|a, b| a > b));
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_and_queues_that_change_are_told_and_tasks_are_not() {
    let site = Site::start().await;
    site.hire(Crew { n_workers: 1, cpus: 1, no_execution: true }).await;
    site.submit(&json!([{"task_name": "a", "script": "true"}])).await;
    let workers: Vec<WorkerView> = get(&site, "/v1/workers").await;
    let id = workers[0].id;
    let post = async |path: String| send(&site, reqwest::Method::POST, &path, &json!({})).await;
    post("/v1/queues/default/pause".to_owned()).await;
    post(format!("/v1/workers/{id}/drain")).await;
    let told = activity(&site).await;
    let kinds: Vec<String> = told
        .iter()
        .map(|event| serde_json::to_value(event).unwrap()["kind"].as_str().unwrap().to_owned())
        .filter(|kind| kind != "policy")
        .collect();
    assert_eq!(kinds, ["worker", "queue", "worker"], "drained, paused, joined");
    let is_drained = |event: &PublicEvent| {
        let EventBody::Worker { worker } = &event.body else { return None };
        Some(worker.drained)
    };
    let drained: Vec<bool> = told.iter().filter_map(is_drained).collect();
    assert_eq!(drained, [true, false], "as it was then");
    let newest: Page<PublicEvent> = get(&site, "/v1/activity?limit=1").await;
    assert_eq!(newest.items[0], told[0]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_long_is_a_bottleneck_with_a_name() {
    let site = Site::start().await;
    site.hire(Crew { n_workers: 1, cpus: 1, no_execution: false }).await;
    let quiet: BottlenecksView = get(&site, "/v1/bottlenecks").await;
    assert!(quiet.stages.iter().all(|stage| stage.n == 0 && !stage.exceeded));
    let task = |name: &str| json!({"task_name": name, "script": "exec sleep 600"});
    site.submit(&json!([task("first"), task("second")])).await;
    let stage = until(async || {
        let view: BottlenecksView = get(&site, "/v1/bottlenecks").await;
        view.stages.into_iter().find(|it| it.stage == Stage::QueueWait && it.exceeded)
    });
    let stage = stage.await;
    assert_eq!((stage.n, stage.tasks[0].name.as_str()), (2, "second"));
    assert!(stage.tasks[0].ms > 1000.0 && stage.tasks[0].worker.is_none());
    let alert = until(async || {
        let told = activity(&site).await;
        told.into_iter().find_map(|event| match event.body {
            EventBody::Alert { alert: AlertKind::QueueWait, raised, text, .. } => {
                Some((raised, text))
            }
            _ => None,
        })
    });
    let (raised, text) = alert.await;
    assert!(
        raised && text.starts_with("the 99th percentile of waiting in queues is above 1000 ms")
    );
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_bring_all_attempts_if_asked() {
    let toml = "[retry.backoff]\nbase = \"1ms\"\ncap = \"1ms\"\n";
    let site = Site::start_with(toml).await;
    site.hire(Crew { n_workers: 1, cpus: 1, no_execution: false }).await;
    site.submit(&json!([{"task_name": "a", "script": "false", "max_retries": 2}])).await;
    until(async || {
        let page: Page<TaskView> = get(&site, "/v1/tasks?state=FAILED").await;
        (page.items.len() == 1).then_some(())
    })
    .await;
    for (query, expected) in [("", 1), ("?attempts=last", 1), ("?attempts=all", 3)] {
        let page: Page<TaskView> = get(&site, &format!("/v1/tasks{query}")).await;
        assert_eq!(page.items[0].attempts.len(), expected, "{query}");
    }
    let refused = reqwest::get(site.url("/v1/tasks?attempts=some")).await.unwrap();
    assert_eq!(refused.status().as_u16(), 400);
    site.stop().await;
}
