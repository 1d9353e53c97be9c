//! The host is killed at random moments while a DAG runs: every task ends, each attempt has one
//! outcome, no acknowledged submission is missing.

mod lives;

use lives::Lives;
use pointsman_protocol::api::{JobView, Page, SubmitResponse, TaskView, WireJobState};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

const KILLS: usize = 20;
const LAYERS: usize = 12;
const WIDTH: usize = 8;
const PATIENCE: Duration = Duration::from_secs(120);

const TIMES: &str =
    "[heartbeat]\ninterval = \"200ms\"\nsuspect_after = \"2s\"\nlost_after = \"20s\"\n";

impl Lives {
    /// None while the host is away.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let response = self.http.get(format!("{}{path}", self.base)).send().await.ok()?;
        if response.status().is_success() { response.json().await.ok() } else { None }
    }

    /// Tries with one key until the host says yes.
    async fn submit(&self, key: &str, job: &Value) -> SubmitResponse {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = self.http.post(format!("{}/v1/jobs", self.base)).json(job);
            if let Ok(response) = request.header("idempotency-key", key).send().await
                && response.status().is_success()
                && let Ok(submitted) = response.json().await
            {
                return submitted;
            }
            assert!(Instant::now() < deadline, "{key} was never taken: {}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Layers of tasks, each waiting for two of the layer before. Each says that it ran.
fn dag(trace: &Path) -> Value {
    let name = |layer: usize, index: usize| format!("t{layer}-{}", index % WIDTH);
    let mut tasks = Vec::new();
    for layer in 0..LAYERS {
        for index in 0..WIDTH {
            let dependencies: Vec<String> = match layer {
                0 => vec![],
                _ => vec![name(layer - 1, index), name(layer - 1, index + 1)],
            };
            let script = format!(
                "echo $POINTSMAN_TASK_NAME $POINTSMAN_ATTEMPT >> {}; sleep 0.1",
                trace.display()
            );
            tasks.push(json!({
                "task_name": name(layer, index), "script": script, "dependencies": dependencies,
                "resources": {"cpu": 0.5, "memory": "1MB"},
            }));
        }
    }
    json!({ "name": "dag", "tasks": tasks })
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_host_twenty_times_loses_and_doubles_nothing() {
    let site = Lives::new(TIMES);
    let trace = site.folder().join("trace");
    let mut host = site.host();
    let _workers = [site.worker("w1", "4"), site.worker("w2", "4")];
    let mut submitted = vec![site.submit("dag", &dag(&trace)).await];
    // Different moments of start, run and commit.
    let mut moment = u64::from(std::process::id());
    for kill in 0..KILLS {
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        tokio::time::sleep(Duration::from_millis(50 + (moment >> 33) % 600)).await;
        drop(host);
        host = site.host();
        let small = json!([{"task_name": "small", "script": "true"}]);
        submitted.push(site.submit(&format!("small-{kill}"), &small).await);
    }
    let deadline = Instant::now() + PATIENCE;
    for response in &submitted {
        let path = format!("/v1/jobs/{}", response.job);
        loop {
            match site.get::<JobView>(&path).await {
                Some(job) if job.state == WireJobState::Succeeded => break,
                Some(job) => assert_eq!(job.state, WireJobState::Running, "{job:?}"),
                None => {}
            }
            assert!(Instant::now() < deadline, "{path} does not end: {}", site.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    check_attempts(&site, &submitted[0], &trace).await;
}

async fn check_attempts(site: &Lives, dag: &SubmitResponse, trace: &Path) {
    let mut runs: BTreeMap<String, usize> = BTreeMap::new();
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        let count = runs.entry(line.to_owned()).or_default();
        *count += 1;
        assert_eq!(*count, 1, "attempt {line} ran twice");
    }
    for task in &dag.tasks {
        let view: TaskView = site.get(&format!("/v1/tasks/{}", task.id)).await.unwrap();
        assert_eq!(view.state.word(), "SUCCEEDED");
        for attempt in &view.attempts {
            assert!(attempt.ended.is_some() && attempt.outcome.is_some(), "{view:?}");
        }
        let is_good = |it: &&pointsman_protocol::api::AttemptView| {
            it.outcome.as_ref().is_some_and(|outcome| outcome.kind == "succeeded")
        };
        assert_eq!(view.attempts.iter().filter(is_good).count(), 1, "{view:?}");
    }
    let page: Page<TaskView> = site.get("/v1/tasks?limit=1000").await.unwrap();
    assert_eq!(page.items.len(), LAYERS * WIDTH + KILLS, "each submission once");
}
