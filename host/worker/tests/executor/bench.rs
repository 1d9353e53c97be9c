//! An executor on a bench: starts scripts, waits for what happens to them.

use pointsman_worker::executor::{
    Execution, Executor, ExecutorEvent, ExecutorOptions, Feedback, Output, Stream,
};
use pointsman_worker::{AttemptKey, LimitOptions, Outcome};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

pub const KEY: AttemptKey = AttemptKey { task: 7, number: 2, term: 3 };
pub const CAP: u64 = 1 << 20;
pub const GRACE: Duration = Duration::from_millis(400);

pub struct Bench {
    pub executor: Option<Executor>,
    pub events: mpsc::UnboundedReceiver<ExecutorEvent>,
    pub dir: tempfile::TempDir,
    pub marker: String,
    n_attempts: u32,
}

pub struct Ended {
    pub key: AttemptKey,
    pub outcome: Outcome,
    pub ran: Option<Duration>,
    pub output: Option<Arc<Output>>,
}

pub fn unlimited() -> LimitOptions {
    LimitOptions::off()
}

/// No two executors have the same, also not in different processes.
pub fn new_marker() -> String {
    static N: AtomicU64 = AtomicU64::new(0);
    format!("test{:x}n{:x}", std::process::id(), N.fetch_add(1, Ordering::Relaxed))
}

pub fn options(dir: &Path, marker: &str) -> ExecutorOptions {
    ExecutorOptions {
        data_dir: dir.to_owned(),
        kill_grace: GRACE,
        output_cap: CAP,
        sample_every: Duration::from_secs(60),
        marker: marker.to_owned(),
        life: 1,
        limits: LimitOptions::default(),
        hides_devices: false,
    }
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with(|_| {})
    }

    pub fn with_sampling(sample_every: Duration) -> Bench {
        Bench::with(|options| options.sample_every = sample_every)
    }

    pub fn with_limits(limits: LimitOptions) -> Bench {
        Bench::with(|options| options.limits = limits)
    }

    pub fn with(change: impl FnOnce(&mut ExecutorOptions)) -> Bench {
        let dir = tempfile::tempdir().expect("temp folder");
        let marker = new_marker();
        let mut options = options(dir.path(), &marker);
        change(&mut options);
        let (sender, events) = mpsc::unbounded_channel();
        let executor = Some(Executor::start(options, sender).expect("starts"));
        Bench { executor, events, dir, marker, n_attempts: 0 }
    }

    pub fn executor(&self) -> &Executor {
        self.executor.as_ref().expect("runs")
    }

    pub fn run(&self, execution: Execution) {
        self.executor().run(execution);
    }

    /// A path of the bench, which scripts find under `name`.
    pub fn file(&self, execution: &mut Execution, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        execution.env.insert(name.to_owned(), path.display().to_string());
        path
    }

    pub async fn event(&mut self) -> ExecutorEvent {
        let event = tokio::time::timeout(Duration::from_secs(30), self.events.recv()).await;
        event.expect("an event within 30 s").expect("the executor lives")
    }

    pub async fn any_end(&mut self) -> Ended {
        loop {
            if let ExecutorEvent::Ended { key, end, output } = self.event().await {
                return Ended { key, outcome: end.outcome, ran: end.ran, output };
            }
        }
    }

    pub async fn end(&mut self) -> Ended {
        let ended = self.any_end().await;
        assert_eq!(ended.key, KEY);
        ended
    }

    /// The outcome of one of several scripts, one after the other. Each is an attempt of its own:
    /// what was left of the last one's folder may still be going.
    pub async fn outcome(&mut self, mut execution: Execution) -> Outcome {
        self.n_attempts += 1;
        execution.key.number += self.n_attempts;
        let key = execution.key;
        self.run(execution);
        let ended = self.any_end().await;
        assert_eq!(ended.key, key);
        ended.outcome
    }

    pub async fn started(&mut self) -> Arc<Output> {
        loop {
            if let ExecutorEvent::Started { output, .. } = self.event().await {
                return output;
            }
        }
    }

    pub async fn feedback(&mut self) -> Feedback {
        loop {
            if let ExecutorEvent::Feedback(feedback) = self.event().await
                && let Some((_, feedback)) = feedback.into_iter().next()
            {
                return feedback;
            }
        }
    }
}

impl Ended {
    pub fn bytes(&self, stream: Stream) -> Vec<u8> {
        let output = self.output.as_ref().expect("a process started");
        let (mut bytes, mut offset) = (Vec::new(), 0);
        while let Some(chunk) = output.read(stream, offset, 100_000).expect("reads") {
            offset = chunk.offset + chunk.bytes.len() as u64;
            bytes.extend(chunk.bytes);
        }
        bytes
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.bytes(Stream::Stdout)).expect("text")
    }
}

pub fn execution(script: &str) -> Execution {
    Execution {
        key: KEY,
        task_name: "train".to_owned(),
        job: "j5".to_owned(),
        script: script.to_owned(),
        env: BTreeMap::new(),
        workdir: None,
        timeout: None,
        cpu_milli: 1000,
        memory: 100_000_000,
        devices: Vec::new(),
        traceparent: None,
    }
}

pub async fn run(script: &str) -> Ended {
    let mut bench = Bench::new();
    bench.run(execution(script));
    bench.end().await
}

pub async fn check(script: &str, expect: Outcome) {
    assert_eq!(run(script).await.outcome, expect, "{script}");
}

/// Waits until something has happened.
pub async fn until(what: &str, has_happened: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !has_happened() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::task::yield_now().await;
    }
}

/// Waits until a script has written a process id there.
pub async fn until_pid(path: &Path) -> i32 {
    until("a process id", || std::fs::read_to_string(path).is_ok_and(|text| text.ends_with('\n')))
        .await;
    read_pid(path)
}

pub fn read_pid(path: &Path) -> i32 {
    let text = std::fs::read_to_string(path).expect("the script wrote its child's id");
    text.trim().parse().expect("a process id")
}

/// Gone, or a zombie.
pub fn has_ended(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

/// Polls until the process is gone or a zombie.
pub fn is_gone(pid: i32, within: Duration) -> bool {
    let deadline = Instant::now() + within;
    while !has_ended(pid) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
