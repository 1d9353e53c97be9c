//! The host is killed while there is a task in every state that is no end, and for each reason to be
//! in it that passes by itself. The next host takes all of them to an end without help, in the order
//! they had.

mod lives;

use lives::Lives;
use pointsman_protocol::api::{Page, SubmitResponse, TaskView};
use pointsman_scheduler::record::TaskState;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);

/// What a task does when the host is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    WaitsForAnother,
    BacksOff,
    WaitsForRoom,
    /// Sent to a worker that did not take it yet.
    IsAssigned,
    Runs,
    IsBeingCancelled,
}

impl Moment {
    /// A state that is new has to find its moments here.
    fn all_of(state: TaskState) -> &'static [Moment] {
        match state {
            TaskState::Pending => {
                &[Moment::WaitsForAnother, Moment::BacksOff, Moment::WaitsForRoom]
            }
            TaskState::Assigned => &[Moment::IsAssigned],
            TaskState::Running => &[Moment::Runs, Moment::IsBeingCancelled],
            TaskState::Succeeded
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::Cancelled => &[],
        }
    }

    /// The tasks that get there. Worker `full` has two cores, `frozen` is stopped, `idle` has room.
    fn tasks(self, folder: &Path) -> Vec<Value> {
        let (go, trace) = (folder.join("go"), folder.join("trace"));
        let until_go = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
        let says = |name: &str| format!("echo {name} >> {}", trace.display());
        match self {
            Moment::WaitsForAnother => {
                let mut task = task("after", "true", "idle", 0.1, 0);
                task["dependencies"] = json!(["running"]);
                vec![task]
            }
            // The backoff is a random time: of several one is long enough.
            Moment::BacksOff => (0..4)
                .map(|k| {
                    let script = "[ $POINTSMAN_ATTEMPT -gt 1 ]";
                    let mut task = task(&format!("again-{k}"), script, "idle", 0.1, 0);
                    task["max_retries"] = json!(3);
                    task
                })
                .collect(),
            Moment::WaitsForRoom => [("first", 0), ("second", 0), ("urgent", 5)]
                .map(|(name, priority)| task(name, &says(name), "full", 2.0, priority))
                .to_vec(),
            Moment::IsAssigned => vec![task("sent", "true", "frozen", 1.0, 0)],
            Moment::Runs => vec![task("running", &until_go, "full", 1.0, 9)],
            Moment::IsBeingCancelled => {
                let script = format!("trap '' TERM; {until_go}");
                vec![task("stubborn", &script, "full", 1.0, 9)]
            }
        }
    }

    fn is_reached(self, tasks: &[TaskView]) -> bool {
        fn named<'a>(tasks: &'a [TaskView], name: &'a str) -> impl Iterator<Item = &'a TaskView> {
            tasks.iter().filter(move |task| task.name.starts_with(name))
        }
        let waits = |name: &str, code: &str| {
            let is_so = |task: &TaskView| {
                task.state.word() == "PENDING"
                    && task.reason.as_ref().is_some_and(|reason| reason.code == code)
            };
            named(tasks, name).any(is_so)
        };
        let is =
            |name: &str, state: &str| named(tasks, name).all(|task| task.state.word() == state);
        match self {
            Moment::WaitsForAnother => waits("after", "dependencies"),
            Moment::BacksOff => waits("again", "backoff"),
            Moment::WaitsForRoom => ["first", "second", "urgent"]
                .iter()
                .all(|name| waits(name, "no_capacity_now") || waits(name, "blocked_by_head")),
            Moment::IsAssigned => is("sent", "ASSIGNED"),
            Moment::Runs => is("running", "RUNNING"),
            Moment::IsBeingCancelled => named(tasks, "stubborn").all(|task| task.cancel_requested),
        }
    }
}

fn task(name: &str, script: &str, place: &str, cpu: f64, priority: i32) -> Value {
    json!({
        "task_name": name, "script": script, "requires": {"place": place}, "priority": priority,
        "resources": {"cpu": cpu, "memory": "1MB"},
    })
}

const TIMES: &str = "[heartbeat]\ninterval = \"200ms\"\nsuspect_after = \"20s\"\nlost_after = \"60s\"\n\
     [retry.backoff]\nbase = \"20s\"\ncap = \"20s\"\n";

impl Lives {
    /// Empty while the host is away.
    async fn tasks(&self) -> Vec<TaskView> {
        let request = self.http.get(format!("{}/v1/tasks?limit=1000", self.base));
        let Ok(response) = request.send().await else { return Vec::new() };
        response.json::<Page<TaskView>>().await.map(|page| page.items).unwrap_or_default()
    }

    async fn until(&self, what: &str, check: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !check().await {
            assert!(Instant::now() < deadline, "not in time: {what}\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
        response
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_any_state_reaches_its_end_after_the_host_was_killed() {
    let moments: Vec<Moment> =
        TaskState::ALL.into_iter().flat_map(Moment::all_of).copied().collect();
    for state in TaskState::ALL {
        assert_eq!(Moment::all_of(state).is_empty(), state.is_terminal(), "{state:?}");
    }
    let site = Lives::new(TIMES);
    let host = site.host();
    let _workers = [site.worker("full", "2"), site.worker("idle", "2")];
    let frozen = site.worker("frozen", "2");
    site.until("three workers are live", async || {
        let workers = site.http.get(format!("{}/v1/workers", site.base)).send().await;
        let Ok(workers) = workers else { return false };
        workers.json::<Vec<Value>>().await.is_ok_and(|workers| workers.len() == 3)
    })
    .await;
    frozen.signal(nix::sys::signal::Signal::SIGSTOP);
    // Those that run first take the room that others wait for.
    let of = |wanted: &[Moment]| -> Vec<Value> {
        let chosen = moments.iter().filter(|it| wanted.contains(it));
        chosen.flat_map(|it| it.tasks(site.folder())).collect()
    };
    let begin = [Moment::Runs, Moment::IsBeingCancelled];
    let rest: Vec<Moment> = moments.iter().copied().filter(|it| !begin.contains(it)).collect();
    let mut tasks = of(&begin);
    tasks.extend(of(&rest));
    let job = site.post("/v1/jobs", &json!({"name": "all states", "tasks": tasks})).await;
    let job: SubmitResponse = job.json().await.unwrap();
    site.until("both run", async || {
        let tasks = site.tasks().await;
        let runs = |task: &&TaskView| task.state.word() == "RUNNING";
        tasks.iter().filter(runs).count() == 2
    })
    .await;
    let stubborn = job.tasks.iter().find(|task| task.name == "stubborn").unwrap().id;
    site.post(&format!("/v1/tasks/{stubborn}/cancel"), &json!({})).await;
    site.until("every moment is reached", async || {
        let tasks = site.tasks().await;
        moments.iter().all(|moment| moment.is_reached(&tasks))
    })
    .await;
    // SIGKILL.
    drop(host);
    let _host = site.host();
    frozen.signal(nix::sys::signal::Signal::SIGCONT);
    std::fs::write(site.folder().join("go"), "").unwrap();
    site.until("all tasks have ended", async || {
        let tasks = site.tasks().await;
        tasks.len() == job.tasks.len() && tasks.iter().all(|task| task.state.is_terminal())
    })
    .await;
    for task in site.tasks().await {
        let is_cancelled = task.name == "stubborn" && task.state.word() == "CANCELLED";
        assert!(task.state.word() == "SUCCEEDED" || is_cancelled, "{task:?}");
    }
    let trace = std::fs::read_to_string(site.folder().join("trace")).unwrap();
    assert_eq!(trace, "urgent\nfirst\nsecond\n");
}
