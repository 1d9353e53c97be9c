//! A script that kills its worker: it is not tried for ever, and its neighbours are none the worse.

mod lives;

use lives::Lives;
use pointsman_protocol::api::{Page, SubmitResponse, TaskView, WireTaskState};
use serde_json::json;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);
const TIMES: &str =
    "[heartbeat]\ninterval = \"200ms\"\nsuspect_after = \"1s\"\nlost_after = \"3s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_kills_its_worker_never_does_so_beyond_its_budget() {
    let site = Lives::new(TIMES);
    let _host = site.host();
    let mut deadly = site.worker("w1", "4");
    let _other = site.worker("w2", "4");
    let task = |name: &str, script: &str, place: &str| {
        json!({
            "task_name": name, "script": script, "requires": {"place": place},
            "max_worker_losses": 2, "resources": {"cpu": 1, "memory": "10MB"},
        })
    };
    let job = json!({"name": "j", "tasks": [
        task("deadly", "kill -9 $PPID; sleep 60", "w1"),
        task("neighbour", "sleep 2", "w2"),
    ]});
    let deadline = Instant::now() + PATIENCE;
    let submit = || site.http.post(format!("{}/v1/jobs", site.base)).json(&job).send();
    let submitted: SubmitResponse = loop {
        match submit().await {
            Ok(response) => break response.json().await.expect("it is taken"),
            Err(error) => assert!(Instant::now() < deadline, "{error}: {}", site.logs()),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(submitted.tasks.len(), 2);

    let mut n_deaths = 0;
    let tasks = loop {
        if deadly.0.try_wait().expect("it is ours").is_some() {
            n_deaths += 1;
            deadly = site.worker("w1", "4");
        }
        let page = site.http.get(format!("{}/v1/tasks", site.base)).send().await;
        let page: Page<TaskView> = page.expect("the host lives").json().await.expect("tasks");
        let is_open = |task: &TaskView| task.ended.is_none();
        if !page.items.iter().any(is_open) {
            break page.items;
        }
        let log = || std::fs::read_to_string(site.folder().join("w1.log")).unwrap_or_default();
        assert!(n_deaths < 20 && Instant::now() < deadline, "{n_deaths} deaths: {}", log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let [deadly_task, neighbour] = &tasks[..] else { panic!("{tasks:?}") };
    assert_eq!(deadly_task.state, WireTaskState::Failed, "{deadly_task:?}");
    // Three deaths may come before the worker tells of a start, and cost nothing.
    assert!((3..=6).contains(&n_deaths), "{n_deaths} deaths");
    assert_eq!((deadly_task.losses_used, deadly_task.retries_used), (2, 0));
    let why = deadly_task.end_reason.as_ref().map(|it| it.text.clone()).unwrap_or_default();
    assert!(why.contains("suspected of killing workers"), "{why:?}");
    assert_eq!(neighbour.state, WireTaskState::Succeeded, "{neighbour:?}");
    assert_eq!(neighbour.attempts[0].number, 1, "it ran once");
}
