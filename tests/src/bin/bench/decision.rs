//! One decision: from a ready task to its rank, score, reservation, index update and decision row.
//! The production scheduler, native policies against the standard ones in WebAssembly, in
//! alternating rounds of one process.

use pointsman_policy::{
    FixedPolicies, Limits, NativePolicies, NativeQueue, NativeScoring, OnFailure, PolicyHost,
    Source,
};
use pointsman_scheduler::event::{FinishedAttempt, Measurements, Registration, SyncReport};
use pointsman_scheduler::record::Snapshot;
use pointsman_scheduler::resources::Capacity;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use pointsman_scheduler::*;
use pointsman_tests::windows::median;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const WORKERS: [u32; 3] = [100, 1000, 10_000];
const PLACEMENTS: [usize; 2] = [1, 100];
const ROUNDS: usize = 400;

pub fn run() -> Value {
    println!("µs per decision, median of {ROUNDS} rounds, alternating");
    println!("{:>8} {:>10} {:>9} {:>9} {:>7}", "workers", "per round", "native", "wasm", "ratio");
    let mut rows = Vec::new();
    for placements in PLACEMENTS {
        for n_workers in WORKERS {
            let [native, wasm] = measure(n_workers, placements);
            let ratio = wasm / native;
            println!("{n_workers:>8} {placements:>10} {native:>9.2} {wasm:>9.2} {ratio:>6.2}×");
            rows.push(json!({
                "workers": n_workers, "placements_per_round": placements,
                "native_us": native, "wasm_us": wasm, "ratio": ratio,
            }));
        }
    }
    let of = |n: u32| {
        let row = rows.iter().find(|row| row["workers"] == n && row["placements_per_round"] == 100);
        row.and_then(|row| row["wasm_us"].as_f64()).unwrap_or(f64::NAN)
    };
    let growth = of(10_000) / of(100);
    println!("growth of the WebAssembly decision from 100 to 10,000 workers: {growth:.2}×");
    json!({ "rows": rows, "wasm_growth_100_to_10000": growth })
}

/// Native and WebAssembly, µs per decision.
fn measure(n_workers: u32, placements: usize) -> [f64; 2] {
    let native = NativePolicies::new(NativeScoring::WeightedScore, NativeQueue::PriorityAgeing);
    let mut worlds =
        [World::new(n_workers, Box::new(native)), World::new(n_workers, Box::new(wasm_policies()))];
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS + ROUNDS / 10 {
        for (world, times) in worlds.iter_mut().zip(&mut times) {
            let took = world.round(placements);
            if round >= ROUNDS / 10 {
                times.push(took.as_secs_f64() * 1e6 / placements as f64);
            }
        }
    }
    times.map(median)
}

fn wasm_policies() -> PolicyHost {
    let source = |name: &str| {
        let policy = pointsman_bundle::find(name).expect("a standard policy");
        Source::Wasm { name: name.to_owned(), bytes: policy.bytes.into(), config: "{}".to_owned() }
    };
    PolicyHost::fixed(FixedPolicies {
        scoring: source("weighted-score"),
        queue: source("priority-ageing"),
        rescheduling: None,
        limits: Limits::compiled(),
        on_failure: OnFailure::LastGood,
    })
    .expect("standard policies are admitted")
}

struct World {
    scheduler: Scheduler,
    policies: Box<dyn Policies>,
    now: Time,
}

impl World {
    fn new(n_workers: u32, policies: Box<dyn Policies>) -> World {
        let now = Time(1_000_000_000);
        let settings = Settings { retention_finished: 1000, ..Settings::default() };
        let mut effects = Vec::new();
        let mut scheduler =
            Scheduler::recover(settings, 1, Term(1), now, Snapshot::default(), &mut effects);
        for index in 0..n_workers {
            let mut token_hash = [0; 32];
            token_hash[..4].copy_from_slice(&index.to_be_bytes());
            let registration = Registration {
                name: format!("w{index}"),
                token_hash,
                life: 1,
                n: 1,
                capacity: Capacity { cpu_milli: 64_000, memory: 256 << 30, gpus: 0 },
                labels: BTreeMap::new(),
                held: vec![],
                finished: vec![],
            };
            let request = RequestId(0);
            scheduler.handle(now, Event::Register { request, registration }, &mut effects);
            let measurements = Measurements {
                cpu_used: Some(f64::from(index % 50) / 100.0),
                memory_used: Some(f64::from(index % 30) / 100.0),
                iops_used: Some(f64::from(index % 20) / 100.0),
                rtt_ms: Some(f64::from(index % 10)),
                connections: None,
            };
            let report = SyncReport {
                worker: WorkerId(index + 1),
                life: 1,
                measurements: Some(measurements),
                started: vec![],
                finished: vec![],
                feedback: vec![],
            };
            scheduler.handle(now, Event::Sync { request, report }, &mut effects);
        }
        let mut world = World { scheduler, policies, now };
        world.scheduler.plan(now, world.policies.as_mut(), &mut effects);
        world
    }

    /// Time of the planning that places `n` ready tasks.
    fn round(&mut self, n: usize) -> Duration {
        let request = RequestId(0);
        self.now = self.now.after(Duration::from_micros(100));
        let tasks = (0..n).map(|index| Arc::new(TaskSpec::new(format!("t{index}"), "true")));
        let job = JobSpec { name: "bench".to_owned(), tasks: tasks.collect() };
        let mut effects = Vec::new();
        self.scheduler.handle(self.now, Event::SubmitJob { request, key: None, job }, &mut effects);
        effects.clear();
        let started = Instant::now();
        let report = self.scheduler.plan(self.now, self.policies.as_mut(), &mut effects);
        let took = started.elapsed();
        assert_eq!(report.n_started, n, "all tasks of the round are placed");
        self.finish(&effects);
        took
    }

    fn finish(&mut self, effects: &[Effect]) {
        let mut ignored = Vec::new();
        for effect in effects {
            let Effect::Start(start) = effect else { continue };
            let ran = Some(Duration::ZERO);
            let report = SyncReport {
                worker: start.worker,
                life: 1,
                measurements: None,
                started: vec![],
                finished: vec![FinishedAttempt { attempt: start.attempt, failure: None, ran }],
                feedback: vec![],
            };
            let request = RequestId(0);
            self.scheduler.handle(self.now, Event::Sync { request, report }, &mut ignored);
        }
        self.scheduler.plan(self.now, self.policies.as_mut(), &mut ignored);
    }
}
