//! `cargo xtask soak [--swaps N]`: policies replaced again and again under load, with what that does
//! to latency and memory. Exits with 1 if anything was lost, doubled, mixed or failed, if memory grew
//! or if swapping made dispatch slower than it may.

use pointsman_tests::soak::{SoakOptions, run};
use std::process::ExitCode;
use std::time::Duration;

const MAX_MEMORY_GROWTH: f64 = 1.05;
const MAX_LATENCY_RATIO: f64 = 1.2;

fn main() -> ExitCode {
    let Some(n_swaps) = swaps(std::env::args().skip(1)) else {
        eprintln!("usage: cargo xtask soak [--swaps N]    N: 40 or more, 10000 if not given");
        return ExitCode::from(2);
    };
    let options = SoakOptions {
        n_swaps,
        tasks_per_s: 200.0,
        swaps_per_s: 20.0_f64.min(n_swaps as f64 / 100.0),
        window: Duration::from_secs(5),
        n_warm: 500.min(n_swaps / 4),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let report = runtime.block_on(run(options, |line| println!("{line}")));
    println!("{report}");
    let mut faults = report.faults();
    if report.memory_growth > MAX_MEMORY_GROWTH {
        faults.push(format!("memory grew to {:.3} ×", report.memory_growth));
    }
    if !report.dispatch.is_within(MAX_LATENCY_RATIO) {
        faults.push(format!("dispatch is slower than {MAX_LATENCY_RATIO} ×"));
    }
    for fault in &faults {
        println!("FAULT: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn swaps(mut args: impl Iterator<Item = String>) -> Option<usize> {
    match (args.next().as_deref(), args.next()) {
        (None, _) => Some(10_000),
        (Some("--swaps"), Some(n)) => n.parse().ok().filter(|n| *n >= 40),
        (Some(_), _) => None,
    }
}
