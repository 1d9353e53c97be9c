//! Events per second of the simulator, on one core: the production scheduler in virtual time, with native
//! policies and with the standard ones in WebAssembly, in alternating runs. An event is what the scheduler
//! is told: a registration, a submission, a worker's report of a start or an end.

use pointsman_scheduler::Time;
use pointsman_scheduler::record::TaskState;
use pointsman_scheduler::resources::{Capacity, Request};
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use pointsman_simulator::cluster::Cluster;
use pointsman_simulator::contender::Contender;
use pointsman_simulator::simulate::{Options, Run, simulate};
use pointsman_simulator::workload::{WorkJob, Workload};
use pointsman_tests::windows::median;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

const N_JOBS: u64 = 2_000;
const TASKS_PER_JOB: u64 = 50;
const N_WORKERS: usize = 200;
const CPUS_PER_WORKER: u64 = 16;
const RUNS: usize = 5;
const NATIVE: &str = "native:weighted-score+native:priority-ageing";
const WASM: &str = "weighted-score+priority-ageing";

pub fn run() -> Value {
    let workload = workload();
    let mut rates = [Vec::new(), Vec::new()];
    let mut n_events = 0;
    for _ in 0..RUNS {
        for (name, rates) in [NATIVE, WASM].into_iter().zip(&mut rates) {
            let mut contender = Contender::named(name).expect("policies that are carried");
            let options = Options::on(cluster());
            let started = Instant::now();
            let run = simulate(&workload, &options, contender.policies.as_mut());
            let took = started.elapsed().as_secs_f64();
            n_events = checked(run.expect("it comes to its end")).n_events;
            rates.push(n_events as f64 / took);
        }
    }
    let [native, wasm] = rates.clone().map(median);
    println!("{n_events} events of {} tasks on {N_WORKERS} workers", N_JOBS * TASKS_PER_JOB);
    println!("native policies: {native:.0} events/s, WebAssembly: {wasm:.0} events/s");
    println!("WebAssembly takes {:.2}× the time (medians of {RUNS} runs each)", native / wasm);
    json!({
        "events": n_events, "native_per_s": native, "wasm_per_s": wasm,
        "native_runs": rates[0], "wasm_runs": rates[1],
    })
}

fn checked(run: Run) -> Run {
    let tasks = run.jobs.iter().flatten();
    assert!(tasks.clone().all(|task| task.state == TaskState::Succeeded), "every task succeeds");
    assert_eq!(run.n_policy_failures, 0, "every decision is the policies'");
    run
}

fn cluster() -> Cluster {
    let capacity = Capacity { cpu_milli: CPUS_PER_WORKER * 1000, memory: 64 << 30, gpus: 0 };
    Cluster::machines(N_WORKERS, capacity)
}

/// Jobs that arrive one by one and keep about four fifths of the workers busy: each a first task, many
/// beside each other, and a last one.
fn workload() -> Workload {
    let mut dice = fastrand::Rng::with_seed(1);
    let jobs = (0..N_JOBS).map(|index| job(index, &mut dice)).collect();
    Workload { name: "steady".to_owned(), jobs }
}

/// Seconds between two jobs: the core seconds of one over four fifths of all cores.
const BETWEEN_S: f64 =
    TASKS_PER_JOB as f64 * MEAN_CORE_S / (0.8 * N_WORKERS as f64 * CPUS_PER_WORKER as f64);
/// 1, 2 or 4 cores for 1 to 120 seconds.
const MEAN_CORE_S: f64 = 7.0 / 3.0 * 60.5;

fn job(index: u64, dice: &mut fastrand::Rng) -> WorkJob {
    let mut run_times = Vec::new();
    let mut tasks = Vec::new();
    for at in 0..TASKS_PER_JOB {
        let cpus = [1, 2, 4][dice.usize(..3)];
        let mut task = TaskSpec::new(format!("t{at}"), "true");
        task.request = Request { cpu_milli: cpus * 1000, memory: cpus << 30, gpu_milli: 0 };
        task.dependencies = match at {
            0 => vec![],
            at if at == TASKS_PER_JOB - 1 => (1..at).map(|before| format!("t{before}")).collect(),
            _ => vec!["t0".to_owned()],
        };
        tasks.push(Arc::new(task));
        run_times.push((1_000 + dice.u64(..119_001)) * 1_000_000);
    }
    let arrives = Time((index as f64 * BETWEEN_S * 1e9) as u64);
    WorkJob { spec: JobSpec { name: format!("j{index}"), tasks }, arrives, run_times }
}
