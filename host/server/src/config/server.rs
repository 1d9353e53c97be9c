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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreBackend {
    Sqlite,
    /// Nothing survives the process.
    Memory,
}

pub(super) fn read_server(section: &mut Section) -> ServerSection {
    let listen = section.text("listen", "127.0.0.1:7400");
    let listen = listen.parse().unwrap_or_else(|_| {
        let remedy = "write an address with a port, like \"127.0.0.1:7400\"";
        section.refuse("listen", format!("{listen:?} is no address"), remedy);
        SocketAddr::from(([127, 0, 0, 1], 7400))
    });
    ServerSection {
        listen,
        data_dir: PathBuf::from(section.text("data_dir", "pointsman-data")),
        workers: section.whole("workers", 0..=64, 0) as u16,
    }
}

pub(super) fn read_auth(section: &mut Section) -> AuthSection {
    let mut path = |role: &str| section.optional_text(role).map(PathBuf::from);
    AuthSection {
        admin: path("admin"),
        submit: path("submit"),
        read: path("read"),
        worker: path("worker"),
    }
}

pub(super) fn read_store(section: &mut Section) -> StoreBackend {
    let backends = [("sqlite", StoreBackend::Sqlite), ("memory", StoreBackend::Memory)];
    section.choice("backend", &backends, StoreBackend::Sqlite)
}

/// The API runs scripts: reachable from elsewhere it needs tokens.
pub(super) fn check_listen(server: &ServerSection, auth: &AuthSection, root: &mut Section) {
    let is_complete = auth.admin.is_some() && auth.worker.is_some();
    if !server.listen.ip().is_loopback() && !is_complete {
        root.section("server").refuse(
            "listen",
            format!(
                "{} is reachable from other machines, and this API runs scripts",
                server.listen
            ),
            "set auth.admin and auth.worker to token files, or listen on 127.0.0.1",
        );
    }
}
