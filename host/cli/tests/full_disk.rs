//! A host whose disk gets full, and one whose disk cannot be written: nothing is acknowledged that is
//! not kept, what runs goes on, and afterwards it works without a restart. Needs the right to mount.

mod lives;

use lives::Process;
use pointsman_protocol::api::{Page, TaskView};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
/// Answers come within this, also while the disk is full.
const ANSWER_PATIENCE: Duration = Duration::from_secs(20);

/// A file system in memory, unmounted with the test.
struct Disk(PathBuf);

impl Disk {
    /// None, with a word on it: this may not be done here.
    fn mount(path: PathBuf, options: &str) -> Option<Disk> {
        std::fs::create_dir(&path).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs", path.to_str().unwrap()])
            .output();
        match mount {
            Ok(output) if output.status.success() => Some(Disk(path)),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                eprintln!("SKIPPED: no file system can be mounted here: {why}");
                None
            }
            Err(error) => {
                eprintln!("SKIPPED: no file system can be mounted here: {error}");
                None
            }
        }
    }

    /// Leaves so many bytes.
    fn fill(&self, left: u64) {
        let stat = nix::sys::statvfs::statvfs(&self.0).unwrap();
        let free = stat.blocks_available() * stat.fragment_size();
        let mut file = std::fs::File::create(self.filler()).unwrap();
        let block = vec![0; 64 << 10];
        for _ in 0..free.saturating_sub(left) / block.len() as u64 {
            file.write_all(&block).unwrap();
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whoever has files open there may end a moment later.
        let _ = Command::new("umount").args(["--lazy", self.0.to_str().unwrap()]).status();
    }
}

struct Host {
    _process: Process,
    base: String,
    http: reqwest::Client,
}

fn serve(data: &Path, policies: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
    let config = policies.with_file_name("pointsman.toml");
    let text = format!("[policies]\ndirectory = {policies:?}\n");
    std::fs::write(&config, text).unwrap();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()])
        .args(["--data-dir", data.to_str().unwrap()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Host {
    fn start(data: &Path, policies: &Path) -> Host {
        let mut child = serve(data, policies).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let base = line.trim().strip_prefix("listening on ").expect("the host listens").to_owned();
        let http = reqwest::Client::builder().timeout(ANSWER_PATIENCE).build().unwrap();
        Host { _process: Process(child), base, http }
    }

    fn worker(&self, data: &Path) -> Process {
        let args = ["worker", "--host", &self.base, "--name", "w", "--cpu", "1"];
        let child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(args)
            .args(["--memory", "1GB", "--data-dir", data.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Process(child.unwrap())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn submit(&self, key: &str, script: &str) -> (u16, Value) {
        let body = json!({
            "task_name": key, "script": script, "resources": {"cpu": 0.1, "memory": "1MB"},
        });
        let request = self.http.post(format!("{}/v1/tasks", self.base)).json(&body);
        let response = request.header("idempotency-key", key).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn tasks(&self, query: &str) -> Vec<TaskView> {
        let (status, text) = self.get(&format!("/v1/tasks?limit=1000{query}")).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Page<TaskView>>(&text).unwrap().items
    }

    async fn until(&self, what: &str, check: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !check().await {
            assert!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_and_passes_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(folder.path().join("disk"), "size=64m") else { return };
    let (data, policies) = (disk.0.join("data"), folder.path().join("policies"));
    std::fs::create_dir(&policies).unwrap();
    let host = Host::start(&data, &policies);
    let _worker = host.worker(&folder.path().join("worker"));
    let go = folder.path().join("go");
    let script = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
    assert_eq!(host.submit("runs", &script).await.0, 201);
    host.until("it runs", async || host.tasks("&state=RUNNING").await.len() == 1).await;

    disk.fill(256 << 10);
    let padding = format!("true # {}", "x".repeat(4_000));
    let (mut kept, mut unsaved) = (Vec::new(), Vec::new());
    for number in 0..500 {
        let key = format!("task-{number}");
        match host.submit(&key, &padding).await {
            (200 | 201, _) if unsaved.is_empty() => kept.push(key),
            (503 | 507, problem) => {
                let code = problem["code"].as_str().unwrap_or_default().to_owned();
                assert!(["store_unavailable", "outcome_unknown"].contains(&&*code), "{problem}");
                unsaved.push(key);
            }
            (status, body) => panic!("{status} after {unsaved:?}: {body}"),
        }
        if unsaved.len() == 5 {
            break;
        }
    }
    assert!(!kept.is_empty() && unsaved.len() == 5, "{} kept, {unsaved:?}", kept.len());

    // Reads go on, and so does what runs; readiness shows the fault.
    assert_eq!(host.get("/healthz").await.0, 200);
    let (status, text) = host.get("/readyz").await;
    assert!(status == 503 && text.contains("full"), "{status}: {text}");
    let shown = host.tasks("").await;
    assert_eq!(shown.len(), kept.len() + 1, "what is not stored is not shown");
    std::fs::write(&go, "").unwrap();

    disk.free();
    host.until("it is ready again", async || host.get("/readyz").await.0 == 200).await;
    for key in &unsaved {
        let (status, body) = host.submit(key, &padding).await;
        assert!(matches!(status, 200 | 201), "{body}");
    }
    let n_tasks = kept.len() + unsaved.len() + 1;
    host.until("all tasks have ended", async || {
        host.tasks("&state=SUCCEEDED").await.len() == n_tasks
    })
    .await;
    assert_eq!(host.tasks("").await.len(), n_tasks, "none twice");
    let attempts = |task: &TaskView| task.attempts.len();
    assert!(host.tasks("").await.iter().all(|task| attempts(task) <= 1));

    // Killed: what was acknowledged is there, without a repair.
    drop(host);
    let host = Host::start(&data, &policies);
    assert_eq!(host.tasks("").await.len(), n_tasks);
}

#[test]
fn a_disk_that_cannot_be_written_is_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    let Some(disk) = Disk::mount(path.clone(), "size=64m") else { return };
    let (data, policies) = (disk.0.join("data"), folder.path().join("policies"));
    std::fs::create_dir(&policies).unwrap();
    drop(Host::start(&data, &policies));
    let mut remount = Command::new("mount");
    remount.args(["-o", "remount,ro", path.to_str().unwrap()]);
    assert!(remount.status().unwrap().success());
    let ended = serve(&data, &policies).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(told.contains("store.sqlite") && told.contains("Read-only file system"), "{told}");
    assert!(
        Command::new("mount")
            .args(["-o", "remount,rw", path.to_str().unwrap()])
            .status()
            .unwrap()
            .success()
    );
    drop(Host::start(&data, &policies));
}
