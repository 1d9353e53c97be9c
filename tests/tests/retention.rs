//! Finished work beyond the retention is gone from the file as well as from the lists, and what is
//! counted is what is there.

use pointsman_store::check;
use pointsman_tests::site::{Crew, Site, job};
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn totals_are_those_of_the_file() {
    let site = Site::start_with("[retention]\nfinished = 1000\n").await;
    site.hire(Crew { n_workers: 2, cpus: 64, no_execution: true }).await;
    let too_large = json!({"name": "waits", "tasks": [
        {"task_name": "a", "script": "true", "resources": {"cpu": 1000}},
        {"task_name": "b", "script": "true", "dependencies": ["a"]},
    ]});
    site.submit(&too_large).await;
    for _ in 0..10 {
        site.submit(&job(500, "true")).await;
    }
    let store = site.policies().with_file_name("data").join("store.sqlite");
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let counts = site.status().await.counts;
        if counts.pending == 2 && counts.running + counts.assigned == 0 && counts.succeeded <= 1000
        {
            break;
        }
        assert!(Instant::now() < deadline, "{counts:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let counts = site.status().await.counts;
    assert_eq!(counts.succeeded, 1000, "no more is forgotten than has to be");
    let stored = check(&store).unwrap();
    assert_eq!(stored.problems, Vec::<String>::new());
    assert_eq!((stored.n_tasks, stored.n_finished), (1002, 1000));
    assert_eq!(stored.n_jobs, 3);
    site.stop().await;
}
