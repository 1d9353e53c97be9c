//! Full and paused queues, drained workers.

use crate::site::{Site, Worker};
use serde_json::{Value, json};

fn tasks(n: usize) -> Value {
    let task = |k| json!({"task_name": format!("x{k}"), "script": "true"});
    json!((0..n).map(task).collect::<Vec<_>>())
}

fn n_starts(commands: &[Value]) -> usize {
    commands.iter().filter(|it| it["do"]["start"].is_object()).count()
}

async fn state(site: &Site, id: &str) -> String {
    let task = site.get(&format!("/v1/tasks/{id}")).await;
    task.body["state"].as_str().unwrap_or_else(|| panic!("{}", task.body)).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_says_so_and_stores_nothing() {
    let site = Site::start_with("[queues.default]\nlimit = 3\n[queues.other]\nlimit = 1").await;
    assert_eq!(site.post("/v1/jobs", &tasks(2)).await.status, 201);
    let before = site.get("/v1/status").await.body["counts"].clone();
    let newest = site.host.app().events.newest();
    // Whole or not at all: one of two would have room.
    let refused = site.post("/v1/jobs", &tasks(2)).await;
    assert_eq!((refused.status, refused.code()), (429, "queue_full"), "{}", refused.body);
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("default") && detail.contains('3'), "{detail}");
    let seconds: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(seconds >= 1);
    assert_eq!(site.get("/v1/status").await.body["counts"], before);
    assert_eq!(site.get("/v1/jobs").await.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(site.host.app().events.newest(), newest, "something was published");
    // Another queue has its own limit.
    let other = json!({"task_name": "o", "script": "true", "queue": "other"});
    assert_eq!(site.post("/v1/tasks", &other).await.status, 201);
    // What has ended makes room.
    assert_eq!(site.post("/v1/tasks/t1/cancel", &json!({})).await.status, 200);
    assert_eq!(site.post("/v1/jobs", &tasks(2)).await.status, 201);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_queue_starts_nothing_until_it_is_resumed() {
    let site = Site::start_with("[queues.other]\nlimit = 10").await;
    assert_eq!(site.post("/v1/queues/default/pause", &json!({})).await.status, 204);
    let worker = Worker::register(&site, "w", 1).await;
    let held = site.submit("held").await;
    let other = json!({"task_name": "free", "script": "true", "queue": "other"});
    let other = site.post("/v1/tasks", &other).await;
    // Later, and placed nevertheless: there was a round in which the first one was not.
    let commands = worker.commands(&site).await;
    let id = other.body["tasks"][0]["id"].as_str().unwrap();
    assert_eq!(commands.len(), 1, "{commands:?}");
    assert_eq!(state(&site, id).await, "ASSIGNED");
    assert_eq!(state(&site, &held).await, "PENDING");
    // It stays so over a restart.
    let site = site.restart().await;
    assert_eq!(site.get("/v1/queues").await.body[0]["paused"], true);
    let worker = Worker::register(&site, "w", 1).await;
    // The other one again, since nothing was heard of it.
    assert_eq!(n_starts(&worker.commands(&site).await), 1);
    assert_eq!(state(&site, &held).await, "PENDING");
    // Twice is once.
    assert_eq!(site.post("/v1/queues/default/pause", &json!({})).await.status, 204);
    assert_eq!(site.post("/v1/queues/default/resume", &json!({})).await.status, 204);
    let is_started = async || n_starts(&worker.commands(&site).await) == 2;
    site.until("the held one is started too", is_started).await;
    assert_eq!(state(&site, &held).await, "ASSIGNED");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_worker_ends_what_it_has_and_gets_nothing_new() {
    let site = Site::start().await;
    let mut worker = Worker::register(&site, "w", 1).await;
    let running = site.submit("running").await;
    let commands = worker.commands(&site).await;
    worker.acked = commands[0]["n"].as_u64().unwrap();
    let attempt = commands[0]["do"]["start"]["attempt"].clone();
    assert_eq!(worker.sync(&site, json!({"started": [attempt]})).await.status, 200);
    let drain = format!("/v1/workers/{}/drain", worker.id);
    assert_eq!(site.post(&drain, &json!({})).await.status, 204);
    assert_eq!(site.post(&drain, &json!({})).await.status, 204, "twice is once");
    assert_eq!(site.get("/v1/workers").await.body[0]["state"], "draining");
    let waiting = site.submit("waiting").await;
    let explained = site.get(&format!("/v1/tasks/{waiting}/explain")).await;
    assert_eq!(explained.body["workers"][0]["verdict"], "draining", "{}", explained.body);
    // Reports are taken as ever.
    assert_eq!(state(&site, &running).await, "RUNNING");
    let finished = json!({"finished": [{"attempt": attempt, "ran_ms": 5}]});
    assert_eq!(worker.sync(&site, finished).await.status, 200);
    let ended = site.get(&format!("/v1/tasks/{running}")).await.body;
    assert_eq!((&ended["state"], &ended["losses_used"]), (&json!("SUCCEEDED"), &json!(0)));
    assert_eq!(state(&site, &waiting).await, "PENDING");
    // It is not forgotten by a restart of either.
    let site = site.restart().await;
    let worker = Worker::register(&site, "w", 2).await;
    assert_eq!(site.get("/v1/workers").await.body[0]["state"], "draining");
    assert_eq!(state(&site, &waiting).await, "PENDING");
    let resume = format!("/v1/workers/{}/resume", worker.id);
    assert_eq!(site.post(&resume, &json!({})).await.status, 204);
    worker.commands(&site).await;
    assert_eq!(state(&site, &waiting).await, "ASSIGNED");
    site.host.stop().await;
}

/// The agent is stopped for maintenance, again and again, while the same task runs there.
#[tokio::test(flavor = "multi_thread")]
async fn maintenance_is_not_held_against_a_task() {
    let site = Site::start_with("[retry]\nmax_worker_losses = 1\nmax_retries = 0").await;
    let id = site.submit("a").await;
    for life in 1..=4 {
        let mut worker = Worker::register(&site, "w", life).await;
        let path = format!("/v1/workers/{}", worker.id);
        assert_eq!(site.post(&format!("{path}/resume"), &json!({})).await.status, 204);
        let commands = worker.commands(&site).await;
        worker.acked = commands.last().unwrap()["n"].as_u64().unwrap();
        let attempt = commands.last().unwrap()["do"]["start"]["attempt"].clone();
        assert_eq!(worker.sync(&site, json!({"started": [attempt]})).await.status, 200);
        assert_eq!(state(&site, &id).await, "RUNNING");
        assert_eq!(site.post(&format!("{path}/drain"), &json!({})).await.status, 204);
        // The agent is told to end, and ends its attempts.
        let failure = json!({"kind": "preempted"});
        let finished = json!({"finished": [{"attempt": attempt, "ran_ms": 5, "failure": failure}]});
        let ended = worker.sync(&site, finished).await;
        assert_eq!(ended.status, 200, "{}", ended.body);
        assert_eq!(state(&site, &id).await, "PENDING");
    }
    let task = site.get(&format!("/v1/tasks/{id}")).await.body;
    let used = (&task["retries_used"], &task["losses_used"]);
    assert_eq!(used, (&json!(0), &json!(0)), "{task}");
    site.host.stop().await;
}
