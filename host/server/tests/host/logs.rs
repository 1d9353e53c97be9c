//! Output of attempts.

use crate::site::{Reply, Site, Worker, reply};
use serde_json::json;

async fn upload(site: &Site, worker: &str, query: &str, bytes: &[u8]) -> Reply {
    let url = site.url(&format!("/v1/workers/{worker}/log?{query}"));
    let request = site.http.post(url).header("Content-Type", "application/octet-stream");
    reply(request.body(bytes.to_vec())).await
}

fn header(reply: &Reply, name: &str) -> String {
    reply.headers.get(name).expect("the header").to_str().unwrap().to_owned()
}

/// A host, and a worker that runs task t1 in attempt 1 of term 1.
async fn running() -> (Site, Worker) {
    let site = Site::start().await;
    let mut worker = Worker::register(&site, "w", 1).await;
    assert_eq!(site.submit("a").await, "t1");
    let commands = worker.commands(&site).await;
    assert_eq!(commands[0]["do"]["start"]["attempt"], json!([1, 1, 1]));
    let reply = worker.sync(&site, json!({"started": [[1, 1, 1]]})).await;
    assert_eq!(reply.status, 200);
    (site, worker)
}

const OWN: &str = "task=1&attempt=1&term=1";

#[tokio::test(flavor = "multi_thread")]
async fn output_is_read_back_byte_by_byte() {
    let (site, mut worker) = running().await;
    let empty = site.get("/v1/tasks/t1/log").await;
    assert_eq!((empty.status, empty.bytes.len()), (200, 0));
    let first = format!("{OWN}&offset=0");
    assert_eq!(upload(&site, "w1", &first, b"one\n").await.status, 204);
    assert_eq!(upload(&site, "w1", &format!("{OWN}&offset=4"), b"\xff\0two").await.status, 204);
    assert_eq!(upload(&site, "w1", &first, b"one\n").await.status, 204, "the same again");
    let errors = format!("{OWN}&offset=0&stream=stderr");
    assert_eq!(upload(&site, "w1", &errors, b"bad").await.status, 204);
    let whole = site.get("/v1/tasks/t1/log").await;
    assert_eq!(whole.bytes, b"one\n\xff\0two");
    assert_eq!(header(&whole, "pointsman-log-offset"), "9");
    assert_eq!(header(&whole, "pointsman-log-complete"), "false");
    let rest = site.get("/v1/tasks/t1/log?offset=4&attempt=1").await;
    assert_eq!(rest.bytes, b"\xff\0two");
    assert_eq!(site.get("/v1/tasks/t1/log?stream=stderr").await.bytes, b"bad");
    assert_eq!(site.get("/v1/tasks/t1/log?attempt=2").await.code(), "unknown_attempt");
    let url = site.url("/v1/tasks/t1/log?offset=9&follow=true");
    let follower = tokio::spawn(reply(site.http.get(url)));
    assert_eq!(upload(&site, "w1", &format!("{OWN}&offset=9"), b"!").await.status, 204);
    assert_eq!(follower.await.unwrap().bytes, b"!");
    worker.sync(&site, json!({"finished": [{"attempt": [1, 1, 1], "ran_ms": 1}]})).await;
    let end = site.get("/v1/tasks/t1/log?offset=10&follow=true").await;
    assert_eq!(header(&end, "pointsman-log-complete"), "true");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_reaches_a_file_but_the_attempts_own() {
    let (site, _worker) = running().await;
    let secret = site.folder.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    for path in [
        "/v1/tasks/..%2F..%2F..%2Fsecret/log",
        "/v1/tasks/t1%2F..%2F..%2Fsecret/log",
        "/v1/tasks/t1/log?stream=..%2F..%2Fsecret",
        "/v1/tasks/t1/log?stream=stdout%00",
        "/v1/tasks/t1/log?attempt=..%2F1",
        "/v1/tasks/t1/log?offset=-1",
        "/v1/tasks/t01/log",
        "/v1/tasks/%2e%2e%2f%2e%2e%2fsecret/log",
        "/v1/tasks/..%5c..%5csecret/log",
        "/v1/tasks/%2Fetc%2Fpasswd/log",
        "/v1/tasks/t1%00/log",
    ] {
        let reply = site.get(path).await;
        assert_eq!((reply.status, reply.code()), (400, "bad_parameter"), "{path}: {}", reply.body);
    }
    for (query, status) in [
        ("task=..%2F..%2Fsecret&attempt=1&term=1&offset=0", 400),
        ("task=1&attempt=1&term=1&offset=0&stream=..%2Fsecret", 400),
        ("task=1&attempt=1&term=1", 400),
        ("task=1&attempt=1&term=2&offset=0", 404),
        ("task=1&attempt=2&term=1&offset=0", 404),
        ("task=2&attempt=1&term=1&offset=0", 404),
        ("task=1&attempt=1&term=1&offset=67108864", 413),
        ("task=1&attempt=1&term=1&offset=18446744073709551615", 413),
    ] {
        let reply = upload(&site, "w1", query, b"x").await;
        assert_eq!(reply.status, status, "{query}: {}", reply.body);
    }
    let own = format!("{OWN}&offset=0");
    assert_eq!(upload(&site, "w2", &own, b"x").await.status, 404, "another worker's attempt");
    let large = upload(&site, "w1", &own, &vec![b'x'; (256 << 10) + 1]).await;
    assert_eq!((large.status, large.code()), (413, "too_large"));
    site.host.stop().await;
}

/// The status line; the path goes out as it is, where other clients tidy it.
async fn status_of(site: &Site, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = site.host.address();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

/// Every file and folder below the host's own folder.
fn files(site: &Site) -> Vec<std::path::PathBuf> {
    let mut found = vec![site.folder.path().to_owned()];
    let mut looked_at = 0;
    while looked_at < found.len() {
        let entries = std::fs::read_dir(&found[looked_at]).into_iter().flatten().flatten();
        found.extend(entries.map(|entry| entry.path()).collect::<Vec<_>>());
        looked_at += 1;
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_and_no_untidied_path_leads_out_of_the_logs() {
    let (site, _worker) = running().await;
    let before = files(&site);
    for path in [
        "/v1/tasks/../../../etc/passwd",
        "/v1/tasks/../../secret/log",
        "//etc/passwd",
        "/v1/tasks//etc/passwd/log",
        "/v1/tasks/t1/log/../../../../secret",
    ] {
        let status = status_of(&site, path).await;
        assert!(status.starts_with("HTTP/1.1 40"), "{path}: {status}");
    }
    for name in ["..", "../../x", "/etc/passwd", "a/b", "a\u{202e}b", "a\u{0}b"] {
        let refused = site.post("/v1/tasks", &json!({"task_name": name, "script": "true"})).await;
        assert_eq!((refused.status, refused.code()), (422, "invalid_field"), "{name:?}");
    }
    // A name that is only odd is a name, and no path.
    let odd = site.submit("..\\..\\x").await;
    assert_eq!(site.get(&format!("/v1/tasks/{odd}/log")).await.status, 200);
    assert_eq!(files(&site), before, "a file was made");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_the_place_of_a_log_is_not_followed() {
    let (site, _worker) = running().await;
    let secret = site.folder.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let folder = site.folder.path().join("data/logs/1");
    let log = folder.join("1-1.stdout");
    let elsewhere = site.folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("1-1.stdout"), "secret").unwrap();
    let check = async |what: &str| {
        let read = site.get("/v1/tasks/t1/log").await;
        assert_eq!((read.status, read.code()), (500, "log_failed"), "{what}");
        let written = upload(&site, "w1", &format!("{OWN}&offset=0"), b"overwritten").await;
        assert_eq!((written.status, written.code()), (500, "log_failed"), "{what}");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "secret", "{what}");
        let there = std::fs::read_to_string(elsewhere.join("1-1.stdout")).unwrap();
        assert_eq!(there, "secret", "{what}");
    };
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(&secret, &log).unwrap();
    check("a link to a file").await;
    std::fs::remove_file(&log).unwrap();
    std::fs::hard_link(&secret, &log).unwrap();
    check("a second name of a file").await;
    std::fs::remove_file(&log).unwrap();
    nix::unistd::mkfifo(&log, nix::sys::stat::Mode::S_IRWXU).unwrap();
    check("a pipe, on which nobody may wait").await;
    std::fs::remove_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &folder).unwrap();
    check("a link in the place of a folder on the way").await;
    std::fs::remove_file(&folder).unwrap();
    let written = upload(&site, "w1", &format!("{OWN}&offset=0"), b"fine").await;
    assert_eq!(written.status, 204);
    assert_eq!(site.get("/v1/tasks/t1/log").await.bytes, b"fine");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn output_of_which_a_part_was_not_kept_says_so() {
    let (site, _worker) = running().await;
    upload(&site, "w1", &format!("{OWN}&offset=0"), b"head").await;
    let whole = site.get("/v1/tasks/t1/log").await;
    assert_eq!(header(&whole, "pointsman-log-truncated"), "false");
    let rest = format!("{OWN}&offset=4&truncated=true");
    assert_eq!(upload(&site, "w1", &rest, b"[9 bytes left out]tail").await.status, 204);
    let cut = site.get("/v1/tasks/t1/log?offset=4").await;
    assert_eq!(header(&cut, "pointsman-log-truncated"), "true");
    assert_eq!(cut.bytes, b"[9 bytes left out]tail");
    let other = site.get("/v1/tasks/t1/log?stream=stderr").await;
    assert_eq!(header(&other, "pointsman-log-truncated"), "false");
    site.host.stop().await;
}
