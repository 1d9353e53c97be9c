//! `cargo xtask storm [--rounds N]`: real hosts and workers under load, killed and frozen again and again.
//! Exits with 1 if a task was lost, an attempt counted twice, a process or capacity stayed behind, or
//! workers came back in step.

use pointsman_tests::storm::{HEAD, Row, crowd, faults};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const N_CROWD: usize = 500;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let n_rounds = match args[..] {
        [] => 100,
        ["--rounds", n] => match n.parse() {
            Ok(n @ 1..=10_000) => n,
            Ok(_) | Err(_) => return usage("N is a number from 1 to 10000"),
        },
        _ => return usage("unknown arguments"),
    };
    let own = std::env::current_exe().expect("this program has a path");
    let binary = own.with_file_name("pointsman");
    if !binary.exists() {
        return usage(&format!("{} is not built", binary.display()));
    }
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let complaints = runtime.block_on(storm(binary, n_rounds));
    for complaint in &complaints {
        println!("FAULT: {complaint}");
    }
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("storm: {problem}\nusage: cargo xtask storm [--rounds N]");
    ExitCode::from(2)
}

async fn storm(binary: PathBuf, n_rounds: usize) -> Vec<String> {
    // Frozen for seconds each.
    let n_freezes = n_rounds.div_ceil(5);
    println!("{HEAD}");
    let mut complaints = Vec::new();
    let mut show = |row: Row| {
        println!("{row}");
        complaints.extend(row.complaints.iter().map(|it| format!("{}: {it}", row.name)));
    };
    show(faults::kill_hosts(&binary, n_rounds).await);
    show(faults::kill_workers(&binary, n_rounds).await);
    show(faults::freeze_hosts(&binary, n_freezes).await);
    show(faults::freeze_workers(&binary, n_freezes).await);
    // At once; with the waits grown; and with all waits at their cap for long.
    let outages = [0, 10, 60].map(Duration::from_secs);
    for returned in crowd::reconnect(&binary, N_CROWD, &outages).await {
        println!("{returned}");
        complaints.extend(returned.complaints());
    }
    complaints
}
