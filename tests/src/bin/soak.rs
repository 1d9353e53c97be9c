//! `cargo xtask soak [--swaps N | --compile FILE]`: policies replaced again and again under load, or one
//! that takes long to compile, with what that does to latency and memory. Exits with 1 if anything was
//! lost, doubled, mixed or failed, if memory grew or if dispatch became slower than it may.

use pointsman_tests::load::Seen;
use pointsman_tests::soak::{SoakOptions, run};
use pointsman_tests::windows::Comparison;
use pointsman_tests::{compiling, soak};
use std::process::ExitCode;
use std::time::Duration;

const MAX_MEMORY_GROWTH: f64 = 1.05;
const MAX_LATENCY_RATIO: f64 = 1.2;
const TASKS_PER_S: f64 = 200.0;
const WINDOW: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let faults = match args[..] {
        [] => swaps(10_000),
        ["--swaps", n] => match n.parse() {
            Ok(n @ 40..) => swaps(n),
            Ok(0..40) | Err(_) => return usage("N is a number from 40 on"),
        },
        ["--compile", path] => match std::fs::read(path) {
            Ok(guest) => compile(&guest),
            Err(error) => return usage(&format!("{path} cannot be read: {error}")),
        },
        _ => return usage("unknown arguments"),
    };
    for fault in &faults {
        println!("FAULT: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("soak: {problem}\nusage: cargo xtask soak [--swaps N | --compile FILE.wasm]");
    ExitCode::from(2)
}

fn swaps(n_swaps: usize) -> Vec<String> {
    let options = SoakOptions {
        n_swaps,
        tasks_per_s: TASKS_PER_S,
        swaps_per_s: 20.0_f64.min(n_swaps as f64 / 100.0),
        window: WINDOW,
        n_fill: 150_000,
        n_warm: 500.min(n_swaps / 4),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let report = runtime.block_on(run(options, |line| println!("{line}")));
    println!("{report}");
    let mut faults = soak::faults(&report.seen, report.n_lost);
    if report.memory_growth > MAX_MEMORY_GROWTH {
        faults.push(format!("memory grew to {:.3} ×", report.memory_growth));
    }
    faults.extend(slow(&report.dispatch));
    faults
}

fn compile(guest: &[u8]) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let run = compiling::run(guest, 20, TASKS_PER_S, |line| println!("{line}"));
    let report = runtime.block_on(run);
    println!("{report}");
    let Seen { n_failed, n_doubled, .. } = report.seen;
    println!("{n_failed} tasks failed, {n_doubled} doubled, {} lost", report.n_lost);
    let mut faults = soak::faults(&report.seen, report.n_lost);
    faults.extend(slow(&report.dispatch));
    faults
}

fn slow(dispatch: &Comparison) -> Option<String> {
    let is_slow = !dispatch.is_within(MAX_LATENCY_RATIO);
    is_slow.then(|| format!("dispatch is slower than {MAX_LATENCY_RATIO} ×"))
}
