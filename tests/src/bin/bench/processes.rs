//! Real processes: `/bin/true`, as many as fit, through everything.

use pointsman_tests::site::{Crew, Site, job};
use pointsman_tests::windows::median;
use serde_json::{Value, json};
use std::time::Instant;

const TASKS: usize = 5_000;
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
    println!("/bin/true end to end: {rate:.0}/s (median of {RUNS})");
    json!({ "tasks_per_s": rate, "runs": rates, "tasks": TASKS })
}

async fn one_run() -> f64 {
    let site = Site::start().await;
    site.hire(Crew { n_workers: 1, cpus: 8, no_execution: false }).await;
    let job = job(TASKS, "/bin/true");
    let started = Instant::now();
    site.submit(&job).await;
    site.until_succeeded(TASKS as u64).await;
    let rate = TASKS as f64 / started.elapsed().as_secs_f64();
    site.stop().await;
    rate
}
