//! Who may do what. Checked before any body is read, since this API runs scripts: roles by token,
//! Host and Origin headers, so that no web page reaches it, and the announced type and length.

use super::answer::Failure;
use super::known::Known;
use super::{EVENTS_PATH, known, panel};
use crate::config::AuthSection;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD;
use pointsman_protocol::problem::Problem;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a token allows. Admin includes submit, submit includes read; worker stands apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// No token at all.
    Nobody,
    Read,
    Submit,
    Admin,
    Worker,
}

/// The tokens in force, as hashes.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    tokens: Vec<([u8; 32], Role)>,
    /// The address that is listened on, as Host headers may name it.
    listen: Option<SocketAddr>,
}

/// A token file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("failed to read the token file {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error(
        "the token in {path} has fewer than {TOKEN_MIN} characters; write a longer one, for example 32 random hexadecimal digits"
    )]
    Short { path: PathBuf },
    #[error(
        "the token in {path} holds white space or other characters that cannot be sent; use letters, digits and '-', '_', '.'"
    )]
    Unsendable { path: PathBuf },
    #[error("{path} holds the same token as another role; each role needs its own")]
    Shared { path: PathBuf },
}

/// Characters of a token at least.
pub const TOKEN_MIN: usize = 16;

impl Guard {
    /// # Errors
    /// If a token file cannot be read, or its token is too short or used twice.
    pub fn load(auth: &AuthSection) -> Result<Guard, TokenError> {
        let files = [
            (&auth.admin, Role::Admin),
            (&auth.submit, Role::Submit),
            (&auth.read, Role::Read),
            (&auth.worker, Role::Worker),
        ];
        let mut tokens: Vec<([u8; 32], Role)> = Vec::new();
        for (path, role) in files {
            let Some(path) = path else { continue };
            let hash = hash(&read_token(path)?);
            if tokens.iter().any(|(known, _)| *known == hash) {
                return Err(TokenError::Shared { path: path.clone() });
            }
            tokens.push((hash, role));
        }
        Ok(Guard { tokens, listen: None })
    }

    #[must_use]
    pub fn listening_on(self, listen: SocketAddr) -> Guard {
        Guard { listen: Some(listen), ..self }
    }

    /// In this order, so that a stranger learns nothing but that a token is needed.
    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
        self.check_host(headers)?;
        let token = token(path, headers);
        self.check_role(required_role(method, path), token.as_deref())?;
        // Other paths and methods are refused by the router.
        let Some(known) = known::find(method, path) else { return Ok(()) };
        check_content_type(known, headers)?;
        check_length(known, headers)
    }

    fn check_role(&self, required: Role, token: Option<&str>) -> Result<(), Problem> {
        if required == Role::Nobody {
            return Ok(());
        }
        if self.tokens.is_empty() {
            return self.check_openness();
        }
        let role = self.role_of(token)?;
        let is_allowed = match (role, required) {
            (Role::Admin, _) => true,
            (Role::Worker, required) => required == Role::Worker,
            (_, Role::Worker) => false,
            (role, required) => role >= required,
        };
        if is_allowed {
            return Ok(());
        }
        let detail = format!("this token has the role {role:?}, this request needs {required:?}");
        Err(Problem::new(403, "forbidden", detail).with_remedy("use a token of that role"))
    }

    /// The configuration is refused before it comes to this.
    fn check_openness(&self) -> Result<(), Problem> {
        if !self.is_reachable_from_elsewhere() {
            return Ok(());
        }
        let detail = "this host is reachable from other machines and has no tokens";
        Err(Problem::new(403, "forbidden", detail).with_remedy("set auth.admin and auth.worker"))
    }

    fn is_reachable_from_elsewhere(&self) -> bool {
        self.listen.is_some_and(|listen| !listen.ip().is_loopback())
    }

    fn role_of(&self, token: Option<&str>) -> Result<Role, Problem> {
        let Some(token) = token else {
            let missing = Problem::new(401, "unauthorized", "this request needs a token");
            let missing = missing.with_field("Authorization");
            return Err(missing.with_remedy("send it as \"Authorization: Bearer TOKEN\""));
        };
        // Comparing hashes tells nothing about the tokens by the time it takes.
        let hash = hash(token);
        let known = self.tokens.iter().find(|(known, _)| *known == hash);
        known.map(|(_, role)| *role).ok_or_else(|| {
            Problem::new(401, "unauthorized", "this token is unknown").with_field("Authorization")
        })
    }

    /// A web page in a browser on this machine can send requests here under another name; without
    /// tokens the Host header is all that gives it away.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        let is_guarded = !self.tokens.is_empty() || self.is_reachable_from_elsewhere();
        if !is_guarded && !is_loopback_name(host) {
            let detail = format!("the Host header {host:?} does not name this machine");
            return Err(Problem::new(421, "wrong_host", detail)
                .with_field("Host")
                .with_remedy("use 127.0.0.1 or localhost in the address, or set tokens"));
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or("");
        let of_origin = origin.split_once("://").map_or("", |(_, host)| host);
        if !of_origin.is_empty() && of_origin == host {
            return Ok(());
        }
        let detail = format!("requests from pages of {origin:?} are not taken");
        Err(Problem::new(403, "wrong_origin", detail).with_field("Origin"))
    }
}

