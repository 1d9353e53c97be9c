//! The operator's one TOML file. Read and checked as a whole: either a complete configuration comes
//! out, or all that is wrong with it, each with line, column, key and remedy. One file per section.

mod reader;
mod section;
mod server;
mod scheduling;
mod policies;
mod worker;
mod effective;

pub use policies::{LimitSettings, PoliciesSection, SlotBinding};
pub use reader::ConfigError;
pub use server::{AuthSection, ServerSection, StoreBackend};
pub use worker::WorkerSection;

use pointsman_scheduler::Settings;
use reader::Reader;
use std::path::{Path, PathBuf};

/// Everything that can be set, complete with defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub server: ServerSection,
    pub auth: AuthSection,
    pub store: StoreBackend,
    /// `[heartbeat]`, `[retry]`, `[queues]`, `[retention]`, `[rescheduling]`.
    pub settings: Settings,
    pub policies: PoliciesSection,
    pub worker: WorkerSection,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("failed to read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}", join(errors))]
    Refused { errors: Vec<ConfigError> },
}

fn join(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The defaults with their explanations, as `config show --default` prints them.
pub const DEFAULT_TOML: &str = include_str!("config/default.toml");

impl Default for Config {
    fn default() -> Config {
        Config::parse("default", "").expect("an empty file is a complete configuration")
    }
}

impl Config {
    /// # Errors
    /// All that is wrong, in the order of the file.
    pub fn parse(file: &str, text: &str) -> Result<Config, Vec<ConfigError>> {
        let mut reader = Reader::parse(file, text).map_err(|error| vec![error])?;
        let mut root = reader.root();
        let config = Config {
            server: root.with("server", server::read_server),
            auth: root.with("auth", server::read_auth),
            store: root.with("store", server::read_store),
            settings: scheduling::read(&mut root),
            policies: root.with("policies", policies::read),
            worker: root.with("worker", worker::read),
        };
        server::check_listen(&config.server, &config.auth, &mut root);
        root.finish();
        drop(root);
        let errors = reader.into_errors();
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// # Errors
    /// If the file cannot be read, or for all that is wrong with it.
    pub fn load(path: &Path) -> Result<Config, LoadError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| LoadError::Read { path: path.to_owned(), source })?;
        Config::parse(&path.display().to_string(), &text)
            .map_err(|errors| LoadError::Refused { errors })
    }

    /// Keys that differ and take effect only at the next start.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let mut keys = Vec::new();
        let mut note = |differs: bool, key| {
            if differs {
                keys.push(key);
            }
        };
        note(self.server.listen != new.server.listen, "server.listen");
        note(self.server.data_dir != new.server.data_dir, "server.data_dir");
        note(self.server.workers != new.server.workers, "server.workers");
        note(self.auth != new.auth, "auth");
        note(self.store != new.store, "store.backend");
        note(self.policies.directory != new.policies.directory, "policies.directory");
        note(self.policies.limits != new.policies.limits, "policies.limits");
        note(self.worker != new.worker, "worker");
        keys
    }
}

#[cfg(test)]
mod tests;
