//! The event stream as a page follows it: over a WebSocket, resumed by number, and with neighbours that
//! never read.

use futures_util::{SinkExt, StreamExt};
use pointsman_tests::site::{Crew, Site};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PATIENCE: Duration = Duration::from_secs(60);

struct Page {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The number seen last.
    n: u64,
    /// Every state of every task that was told, in order.
    states: BTreeMap<String, Vec<String>>,
    n_snapshots: u64,
}

impl Page {
    async fn open(site: &Site, query: &str) -> Page {
        let url = site.url(&format!("/v1/events{query}")).replace("http://", "ws://");
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "pointsman.v1".parse().unwrap());
        let (socket, response) = connect_async(request).await.unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "pointsman.v1");
        Page { socket, n: 0, states: BTreeMap::new(), n_snapshots: 0 }
    }

    /// One message; how many things it told.
    async fn listen(&mut self) -> usize {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        let text = message.expect("in time").unwrap().unwrap().into_text().unwrap();
        let told: Vec<Value> = serde_json::from_str(&text).unwrap();
        for it in &told {
            let n = it["n"].as_u64().unwrap();
            if it["kind"] == "snapshot" {
                self.n_snapshots += 1;
                self.states.clear();
                for task in it["tasks"].as_array().unwrap() {
                    self.note(task);
                }
            } else {
                assert!(n > self.n, "{n} after {}", self.n);
            }
            self.n = n;
            if it["kind"] == "task" {
                self.note(&it["task"]);
            }
        }
        told.len()
    }

    fn note(&mut self, task: &Value) {
        let (id, state) = (task["id"].as_str().unwrap(), task["state"].as_str().unwrap());
        self.states.entry(id.to_owned()).or_default().push(state.to_owned());
    }

    async fn until_all_succeeded(&mut self, n_tasks: usize) {
        let deadline = Instant::now() + PATIENCE;
        let ended = |states: &&Vec<String>| states.last().is_some_and(|it| it == "SUCCEEDED");
        while self.states.values().filter(ended).count() < n_tasks {
            assert!(Instant::now() < deadline, "{:?}", self.states);
            self.listen().await;
        }
    }
}

fn job(n_tasks: usize) -> Value {
    let task = |index: usize| json!({"task_name": format!("t{index}"), "script": "true"});
    json!({"name": "many", "tasks": (0..n_tasks).map(task).collect::<Vec<Value>>()})
}

async fn site() -> Site {
    let site = Site::start().await;
    site.hire(Crew { n_workers: 2, cpus: 8, no_execution: true }).await;
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_told_everything_and_goes_on_where_it_was_cut_off() {
    let site = site().await;
    let mut page = Page::open(&site, "").await;
    page.listen().await;
    assert_eq!(page.n_snapshots, 1);
    site.submit(&job(40)).await;
    page.until_all_succeeded(40).await;
    let seen = page.n;
    drop(page);
    site.submit(&job(30)).await;
    let mut again = Page::open(&site, &format!("?after={seen}")).await;
    again.until_all_succeeded(30).await;
    assert_eq!(again.n_snapshots, 0, "nothing was missed, so nothing is told anew");
    let mut lost = Page::open(&site, "?after=1").await;
    lost.listen().await;
    assert_eq!((lost.n_snapshots, lost.states.len()), (1, 70), "of a host that is no more");
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_shows_that_it_lives_and_ends_with_the_host() {
    let site = Site::start().await;
    let mut page = Page::open(&site, "").await;
    page.listen().await;
    assert_eq!(page.listen().await, 0, "an empty array in the silence");
    let socket = &mut page.socket;
    socket.send(Message::text("pages have nothing to say")).await.unwrap();
    let (_, closed) = tokio::join!(site.stop(), socket.next());
    let Message::Close(Some(frame)) = closed.unwrap().unwrap() else { panic!("no close") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1001, "the host stops"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_web_socket_is_refused_and_one_reader_too_many_is_sent_away() {
    let site = Site::start().await;
    let http = reqwest::Client::new();
    let odd = http.get(site.url("/v1/events")).header("upgrade", "smoke-signals");
    let odd = odd.header("connection", "upgrade").send().await.unwrap();
    assert_eq!(odd.status().as_u16(), 400);
    let problem: Value = odd.json().await.unwrap();
    assert_eq!(problem["code"], "bad_upgrade");
    let mut pages = Vec::new();
    for _ in 0..256 {
        pages.push(Page::open(&site, "").await);
    }
    let url = site.url("/v1/events").replace("http://", "ws://");
    let (mut socket, _) = connect_async(url).await.unwrap();
    let closed = socket.next().await.unwrap().unwrap();
    let Message::Close(Some(frame)) = closed else { panic!("{closed:?}") };
    assert_eq!(u16::from(frame.code), 1013);
    pages.pop();
    // The place is free as soon as the host notices.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut page = Page::open(&site, "").await;
        let first = page.socket.next().await.unwrap().unwrap();
        if first.is_text() {
            break;
        }
        assert!(Instant::now() < deadline);
    }
    site.stop().await;
}

/// Asks for the stream and never reads a byte of it.
async fn stall(site: &Site, is_socket: bool) -> TcpStream {
    let address = site.url("").replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let upgrade = if is_socket { upgrade } else { "" };
    let request = format!("GET /v1/events HTTP/1.1\r\nHost: {address}\r\n{upgrade}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// How many the host serves.
async fn readers(site: &Site) -> u64 {
    let text = reqwest::get(site.url("/metrics")).await.unwrap().text().await.unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix("pointsman_event_readers "));
    value.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_never_read_hold_up_nobody_and_are_let_go() {
    let site = site().await;
    let mut stalled = Vec::new();
    for index in 0..20 {
        stalled.push(stall(&site, index % 2 == 0).await);
    }
    let mut page = Page::open(&site, "").await;
    page.listen().await;
    assert_eq!(readers(&site).await, 21);
    // More than what the kernel keeps for a reader that does not read.
    for _ in 0..20 {
        site.submit(&job(1000)).await;
    }
    page.until_all_succeeded(20_000).await;
    let deadline = Instant::now() + PATIENCE;
    while readers(&site).await != 1 {
        assert!(Instant::now() < deadline, "the stalled ones are still served");
        page.listen().await;
    }
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_the_stream_to_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read");
    std::fs::write(&path, "0123456789abcdef").unwrap();
    let site = Site::start_with(&format!("[auth]\nread = {path:?}\n")).await;
    let url = site.url("/v1/events").replace("http://", "ws://");
    let refused = connect_async(url.clone()).await.unwrap_err();
    assert!(matches!(refused, tungstenite::Error::Http(answer) if answer.status() == 401));
    let mut request = url.into_client_request().unwrap();
    let offered = "pointsman.v1, bearer.MDEyMzQ1Njc4OWFiY2RlZg";
    request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_text());
    site.stop().await;
}
