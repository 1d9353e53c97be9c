//! Real processes: `/bin/true`, as many as fit, through everything; with each kind of limit, and with none.

use pointsman_tests::site::{Crew, Site, job};
use pointsman_tests::windows::median;
use pointsman_worker::{CpuLimit, LimitOptions};
use serde_json::{Value, json};
use std::time::Instant;

const TASKS: usize = 5_000;
const RUNS: usize = 3;

pub fn run() -> Value {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let limits = [
        ("limited", LimitOptions::default()),
        ("memory_only", LimitOptions { cpu: CpuLimit::Off, ..LimitOptions::default() }),
        ("cpu_only", LimitOptions { memory: false, ..LimitOptions::default() }),
        ("unlimited", LimitOptions::off()),
    ];
    let mut rates = limits.each_ref().map(|_| Vec::new());
    for run in 1..=RUNS {
        for ((name, limits), rates) in limits.iter().zip(&mut rates) {
            let rate = runtime.block_on(one_run(limits));
            println!("run {run}, {name}: {rate:.0} tasks/s");
            rates.push(rate);
        }
    }
    let medians = rates.each_ref().map(|rates| median(rates.clone()));
    let [limited, memory_only, cpu_only, unlimited] = medians;
    println!(
        "/bin/true end to end: {limited:.0}/s (median of {RUNS}), {:.2} x what it is without limits \
         ({unlimited:.0}/s); memory only {memory_only:.0}/s, cpu only {cpu_only:.0}/s",
        limited / unlimited
    );
    let of = |name: &str| limits.iter().position(|it| it.0 == name).map(|idx| &rates[idx]);
    json!({
        "tasks_per_s": limited, "runs": of("limited"), "tasks": TASKS,
        "memory_only_per_s": memory_only, "cpu_only_per_s": cpu_only, "unlimited_per_s": unlimited,
        "limited_to_unlimited": limited / unlimited,
    })
}

async fn one_run(limits: &LimitOptions) -> f64 {
    let site = Site::start().await;
    let crew = Crew { n_workers: 1, cpus: 8, no_execution: false };
    site.hire_limited(&["w0".to_owned()], crew, limits).await;
    let job = job(TASKS, "/bin/true");
    let started = Instant::now();
    site.submit(&job).await;
    site.until_succeeded(TASKS as u64).await;
    let rate = TASKS as f64 / started.elapsed().as_secs_f64();
    site.stop().await;
    rate
}
