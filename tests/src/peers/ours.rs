//! Pointsman as anyone runs it: the binary as host and as worker, and requests over HTTP.

use super::Setting;
use super::bare::{latencies, now_ns};
use super::work::{LOOK_EVERY, Measured, Missing, NOOP_TASKS, PATIENCE, PAUSE, SETTLE, WARM_UP};
use super::work::{Work, failed, resident_mib, stamp};
use crate::site::job;
use crate::storm::processes::{Process, send};
use nix::sys::signal::Signal;
use pointsman_protocol::api::{Counts, StatusView};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What a request may bring.
const TASKS_PER_JOB: usize = 10_000;
/// No-op tasks take us so little that a peer's number of them could not be timed.
const NOOP_TIMES: usize = 10;

pub fn measure(work: Work, setting: &Setting, is_limited: bool) -> Measured {
    let mut running = Running::start(&setting.binary, is_limited)?;
    match work {
        Work::Processes { n } => {
            running.hire(setting.n_slots, false)?;
            running.rate(n / WARM_UP, "/bin/true")?;
            running.rate(n, "/bin/true")
        }
        Work::Noop => {
            running.hire(setting.n_slots, true)?;
            running.rate(NOOP_TASKS / WARM_UP, "true")?;
            running.rate(NOOP_TASKS * NOOP_TIMES, "true")
        }
        Work::Latency { n } => {
            running.hire(setting.n_slots, false)?;
            running.latency(n / WARM_UP)?;
            running.latency(n)
        }
        Work::Waiting { n } => running.memory(n),
    }
}

struct Running {
    binary: PathBuf,
    folder: tempfile::TempDir,
    base: String,
    http: Client,
    // Workers end first: they tell the host so.
    worker: Option<Process>,
    host: Option<Process>,
}

impl Running {
    fn start(binary: &Path, is_limited: bool) -> Result<Running, Missing> {
        let folder = tempfile::tempdir().map_err(failed)?;
        let limits = if is_limited { "" } else { "memory = \"off\"\ncpu = \"off\"\n" };
        let path = |name: &str| folder.path().join(name);
        let toml = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n[policies]\ndirectory = {:?}\n\
             [worker.limits]\n{limits}",
            path("data"),
            path("policies"),
        );
        std::fs::create_dir(path("policies")).map_err(failed)?;
        std::fs::write(path("pointsman.toml"), toml).map_err(failed)?;
        let http = Client::builder().timeout(PATIENCE).no_proxy().build().map_err(failed)?;
        let binary = binary.to_owned();
        let base = String::new();
        let mut running = Running { binary, folder, base, http, worker: None, host: None };
        running.host = Some(running.spawn(&["serve"], "host.log"));
        running.base = running.address()?;
        Ok(running)
    }

    fn spawn(&self, args: &[&str], log: &str) -> Process {
        let config = self.path("pointsman.toml");
        let args = [args, &["--config", text(&config)]].concat();
        Process::spawn(&self.binary, &args, &self.path(log))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Which the host prints once it listens.
    fn address(&self) -> Result<String, Missing> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = std::fs::read_to_string(self.path("host.log")).unwrap_or_default();
            let whole = log.lines().zip(log.split_inclusive('\n'));
            let mut whole = whole.filter(|(_, raw)| raw.ends_with('\n')).map(|(line, _)| line);
            if let Some(base) = whole.find_map(|line| line.strip_prefix("listening on ")) {
                return Ok(base.to_owned());
            }
            if Instant::now() > deadline {
                return Err(failed(format!("the host does not listen: {log}")));
            }
            sleep(LOOK_EVERY);
        }
    }

    fn hire(&mut self, n_slots: usize, no_execution: bool) -> Result<(), Missing> {
        let (cpu, data_dir) = (n_slots.to_string(), self.path("worker"));
        let mut args = vec!["worker", "--host", &self.base, "--name", "w", "--memory", "4GB"];
        // Nothing runs, so that what bounds them is the host.
        args.extend(["--cpu", if no_execution { "2000" } else { &cpu }]);
        args.extend(["--data-dir", text(&data_dir)]);
        args.extend(no_execution.then_some("--no-execution"));
        self.worker = Some(self.spawn(&args, "worker.log"));
        self.until("the worker is live", |status| status.n_workers_live == 1).map(drop)
    }

    /// Tasks/s from the first submission to the last end.
    fn rate(&self, n: usize, script: &str) -> Measured {
        let n_jobs = n.div_ceil(TASKS_PER_JOB);
        let n = n_jobs * n.div_ceil(n_jobs);
        let body = job(n / n_jobs, script);
        let n_before = self.status()?.counts.succeeded;
        let began = Instant::now();
        for _ in 0..n_jobs {
            self.post("/v1/jobs", &body)?;
        }
        let has_ended = |status: &StatusView| {
            let Counts { succeeded, failed, .. } = &status.counts;
            succeeded + failed >= n_before + n as u64
        };
        let status = self.until("all tasks end", has_ended)?;
        let seconds = began.elapsed().as_secs_f64();
        match status.counts.failed {
            0 => Ok(vec![n as f64 / seconds]),
            n_failed => Err(failed(format!("{n_failed} tasks failed"))),
        }
    }

    fn latency(&self, n: usize) -> Measured {
        let file = self.path("stamps");
        std::fs::write(&file, "").map_err(failed)?;
        let task = json!({
            "task_name": "stamp", "script": stamp(&file), "resources": {"cpu": 1, "memory": "1MB"},
        });
        let length = || std::fs::metadata(&file).map(|it| it.len()).map_err(failed);
        let mut began = Vec::new();
        for _ in 0..n {
            let before = length()?;
            began.push(now_ns());
            self.post("/v1/tasks", &task)?;
            let deadline = Instant::now() + PATIENCE;
            while length()? == before {
                if Instant::now() > deadline {
                    return Err(failed("a task does not start"));
                }
                sleep(LOOK_EVERY);
            }
            sleep(PAUSE);
        }
        latencies(&began, &std::fs::read_to_string(&file).map_err(failed)?)
    }

    fn memory(&self, n: usize) -> Measured {
        let id = self.host.as_ref().expect("it runs").id().cast_unsigned();
        let before = resident_mib(id)?;
        let body = job(TASKS_PER_JOB, "/bin/true");
        for _ in 0..n / TASKS_PER_JOB {
            self.post("/v1/jobs", &body)?;
        }
        self.until("all tasks wait", |status| status.counts.pending == n as u64)?;
        sleep(SETTLE);
        Ok(vec![before, resident_mib(id)?])
    }

    fn post(&self, path: &str, body: &Value) -> Result<(), Missing> {
        let response = self.http.post(format!("{}{path}", self.base)).json(body).send();
        response.and_then(|response| response.error_for_status()).map(drop).map_err(failed)
    }

    fn status(&self) -> Result<StatusView, Missing> {
        let response = self.http.get(format!("{}/v1/status?limit=1", self.base)).send();
        response.and_then(|response| response.json()).map_err(failed)
    }

    fn until(
        &self,
        what: &str,
        is_so: impl Fn(&StatusView) -> bool,
    ) -> Result<StatusView, Missing> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = self.status()?;
            if is_so(&status) {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(failed(format!("not in time: {what}: {:?}", status.counts)));
            }
            sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for process in [self.worker.take(), self.host.take()].iter_mut().flatten() {
            send(&[process.id()], Signal::SIGTERM);
            let deadline = Instant::now() + Duration::from_secs(20);
            while !process.has_ended() && Instant::now() < deadline {
                sleep(LOOK_EVERY);
            }
        }
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders are named in plain text")
}
