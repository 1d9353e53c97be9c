//! Lists, bounds and errors.

use crate::site::{Site, reply};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_miss_nor_repeat_a_task_while_tasks_change() {
    let site = Site::start().await;
    let submitted = site.submit_many(253).await;
    let first_tasks = submitted.body["tasks"].as_array().unwrap().iter();
    let first_tasks: BTreeSet<String> =
        first_tasks.map(|task| task["id"].as_str().unwrap().to_owned()).collect();
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for page_number in 0.. {
        let page = site.get(&format!("/v1/tasks?limit=50{cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let found = ids(&page.body);
        assert!(found.len() <= 50);
        seen.extend(found.iter().cloned());
        // What was shown already changes under the reader.
        let first = &found[0];
        assert_eq!(site.post(&format!("/v1/tasks/{first}/cancel"), &json!({})).await.status, 200);
        if page_number < 8 {
            site.submit(&format!("added-{page_number}a")).await;
            site.submit(&format!("added-{page_number}b")).await;
        }
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let once: BTreeSet<String> = seen.iter().cloned().collect();
    assert_eq!(seen.len(), once.len(), "a task was shown twice");
    assert!(once.is_superset(&first_tasks), "a task was left out");
    let cancelled = site.get("/v1/tasks?state=CANCELLED").await;
    assert_eq!(ids(&cancelled.body).len(), 6);
    let of_job = site.get("/v1/tasks?job=j1&state=PENDING&limit=1000").await;
    assert_eq!(ids(&of_job.body).len(), 247);
    assert_eq!(of_job.body["items"][0]["reason"]["code"], "no_worker_can_ever_fit");
    assert_eq!(ids(&site.get("/v1/tasks?limit=1000").await.body).len(), 253 + 12);
    assert_eq!(ids(&site.get("/v1/tasks").await.body).len(), 100);
    let none = site.get("/v1/tasks?queue=other").await;
    assert_eq!((none.status, ids(&none.body).len()), (200, 0));
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_in_a_list_that_is_gone_or_was_never_there_repeats_nothing() {
    let site = Site::start().await;
    site.submit_many(3).await;
    let ids = async |cursor: &str| -> Vec<String> {
        let page = site.get(&format!("/v1/tasks?cursor={cursor}")).await;
        assert_eq!(page.status, 200, "{cursor}: {}", page.body);
        assert!(page.body.get("next_cursor").is_none_or(serde_json::Value::is_null));
        let items = page.body["items"].as_array().unwrap();
        items.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("t0").await, ["t1", "t2", "t3"]);
    assert_eq!(ids("t2").await, ["t3"]);
    for beyond in ["t3", "t4", "t1000000", "t18446744073709551615"] {
        assert_eq!(ids(beyond).await, [] as [&str; 0], "{beyond}");
    }
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_what_would_be_good() {
    let site = Site::start().await;
    let cases = [
        ("GET", "/v1/tasks?limit=0", json!(null), 400, "bad_parameter", "1000"),
        ("GET", "/v1/tasks?limit=1001", json!(null), 400, "bad_parameter", "1000"),
        ("GET", "/v1/tasks?limit=-1", json!(null), 400, "bad_parameter", "1000"),
        ("GET", "/v1/tasks?limit=1000000000", json!(null), 400, "bad_parameter", "1000"),
        ("GET", "/v1/tasks?limit=", json!(null), 400, "bad_parameter", "1000"),
        ("GET", "/v1/tasks?limit=x", json!(null), 400, "bad_parameter", "limit"),
        ("GET", "/v1/tasks?state=DONE", json!(null), 400, "bad_parameter", "SUCCEEDED"),
        ("GET", "/v1/tasks?worker=3", json!(null), 400, "bad_parameter", "w<number>"),
        ("GET", "/v1/tasks?colour=red", json!(null), 400, "bad_parameter", "cursor"),
        ("GET", "/v1/tasks?limit=1&limit=2", json!(null), 400, "bad_parameter", "twice"),
        ("GET", "/v1/tasks?cursor=../x", json!(null), 400, "bad_parameter", "t<number>"),
        ("GET", "/v1/tasks?cursor=j1", json!(null), 400, "bad_parameter", "t<number>"),
        ("GET", "/v1/tasks?cursor=t-1", json!(null), 400, "bad_parameter", "t<number>"),
        (
            "GET",
            "/v1/tasks?cursor=t18446744073709551616",
            json!(null),
            400,
            "bad_parameter",
            "t<number>",
        ),
        ("GET", "/v1/jobs?limit=0", json!(null), 400, "bad_parameter", "1000"),
        ("GET", "/v1/jobs?cursor=t1", json!(null), 400, "bad_parameter", "j<number>"),
        ("GET", "/v1/status?limit=1001", json!(null), 400, "bad_parameter", "1000"),
        ("GET", "/v1/tasks/t1?x=1", json!(null), 400, "bad_parameter", "none"),
        ("GET", "/v1/tasks/1", json!(null), 400, "bad_parameter", "t<number>"),
        ("GET", "/v1/tasks/t99", json!(null), 404, "unknown_task", "t99"),
        ("GET", "/v1/tasks/t99/explain", json!(null), 404, "unknown_task", "t99"),
        ("GET", "/v1/jobs/j99", json!(null), 404, "unknown_job", "j99"),
        ("POST", "/v1/tasks/t99/cancel", json!({}), 404, "unknown_task", "t99"),
        ("POST", "/v1/tasks/t99/retry", json!({}), 404, "unknown_task", "t99"),
        ("POST", "/v1/jobs/j99/cancel", json!({}), 404, "unknown_job", "j99"),
        ("POST", "/v1/workers/w9/drain", json!({}), 404, "unknown_worker", "w9"),
        ("POST", "/v1/queues/none/pause", json!({}), 404, "unknown_queue", "none"),
        ("PUT", "/v1/policies/paint", json!({"component": "x"}), 404, "unknown_slot", "scoring"),
        ("PUT", "/v1/policies/queue", json!({"component": "x"}), 404, "unknown_policy", "fifo"),
        ("PUT", "/v1/policies/queue", json!({"colour": 1}), 422, "bad_body", "component"),
        ("POST", "/v1/policies/queue/rollback", json!({}), 409, "no_earlier_policy", ""),
        ("POST", "/v1/tasks", json!({"script": "true"}), 422, "invalid_field", "task_name"),
        ("POST", "/v1/workers", json!({"name": "w"}), 422, "bad_body", "protocol"),
        ("GET", "/v1/nothing", json!(null), 404, "unknown_route", ""),
        ("DELETE", "/v1/tasks", json!({}), 405, "method_not_allowed", ""),
    ];
    for (method, path, body, status, code, told) in cases {
        let method = method.parse().unwrap();
        let mut request = site.http.request(method, site.url(path));
        if !body.is_null() {
            request = request.json(&body);
        }
        let found = reply(request).await;
        assert_eq!((found.status, found.code()), (status, code), "{path}: {}", found.body);
        assert_eq!(found.content_type, "application/problem+json", "{path}");
        assert!(found.body.to_string().contains(told), "{path}: no {told:?} in {}", found.body);
    }
    site.host.stop().await;
}

/// The answer to a request that says how long its body will be, and sends none of it.
async fn announce(site: &Site, path: &str, length: usize) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = site.host.address();
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the request is taken");
    let mut answer = Vec::new();
    while !answer.windows(9).any(|it| it == b"too_large") {
        let n_read = stream.read_buf(&mut answer).await.expect("an answer");
        if n_read == 0 {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_broken_or_too_large_are_refused_by_name() {
    let site = Site::start().await;
    let post = |path: &str, body: Vec<u8>| {
        site.http.post(site.url(path)).header("Content-Type", "application/json").body(body)
    };
    let broken = reply(post("/v1/tasks", b"{\"task_name\": ".to_vec())).await;
    assert_eq!(broken.status / 100, 4, "{}", broken.body);
    assert_eq!(broken.content_type, "application/problem+json");
    // Refused by its announced length: not a byte of it has to be sent.
    let large = announce(&site, "/v1/workers", (16 << 20) + 1).await;
    assert!(large.starts_with("HTTP/1.1 413 "), "{large}");
    assert!(large.contains("\"code\":\"too_large\""), "{large}");
    // Large, and read off the asynchronous threads.
    let script = "x".repeat(200_000);
    let task = json!({"task_name": "large", "script": script}).to_string();
    assert_eq!(reply(post("/v1/tasks", task.into_bytes())).await.status, 201);
    assert_eq!(site.get("/v1/tasks/t1").await.body["script"].as_str().unwrap().len(), 200_000);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_submission_is_not_done_twice() {
    let site = Site::start().await;
    let send = async |name: &str| {
        let body = json!({"task_name": name, "script": "true"});
        let request = site.http.post(site.url("/v1/tasks")).header("Idempotency-Key", "k1");
        reply(request.json(&body)).await
    };
    let first = send("a").await;
    let second = send("a").await;
    assert_eq!((first.status, second.status), (201, 200));
    assert_eq!(first.body["tasks"], second.body["tasks"]);
    assert_eq!(second.body["repeated"], true);
    let other = send("b").await;
    assert_eq!((other.status, other.code()), (409, "idempotency_key_reused"));
    assert_eq!(ids(&site.get("/v1/tasks").await.body).len(), 1);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waits_says_why() {
    let site = Site::start().await;
    let id = site.submit("a").await;
    let explained = site.get(&format!("/v1/tasks/{id}/explain")).await;
    assert_eq!(explained.status, 200, "{}", explained.body);
    assert_eq!(explained.body["reason"]["code"], "no_worker_can_ever_fit", "{}", explained.body);
    assert_eq!(site.post("/v1/queues/default/pause", &json!({})).await.status, 204);
    let shown = site.get(&format!("/v1/tasks/{id}")).await;
    assert_eq!(shown.body["reason"]["code"], "paused", "{}", shown.body);
    assert_eq!(site.get("/v1/queues").await.body[0]["paused"], true);
    let status = site.get("/v1/status").await;
    assert_eq!(status.body["tasks"][0]["reason"], "paused", "{}", status.body);
    assert_eq!(site.post("/v1/queues/default/resume", &json!({})).await.status, 204);
    assert_eq!(site.get("/v1/queues").await.body[0]["paused"], false);
    assert_eq!(site.post(&format!("/v1/tasks/{id}/cancel"), &json!({})).await.status, 200);
    let status = site.get("/v1/status").await;
    assert_eq!(status.body["tasks"][0]["reason"], "cancelled_by_request", "{}", status.body);
    let retried = site.post(&format!("/v1/tasks/{id}/retry"), &json!({})).await;
    assert_eq!(retried.body["n_revived"], 1, "{}", retried.body);
    site.host.stop().await;
}
