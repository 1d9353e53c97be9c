//! What hostile policies do to requests and heartbeats: at 200 requests/s, windows of 10 s with faults
//! between windows at rest. The p99 may be twice that at rest.

use pointsman_fixtures::Fault;
use pointsman_tests::hostile::{HostileOptions, HostileReport, run as run_one};
use serde_json::{Value, json};
use std::time::Duration;

const FAULTS: [(&str, Fault); 14] = [
    ("scoring.score", Fault::Panic),
    ("scoring.score", Fault::Endless),
    ("scoring.score", Fault::Grow),
    ("scoring.score", Fault::Recurse),
    ("scoring.score", Fault::Leak),
    ("scoring.score", Fault::NotANumber),
    ("scoring.score", Fault::Above),
    ("scoring.score", Fault::GiantAnswer),
    ("scoring.score", Fault::LogFlood),
    ("queue.rank", Fault::Panic),
    ("queue.rank", Fault::Endless),
    ("queue.rank", Fault::TooFew),
    ("rescheduling.review", Fault::Endless),
    ("rescheduling.review", Fault::UnknownRow),
];
const MAX_RATIO: f64 = 2.0;
const MAX_GROWTH: f64 = 1.1;

pub fn run() -> Value {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut results = Vec::new();
    for (function, fault) in FAULTS {
        let options = HostileOptions {
            function,
            fault,
            requests_per_s: 200.0,
            window: Duration::from_secs(10),
            n_pairs: 3,
            n_filling: 20,
        };
        let report = runtime.block_on(run_one(options));
        println!("{function} {}\n{report}", fault.name());
        let faults = faults(&report);
        faults.iter().for_each(|fault| println!("  FAULT: {fault}"));
        results.push(json!({
            "function": function, "fault": fault.name(), "faults": faults,
            "requests_ratio": report.api.ratio, "heartbeats_ratio": report.heartbeats.ratio,
            "memory_growth": report.memory_growth,
        }));
    }
    json!(results)
}

/// What must not have happened, and did.
fn faults(report: &HostileReport) -> Vec<String> {
    let mut faults = report.complaints.clone();
    for (what, comparison) in [("requests", &report.api), ("heartbeats", &report.heartbeats)] {
        if !comparison.is_within(MAX_RATIO) {
            faults.push(format!("{what} are slower than {MAX_RATIO} ×"));
        }
    }
    if report.n_failed > 0 {
        faults.push(format!("{} tasks failed", report.n_failed));
    }
    if report.memory_growth > MAX_GROWTH {
        faults.push(format!("memory grew to {:.3} ×", report.memory_growth));
    }
    faults
}