/// What a page offers beside the protocol it speaks, since it cannot set the header Authorization of a
/// WebSocket: a token in base64url without padding.
const TOKEN_PROTOCOL: &str = "bearer.";

fn token(path: &str, headers: &HeaderMap) -> Option<String> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim().to_owned());
    }
    if path != EVENTS_PATH {
        return None;
    }
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let mut offered = offered.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
    let encoded = offered.find_map(|it| it.trim().strip_prefix(TOKEN_PROTOCOL))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The type of a policy that is handed over.
pub const WASM_CONTENT_TYPE: &str = "application/wasm";

fn content_type(headers: &HeaderMap) -> &str {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or("").split(';').next().unwrap_or("").trim()
}

/// Whether the body is a policy.
pub fn is_wasm(headers: &HeaderMap) -> bool {
    content_type(headers).eq_ignore_ascii_case(WASM_CONTENT_TYPE)
}

/// Types that a plain form of a web page cannot send. Requests without a body need them too.
fn check_content_type(known: &Known, headers: &HeaderMap) -> Result<(), Problem> {
    let found = content_type(headers);
    let Some(expected) = known.contents.first() else { return Ok(()) };
    if known.contents.iter().any(|it| found.eq_ignore_ascii_case(it)) {
        return Ok(());
    }
    let detail = format!("the content type is {found:?}, this route takes {expected}");
    Err(Problem::new(415, "wrong_content_type", detail)
        .with_field("Content-Type")
        .with_remedy(format!("send the header \"Content-Type: {expected}\"")))
}

/// A body that is announced as too long is refused before it is sent; others are cut off by the
/// routes.
fn check_length(known: &Known, headers: &HeaderMap) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let Some(length) = length.and_then(|length| length.parse::<u64>().ok()) else { return Ok(()) };
    let max = known.body_max as u64;
    if known.contents.is_empty() || length <= max {
        return Ok(());
    }
    let detail = format!("the body has {length} bytes, this route takes {max}");
    Err(Problem::new(413, "too_large", detail))
}

/// The least role that a request needs.
pub fn required_role(method: &Method, path: &str) -> Role {
    let is_read = *method == Method::GET || *method == Method::HEAD;
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["healthz" | "readyz"] => Role::Nobody,
        _ if is_read && panel::is_file(path) => Role::Nobody,
        ["v1", "workers"] if !is_read => Role::Worker,
        ["v1", "workers", _, "sync" | "commands" | "log"] => Role::Worker,
        _ if is_read => Role::Read,
        ["v1", "jobs" | "tasks", ..] => Role::Submit,
        _ => Role::Admin,
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The token in a file, without the white space around it. Warns if everyone can read it.
///
/// # Errors
/// If it cannot be read, is too short, or cannot stand in a header.
pub fn read_token(path: &Path) -> Result<String, TokenError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| TokenError::Read { path: path.to_owned(), source })?;
    let token = text.trim().to_owned();
    if token.chars().count() < TOKEN_MIN {
        return Err(TokenError::Short { path: path.to_owned() });
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(TokenError::Unsendable { path: path.to_owned() });
    }
    if is_open_to_everyone(path) {
        let path = path.display();
        tracing::warn!("every user of this machine can read the token in {path}; use chmod 600");
    }
    Ok(token)
}

fn is_open_to_everyone(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o007 != 0)
}

/// The middleware before all routes.
pub async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let checked = guard.check(request.method(), request.uri().path(), request.headers());
    let mut response = match checked {
        Ok(()) => as_problem(next.run(request).await).await,
        Err(problem) => Failure(problem).into_response(),
    };
    let headers = response.headers_mut();
    // What a task wrote is never run by a browser as something else.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Bytes of a refusal in plain text at most.
const REFUSAL_MAX: usize = 4096;

/// The framework refuses some requests by itself, in plain text.
async fn as_problem(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let is_text = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    if !is_error || !is_text {
        return response;
    }
    let text = axum::body::to_bytes(response.into_body(), REFUSAL_MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    Failure(Problem::new(status.as_u16(), "bad_request", text)).into_response()
}

#[cfg(test)]
mod tests;
