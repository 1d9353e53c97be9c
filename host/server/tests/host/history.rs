//! What workers measure and tasks report is kept, and read page by page.

use crate::site::{Site, Worker};
use pointsman_protocol::timestamp::Timestamp;
use pointsman_server::config::Config;
use pointsman_server::serve::{Host, ServeOptions};
use serde_json::{Value, json};
use std::path::Path;

const MEASUREMENTS: &str = "/v1/history/measurements";
const FEEDBACK: &str = "/v1/history/feedback";

/// One worker's measurements of its CPU, one sync each.
async fn measure(site: &Site, worker: &mut Worker, cpu_used: &[f64]) {
    for cpu_used in cpu_used {
        let report = json!({"measurements": {"cpu_used": cpu_used, "connections": 3}});
        let reply = worker.sync(site, report).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
}

async fn items(site: &Site, path: &str) -> Vec<Value> {
    let reply = site.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.body["items"].as_array().expect("a list").clone()
}

fn cpu(items: &[Value]) -> Vec<f64> {
    items.iter().map(|it| it["measurements"]["cpu_used"].as_f64().expect("a number")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_in_the_history() {
    let site = Site::start().await;
    let (mut one, mut two) =
        (Worker::register(&site, "one", 1).await, Worker::register(&site, "zwei, \"2\"", 2).await);
    measure(&site, &mut one, &[0.125, 0.25]).await;
    measure(&site, &mut two, &[0.5]).await;
    let all = items(&site, MEASUREMENTS).await;
    assert_eq!(cpu(&all), [0.125, 0.25, 0.5]);
    assert_eq!(all[2]["worker_name"], "zwei, \"2\"");
    assert_eq!(all[2]["measurements"], json!({"cpu_used": 0.5, "connections": 3}));
    assert_eq!(cpu(&items(&site, &format!("{MEASUREMENTS}?worker=one")).await), [0.125, 0.25]);
    assert_eq!(items(&site, &format!("{MEASUREMENTS}?worker=nobody")).await, [] as [Value; 0]);
    let at: Timestamp = all[0]["at"].as_str().unwrap().parse().unwrap();
    let now = site.host.app().clock.now();
    assert!(at.0 <= now && now.since(at.0).as_secs() < 60, "{at} is not now");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_and_a_span_is_half_open() {
    let site = Site::start().await;
    let mut worker = Worker::register(&site, "w", 1).await;
    let measured: Vec<f64> = (0..7).map(|n| f64::from(n) / 8.0).collect();
    measure(&site, &mut worker, &measured).await;
    let mut path = format!("{MEASUREMENTS}?limit=3");
    let mut read = Vec::new();
    let mut n_pages = 0;
    loop {
        let page = site.get(&path).await.body;
        read.extend(page["items"].as_array().unwrap().clone());
        n_pages += 1;
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("{MEASUREMENTS}?limit=3&cursor={cursor}");
    }
    assert_eq!((cpu(&read), n_pages), (measured, 3));
    let time = |n: usize| read[n]["at"].as_str().unwrap().to_owned();
    // Several may lie in one millisecond.
    let expect: Vec<&Value> = read
        .iter()
        .filter(|it| it["at"].as_str() >= Some(&time(2)) && it["at"].as_str() < Some(&time(5)))
        .collect();
    let span = format!("{MEASUREMENTS}?from={}&to={}", time(2), time(5));
    assert_eq!(items(&site, &span).await.iter().collect::<Vec<_>>(), expect);
    let later = format!("{MEASUREMENTS}?from=2400-01-01T00:00:00Z");
    assert_eq!(items(&site, &later).await, [] as [Value; 0]);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_tells_task_attempt_and_worker() {
    let site = Site::start().await;
    let mut worker = Worker::register(&site, "w", 1).await;
    let id = site.submit("a task").await;
    let attempt = worker.commands(&site).await[0]["do"]["start"]["attempt"].clone();
    let fed = json!({
        "started": [attempt],
        "feedback": [{"attempt": attempt, "phase": "first", "progress": 0.5, "duration_ms": 40}],
    });
    assert_eq!(worker.sync(&site, fed).await.status, 200);
    for path in [FEEDBACK.to_owned(), format!("{FEEDBACK}?task={id}&worker=w")] {
        let rows = items(&site, &path).await;
        assert_eq!(rows.len(), 1, "{path}");
        assert_eq!(
            (&rows[0]["task"], &rows[0]["task_name"], &rows[0]["attempt"], &rows[0]["worker_name"]),
            (&json!(id), &json!("a task"), &json!(1), &json!("w"))
        );
        let expected = json!({"phase": "first", "progress": 0.5, "duration_ms": 40});
        assert_eq!(rows[0]["feedback"], expected);
    }
    assert_eq!(items(&site, &format!("{FEEDBACK}?task=t99")).await, [] as [Value; 0]);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_parameter_is_refused_by_name() {
    let site = Site::start().await;
    for (query, field, told) in [
        ("limit=0", "limit", "from 1 to 10000"),
        ("limit=10001", "limit", "from 1 to 10000"),
        ("limit=%2B5", "limit", "from 1 to 10000"),
        ("cursor=t1", "cursor", "next_cursor of the page before"),
        ("from=yesterday", "from", "write it like 2026-10-25T01:30:00Z"),
        ("task=t1", "task", "is no parameter here"),
        ("worker=a&worker=b", "worker", "given twice"),
    ] {
        let reply = site.get(&format!("{MEASUREMENTS}?{query}")).await;
        assert_eq!((reply.status, reply.code()), (400, "bad_parameter"), "{query}");
        assert_eq!(reply.body["field"], field, "{query}");
        let whole = reply.body.to_string();
        assert!(whole.contains(told), "{query}: {whole}");
    }
    let span = "from=2026-10-25T01:30:00Z&to=2026-10-25T01:29:00Z";
    let reply = site.get(&format!("{MEASUREMENTS}?{span}")).await;
    assert_eq!((reply.status, reply.code()), (400, "inverted_span"));
    assert_eq!(reply.body["field"], "to");
    let reply = site.get(&format!("{FEEDBACK}?task=12")).await;
    assert_eq!((reply.status, &reply.body["field"]), (400, &json!("task")));
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_history_says_so() {
    let site = Site::start_with("[history]\nenabled = false").await;
    let mut worker = Worker::register(&site, "w", 1).await;
    measure(&site, &mut worker, &[0.5]).await;
    let reply = site.get(MEASUREMENTS).await;
    assert_eq!((reply.status, reply.code()), (404, "no_history"));
    assert!(reply.body["remedy"].as_str().unwrap().contains("history.enabled"), "{}", reply.body);
    let page = String::from_utf8(site.get("/metrics").await.bytes).unwrap();
    assert!(!page.contains("pointsman_history"), "{page}");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_changes_while_the_host_runs_and_the_figures_tell() {
    let site = Site::start().await;
    let mut worker = Worker::register(&site, "w", 1).await;
    measure(&site, &mut worker, &[0.125, 0.25, 0.375, 0.5]).await;
    assert_eq!(items(&site, MEASUREMENTS).await.len(), 4);
    let kept = async || {
        let page = String::from_utf8(site.get("/metrics").await.bytes).unwrap();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("pointsman_history_rows{kind=\"measurements\"} "));
        line.expect("the figure").parse::<u64>().unwrap()
    };
    assert_eq!(kept().await, 4);
    site.rewrite_config("[history]\nrows = 2");
    site.until("the oldest go", async || kept().await == 2).await;
    assert_eq!(cpu(&items(&site, MEASUREMENTS).await), [0.375, 0.5]);
    site.host.stop().await;
}

/// On a store that lasts.
async fn start(folder: &Path) -> Host {
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n[policies]\ndirectory = {:?}\n",
        folder.join("data"),
        folder.join("policies")
    );
    let config = Config::parse("p.toml", &text).expect("a good configuration");
    Host::start(ServeOptions { config, config_path: None }).await.expect("the host starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_it_and_damage_keeps_no_host_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data/history.sqlite");
    let http = reqwest::Client::new();
    let n_rows = async |host: &Host| {
        let url = format!("http://{}{MEASUREMENTS}", host.address());
        let page: Value = http.get(url).send().await.unwrap().json().await.unwrap();
        page["items"].as_array().unwrap_or_else(|| panic!("{page}")).len()
    };
    let host = start(folder.path()).await;
    let register = crate::site::registration("w", 1);
    let base = format!("http://{}/v1/workers", host.address());
    let registered: Value =
        http.post(&base).json(&register).send().await.unwrap().json().await.unwrap();
    let sync = json!({"seq": 1, "life": 1, "measurements": {"cpu_used": 0.5}});
    let url = format!("{base}/{}/sync", registered["worker"].as_str().unwrap());
    assert_eq!(http.post(&url).json(&sync).send().await.unwrap().status(), 200);
    // At once: what was answered is written when the host ends.
    host.stop().await;
    let host = start(folder.path()).await;
    assert_eq!(n_rows(&host).await, 1);
    host.stop().await;
    std::fs::write(&file, "no database at all".repeat(300)).unwrap();
    let host = start(folder.path()).await;
    assert_eq!(n_rows(&host).await, 0);
    assert!(folder.path().join("data/history.sqlite.set-aside-1").exists());
    host.stop().await;
    // Nowhere to put it: it is kept in memory.
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
    std::fs::create_dir(&file).unwrap();
    let host = start(folder.path()).await;
    assert_eq!(n_rows(&host).await, 0);
    host.stop().await;
}
