//! A million tasks that wait: the memory of a host that holds them, and how long after its death by SIGKILL
//! a new one on the same data schedules them. The host is a process of its own.

use pointsman_protocol::api::StatusView;
use pointsman_protocol::worker::WireCapacity;
use pointsman_server::config::Config;
use pointsman_server::serve::{Host, ServeOptions};
use pointsman_tests::site::job;
use pointsman_worker::WorkerOptions;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const N_JOBS: u64 = 100;
const TASKS_PER_JOB: usize = 10_000;
/// Hands the rest of the command line to [`serve`].
pub const SERVE: &str = "serve-for-waiting";

pub fn run() -> Value {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure())
}

async fn measure() -> Value {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let n_tasks = N_JOBS * TASKS_PER_JOB as u64;
    let host = Running::start(folder.path());
    let job = job(TASKS_PER_JOB, "true");
    let began = Instant::now();
    for _ in 0..N_JOBS {
        host.submit(&job).await;
    }
    let rate = n_tasks as f64 / began.elapsed().as_secs_f64();
    assert_eq!(host.status().await.counts.pending, n_tasks, "all of them wait");
    let [resident, peak] = host.memory_mib();
    println!("{n_tasks} tasks submitted at {rate:.0}/s: {resident} MiB resident, {peak} at most");
    host.kill();

    let began = Instant::now();
    let host = Running::start(folder.path());
    let answers = began.elapsed().as_secs_f64();
    let capacity = WireCapacity { cpu_milli: 4000, memory: 4 << 30, gpus: 0 };
    let worker = WorkerOptions {
        capacity: Some(capacity),
        no_execution: true,
        ..WorkerOptions::new(&host.url, "w", folder.path().join("w"))
    };
    tokio::spawn(pointsman_worker::run(worker, std::future::pending()));
    while host.status().await.counts.succeeded == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let schedules = began.elapsed().as_secs_f64();
    let [resident_again, peak_again] = host.memory_mib();
    println!(
        "a new host answers after {answers:.2} s, and the first task has ended after {schedules:.2} s; \
         {resident_again} MiB resident, {peak_again} at most"
    );
    host.kill();
    json!({
        "tasks": n_tasks, "submitted_per_s": rate,
        "resident_mib": resident, "peak_mib": peak,
        "restart_answers_s": answers, "restart_schedules_s": schedules,
        "resident_after_restart_mib": resident_again, "peak_after_restart_mib": peak_again,
    })
}

struct Running {
    process: Child,
    url: String,
    http: reqwest::Client,
}

impl Running {
    fn start(folder: &Path) -> Running {
        let bench = std::env::current_exe().expect("this program");
        let mut command = Command::new(bench);
        command.arg(SERVE).arg(folder).stdout(Stdio::piped()).stdin(Stdio::piped());
        let mut process = command.spawn().expect("a process");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut url).expect("it tells its address");
        Running { process, url: url.trim().to_owned(), http: reqwest::Client::new() }
    }

    async fn submit(&self, job: &Value) {
        let request = self.http.post(format!("{}/v1/jobs", self.url)).json(job);
        let response = request.send().await.expect("the host answers");
        assert!(response.status().is_success(), "{}", response.status());
    }

    async fn status(&self) -> StatusView {
        let response = self.http.get(format!("{}/v1/status", self.url)).send().await;
        response.expect("the host answers").json().await.expect("a status")
    }

    /// Now, and at most.
    fn memory_mib(&self) -> [u64; 2] {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("Linux tells it");
        ["VmRSS:", "VmHWM:"].map(|name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kib.expect("a number of KiB") / 1024
        })
    }

    fn kill(mut self) {
        self.process.kill().and_then(|()| self.process.wait().map(drop)).expect("it is ours");
    }
}

/// A host on the data in `folder`: tells its address, and ends with its standard input.
pub fn serve(folder: &str) {
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n[policies]\ndirectory = {:?}\n",
        Path::new(folder).join("data"),
        Path::new(folder).join("policies"),
    );
    let config = Config::parse("bench.toml", &text).expect("a good configuration");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let host = runtime.block_on(Host::start(ServeOptions { config, config_path: None }));
    let host = host.expect("the host starts");
    println!("http://{}", host.address());
    let ended = std::io::stdin().lines().next();
    assert!(ended.is_none(), "nothing is written to it");
    runtime.block_on(host.stop());
}
