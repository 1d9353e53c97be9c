//! What one policy call costs through the scheduler's trait: native against WebAssembly, by rows.
//! Prints nanoseconds per call, the median of a hundred batches.

use pointsman_policy::{FixedPolicies, Limits, NativePolicies, OnFailure, PolicyHost, Source};
use pointsman_scheduler::policies::Policies;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const N_BATCHES: usize = 100;

fn main() {
    println!("{:<28}{:>8}{:>12}", "policy", "rows", "ns per call");
    for rows in [1, 10, 100, 1_000] {
        report("native", rows, &mut NativePolicies::default());
        report("wasm, cpu time", rows, &mut wasm(Limits::compiled()));
        report("wasm, fuel", rows, &mut wasm(Limits::fuel()));
    }
    let per_start = 1_000;
    let limits = Limits { instance_calls: 1, ..Limits::compiled() };
    let mut host = wasm(limits);
    let begun = Instant::now();
    for _ in 0..per_start {
        score(&mut host, 1, &mut Vec::new());
    }
    println!("a fresh instance and one call: {:?}", begun.elapsed() / per_start);
}

fn wasm(limits: Limits) -> PolicyHost {
    let policy = pointsman_bundle::find("weighted-score").expect("a standard policy");
    PolicyHost::fixed(FixedPolicies {
        scoring: Source::Wasm {
            name: policy.name.to_owned(),
            bytes: Arc::from(policy.bytes),
            config: "{}".to_owned(),
        },
        queue: Source::Native("fifo".to_owned()),
        rescheduling: None,
        limits: Limits { round: None, ..limits },
        on_failure: OnFailure::LastGood,
    })
    .expect("the standard policy is admitted")
}

fn score(policies: &mut dyn Policies, rows: usize, scores: &mut Vec<f64>) {
    let columns = vec![vec![0.25; rows]; policies.scoring().needs_worker.len()];
    policies.score(&[], &columns, rows, scores).expect("no call fails");
}

fn report(name: &str, rows: usize, policies: &mut dyn Policies) {
    let columns = vec![vec![0.25; rows]; policies.scoring().needs_worker.len()];
    let n_calls = (200_000 / (rows + 20)).max(10) as u32;
    let mut scores = Vec::new();
    let mut times: Vec<u128> = (0..N_BATCHES)
        .map(|_| {
            policies.begin_round();
            let begun = Instant::now();
            for _ in 0..n_calls {
                let result = policies.score(&[], black_box(&columns), rows, &mut scores);
                result.expect("no call fails");
            }
            begun.elapsed().as_nanos() / u128::from(n_calls)
        })
        .collect();
    times.sort_unstable();
    println!("{name:<28}{rows:>8}{:>12}", times[N_BATCHES / 2]);
}
