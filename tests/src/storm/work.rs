//! What runs during a storm: small jobs in an even stream, and what has to become of each task.

use super::cluster::{Api, Cluster};
use pointsman_protocol::api::SubmitResponse;
use pointsman_scheduler::ids::TaskId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const JOBS_PER_S: f64 = 6.0;
pub const MAX_RETRIES: u32 = 2;
/// What some tasks take: they are there when something is killed, and would not be gone by themselves.
pub const LONG: Duration = Duration::from_secs(5);

/// Says that it runs and whether another attempt of the same task still does; holds a lock for as
/// long as any of its processes lives.
const SCRIPT: &str = r#"echo "$POINTSMAN_TASK_ID $POINTSMAN_ATTEMPT" >> "$STORM/trace"
exec 9>> "$STORM/locks/$POINTSMAN_TASK_ID"
flock -n 9 || echo "$POINTSMAN_TASK_ID $POINTSMAN_ATTEMPT" >> "$STORM/overlaps"
"#;

/// How a task has to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Succeeds,
    /// After its own failures; lost attempts count for nothing.
    Fails,
    Skipped,
}

/// Every task that was acknowledged.
#[derive(Debug, Default)]
pub struct Ledger {
    pub fates: BTreeMap<TaskId, Fate>,
}

/// A stream of jobs that runs.
#[derive(Debug)]
pub struct Work {
    stop: oneshot::Sender<()>,
    submitter: JoinHandle<Ledger>,
}

impl Work {
    pub fn start(cluster: &Cluster) -> Work {
        let storm = cluster.path("");
        std::fs::create_dir_all(storm.join("locks")).expect("a folder for locks");
        let (stop, stopped) = oneshot::channel();
        let submitter = tokio::spawn(submit(cluster.api.clone(), storm, stopped));
        Work { stop, submitter }
    }

    /// Submits nothing more; what was acknowledged by now.
    pub async fn stop(self) -> Ledger {
        // It ends only when told.
        let _ = self.stop.send(());
        self.submitter.await.expect("submitting works")
    }
}

async fn submit(api: Api, storm: PathBuf, mut stopped: oneshot::Receiver<()>) -> Ledger {
    let mut ledger = Ledger::default();
    let mut due = Instant::now();
    for number in 0.. {
        let (job, fates) = job(number, &storm);
        // Not given up half way: it may have been taken.
        let answer = api.submit(&format!("storm-{number}"), &job).await;
        ledger.note(&answer, &fates);
        // What could not be submitted while the host was away is not made up for.
        due = Instant::now().max(due + Duration::from_secs_f64(1.0 / JOBS_PER_S));
        tokio::select! {
            () = tokio::time::sleep_until(due.into()) => {}
            _ = &mut stopped => break,
        }
    }
    ledger
}

impl Ledger {
    fn note(&mut self, answer: &SubmitResponse, fates: &[Fate]) {
        assert_eq!(answer.tasks.len(), fates.len(), "each task has an id");
        for (task, fate) in answer.tasks.iter().zip(fates) {
            let earlier = self.fates.insert(task.id, *fate);
            assert_eq!(earlier, None, "{} was given twice", task.id);
        }
    }
}

/// One task that two wait for; in some jobs one that fails, with one that waits for it, or a long one.
fn job(number: u64, storm: &std::path::Path) -> (Value, Vec<Fate>) {
    let task = |name: &str, dependencies: &[&str], rest: &str| {
        json!({
            "task_name": name, "script": format!("{SCRIPT}{rest}"), "dependencies": dependencies,
            "resources": {"cpu": 0.1, "memory": "1MB"}, "max_retries": MAX_RETRIES,
            "env": {"STORM": storm.to_str().expect("it is text").trim_end_matches('/')},
        })
    };
    let sleep = |tenths: u64| format!("sleep 0.{tenths}");
    let mut tasks = vec![
        (task("first", &[], &sleep(1 + number % 5)), Fate::Succeeds),
        (task("second", &["first"], &sleep(number % 3)), Fate::Succeeds),
        (task("third", &["first"], &sleep(2)), Fate::Succeeds),
    ];
    if number.is_multiple_of(4) {
        tasks.push((task("fails", &["first"], "exit 3"), Fate::Fails));
        tasks.push((task("skipped", &["fails"], "true"), Fate::Skipped));
    }
    if number.is_multiple_of(10) {
        let long = task("long", &[], &format!("sleep {}", LONG.as_secs()));
        tasks.push((long, Fate::Succeeds));
    }
    let (tasks, fates): (Vec<Value>, Vec<Fate>) = tasks.into_iter().unzip();
    (json!({"name": format!("job-{number}"), "tasks": tasks}), fates)
}
