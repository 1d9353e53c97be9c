use super::super::{BODY_MAX, SUBMISSION_MAX};
use super::*;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path as PathOf;
use axum::routing::any;
use std::sync::atomic::{AtomicBool, Ordering};
use tower::ServiceExt;

fn with_tokens() -> Guard {
    let tokens = [
        ("admin-token", Role::Admin),
        ("submit-token", Role::Submit),
        ("read-token", Role::Read),
        ("worker-token", Role::Worker),
    ];
    Guard { tokens: tokens.map(|(token, role)| (hash(token), role)).to_vec(), listen: None }
}

fn routes(guard: Guard) -> Router {
    Router::new()
        .route("/decoded/{name}", any(async |PathOf(name): PathOf<String>| name))
        .fallback(async |body: Bytes| body)
        .layer(axum::middleware::from_fn_with_state(Arc::new(guard), check))
}

fn request(line: &str, headers: &[(&str, &str)], body: Body) -> Request {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    let mut request = Request::new(body);
    *request.method_mut() = method.parse().expect("a method");
    *request.uri_mut() = path.parse().expect("a path");
    let all = [("host", "127.0.0.1:7400"), ("content-type", "application/json")];
    for (name, value) in all.iter().chain(headers) {
        let name: header::HeaderName = name.parse().expect("a name");
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    request
}

async fn answer(guard: &Guard, request: Request) -> (Response<()>, String) {
    let response = routes(guard.clone()).oneshot(request).await.expect("it answers always");
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a short body");
    let text = String::from_utf8_lossy(&body).into_owned();
    (Response::from_parts(parts, ()), text)
}

/// The problem's code, or "ok".
async fn outcome(guard: &Guard, line: &str, headers: &[(&str, &str)]) -> String {
    let (response, text) = answer(guard, request(line, headers, Body::empty())).await;
    if response.status() == StatusCode::OK {
        return "ok".to_owned();
    }
    let problem: Problem = serde_json::from_str(&text).expect("every refusal is a problem");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    assert_eq!(response.status().as_u16(), problem.status);
    problem.code.into_owned()
}

#[tokio::test]
async fn no_role_reaches_more_than_its_routes() {
    let guard = with_tokens();
    let table = [
        // request, admin, submit, read, worker
        ("GET /v1/tasks", ["ok", "ok", "ok", "forbidden"]),
        ("GET /v1/tasks/t1/log", ["ok", "ok", "ok", "forbidden"]),
        ("GET /v1/events", ["ok", "ok", "ok", "forbidden"]),
        ("GET /v1/config", ["ok", "ok", "ok", "forbidden"]),
        ("GET /metrics", ["ok", "ok", "ok", "forbidden"]),
        ("POST /v1/jobs", ["ok", "ok", "forbidden", "forbidden"]),
        ("POST /v1/tasks", ["ok", "ok", "forbidden", "forbidden"]),
        ("POST /v1/tasks/t1/cancel", ["ok", "ok", "forbidden", "forbidden"]),
        ("POST /v1/tasks/t1/retry", ["ok", "ok", "forbidden", "forbidden"]),
        ("PUT /v1/policies/scoring", ["ok", "forbidden", "forbidden", "forbidden"]),
        ("POST /v1/policies/reload", ["ok", "forbidden", "forbidden", "forbidden"]),
        ("POST /v1/queues/default/pause", ["ok", "forbidden", "forbidden", "forbidden"]),
        ("POST /v1/workers/w1/drain", ["ok", "forbidden", "forbidden", "forbidden"]),
        ("GET /v1/workers", ["ok", "ok", "ok", "forbidden"]),
        ("POST /v1/workers", ["ok", "forbidden", "forbidden", "ok"]),
        ("POST /v1/workers/w1/sync", ["ok", "forbidden", "forbidden", "ok"]),
        ("GET /v1/workers/w1/commands", ["ok", "forbidden", "forbidden", "ok"]),
        ("POST /v1/anything/new", ["ok", "forbidden", "forbidden", "forbidden"]),
        ("POST /", ["ok", "forbidden", "forbidden", "forbidden"]),
        ("TRACE /v1/workers/w1/drain", ["ok", "forbidden", "forbidden", "forbidden"]),
    ];
    for (line, expected) in table {
        for (token, expected) in ["admin", "submit", "read", "worker"].iter().zip(expected) {
            let bearer = format!("Bearer {token}-token");
            let found = outcome(&guard, line, &[("authorization", &bearer)]).await;
            assert_eq!(found, expected, "{token}: {line}");
        }
        for wrong in ["", "Bearer guessed", "Bearer", "Basic YTpi", "Bearer admin-token x", "é"] {
            let headers: &[(&str, &str)] =
                if wrong.is_empty() { &[] } else { &[("authorization", wrong)] };
            let found = outcome(&guard, line, headers).await;
            assert_eq!(found, "unauthorized", "{line}: {wrong}");
        }
    }
    assert_eq!(outcome(&guard, "GET /healthz", &[]).await, "ok");
    assert_eq!(outcome(&guard, "GET /readyz", &[]).await, "ok");
    let (head, _) = answer(&guard, request("HEAD /v1/tasks", &[], Body::empty())).await;
    assert_eq!(head.status(), StatusCode::UNAUTHORIZED);
    let lower = [("authorization", "bearer read-token")];
    assert_eq!(outcome(&guard, "GET /v1/tasks", &lower).await, "ok");
}

#[tokio::test]
async fn everybody_may_have_the_panel_and_nothing_of_the_host_with_it() {
    let guard = with_tokens();
    for line in ["GET /", "GET /index.html", "HEAD /"] {
        assert_eq!(outcome(&guard, line, &[]).await, "ok", "{line}");
    }
    for line in ["POST /", "GET /index.htm", "GET //", "GET /v1/", "GET /index.html/../v1/tasks"] {
        assert_eq!(outcome(&guard, line, &[]).await, "unauthorized", "{line}");
    }
}

/// A page cannot set headers of a WebSocket, but offer protocols.
#[tokio::test]
async fn the_event_stream_takes_a_token_as_an_offered_protocol() {
    let guard = with_tokens();
    let offer = |token: &str| format!("pointsman.v1, bearer.{}", URL_SAFE_NO_PAD.encode(token));
    for (line, offered, expected) in [
        ("GET /v1/events", offer("read-token"), "ok"),
        ("GET /v1/events?after=7", offer("admin-token"), "ok"),
        ("GET /v1/events", offer("worker-token"), "forbidden"),
        ("GET /v1/events", offer("guessed"), "unauthorized"),
        ("GET /v1/events", "bearer.read-token".to_owned(), "unauthorized"),
        ("GET /v1/events", "pointsman.v1".to_owned(), "unauthorized"),
        ("GET /v1/tasks", offer("read-token"), "unauthorized"),
        ("POST /v1/jobs", offer("admin-token"), "unauthorized"),
    ] {
        let headers = [("sec-websocket-protocol", offered.as_str())];
        assert_eq!(outcome(&guard, line, &headers).await, expected, "{line} {offered}");
    }
}

#[tokio::test]
async fn no_web_page_reaches_a_host_without_tokens() {
    let open = Guard::default().listening_on(([127, 0, 0, 1], 7400).into());
    for (headers, expected) in [
        (&[][..], "ok"),
        (&[("host", "localhost:7400")], "ok"),
        (&[("host", "LOCALHOST")], "ok"),
        (&[("host", "[::1]:7400")], "ok"),
        (&[("host", "127.1.2.3")], "ok"),
        (&[("host", "evil.example:7400")], "wrong_host"),
        (&[("host", "127.0.0.1.evil.example")], "wrong_host"),
        (&[("host", "192.168.0.7:7400")], "wrong_host"),
        (&[("host", "")], "wrong_host"),
        (&[("host", "[evil]")], "wrong_host"),
        (&[("origin", "http://127.0.0.1:7400")], "ok"),
        (&[("origin", "http://127.0.0.1:9000")], "wrong_origin"),
        (&[("origin", "http://localhost:7400")], "wrong_origin"),
        (&[("origin", "http://evil.example")], "wrong_origin"),
        (&[("origin", "null")], "wrong_origin"),
        (&[("origin", "")], "wrong_origin"),
        (&[("content-type", "text/plain")], "wrong_content_type"),
        (&[("content-type", "")], "wrong_content_type"),
        (&[("content-type", "multipart/form-data; boundary=x")], "wrong_content_type"),
        (&[("content-type", "application/x-www-form-urlencoded")], "wrong_content_type"),
        (&[("content-type", "application/json; charset=utf-8")], "ok"),
    ] {
        assert_eq!(outcome(&open, "POST /v1/tasks", headers).await, expected, "{headers:?}");
    }
    let elsewhere = [("host", "evil.example")];
    assert_eq!(outcome(&open, "GET /v1/tasks", &elsewhere).await, "wrong_host");
}

#[tokio::test]
async fn with_tokens_other_names_are_taken_and_other_pages_are_not() {
    let guard = with_tokens().listening_on(([127, 0, 0, 1], 7400).into());
    let token = ("authorization", "Bearer submit-token");
    let name = ("host", "pointsman.example");
    assert_eq!(outcome(&guard, "POST /v1/jobs", &[token, name]).await, "ok");
    let own = ("origin", "https://pointsman.example");
    assert_eq!(outcome(&guard, "POST /v1/jobs", &[token, name, own]).await, "ok");
    let other = ("origin", "https://evil.example");
    assert_eq!(outcome(&guard, "POST /v1/jobs", &[token, name, other]).await, "wrong_origin");
}

#[tokio::test]
async fn a_host_that_others_reach_takes_nothing_without_tokens() {
    let guard = Guard::default().listening_on(([0, 0, 0, 0], 7400).into());
    assert_eq!(outcome(&guard, "GET /v1/tasks", &[]).await, "forbidden");
    assert_eq!(outcome(&guard, "POST /v1/jobs", &[]).await, "forbidden");
    assert_eq!(outcome(&guard, "GET /healthz", &[]).await, "ok");
}

#[tokio::test]
async fn output_is_uploaded_as_bytes_and_nothing_else_is() {
    let guard = Guard::default();
    let bytes = [("content-type", "application/octet-stream")];
    assert_eq!(outcome(&guard, "POST /v1/workers/w1/log", &bytes).await, "ok");
    assert_eq!(outcome(&guard, "POST /v1/workers/w1/log", &[]).await, "wrong_content_type");
    assert_eq!(outcome(&guard, "POST /v1/workers/w1/sync", &bytes).await, "wrong_content_type");
}

#[tokio::test]
async fn nothing_of_a_body_is_read_before_the_request_is_allowed() {
    let too_long = (SUBMISSION_MAX + 1).to_string();
    for (headers, status) in [
        (vec![], 401),
        (vec![("authorization", "Bearer read-token")], 403),
        (vec![("authorization", "Bearer admin-token"), ("content-type", "text/plain")], 415),
        (vec![("authorization", "Bearer admin-token"), ("content-length", &too_long)], 413),
        (vec![("authorization", "Bearer admin-token"), ("origin", "http://evil.example")], 403),
    ] {
        let is_read = Arc::new(AtomicBool::new(false));
        let told = is_read.clone();
        let chunks = futures_util::stream::poll_fn(move |_| {
            told.store(true, Ordering::Relaxed);
            std::task::Poll::Ready(None::<Result<Bytes, std::io::Error>>)
        });
        let request = request("POST /v1/jobs", &headers, Body::from_stream(chunks));
        let (response, _) = answer(&with_tokens(), request).await;
        assert_eq!(response.status().as_u16(), status);
        assert!(!is_read.load(Ordering::Relaxed), "{headers:?}");
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
    }
}

#[tokio::test]
async fn announced_lengths_are_bounded_by_route() {
    let guard = Guard::default();
    let length = |length: usize| length.to_string();
    for (line, bytes, expected) in [
        ("POST /v1/jobs", SUBMISSION_MAX, "ok"),
        ("POST /v1/jobs", SUBMISSION_MAX + 1, "too_large"),
        ("POST /v1/workers/w1/sync", BODY_MAX, "ok"),
        ("POST /v1/workers/w1/sync", BODY_MAX + 1, "too_large"),
        ("POST /v1/jobs/j1/cancel", BODY_MAX + 1, "too_large"),
    ] {
        let headers = [("content-length", length(bytes))];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(k, v)| (*k, v.as_str())).collect();
        assert_eq!(outcome(&guard, line, &headers).await, expected, "{line} {bytes}");
    }
}

