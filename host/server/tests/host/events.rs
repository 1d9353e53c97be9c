//! The event stream.

use crate::site::{PATIENCE, Site};
use serde_json::{Value, json};
use std::time::Duration;

/// A reader of the stream.
struct Stream {
    response: reqwest::Response,
    buffer: String,
}

/// One event: its number, its name, its data.
#[derive(Debug)]
struct Event {
    id: u64,
    name: String,
    data: Value,
}

impl Stream {
    async fn open(site: &Site, query: &str) -> Stream {
        let response = site.http.get(site.url(&format!("/v1/events{query}"))).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Stream { response, buffer: String::new() }
    }

    /// None: the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                    let (event, rest) = (event.to_owned(), rest.to_owned());
                    self.buffer = rest;
                    let line = |name: &str| {
                        let start = format!("{name}: ");
                        event.lines().find_map(|line| line.strip_prefix(&start))
                    };
                    let Some(data) = line("data") else { continue };
                    return Some(Event {
                        id: line("id").expect("a number").parse().unwrap(),
                        name: line("event").unwrap_or("").to_owned(),
                        data: serde_json::from_str(data).unwrap(),
                    });
                }
                let bytes = self.response.chunk().await.ok()??;
                self.buffer.push_str(std::str::from_utf8(&bytes).unwrap());
            }
        })
        .await
        .expect("an event in time")
    }

    async fn next_task(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.expect("an event");
            if event.data["kind"] == "task" && event.data["task"]["name"] == name {
                return event;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_gets_the_state_then_each_change_after_it() {
    let site = Site::start().await;
    site.submit("a").await;
    let mut stream = Stream::open(&site, "").await;
    let snapshot = stream.next().await.unwrap();
    assert_eq!(snapshot.name, "snapshot");
    assert_eq!(snapshot.data["tasks"][0]["name"], "a");
    assert_eq!(snapshot.data["n"].as_u64().unwrap(), snapshot.id);
    site.submit("b").await;
    let b = stream.next_task("b").await;
    assert!(b.id > snapshot.id);
    site.submit("c").await;
    let c = stream.next_task("c").await;
    drop(stream);

    // Resumed, nothing between is missing, and nothing comes again.
    let mut resumed = Stream::open(&site, &format!("?after={}", snapshot.id)).await;
    assert_eq!(resumed.next_task("b").await.id, b.id);
    assert_eq!(resumed.next_task("c").await.id, c.id);
    let request = site.http.get(site.url("/v1/events")).header("Last-Event-ID", c.id.to_string());
    let mut resumed = Stream { response: request.send().await.unwrap(), buffer: String::new() };
    site.submit("d").await;
    let next = resumed.next().await.unwrap();
    assert!(next.id > c.id && next.name.is_empty(), "{next:?}");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_of_an_earlier_host_is_not_shown_other_events_under_its_numbers() {
    let site = Site::start().await;
    site.submit("a").await;
    let number = Stream::open(&site, "").await.next().await.unwrap().id;
    let site = site.restart().await;
    site.submit("b").await;
    for old in [number, 0, 1, u64::MAX] {
        let event = Stream::open(&site, &format!("?after={old}")).await.next().await.unwrap();
        assert_eq!(event.name, "snapshot", "after {old}");
        assert_eq!(event.data["counts"]["pending"], 2);
    }
    let refused = site.get("/v1/events?after=soon").await;
    assert_eq!((refused.status, refused.code()), (400, "bad_parameter"));
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_refused_at_the_start_and_those_of_no_slot_are_told_like_all_others() {
    let site = Site::start().await;
    let folder = site.folder.path().join("policies");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("weighted-score.wasm"), "bound to a slot").unwrap();
    std::fs::write(folder.join("other.wasm"), "bound to none").unwrap();
    let site = site.restart().await;
    let first = site.get("/v1/status").await.body["term"].as_u64().unwrap() << 32;
    let mut stream = Stream::open(&site, &format!("?after={first}")).await;
    let mut next_refusal = async || loop {
        let event = stream.next().await.expect("an event").data;
        if event["change"] == "refused" {
            return (event["slot"].clone(), event["reason"].as_str().unwrap().to_owned());
        }
    };
    let (slot, reason) = next_refusal().await;
    assert!(slot == "scoring" && reason.starts_with("weighted-score (sha256 "), "{slot} {reason}");
    let (slot, reason) = next_refusal().await;
    assert!(slot.is_null() && reason.starts_with("other (sha256 "), "{slot} {reason}");
    // Later ones too; what was told is not told again.
    std::fs::write(folder.join("third.wasm"), "bound to none, either").unwrap();
    let (slot, reason) = next_refusal().await;
    assert!(slot.is_null() && reason.starts_with("third (sha256 "), "{slot} {reason}");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_do_not_hold_up_the_end() {
    let site = Site::start().await;
    let mut stream = Stream::open(&site, "").await;
    assert_eq!(stream.next().await.unwrap().name, "snapshot");
    let stopped = tokio::time::timeout(Duration::from_secs(4), site.host.stop()).await;
    assert!(stopped.is_ok(), "it waits for a reader");
    while stream.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_beyond_the_bound_are_refused_and_leave_room_when_they_go() {
    let site = Site::start().await;
    let mut streams = Vec::new();
    for _ in 0..pointsman_server::http::MAX_READERS {
        streams.push(Stream::open(&site, "?after=0").await);
    }
    let refused = site.get("/v1/events").await;
    assert_eq!((refused.status, refused.code()), (503, "too_many_readers"));
    drop(streams);
    site.until("there is room again", async || {
        let response = site.http.get(site.url("/v1/events")).send().await.unwrap();
        response.status() == 200
    })
    .await;
    assert_eq!(site.post("/v1/tasks", &json!({"task_name": "a", "script": "x"})).await.status, 201);
    site.host.stop().await;
}
