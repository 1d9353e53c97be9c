//! Bodies that are huge, deep, endless or slow: refused early, and no burden for others.

use crate::site::{Site, reply};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A host that wants tokens.
async fn guarded() -> (Site, tempfile::TempDir) {
    let tokens = tempfile::tempdir().unwrap();
    let path = tokens.path().join("admin");
    std::fs::write(&path, "0123456789abcdef0123456789abcdef").unwrap();
    (Site::start_with(&format!("[auth]\nadmin = {path:?}")).await, tokens)
}

fn head(site: &Site, path: &str, more: &str) -> String {
    let address = site.host.address();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n{more}\r\n\r\n"
    )
}

/// Sends the head and then `piece` again and again until the host closes; the answer, and how many
/// bytes of body the host and the system between took.
async fn flood(site: &Site, head: &str, piece: &[u8]) -> (String, u64) {
    let mut stream = TcpStream::connect(site.host.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let answer = async {
        let mut answer = Vec::new();
        // A reset after the answer is an end too.
        while reader.read_buf(&mut answer).await.is_ok_and(|n_read| n_read > 0) {}
        String::from_utf8_lossy(&answer).into_owned()
    };
    let writing = async {
        let mut n_sent = 0;
        while writer.write_all(piece).await.is_ok() {
            n_sent += piece.len() as u64;
        }
        n_sent
    };
    tokio::join!(answer, writing)
}

const MIB: usize = 1 << 20;
/// What the host and the system between may have taken of a body that is refused by its head.
const BUFFERED_MAX: u64 = 32 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_stranger_is_refused_before_it_is_read() {
    let (site, _tokens) = guarded().await;
    let piece = vec![b' '; MIB];
    let chunk = [b"100000\r\n", piece.as_slice(), b"\r\n"].concat();
    for (more, piece) in
        [("Content-Length: 1073741824", &piece), ("Transfer-Encoding: chunked", &chunk)]
    {
        let (answer, n_sent) = flood(&site, &head(&site, "/v1/jobs", more), piece).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{more}: {answer}");
        assert!(n_sent < BUFFERED_MAX, "{more}: {n_sent} bytes were taken");
    }
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_an_end_is_cut_off_where_the_route_ends() {
    let site = Site::start().await;
    let piece = vec![b' '; MIB];
    let chunk = [b"100000\r\n", piece.as_slice(), b"\r\n"].concat();
    for (path, limit) in [("/v1/workers", 16 << 20), ("/v1/jobs", 64 << 20)] {
        let head = head(&site, path, "Transfer-Encoding: chunked");
        let (answer, n_sent) = flood(&site, &head, &chunk).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        assert!(n_sent < limit + BUFFERED_MAX, "{path}: {n_sent} bytes were taken");
    }
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_wide_bodies_are_refused_by_name() {
    let site = Site::start().await;
    let deep = |open: &str, n: usize| open.repeat(n);
    let task = |dependencies: String| {
        format!("{{\"task_name\": \"a\", \"script\": \"true\", \"dependencies\": {dependencies}}}")
    };
    let names: Vec<String> = (0..1_000_000).map(|it| format!("\"n{it}\"")).collect();
    for (path, body, told) in [
        ("/v1/jobs", deep("[", 100_000), "deep"),
        ("/v1/tasks", deep("{\"a\":", 100_000), "deep"),
        ("/v1/tasks", task(deep("[", 100_000)), "deep"),
        ("/v1/workers", deep("[", 100_000), ""),
        ("/v1/workers/w1/sync", deep("{\"a\":", 100_000), ""),
        ("/v1/tasks", task(format!("[{}]", names.join(","))), "dependencies"),
        ("/v1/jobs", format!("[{}]", task(format!("[{}]", names.join(",")))), "dependencies"),
    ] {
        let request = site.http.post(site.url(path)).header("Content-Type", "application/json");
        let refused = reply(request.body(body)).await;
        assert_eq!(refused.status, 422, "{path}: {}", refused.body);
        assert!(refused.body["detail"].to_string().contains(told), "{path}: {}", refused.body);
    }
    assert_eq!(site.get("/v1/status").await.body["counts"]["pending"], 0);
    site.host.stop().await;
}

/// Resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_hold_nobody_up_and_cost_little_memory() {
    const N_SLOW: usize = 400;
    let site = Site::start().await;
    site.submit("before").await;
    let before = resident();
    let mut slow = Vec::new();
    for index in 0..N_SLOW {
        let mut stream = TcpStream::connect(site.host.address()).await.unwrap();
        let head = head(&site, "/v1/tasks", "Content-Length: 60000000");
        // Half of them never get to the body.
        let sent = if index % 2 == 0 { head.as_str() } else { &head[..head.len() - 4] };
        stream.write_all(sent.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    for round in 0..20 {
        for stream in &mut slow {
            stream.write_all(b"x").await.unwrap();
        }
        site.submit(&format!("meanwhile-{round}")).await;
        assert_eq!(site.get("/v1/tasks?limit=10").await.status, 200);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 128 << 20, "{grown} bytes more for {N_SLOW} connections");
    assert_eq!(site.get("/v1/status").await.body["counts"]["pending"], 21);
    drop(slow);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_submits_nothing() {
    let site = Site::start().await;
    let body = json!({"task_name": "a", "script": "true"}).to_string();
    let more = format!("Content-Length: {}", body.len() + 1);
    let mut stream = TcpStream::connect(site.host.address()).await.unwrap();
    let text = head(&site, "/v1/tasks", &more) + &body;
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // Some hosts answer, some only close.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(site.get("/v1/status").await.body["counts"]["pending"], 0);
    site.host.stop().await;
}
