//! The panel's files, which are part of the binary. They hold nothing of this host: whatever the panel
//! shows it asks of the API, with the token that the reader has.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

pub struct File {
    /// From the root, `/index.html` is `/` too.
    path: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/panel.rs"));

const INDEX: &str = "/index.html";

/// Own scripts and styles only, none within the page; requests to this host only.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    // Asked again each time, so that a new host's panel is never mixed with an old one's.
    (header::CACHE_CONTROL, "no-cache"),
];

/// Whether this is a file of the panel, which everybody may have.
pub fn is_file(path: &str) -> bool {
    path == "/" || FILES.iter().any(|file| file.path == path)
}

/// The type of the page itself.
pub const INDEX_TYPE: &str = "text/html; charset=utf-8";

/// The page, at the root.
pub async fn index(headers: HeaderMap) -> Response {
    static PAGE: LazyLock<(&File, HeaderValue)> = LazyLock::new(|| {
        let page = FILES.iter().find(|file| file.path == INDEX).expect("the panel has a page");
        (page, tag(page.bytes))
    });
    let (page, tag) = &*PAGE;
    answer(page, tag, &headers)
}

/// The files beside it.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let mut routes = Router::new();
    for file in FILES {
        let tag = tag(file.bytes);
        let answer = move |headers: HeaderMap| {
            let answer = answer(file, &tag, &headers);
            async move { answer }
        };
        routes = routes.route(file.path, get(answer));
    }
    routes
}

fn tag(bytes: &[u8]) -> HeaderValue {
    let hash = Sha256::digest(bytes);
    let digits: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("\"{digits}\"")).expect("digits can stand in a header")
}

fn answer(file: &'static File, tag: &HeaderValue, headers: &HeaderMap) -> Response {
    let is_known = headers.get(header::IF_NONE_MATCH) == Some(tag);
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, file.kind)], file.bytes).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, tag.clone());
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
