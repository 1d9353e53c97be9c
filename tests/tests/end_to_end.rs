//! A host and workers in one process, over real HTTP: jobs run to their end.

use pointsman_protocol::api::{JobView, Page, SubmitResponse, TaskView, WireJobState, WorkerView};
use pointsman_server::config::Config;
use pointsman_server::serve::{Host, ServeOptions};
use pointsman_worker::{WorkerOptions, run};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const PATIENCE: Duration = Duration::from_secs(60);

struct Site {
    host: Host,
    http: reqwest::Client,
    folder: tempfile::TempDir,
}

impl Site {
    async fn start() -> Site {
        let folder = tempfile::tempdir().unwrap();
        let host = start_host(folder.path()).await;
        Site { host, http: reqwest::Client::new(), folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host.address())
    }

    async fn worker(&self, name: &str) -> oneshot::Sender<()> {
        let (stop, stopped) = oneshot::channel();
        let folder = self.folder.path().join(name);
        let options = WorkerOptions {
            capacity: Some(pointsman_protocol::worker::WireCapacity {
                cpu_milli: 4000,
                memory: 8_000_000_000,
                gpus: 0,
            }),
            ..WorkerOptions::new(&self.url(""), name, folder)
        };
        tokio::spawn(run(options, async {
            let _ = stopped.await;
        }));
        let name = name.to_owned();
        self.until("the worker is live", async || {
            let workers: Vec<WorkerView> = self.get("/v1/workers").await;
            workers.iter().any(|it| it.name == name && it.state.word() == "live")
        })
        .await;
        stop
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let response = self.http.get(self.url(path)).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap());
        response.json().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let response = self.http.post(self.url(path)).json(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.json().await.unwrap_or(Value::Null))
    }

    async fn submit(&self, job: Value) -> SubmitResponse {
        let (status, body) = self.post("/v1/jobs", &job).await;
        assert_eq!(status, 201, "{body}");
        serde_json::from_value(body).unwrap()
    }

    async fn until(&self, what: &str, check: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !check().await {
            assert!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn job_end(&self, id: &str) -> WireJobState {
        let path = format!("/v1/jobs/{id}");
        self.until("the job ends", async || self.get::<JobView>(&path).await.ended.is_some()).await;
        self.get::<JobView>(&path).await.state
    }
}

async fn start_host(folder: &Path) -> Host {
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n[policies]\ndirectory = {:?}\n\
         [retry.backoff]\nbase = \"10ms\"\ncap = \"50ms\"\n",
        folder.join("data"),
        folder.join("policies"),
    );
    let config = Config::parse("test.toml", &text).expect("a good configuration");
    Host::start(ServeOptions { config, config_path: None }).await.expect("the host starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dag_runs_to_its_end_in_order() {
    let site = Site::start().await;
    let _worker = site.worker("w1").await;
    let trace = site.folder.path().join("trace");
    let script = |name: &str| format!("echo {name} >> {}", trace.display());
    let job = json!({"name": "diamond", "tasks": [
        {"task_name": "d", "script": script("d"), "dependencies": ["b", "c"]},
        {"task_name": "b", "script": script("b"), "dependencies": ["a"]},
        {"task_name": "c", "script": script("c"), "dependencies": ["a"]},
        {"task_name": "a", "script": script("a")},
    ]});
    let submitted = site.submit(job).await;
    let state = site.job_end(&submitted.job.to_string()).await;
    assert_eq!(state, WireJobState::Succeeded);
    let order = std::fs::read_to_string(&trace).unwrap();
    let order: Vec<&str> = order.lines().collect();
    assert_eq!((order.len(), order[0], order[3]), (4, "a", "d"));
    let page: Page<TaskView> = site.get("/v1/tasks?state=SUCCEEDED").await;
    assert_eq!(page.items.len(), 4);
    let decision = &page.items[0].attempts[0].decision;
    assert!(decision.scoring.digest != "native", "decided by WebAssembly: {decision:?}");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_retried_and_told_and_output_is_kept() {
    let site = Site::start().await;
    let _worker = site.worker("w1").await;
    let job = json!({"name": "fails", "tasks": [
        {"task_name": "bad", "script": "echo out; echo err >&2; exit 3", "max_retries": 1},
        {"task_name": "after", "script": "true", "dependencies": ["bad"]},
    ]});
    let submitted = site.submit(job).await;
    assert_eq!(site.job_end(&submitted.job.to_string()).await, WireJobState::Failed);
    let id = submitted.tasks[0].id;
    let task: TaskView = site.get(&format!("/v1/tasks/{id}")).await;
    assert_eq!(task.attempts.len(), 2);
    let reason = task.end_reason.expect("a reason");
    assert_eq!(reason.text, "exit code 3 after 2 attempts, no retry left");
    for (stream, expected) in [("stdout", "out\n"), ("stderr", "err\n")] {
        let path = format!("/v1/tasks/{id}/log?attempt=2&stream={stream}");
        let text = site.http.get(site.url(&path)).send().await.unwrap().text().await.unwrap();
        assert_eq!(text, expected);
    }
    let after: TaskView = site.get(&format!("/v1/tasks/{}", submitted.tasks[1].id)).await;
    assert_eq!(after.state.word(), "SKIPPED");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_task_is_cancelled_and_its_processes_end() {
    let site = Site::start().await;
    let _worker = site.worker("w1").await;
    let job = json!([{"task_name": "long", "script": "sleep 300"}]);
    let submitted = site.submit(job).await;
    let path = format!("/v1/tasks/{}", submitted.tasks[0].id);
    site.until("it runs", async || site.get::<TaskView>(&path).await.state.word() == "RUNNING")
        .await;
    let (status, body) = site.post(&format!("{path}/cancel"), &json!({})).await;
    assert_eq!((status, &body["stopping"]), (200, &json!(true)));
    assert_eq!(site.job_end(&submitted.job.to_string()).await, WireJobState::Cancelled);
    let worker: Vec<WorkerView> = site.get("/v1/workers").await;
    assert_eq!(worker[0].running, 0);
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_submissions_are_refused_by_field_and_nothing_is_stored() {
    let site = Site::start().await;
    for (body, status, field) in [
        (
            json!([{"task_name": "a", "script": "x", "resources": {"cpu": -1}}]),
            422,
            "[0].resources.cpu",
        ),
        (
            json!({"name": "j", "tasks": [{"task_name": "a", "script": "x", "scirpt": ""}]}),
            422,
            "tasks[0].scirpt",
        ),
        (
            json!({"task_name": "a", "script": "x", "dependencies": ["nope"]}),
            422,
            "tasks[0].dependencies",
        ),
        (json!({"task_name": "a", "script": "x", "queue": "nope"}), 422, "queue"),
    ] {
        let (found, problem) = site.post("/v1/jobs", &body).await;
        assert_eq!((found, &problem["field"]), (status, &json!(field)), "{problem}");
        assert!(problem["detail"].is_string());
    }
    let page: Page<TaskView> = site.get("/v1/tasks").await;
    assert!(page.items.is_empty());
    for (path, status) in [
        ("/v1/tasks?limit=0", 400),
        ("/v1/tasks?limit=x", 400),
        ("/v1/tasks?state=LATE", 400),
        ("/v1/tasks?colour=red", 400),
        ("/v1/tasks/t999", 404),
        ("/v1/tasks/../../etc/passwd", 404),
        ("/v1/tasks/%2e%2e%2fetc/log", 400),
        ("/v1/nothing", 404),
    ] {
        let response = site.http.get(site.url(path)).send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{path}");
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(kind, "application/problem+json", "{path}");
    }
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_stream_begins_with_a_snapshot_and_misses_nothing() {
    let site = Site::start().await;
    let _worker = site.worker("w1").await;
    let mut stream = site.http.get(site.url("/v1/events")).send().await.unwrap();
    let mut text = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(text.contains("event: snapshot"), "{text}");
    let submitted = site.submit(json!([{"task_name": "a", "script": "true"}])).await;
    site.job_end(&submitted.job.to_string()).await;
    let deadline = Instant::now() + PATIENCE;
    while !text.contains(r#""state":"SUCCEEDED","submitted""#) {
        assert!(Instant::now() < deadline, "{text}");
        text += &String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap());
    }
    let numbers: Vec<u64> =
        text.lines().filter_map(|line| line.strip_prefix("id: ")?.parse().ok()).collect();
    assert!(numbers.is_sorted() && numbers.len() > 2, "{numbers:?}");
    site.host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_never_makes_a_second_job() {
    let site = Site::start().await;
    let post = async |body: &Value| {
        let request = site.http.post(site.url("/v1/jobs")).header("idempotency-key", "k1");
        let response = request.json(body).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let body = json!([{"task_name": "a", "script": "true"}]);
    let (first_status, first) = post(&body).await;
    let (again_status, again) = post(&body).await;
    assert_eq!((first_status, again_status), (201, 200));
    assert_eq!((&first["job"], &again["repeated"]), (&again["job"], &json!(true)));
    let (status, _) = post(&json!([{"task_name": "b", "script": "true"}])).await;
    assert_eq!(status, 409);
    site.host.stop().await;
}
