//! `[server]`, `[auth]`, `[store]`.

use super::section::Section;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Debug, Clone, PartialEq)]
pub struct ServerSection {
    pub listen: SocketAddr,
    /// Store, logs, accepted policies, compiled cache.
    pub data_dir: PathBuf,
    /// Agents inside the host's process; they divide the machine between them.
    pub workers: u16,
}

/// Token files; None: no token of that role.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AuthSection {
    pub admin: Option<PathBuf>,
    pub submit: Option<PathBuf>,
    pub read: Option<PathBuf>,
    pub worker: Option<PathBuf>,
}

/// What is told to tools of others.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetrySection {
    /// Where OTLP over HTTP is taken, without the path; None: no traces.
    pub traces: Option<String>,
    /// Of traces that begin here, in [0, 1].
    pub sample: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreBackend {
    Sqlite,
    /// Nothing survives the process.
    Memory,
}

pub(super) fn read_server(section: &mut Section) -> ServerSection {
    let listen = section.text("listen", "127.0.0.1:7400");
    let listen = listen.parse().unwrap_or_else(|_| {
        let remedy = "write an IP address with a port, like \"127.0.0.1:7400\"";
        section.refuse("listen", format!("{listen:?} is no address"), remedy);
        SocketAddr::from(([127, 0, 0, 1], 7400))
    });
    ServerSection {
        listen,
        data_dir: section.path("data_dir", "pointsman-data"),
        workers: section.whole("workers", 0..=64, 0) as u16,
    }
}

pub(super) fn read_auth(section: &mut Section) -> AuthSection {
    AuthSection {
        admin: section.optional_path("admin"),
        submit: section.optional_path("submit"),
        read: section.optional_path("read"),
        worker: section.optional_path("worker"),
    }
}

pub(super) fn read_telemetry(section: &mut Section) -> TelemetrySection {
    let traces = section.optional_text("traces");
    if let Some(url) = &traces
        && !(url.starts_with("http://") && url.len() > "http://".len())
    {
        let remedy = "write where OTLP over HTTP is taken, like \"http://127.0.0.1:4318\"; for https \
                      put a collector beside the host";
        section.refuse("traces", format!("{url:?} is no http address"), remedy);
    }
    TelemetrySection { traces, sample: section.number("sample", 0.0..=1.0, 1.0) }
}

pub(super) fn read_store(section: &mut Section) -> StoreBackend {
    let backends = [("sqlite", StoreBackend::Sqlite), ("memory", StoreBackend::Memory)];
    section.choice("backend", &backends).unwrap_or(StoreBackend::Sqlite)
}

/// The API runs scripts: reachable from elsewhere it needs tokens.
pub(super) fn check_listen(server: &ServerSection, auth: &AuthSection, root: &mut Section) {
    let missing: Vec<&str> = [("auth.admin", &auth.admin), ("auth.worker", &auth.worker)]
        .into_iter()
        .filter_map(|(key, file)| file.is_none().then_some(key))
        .collect();
    if server.listen.ip().is_loopback() || missing.is_empty() {
        return;
    }
    let listen = server.listen;
    let problem = format!("{listen} is reachable from other machines, and this API runs scripts");
    let remedy = format!("set {} to a token file, or listen on 127.0.0.1", missing.join(" and "));
    root.revisit("server", |server| server.refuse("listen", problem, remedy));
}
