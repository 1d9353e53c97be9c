//! The operator's one TOML file. Read and checked as a whole: either a complete configuration comes
//! out, or all that is wrong with it, each with line, column, key and remedy. One file per section.

mod file;
mod reader;
mod section;
mod server;
mod scheduling;
mod history;
mod policies;
mod worker;
mod effective;

pub use file::{Unread, read_settled};
pub use history::HistorySection;
pub use policies::{LimitSettings, PoliciesSection, SlotBinding, Wasi};
pub use reader::ConfigError;
pub use server::{AuthSection, ServerSection, StoreBackend, TelemetrySection};
pub use worker::{CpuLimit, LimitsSection, WorkerSection};

use pointsman_scheduler::Settings;
use reader::Reader;
use section::Section;
use std::path::{Path, PathBuf};

/// Everything that can be set, complete with defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub server: ServerSection,
    pub auth: AuthSection,
    pub store: StoreBackend,
    pub history: HistorySection,
    /// `[heartbeat]`, `[retry]`, `[quarantine]`, `[queues]`, `[retention]`, `[rescheduling]`.
    pub settings: Settings,
    pub policies: PoliciesSection,
    pub telemetry: TelemetrySection,
    pub worker: WorkerSection,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("failed to read {path}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{}", told(errors))]
    Refused { errors: Vec<ConfigError> },
}

/// All of them as people are told: a line each.
pub fn told(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Bytes of the file at most.
pub const FILE_MAX: u64 = 1 << 20;

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
        let config = Config::read(&mut root);
        server::check_listen(&config.server, &config.auth, &mut root);
        drop(root);
        let (errors, _) = reader.finish();
        if errors.is_empty() { Ok(config) } else { Err(errors) }
    }

    /// Asks for every key; what is wrong is noted.
    fn read(root: &mut Section) -> Config {
        Config {
            server: root.with("server", server::read_server),
            auth: root.with("auth", server::read_auth),
            store: root.with("store", server::read_store),
            history: root.with("history", history::read),
            settings: scheduling::read(root),
            policies: root.with("policies", policies::read),
            telemetry: root.with("telemetry", server::read_telemetry),
            worker: root.with("worker", worker::read),
        }
    }

    /// # Errors
    /// If the file cannot be read, or for all that is wrong with it.
    pub fn load(path: &Path) -> Result<Config, LoadError> {
        let text = file::read(path)?;
        Config::parse(&path.display().to_string(), &text)
            .map_err(|errors| LoadError::Refused { errors })
    }

    /// This configuration as far as it can take effect now: the rest as `in_force`.
    #[must_use]
    pub fn keeping_until_restart(self, in_force: &Config) -> Config {
        let policies = PoliciesSection {
            directory: in_force.policies.directory.clone(),
            poll: in_force.policies.poll,
            limits: in_force.policies.limits,
            ..self.policies
        };
        let history = HistorySection { enabled: in_force.history.enabled, ..self.history };
        Config { settings: self.settings, policies, history, ..in_force.clone() }
    }

    /// Keys, or tables of keys, that differ and take effect only at the next start.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let differing = AT_START.iter().filter(|(_, differs)| differs(self, new));
        differing.map(|(key, _)| *key).collect()
    }
}

/// Whether two configurations differ in something.
type Differs = fn(&Config, &Config) -> bool;

/// What is read only when the host starts.
const AT_START: [(&str, Differs); 11] = [
    ("server.listen", |a, b| a.server.listen != b.server.listen),
    ("server.data_dir", |a, b| a.server.data_dir != b.server.data_dir),
    ("server.workers", |a, b| a.server.workers != b.server.workers),
    ("auth", |a, b| a.auth != b.auth),
    ("store", |a, b| a.store != b.store),
    ("history.enabled", |a, b| a.history.enabled != b.history.enabled),
    ("policies.directory", |a, b| a.policies.directory != b.policies.directory),
    ("policies.poll", |a, b| a.policies.poll != b.policies.poll),
    ("policies.limits", |a, b| a.policies.limits != b.policies.limits),
    ("telemetry", |a, b| a.telemetry != b.telemetry),
    ("worker", |a, b| a.worker != b.worker),
];

#[cfg(test)]
mod documentation;
#[cfg(test)]
mod tests;
