//! An even stream of small tasks, and an eye on what becomes of each. Open loop: a slow host gets the
//! next task in time all the same, and latency counts from when a task was due.

use futures_util::StreamExt;
use pointsman_protocol::api::{AttemptView, TaskView, WireTaskState};
use pointsman_protocol::events::{EventBody, PolicyChange, PublicEvent};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Whether an attempt was decided as it should have been; an error says what is wrong.
pub type Judge = Arc<dyn Fn(&AttemptView) -> Result<(), String> + Send + Sync>;

/// A load that runs.
pub struct Load {
    seen: Arc<Mutex<Seen>>,
    submitter: JoinHandle<()>,
    follower: JoinHandle<()>,
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Seen {
    open: HashMap<String, Open>,
    /// Of tasks due in the current window: ms from due to durably placed.
    window: Vec<f64>,
    window_began: Option<Instant>,
    pub n_submitted: u64,
    pub n_succeeded: u64,
    /// Ended in anything but SUCCEEDED.
    pub n_failed: u64,
    /// Had more than one attempt.
    pub n_doubled: u64,
    /// Decided in a way that the judge objects to.
    pub n_misjudged: u64,
    /// Calls of policies that failed, and candidates that were refused.
    pub n_policy_failures: u64,
    /// What went wrong, the first few.
    pub complaints: Vec<String>,
}

#[derive(Debug)]
struct Open {
    due: Instant,
    is_placed: bool,
}

impl Load {
    /// Submits `per_second` tasks of one core to the host at `base`, and follows its events.
    pub async fn start(base: &str, per_second: f64, judge: Judge) -> Load {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let http = reqwest::Client::new();
        let url = format!("{base}/v1/events");
        let events = http.get(url).send().await.expect("the host shows its events");
        let follower = tokio::spawn(follow(events, seen.clone(), judge));
        let submitter = tokio::spawn(submit(http, base.to_owned(), per_second, seen.clone()));
        Load { seen, submitter, follower }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        look(&self.seen)
    }

    /// Ends the current window and begins another; answers the latencies of the one that ended.
    pub fn next_window(&self) -> Vec<f64> {
        let mut seen = self.seen();
        seen.window_began = Some(Instant::now());
        std::mem::take(&mut seen.window)
    }

    /// Stops submitting, waits for what is open, and answers what was seen and how many tasks never
    /// ended.
    pub async fn finish(self) -> (Seen, usize) {
        self.submitter.abort();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.seen().open.is_empty() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.follower.abort();
        let mut seen = self.seen();
        let n_open = seen.open.len();
        (std::mem::take(&mut *seen), n_open)
    }
}

fn look(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn submit(http: reqwest::Client, base: String, per_second: f64, seen: Arc<Mutex<Seen>>) {
    let url = format!("{base}/v1/tasks");
    let began = Instant::now();
    for number in 0_u32.. {
        let due = began + Duration::from_secs_f64(f64::from(number) / per_second);
        tokio::time::sleep_until(due.into()).await;
        let name = format!("load-{number}");
        let task = json!({
            "task_name": name, "script": "true", "resources": {"cpu": 1, "memory": "1MB"},
        });
        let open = Open { due, is_placed: false };
        look(&seen).open.insert(name.clone(), open);
        let (request, seen) = (http.post(&url).json(&task).send(), seen.clone());
        tokio::spawn(async move {
            let problem = match request.await {
                Ok(response) if response.status().is_success() => None,
                Ok(response) => Some(format!("{name} was refused: {}", response.status())),
                Err(error) => Some(format!("{name} was not taken: {error}")),
            };
            let mut seen = look(&seen);
            match problem {
                None => seen.n_submitted += 1,
                // Stays open, and so counts as lost.
                Some(problem) => seen.complain(problem),
            }
        });
    }
}

async fn follow(events: reqwest::Response, seen: Arc<Mutex<Seen>>, judge: Judge) {
    let mut stream = events.bytes_stream();
    let mut text = Vec::new();
    let mut n_snapshots = 0;
    while let Some(Ok(bytes)) = stream.next().await {
        text.extend_from_slice(&bytes);
        let Some(end) = text.windows(2).rposition(|pair| pair == b"\n\n") else { continue };
        let rest = text.split_off(end + 2);
        let whole = String::from_utf8(std::mem::replace(&mut text, rest)).expect("JSON is text");
        for line in whole.lines() {
            if line == "event: snapshot" {
                n_snapshots += 1;
                if n_snapshots > 1 {
                    look(&seen).complain("the event stream began anew".to_owned());
                }
            }
            let Some(data) = line.strip_prefix("data: ") else { continue };
            if let Ok(event) = serde_json::from_str::<PublicEvent>(data) {
                look(&seen).note(event.body, &judge);
            }
        }
    }
    look(&seen).complain("the event stream ended".to_owned());
}

impl Seen {
    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < 20 {
            self.complaints.push(complaint);
        }
    }

    fn note(&mut self, event: EventBody, judge: &Judge) {
        match event {
            EventBody::Task { task } => self.note_task(&task, judge),
            EventBody::Policy {
                change: PolicyChange::Failed | PolicyChange::Refused,
                reason,
                policy,
                ..
            } => {
                self.n_policy_failures += 1;
                let name = policy.map(|policy| policy.name.clone());
                self.complain(format!("policy {name:?}: {reason:?}"));
            }
            _ => {}
        }
    }

    fn note_task(&mut self, task: &TaskView, judge: &Judge) {
        let Some(open) = self.open.get_mut(&task.name) else { return };
        let Some(attempt) = task.attempts.last() else { return };
        if !open.is_placed {
            open.is_placed = true;
            let is_of_window = self.window_began.is_some_and(|began| open.due >= began);
            if is_of_window {
                self.window.push(open.due.elapsed().as_secs_f64() * 1e3);
            }
        }
        if !task.state.is_terminal() {
            return;
        }
        self.open.remove(&task.name);
        if task.state == WireTaskState::Succeeded {
            self.n_succeeded += 1;
        } else {
            self.n_failed += 1;
            self.complain(format!("{} ended {:?}", task.name, task.state));
        }
        if task.attempts.len() > 1 || attempt.number > 1 {
            self.n_doubled += 1;
            self.complain(format!("{} had attempt {}", task.name, attempt.number));
        }
        if let Err(objection) = judge(attempt) {
            self.n_misjudged += 1;
            self.complain(format!("{}: {objection}", task.name));
        }
    }
}
