//! Requests that are sent again since nobody heard the answer: done once.

use crate::site::{Reply, Site, reply};
use serde_json::json;
use std::collections::BTreeSet;
use tokio::io::AsyncWriteExt;

fn send(site: &Site, key: &str, name: &str) -> reqwest::RequestBuilder {
    let body = json!([{"task_name": name, "script": "true"}]);
    site.http.post(site.url("/v1/jobs")).header("Idempotency-Key", key).json(&body)
}

async fn n_tasks(site: &Site) -> u64 {
    site.get("/v1/status").await.body["counts"]["pending"].as_u64().unwrap()
}

fn id(reply: &Reply) -> &str {
    reply.body["tasks"][0]["id"].as_str().unwrap_or_else(|| panic!("{}", reply.body))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_heard_is_given_again() {
    let site = Site::start().await;
    site.gate.close();
    let body = json!([{"task_name": "a", "script": "true"}]).to_string();
    let address = site.host.address();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Idempotency-Key: k1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    site.until("it is being stored", async || site.gate.is_waited_at()).await;
    drop(stream);
    site.gate.open();
    let again = reply(send(&site, "k1", "a")).await;
    assert_eq!((again.status, &again.body["repeated"]), (200, &json!(true)), "{}", again.body);
    assert_eq!((id(&again), n_tasks(&site).await), ("t1", 1));
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_is_done() {
    let site = Site::start().await;
    let sent = (0..20).map(|_| tokio::spawn(reply(send(&site, "k1", "a"))));
    let mut statuses = Vec::new();
    let mut ids = BTreeSet::new();
    for sent in sent.collect::<Vec<_>>() {
        let answer = sent.await.unwrap();
        statuses.push(answer.status);
        ids.insert(id(&answer).to_owned());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [vec![200; 19], vec![201]].concat());
    assert_eq!((ids.len(), n_tasks(&site).await), (1, 1));
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_outlive_the_host() {
    let site = Site::start().await;
    let first = reply(send(&site, "k1", "a")).await;
    let site = site.restart().await;
    let again = reply(send(&site, "k1", "a")).await;
    assert_eq!((again.status, id(&again)), (200, id(&first)), "{}", again.body);
    let other = reply(send(&site, "k1", "b")).await;
    assert_eq!((other.status, other.code()), (409, "idempotency_key_reused"), "{}", other.body);
    assert_eq!(n_tasks(&site).await, 1);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_may_be_tried_again_with_the_same_key() {
    let site = Site::start_with("[queues.default]\nlimit = 1").await;
    let kept = site.submit("in the way").await;
    let refused = reply(send(&site, "k1", "a")).await;
    assert_eq!((refused.status, refused.code()), (429, "queue_full"), "{}", refused.body);
    assert_eq!(site.post(&format!("/v1/tasks/{kept}/cancel"), &json!({})).await.status, 200);
    let taken = reply(send(&site, "k1", "a")).await;
    assert_eq!(taken.status, 201, "{}", taken.body);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_cannot_be_kept_are_refused() {
    let site = Site::start().await;
    for key in ["", &"k".repeat(201), "\u{e9}"] {
        let refused = reply(send(&site, key, "a")).await;
        assert_eq!((refused.status, refused.code()), (400, "bad_parameter"), "{key:?}");
    }
    assert_eq!(n_tasks(&site).await, 0);
    site.host.stop().await;
}
