//! What scripts write, byte for byte, whatever and however much it is.

use crate::bench::{Bench, CAP, execution, run};
use pointsman_worker::executor::{ExecutorEvent, Stream};
use pointsman_worker::{AttemptKey, Outcome, StopReason};
use std::time::Duration;

#[tokio::test]
async fn endless_output_is_capped_and_head_and_tail_are_kept() {
    let mut bench = Bench::new();
    let mut execution = execution("echo first; yes; echo never");
    execution.timeout = Some(Duration::from_millis(500));
    bench.run(execution);
    let ended = bench.end().await;
    assert_eq!(ended.outcome, Outcome::Timeout);
    let output = ended.output.as_ref().expect("ran");
    assert!(output.is_truncated(Stream::Stdout), "{} bytes", output.total(Stream::Stdout));
    let bytes = ended.bytes(Stream::Stdout);
    assert_eq!(bytes.len() as u64, CAP);
    assert!(bytes.starts_with(b"first\ny\ny\n"));
}

#[tokio::test]
async fn invalid_utf_8_comes_out_byte_for_byte() {
    let script = r"printf '\300\377\227'; printf '\346\227\245%.0s' $(seq 100000); echo ok";
    let ended = run(script).await;
    assert_eq!(ended.outcome, Outcome::ExitCode(0));
    let mut expect = b"\xc0\xff\x97".to_vec();
    expect.extend("日".repeat(100_000).into_bytes());
    expect.extend(b"ok\n");
    assert!(ended.bytes(Stream::Stdout) == expect, "output differs");
}

/// Megabytes resident of this process.
fn resident_mb() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("reads");
    let pages: u64 = statm.split(' ').nth(1).expect("a field").parse().expect("a number");
    pages * 4096 / 1_000_000
}

#[tokio::test]
async fn endless_output_of_many_scripts_takes_no_memory_of_the_agent() {
    const N: u64 = 4;
    /// Bytes each writes before it is stopped: far more than the agent may grow by.
    const EACH: u64 = 200 << 20;
    let mut bench = Bench::new();
    let before = resident_mb();
    for task in 1..=N {
        let mut execution = execution("yes");
        execution.key.task = task;
        bench.run(execution);
    }
    let mut outputs = Vec::new();
    while outputs.len() < N as usize {
        if let ExecutorEvent::Started { output, .. } = bench.event().await {
            outputs.push(output);
        }
    }
    let mut most = 0;
    while outputs.iter().any(|output| output.total(Stream::Stdout) < EACH) {
        most = most.max(resident_mb());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for task in 1..=N {
        let key = AttemptKey { task, number: 2, term: 3 };
        bench.executor().stop(key, StopReason::Cancelled);
    }
    for _ in 0..N {
        let ended = bench.any_end().await;
        assert_eq!(ended.outcome, Outcome::Stopped(StopReason::Cancelled));
        let output = ended.output.as_ref().expect("ran");
        assert!(output.is_truncated(Stream::Stdout));
        assert_eq!(ended.bytes(Stream::Stdout).len() as u64, CAP);
    }
    assert!(most < before + 32, "{before} MB before, {most} MB meanwhile");
}

/// A script's folder lies beside its files: it knows their names.
#[tokio::test]
async fn a_link_in_the_place_of_the_output_is_not_followed() {
    let mut bench = Bench::new();
    let mut execution = execution(
        "ln -s \"$victim\" ../t7-2-3.stdout && ln -s \"$victim\" ../t7-2-3.script; seq 1 20000",
    );
    let victim = bench.file(&mut execution, "victim");
    std::fs::write(&victim, "precious").expect("writes");
    bench.run(execution);
    let ended = bench.end().await;
    assert_eq!(ended.outcome, Outcome::ExitCode(0));
    assert_eq!(std::fs::read_to_string(&victim).expect("reads"), "precious");
    let expect: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
    assert!(ended.text() == expect, "output differs");
}
