//! A host and its workers as processes, in a folder of their own, and someone who talks to them.

use super::processes::{self, Process};
use nix::sys::signal::Signal;
use pointsman_protocol::api::{SubmitResponse, WireWorkerState, WorkerView};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long anything may take that has to come.
pub const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Workers that a complaint names.
const N_SHOWN: usize = 20;

#[derive(Debug, Clone, Copy)]
pub struct Heartbeat {
    pub interval: Duration,
    pub suspect_after: Duration,
    pub lost_after: Duration,
}

#[derive(Debug)]
pub struct Cluster {
    binary: PathBuf,
    folder: tempfile::TempDir,
    pub api: Api,
    pub heartbeat: Heartbeat,
    host: Option<Process>,
    workers: Vec<Worker>,
}

/// One agent over all its lives.
#[derive(Debug)]
struct Worker {
    name: String,
    process: Option<Process>,
}

/// The host's address. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    http: reqwest::Client,
}

impl Cluster {
    /// Starts a host and so many workers, and waits until all are live.
    pub async fn start(binary: &Path, heartbeat: Heartbeat, n_workers: usize) -> Cluster {
        let mut cluster = Cluster {
            binary: binary.to_owned(),
            folder: tempfile::tempdir().expect("a temporary folder"),
            api: Api::on(free_port()),
            heartbeat,
            host: None,
            workers: Vec::new(),
        };
        std::fs::create_dir(cluster.path("policies")).expect("a policy folder");
        std::fs::write(cluster.path("pointsman.toml"), cluster.toml()).expect("a configuration");
        cluster.start_host();
        cluster.until_ready().await;
        for index in 0..n_workers {
            cluster.workers.push(Worker { name: format!("w{index}"), process: None });
            cluster.start_worker(index);
        }
        cluster.until_all_live(n_workers).await;
        cluster
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Losses are many here, so they may not end a task; failures are meant, so they are no sign of
    /// a broken worker.
    fn toml(&self) -> String {
        let Heartbeat { interval, suspect_after, lost_after } = self.heartbeat;
        format!(
            "[server]\nlisten = {:?}\ndata_dir = {:?}\n[policies]\ndirectory = {:?}\n\
             [heartbeat]\ninterval = \"{}ms\"\nsuspect_after = \"{}ms\"\nlost_after = \"{}ms\"\n\
             [retry]\nmax_worker_losses = 100\nbackoff = {{ base = \"50ms\", cap = \"500ms\" }}\n\
             [quarantine]\nafter = 0\n",
            self.api.base.trim_start_matches("http://"),
            self.path("data"),
            self.path("policies"),
            interval.as_millis(),
            suspect_after.as_millis(),
            lost_after.as_millis(),
        )
    }

    pub fn start_host(&mut self) {
        let config = self.path("pointsman.toml");
        let binary = self.binary.to_str().expect("it is text");
        // As shells begin, only smaller: the host has to ask for the files that it needs.
        let limited = "ulimit -S -n 256; exec \"$0\" \"$@\"";
        let config = config.to_str().expect("it is text");
        let args = ["-c", limited, binary, "serve", "--config", config];
        self.host = Some(Process::spawn(Path::new("/bin/sh"), &args, &self.path("host.log")));
    }

    pub fn kill_host(&mut self) {
        self.host = None;
    }

    pub fn signal_host(&self, signal: Signal) {
        let host = self.host.as_ref().expect("the host runs");
        processes::send(&[host.id()], signal);
    }

    pub fn n_workers(&self) -> usize {
        self.workers.len()
    }

    pub fn start_worker(&mut self, index: usize) {
        let worker = &self.workers[index];
        let data_dir = self.path(&worker.name);
        let args = ["worker", "--host", &self.api.base, "--name", &worker.name];
        let capacity = ["--cpu", "4", "--memory", "4GB"];
        let data_dir = ["--data-dir", data_dir.to_str().expect("it is text")];
        let log = self.path(&format!("{}.log", worker.name));
        let args = [&args[..], &capacity, &data_dir].concat();
        self.workers[index].process = Some(Process::spawn(&self.binary, &args, &log));
    }

    /// The agent alone: its scripts have to end by themselves.
    pub fn kill_worker(&mut self, index: usize) {
        self.workers[index].process = None;
    }

    /// The agent and everything that its scripts started.
    pub fn signal_worker(&self, index: usize, signal: Signal) {
        let agent = self.workers[index].process.as_ref().expect("the agent runs");
        processes::send(&self.scripts_of(index), signal);
        processes::send(&[agent.id()], signal);
        // Those that it started in between.
        processes::send(&self.scripts_of(index), signal);
    }

    /// Processes of attempts on that worker, of all its lives.
    pub fn scripts_of(&self, index: usize) -> Vec<i32> {
        let token = std::fs::read_to_string(self.path(&self.workers[index].name).join("identity"));
        let token = token.expect("the agent has an identity");
        let marker = format!("POINTSMAN_WORKER={}", &token[..16]);
        processes::with_environment(&[self.mark(), marker])
    }

    /// In the environment of every script of this cluster.
    pub fn mark(&self) -> String {
        format!("STORM={}", self.folder.path().display())
    }

    /// Waits until the host answers. One that ended by itself is a defect, and told as such.
    pub async fn until_ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.api.get::<Vec<WorkerView>>("/v1/workers").await.is_none() {
            let has_ended = self.host.as_mut().is_none_or(Process::has_ended);
            assert!(!has_ended, "the host ended: {}", self.log_of("host"));
            assert!(Instant::now() < deadline, "the host does not answer: {}", self.log_of("host"));
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    pub async fn until_all_live(&self, n_workers: usize) {
        let what = format!("all {n_workers} workers are live");
        self.until(&what, |workers| {
            let is_live = |worker: &&WorkerView| worker.state == WireWorkerState::Live;
            workers.iter().filter(is_live).count() == n_workers
        })
        .await;
    }

    /// Waits until that worker is in this state.
    pub async fn until_worker_is(&self, index: usize, state: WireWorkerState) {
        let name = &self.workers[index].name;
        self.until(&format!("{name} is {state}"), |workers| {
            workers.iter().any(|worker| worker.name == *name && worker.state == state)
        })
        .await;
    }

    async fn until(&self, what: &str, check: impl Fn(&[WorkerView]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let workers: Vec<WorkerView> = self.api.wait_for("/v1/workers").await;
            if check(&workers) {
                return;
            }
            let states = || workers.iter().map(|it| format!("{} {}", it.name, it.state));
            let states = || states().take(N_SHOWN).collect::<Vec<_>>();
            let log = || self.log_of("host");
            assert!(Instant::now() < deadline, "not in time: {what}: {:?}\n{}", states(), log());
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The end of what a process said.
    pub fn log_of(&self, name: &str) -> String {
        let log = std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(10).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Api {
    pub fn on(port: u16) -> Api {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build();
        Api { base: format!("http://127.0.0.1:{port}"), http: http.expect("a client") }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// None while the host is away.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let response = self.http.get(format!("{}{path}", self.base)).send().await.ok()?;
        if response.status().is_success() { response.json().await.ok() } else { None }
    }

    pub async fn wait_for<T: DeserializeOwned>(&self, path: &str) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = self.get(path).await {
                return found;
            }
            assert!(Instant::now() < deadline, "{path} is not answered");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Tries with one key until the host says yes.
    pub async fn submit(&self, key: &str, job: &Value) -> SubmitResponse {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = self.http.post(format!("{}/v1/jobs", self.base)).json(job);
            if let Ok(response) = request.header("idempotency-key", key).send().await {
                let status = response.status();
                assert!(!status.is_client_error(), "{key} is refused: {status}");
                if status.is_success()
                    && let Ok(submitted) = response.json().await
                {
                    return submitted;
                }
            }
            assert!(Instant::now() < deadline, "{key} was never taken");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Free now, and outside the range from which the system chooses: the same over all lives of a host.
pub fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static N_TAKEN: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 8_000) as u16;
    loop {
        let offset = N_TAKEN.fetch_add(1, Ordering::Relaxed);
        let port = 20_000 + (start + offset) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
