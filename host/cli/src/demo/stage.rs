//! The folder of the demonstration: configuration, policies, data and logs.

use anyhow::Context;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub const N_WORKERS: usize = 3;
pub const WORKER_CPU: &str = "2";
pub const WORKER_MEMORY: &str = "4GiB";
/// By which the recorded run times were multiplied in the embedded workflow.
pub const TIME_SCALE: &str = "0.045";

pub struct Stage {
    folder: TempDir,
}

/// What the scoring policy weighs; the second set is written while it runs.
pub const FIRST_WEIGHTS: &str = "cpu = 0.3\nmemory = 0.3\nrtt = 0.2\niops = 0.2";
pub const SECOND_WEIGHTS: &str = "cpu = 0.1\nmemory = 0.7\nrtt = 0.1\niops = 0.1";

impl Stage {
    /// # Errors
    /// If the folder cannot be written.
    pub fn lay_out() -> anyhow::Result<Stage> {
        let folder = tempfile::Builder::new().prefix("pointsman-demo-").tempdir();
        let stage = Stage { folder: folder.context("failed to make a temporary folder")? };
        std::fs::create_dir(stage.policies()).context("failed to make the policies folder")?;
        stage.write_config(FIRST_WEIGHTS)?;
        Ok(stage)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> PathBuf {
        self.folder().join("pointsman.toml")
    }

    pub fn policies(&self) -> PathBuf {
        self.folder().join("policies")
    }

    pub fn worker_dir(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}.log"))
    }

    /// Replaces the configuration as editors do: a new file, renamed over the old one.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_config(&self, weights: &str) -> anyhow::Result<()> {
        let text = format!(
            r#"# Made by `pointsman demo`. Edit it while the host runs.
[server]
listen = "127.0.0.1:0"
data_dir = {data:?}

[heartbeat]                 # short, so that a lost worker is noticed soon
interval = "500ms"
suspect_after = "1500ms"
lost_after = "3s"

[policies]
directory = {policies:?}
[policies.scoring]
component = "weighted-score"
[policies.scoring.config]
{weights}
[policies.queue]
component = "priority-ageing"
[policies.rescheduling]
component = "threshold"
"#,
            data = self.folder().join("data"),
            policies = self.policies(),
        );
        self.replace(&self.config(), text.as_bytes())
    }

    /// Drops a policy into the folder: a new file, complete at once.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn drop_policy(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        self.replace(&self.policies().join(format!("{name}.wasm")), bytes)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
        let new = self.folder().join("new");
        std::fs::write(&new, bytes)
            .and_then(|()| std::fs::rename(&new, path))
            .with_context(|| format!("failed to write {}", path.display()))
    }

    /// It stays when the demonstration has ended.
    pub fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_configuration_is_accepted_with_both_weights() {
        let stage = Stage::lay_out().unwrap();
        let first = pointsman_server::config::Config::load(&stage.config()).unwrap();
        stage.write_config(SECOND_WEIGHTS).unwrap();
        let second = pointsman_server::config::Config::load(&stage.config()).unwrap();
        assert_ne!(first.policies.scoring, second.policies.scoring);
        assert!(first.needs_restart(&second).is_empty());
    }
}
