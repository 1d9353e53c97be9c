//! Why a task is where it is, as data: from a real host, whose standard policies decide.

use pointsman_protocol::api::{ExplanationView, Page, StandingsView, TaskView};
use pointsman_tests::site::{Crew, Site};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::time::Duration;

async fn get<T: DeserializeOwned>(site: &Site, path: &str) -> T {
    reqwest::get(site.url(path)).await.unwrap().json().await.unwrap()
}

async fn explained(site: &Site, id: impl std::fmt::Display) -> ExplanationView {
    get(site, &format!("/v1/tasks/{id}/explain")).await
}

/// Waits until `n` tasks have this state; those.
async fn in_state(site: &Site, state: &str, n: usize) -> Vec<TaskView> {
    let within = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let page: Page<TaskView> = get(site, &format!("/v1/tasks?state={state}")).await;
            if page.items.len() == n {
                return page.items;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    within.await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placed_task_tells_why_there_what_came_second_and_of_what_the_scores_are_made() {
    let site = Site::start().await;
    site.hire(Crew { n_workers: 2, cpus: 2, no_execution: false }).await;
    let task = |name: &str| json!({"task_name": name, "script": "exec sleep 600"});
    let tasks: Vec<_> = ["a", "b", "c", "d", "e"].iter().map(|name| task(name)).collect();
    site.submit(&json!({"name": "stay", "tasks": tasks})).await;
    let running = in_state(&site, "RUNNING", 4).await;
    let mut n_second = 0;
    for task in &running {
        let placed = explained(&site, task.id).await.placed.expect("it was placed");
        let attempt = &task.attempts[0];
        assert_eq!((placed.worker, placed.score), (attempt.worker, attempt.decision.score));
        assert_eq!(placed.scoring_policy, attempt.decision.scoring);
        let second = placed.second.as_ref();
        assert_eq!(
            second.map(|it| it.worker),
            attempt.decision.second.as_ref().map(|it| it.worker)
        );
        let Some(second) = second else { continue };
        n_second += 1;
        assert_eq!(placed.terms_missing, None);
        // Two workers alike: what sets them apart is what runs there.
        let names = |terms: &[(String, f64)]| -> Vec<String> {
            terms.iter().map(|(name, _)| name.clone()).collect()
        };
        assert_eq!(names(&placed.terms), ["cpu", "memory", "rtt", "iops"]);
        assert_eq!(names(&second.terms), names(&placed.terms));
        for (score, terms) in [(placed.score, &placed.terms), (second.score, &second.terms)] {
            let sum: f64 = terms.iter().map(|(_, value)| value).sum();
            assert!((sum - score).abs() < 1e-6, "{terms:?} make {score}");
        }
    }
    assert!(n_second > 0, "the first had a choice");
    let waiting = in_state(&site, "PENDING", 1).await;
    let why = explained(&site, waiting[0].id).await;
    assert!(why.placed.is_none());
    let reason = why.reason.expect("it waits");
    assert_eq!(reason.code, "no_capacity_now");
    assert!(!reason.starts_when.is_empty());
    let scores: StandingsView = get(&site, "/v1/scores").await;
    assert!(scores.banded && scores.terms_missing.is_none());
    assert_eq!(scores.workers.len(), 2);
    for worker in &scores.workers {
        let verdict = &worker.verdict;
        let score = verdict.score.expect("a full worker has a score too");
        let sum: f64 = verdict.terms.iter().map(|(_, value)| value).sum();
        assert!((sum - score).abs() < 1e-6, "{:?} make {score}", verdict.terms);
        assert!(worker.band.is_some());
    }
    site.stop().await;
}