#[tokio::test]
async fn refusals_of_the_framework_are_problems_too() {
    let guard = Guard::default();
    assert_eq!(outcome(&guard, "GET /decoded/%ff", &[]).await, "bad_request");
    assert_eq!(outcome(&guard, "GET /decoded/a", &[]).await, "ok");
    let (response, _) = answer(&guard, request("GET /decoded/a", &[], Body::empty())).await;
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
}

#[test]
fn token_files_that_protect_nothing_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let load = |admin: &Path, worker: &Path| {
        let auth = AuthSection {
            admin: Some(admin.to_owned()),
            worker: Some(worker.to_owned()),
            ..AuthSection::default()
        };
        Guard::load(&auth)
    };
    let good = write("good", "\n  0123456789abcdef \n");
    let other = write("other", "fedcba9876543210");
    let guard = load(&good, &other).expect("good");
    assert_eq!(guard.tokens[0], (hash("0123456789abcdef"), Role::Admin));
    let same = write("same", "0123456789abcdef");
    assert!(matches!(load(&good, &same), Err(TokenError::Shared { .. })));
    let short = write("short", "0123456789abcde\n");
    assert!(matches!(load(&good, &short), Err(TokenError::Short { .. })));
    let two = write("two", "0123456789abcdef\nfedcba9876543210\n");
    assert!(matches!(load(&two, &other), Err(TokenError::Unsendable { .. })));
    let missing = folder.path().join("missing");
    assert!(matches!(load(&good, &missing), Err(TokenError::Read { .. })));
}
