//! What forecasts do to dispatch: two columns of 1,000 measured workers are foretold every two seconds from windows
//! of 30 samples, in every other window of time. Dispatch latency may not change.

use pointsman_protocol::api::PoliciesView;
use pointsman_scheduler::event::{Measurements, Registration, SyncReport};
use pointsman_scheduler::resources::Capacity;
use pointsman_scheduler::{Answer, Event, RequestId, WorkerId};
use pointsman_server::driver::Handle;
use pointsman_tests::load::Load;
use pointsman_tests::site::{Crew, Site};
use pointsman_tests::windows::{Comparison, median, percentile};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const TASKS_PER_S: f64 = 200.0;
const N_MEASURED: u32 = 1_000;
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A heartbeat is carried over two of them.
const STEP_MS: u64 = 2_000;
const N_SAMPLES: usize = 30;
const WINDOW: Duration = Duration::from_secs(8);
const N_PAIRS: usize = 20;
const FILLING: Duration = Duration::from_secs(75);
const MAX_RATIO: f64 = 1.2;
const MAX_FORECAST_MS: f64 = 20.0;

pub fn run() -> Value {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure())
}

async fn measure() -> Value {
    let site = Site::start().await;
    let folder = site.policies().join("lstm-forecast");
    std::fs::create_dir(&folder).expect("a folder for weights");
    for column in ["cpu-used", "memory-used"] {
        let weights = pointsman_fixtures::weights(column, STEP_MS, N_SAMPLES, 0.0);
        let file = folder.join(format!("{column}.safetensors"));
        std::fs::write(file, weights).expect("the folder is writable");
    }
    site.hire(Crew { n_workers: 4, cpus: 64, no_execution: true }).await;
    let measuring = tokio::spawn(keep_measuring(site.driver()));
    let load = Load::start(&site.url(""), TASKS_PER_S, Arc::new(|_| Ok(()))).await;
    tokio::time::sleep(FILLING).await;
    load.next_window();
    let (mut with, mut without, mut took) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..N_PAIRS {
        site.choose("forecasting", "lstm-forecast").await;
        load.next_window();
        tokio::time::sleep(WINDOW).await;
        with.push(percentile(load.next_window(), 0.99));
        took.push(took_ms(&site.reload_policies().await));
        site.choose("forecasting", "none").await;
        load.next_window();
        tokio::time::sleep(WINDOW).await;
        without.push(percentile(load.next_window(), 0.99));
    }
    let comparison = Comparison::of(&with, &without);
    let took = median(took);
    let (seen, n_lost) = load.finish().await;
    measuring.abort();
    site.stop().await;
    println!("dispatch while {N_MEASURED} workers are foretold every two seconds: {comparison}");
    println!("two columns of them took {took:.1} ms");
    println!("{} tasks submitted, {n_lost} never seen to end", seen.n_submitted);
    if !comparison.is_within(MAX_RATIO) {
        println!("  FAULT: dispatch is slower than {MAX_RATIO} ×");
    }
    if took > 2.0 * MAX_FORECAST_MS {
        println!("  FAULT: a column takes longer than {MAX_FORECAST_MS} ms");
    }
    if n_lost > 0 || !seen.complaints.is_empty() {
        println!("  FAULT: something was missed: {:?}", seen.complaints);
    }
    json!({
        "p99_with_ms": comparison.with_ms, "p99_without_ms": comparison.without_ms,
        "ratio": comparison.ratio, "low": comparison.low, "high": comparison.high,
        "took_ms": took, "n_tasks": seen.n_submitted, "n_lost": n_lost,
    })
}

/// How long the newest forecast took, all workers and columns.
fn took_ms(policies: &PoliciesView) -> f64 {
    let forecasts = policies.slots.iter().find_map(|slot| slot.forecasts.as_deref());
    let forecasts = forecasts.expect("a forecasting policy serves");
    assert!(forecasts.workers >= u64::from(N_MEASURED), "all are foretold: {}", forecasts.workers);
    forecasts.took_us / 1e3
}

/// Workers too small for any task, which measure themselves as others do.
async fn keep_measuring(driver: Handle) {
    let mut workers = Vec::new();
    for n in 0..N_MEASURED {
        workers.push(register(&driver, n).await);
    }
    let pause = HEARTBEAT / N_MEASURED;
    let mut ticks = tokio::time::interval(pause);
    for n in (0..workers.len()).cycle() {
        ticks.tick().await;
        let used = Some(0.2 + 0.6 * ((n * 7) % 10) as f64 / 10.0);
        let measurements = Measurements { cpu_used: used, memory_used: used, ..Default::default() };
        let report = SyncReport {
            worker: workers[n],
            life: 1,
            measurements: Some(measurements),
            started: Vec::new(),
            finished: Vec::new(),
            feedback: Vec::new(),
        };
        // The host may be ending. Nobody waits for the answer.
        let _ = driver.tell(Event::Sync { request: RequestId(0), report }).await;
    }
}

async fn register(driver: &Handle, n: u32) -> WorkerId {
    let mut token_hash = [7; 32];
    token_hash[..4].copy_from_slice(&n.to_le_bytes());
    let registration = Registration {
        name: format!("measured-{n}"),
        token_hash,
        life: 1,
        n: 1,
        capacity: Capacity { cpu_milli: 1, memory: 1 << 20, gpus: 0 },
        labels: Default::default(),
        held: Vec::new(),
        finished: Vec::new(),
    };
    let answer = driver.request(|request| Event::Register { request, registration }).await;
    match answer.expect("the host answers") {
        Answer::Registered { worker, .. } => worker,
        other => panic!("{other:?}"),
    }
}
