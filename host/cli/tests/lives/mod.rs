//! A host on one folder and one port that lives several times, with workers that outlive it. Each is a
//! process of its own.
#![allow(
    dead_code,
    reason = "each test file uses a part of it; expect would fail in one that uses all"
)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process that ends with the test, however that ends.
pub struct Process(pub Child);

impl Process {
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Lives {
    folder: tempfile::TempDir,
    config: PathBuf,
    pub base: String,
    pub http: reqwest::Client,
}

impl Lives {
    /// With more TOML.
    pub fn new(toml: &str) -> Lives {
        let folder = tempfile::tempdir().unwrap();
        // Free now, and the same over all lives of the host.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.path().join("pointsman.toml");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\ndata_dir = {:?}\n[policies]\ndirectory = {:?}\n{toml}",
            folder.path().join("data"),
            folder.path().join("policies"),
        );
        std::fs::write(&config, text).unwrap();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
        Lives { folder, config, base: format!("http://127.0.0.1:{port}"), http }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The next life; the one before ends when its process is dropped, by SIGKILL.
    pub fn host(&self) -> Process {
        self.host_with(&[])
    }

    /// With more in its environment.
    pub fn host_with(&self, env: &[(&str, &str)]) -> Process {
        self.spawn("host", &["serve", "--config", self.config.to_str().unwrap()], env)
    }

    /// With the label `place=<name>`.
    pub fn worker(&self, name: &str, cpu: &str) -> Process {
        let (data, place) = (self.folder().join(name), format!("place={name}"));
        let args =
            ["worker", "--host", &self.base, "--name", name, "--cpu", cpu, "--memory", "4GB"];
        let rest = ["--labels", &place, "--data-dir", data.to_str().unwrap()];
        self.spawn(name, &[&args[..], &rest[..]].concat(), &[])
    }

    fn spawn(&self, log: &str, args: &[&str], env: &[(&str, &str)]) -> Process {
        let path = self.log_path(log);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Process(child.unwrap())
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.folder().join(name).with_extension("log")
    }

    /// The last lines that the host wrote.
    pub fn logs(&self) -> String {
        let log = std::fs::read_to_string(self.log_path("host")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(30).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}
