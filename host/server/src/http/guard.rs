//! Who may do what. Checked before any body is read, since this API runs scripts: roles by token,
//! and on loopback without tokens the Host and Origin headers, so that no web page reaches it.

use super::answer::Failure;
use crate::config::AuthSection;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::worker::LOG_CONTENT_TYPE;
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

    fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
        self.check_host(headers)?;
        check_content_type(method, path, headers)?;
        let required = required_role(method, path);
        if self.tokens.is_empty() || required == Role::Nobody {
            return Ok(());
        }
        let role = self.role_of(headers)?;
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

    fn role_of(&self, headers: &HeaderMap) -> Result<Role, Problem> {
        let missing = || {
            Problem::new(401, "unauthorized", "this request needs a token")
                .with_field("Authorization")
                .with_remedy("send it as \"Authorization: Bearer TOKEN\"")
        };
        let value = headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
        let token =
            value.to_str().ok().and_then(|it| it.strip_prefix("Bearer ")).ok_or_else(missing)?;
        // Comparing hashes tells nothing about the tokens by the time it takes.
        let hash = hash(token.trim());
        let known = self.tokens.iter().find(|(known, _)| *known == hash);
        known.map(|(_, role)| *role).ok_or_else(|| {
            Problem::new(401, "unauthorized", "this token is unknown").with_field("Authorization")
        })
    }

    /// A web page in a browser on this machine can send requests here under another name.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("");
        let is_reachable_from_elsewhere = self.listen.is_some_and(|it| !it.ip().is_loopback());
        if !is_reachable_from_elsewhere && !is_loopback_name(host) {
            let detail = format!("the Host header {host:?} does not name this machine");
            return Err(Problem::new(421, "wrong_host", detail)
                .with_field("Host")
                .with_remedy("use 127.0.0.1 or localhost in the address"));
        }
        let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or("");
        let of_origin = origin.split_once("://").map_or("", |(_, host)| host);
        if of_origin == host {
            return Ok(());
        }
        let detail = format!("requests from pages of {origin:?} are not taken");
        Err(Problem::new(403, "wrong_origin", detail).with_field("Origin"))
    }
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.split(':').next().unwrap_or(""),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Types that a plain form of a web page cannot send.
fn check_content_type(method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
    if *method == Method::GET || *method == Method::HEAD {
        return Ok(());
    }
    let is_log = path.starts_with("/v1/workers/") && path.ends_with("/log");
    let expected = if is_log { LOG_CONTENT_TYPE } else { "application/json" };
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let found = value.unwrap_or("").split(';').next().unwrap_or("").trim();
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    let detail = format!("the content type is {found:?}, this route takes {expected}");
    Err(Problem::new(415, "wrong_content_type", detail).with_field("Content-Type"))
}

/// The least role that a request needs.
fn required_role(method: &Method, path: &str) -> Role {
    let is_read = *method == Method::GET || *method == Method::HEAD;
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["healthz" | "readyz"] => Role::Nobody,
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

/// The token in a file, without the white space around it.
///
/// # Errors
/// If it cannot be read or is too short.
pub fn read_token(path: &Path) -> Result<String, TokenError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| TokenError::Read { path: path.to_owned(), source })?;
    let token = text.trim().to_owned();
    if token.chars().count() < TOKEN_MIN {
        return Err(TokenError::Short { path: path.to_owned() });
    }
    Ok(token)
}

/// The middleware before all routes.
pub async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.check(request.method(), request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => Failure(problem).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        let tokens = [
            ("admin-token", Role::Admin),
            ("submit-token", Role::Submit),
            ("read-token", Role::Read),
            ("worker-token", Role::Worker),
        ];
        Guard { tokens: tokens.map(|(token, role)| (hash(token), role)).to_vec(), listen: None }
    }

    /// The problem's code, or "ok".
    fn outcome(guard: &Guard, request: &str, headers: &[(&'static str, &str)]) -> String {
        let (method, path) = request.split_once(' ').expect("a method and a path");
        let mut map = HeaderMap::new();
        map.insert("host", "127.0.0.1:7400".parse().unwrap());
        map.insert("content-type", "application/json".parse().unwrap());
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let method = method.parse().expect("a method");
        match guard.check(&method, path, &map) {
            Ok(()) => "ok".to_owned(),
            Err(problem) => problem.code.into_owned(),
        }
    }

    #[test]
    fn no_role_reaches_more_than_its_routes() {
        let table = [
            // request, admin, submit, read, worker
            ("GET /v1/tasks", ["ok", "ok", "ok", "forbidden"]),
            ("POST /v1/jobs", ["ok", "ok", "forbidden", "forbidden"]),
            ("POST /v1/tasks/t1/cancel", ["ok", "ok", "forbidden", "forbidden"]),
            ("PUT /v1/policies/scoring", ["ok", "forbidden", "forbidden", "forbidden"]),
            ("POST /v1/policies/reload", ["ok", "forbidden", "forbidden", "forbidden"]),
            ("POST /v1/queues/default/pause", ["ok", "forbidden", "forbidden", "forbidden"]),
            ("POST /v1/workers/w1/drain", ["ok", "forbidden", "forbidden", "forbidden"]),
            ("GET /v1/workers", ["ok", "ok", "ok", "forbidden"]),
            ("POST /v1/workers", ["ok", "forbidden", "forbidden", "ok"]),
            ("POST /v1/workers/w1/sync", ["ok", "forbidden", "forbidden", "ok"]),
            ("GET /v1/workers/w1/commands", ["ok", "forbidden", "forbidden", "ok"]),
            ("POST /v1/anything/new", ["ok", "forbidden", "forbidden", "forbidden"]),
        ];
        for (request, expected) in table {
            for (token, expected) in ["admin", "submit", "read", "worker"].iter().zip(expected) {
                let bearer = format!("Bearer {token}-token");
                let found = outcome(&guard(), request, &[("authorization", &bearer)]);
                assert_eq!(found, expected, "{token}: {request}");
            }
            assert_eq!(outcome(&guard(), request, &[]), "unauthorized", "{request}");
            let wrong = [("authorization", "Bearer guessed")];
            assert_eq!(outcome(&guard(), request, &wrong), "unauthorized", "{request}");
        }
        assert_eq!(outcome(&guard(), "GET /healthz", &[]), "ok");
    }

    #[test]
    fn no_web_page_reaches_a_host_without_tokens() {
        let open = Guard::default();
        for (headers, expected) in [
            (&[][..], "ok"),
            (&[("host", "localhost:7400")], "ok"),
            (&[("host", "[::1]:7400")], "ok"),
            (&[("host", "evil.example:7400")], "wrong_host"),
            (&[("host", "127.0.0.1.evil.example")], "wrong_host"),
            (&[("origin", "http://127.0.0.1:7400")], "ok"),
            (&[("origin", "http://evil.example")], "wrong_origin"),
            (&[("origin", "null")], "wrong_origin"),
            (&[("content-type", "text/plain")], "wrong_content_type"),
            (&[("content-type", "application/x-www-form-urlencoded")], "wrong_content_type"),
            (&[("content-type", "application/json; charset=utf-8")], "ok"),
        ] {
            assert_eq!(outcome(&open, "POST /v1/tasks", headers), expected, "{headers:?}");
        }
    }
}
