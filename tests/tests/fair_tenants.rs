//! Fair sharing as an operator meets it: weights in the configuration, the policy dropped in live.

use pointsman_protocol::api::{JobView, Page, TaskView, WireTaskState};
use pointsman_tests::site::{Crew, Site};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const CREW: Crew = Crew { n_workers: 1, cpus: 8, no_execution: false };

/// Tasks that run until they are cancelled.
fn endless(tenant: &str, n: usize) -> Value {
    let task = |index: usize| {
        json!({
            "task_name": format!("t{index}"), "script": "exec sleep 600", "tenant": tenant,
            "resources": {"cpu": 1, "memory": "1MB"},
        })
    };
    json!({ "name": tenant, "tasks": (0..n).map(task).collect::<Vec<_>>() })
}

async fn get<T: serde::de::DeserializeOwned>(site: &Site, path: &str) -> T {
    let response = reqwest::get(site.url(path)).await.expect("the host answers");
    response.json().await.expect("the answer has the expected form")
}

/// Per tenant: tasks on workers, once there are `n_placed` in all.
async fn placed(site: &Site, n_placed: usize) -> BTreeMap<String, usize> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let tasks: Page<TaskView> = get(site, "/v1/tasks?limit=500").await;
        let mut placed = BTreeMap::new();
        for task in tasks.items.iter().filter(|task| task.state != WireTaskState::Pending) {
            *placed.entry(task.tenant.clone()).or_default() += 1;
        }
        if placed.values().sum::<usize>() == n_placed {
            return placed;
        }
        assert!(Instant::now() < deadline, "{placed:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Ends all scripts.
async fn finish(site: Site) {
    let jobs: Page<JobView> = get(&site, "/v1/jobs").await;
    for job in jobs.items {
        let url = site.url(&format!("/v1/jobs/{}/cancel", job.id));
        let answer = reqwest::Client::new().post(url).json(&json!({})).send().await;
        assert!(answer.expect("the host answers").status().is_success());
    }
    site.until_idle().await;
    site.stop().await;
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(tenant, n)| ((*tenant).to_owned(), *n)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tenant_gets_more_than_the_configured_weight_entitles_it_to() {
    let site = Site::start_with(
        "[policies.queue]\ncomponent = \"fair-share\"\n\
         [policies.queue.config.weights]\nresearch = 3\n\"two words\" = 1\n",
    )
    .await;
    site.submit(&endless("two words", 20)).await;
    site.submit(&endless("research", 20)).await;
    site.hire(CREW).await;
    assert_eq!(placed(&site, 8).await, counts(&[("research", 6), ("two words", 2)]));
    finish(site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_to_fair_sharing_never_leaves_waiting_tasks_in_the_old_order() {
    let site = Site::start_with("[policies.queue]\ncomponent = \"fifo\"\n").await;
    site.submit(&endless("flood", 40)).await;
    site.submit(&endless("small", 6)).await;
    site.hire(CREW).await;
    assert_eq!(placed(&site, 8).await, counts(&[("flood", 8)]));
    let fair = pointsman_bundle::find("fair-share").expect("a standard policy");
    site.drop_in("fifo", fair.bytes);
    site.reload_policies().await;
    site.hire_as(&["second".to_owned()], CREW).await;
    assert_eq!(placed(&site, 16).await, counts(&[("flood", 10), ("small", 6)]));
    finish(site).await;
}
