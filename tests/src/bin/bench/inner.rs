//! What the host itself costs: no-op tasks through the real worker protocol, with workers that
//! acknowledge without running anything. Durable store on. From the first submission to the last
//! success, submitter and workers on the same two cores.

use pointsman_tests::site::{Crew, Site, job};
use pointsman_tests::windows::median;
use serde_json::{Value, json};
use std::time::Instant;

const N_JOBS: usize = 10;
const TASKS_PER_JOB: usize = 9_000;
const RUNS: usize = 3;

pub fn run() -> Value {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut rates = Vec::new();
    for run in 1..=RUNS {
        let rate = runtime.block_on(one_run());
        println!("run {run}: {rate:.0} tasks/s");
        rates.push(rate);
    }
    let rate = median(rates.clone());
    println!("no-op tasks end to end: {rate:.0}/s (median of {RUNS})");
    json!({ "tasks_per_s": rate, "runs": rates, "tasks": N_JOBS * TASKS_PER_JOB })
}

async fn one_run() -> f64 {
    let site = Site::start().await;
    site.hire(Crew { n_workers: 4, cpus: 2000, no_execution: true }).await;
    let job = job(TASKS_PER_JOB, "true");
    let started = Instant::now();
    for _ in 0..N_JOBS {
        site.submit(&job).await;
    }
    site.until_succeeded((N_JOBS * TASKS_PER_JOB) as u64).await;
    let rate = (N_JOBS * TASKS_PER_JOB) as f64 / started.elapsed().as_secs_f64();
    site.stop().await;
    rate
}
