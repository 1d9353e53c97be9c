//! How many scripts a second the executor alone starts and ends, at some number at a time.
//!
//! `cargo run --release -p pointsman-worker --example spawn_rate [N [AT_A_TIME [SCRIPT [unlimited]]]]`

use pointsman_worker::executor::{Execution, Executor, ExecutorEvent, ExecutorOptions};
use pointsman_worker::{AttemptKey, LimitOptions};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |default: u64| args.next().map_or(default, |it| it.parse().expect("a number"));
    let (n, at_a_time) = (number(5000), number(8));
    let script = args.next().unwrap_or_else(|| "/bin/true".to_owned());
    let limits = match args.next().as_deref() {
        Some("unlimited") => LimitOptions::off(),
        _ => LimitOptions::default(),
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    // An agent inside a host lives in a process of some size.
    let ballast = std::hint::black_box(vec![1u8; 200 << 20]);
    let options = ExecutorOptions {
        data_dir: dir.path().to_owned(),
        kill_grace: Duration::from_secs(10),
        output_cap: 8 << 20,
        sample_every: Duration::from_secs(1),
        marker: "spawnrate".to_owned(),
        life: 1,
        limits,
        hides_devices: false,
    };
    let (sender, mut events) = mpsc::unbounded_channel();
    let executor = Executor::start(options, sender).expect("the executor starts");
    let execution = |task| Execution {
        key: AttemptKey { task, number: 1, term: 1 },
        task_name: "bench".to_owned(),
        job: "j1".to_owned(),
        script: script.clone(),
        env: Default::default(),
        workdir: None,
        timeout: None,
        cpu_milli: 1000,
        memory: 100_000_000,
        devices: Vec::new(),
        traceparent: None,
    };
    let started = Instant::now();
    let (mut n_begun, mut n_ended) = (0, 0);
    while n_ended < n {
        while n_begun < n && n_begun - n_ended < at_a_time {
            executor.run(execution(n_begun));
            n_begun += 1;
        }
        if let Some(ExecutorEvent::Ended { .. }) = events.blocking_recv() {
            n_ended += 1;
        }
    }
    let rate = n as f64 / started.elapsed().as_secs_f64();
    println!("limits: {}", executor.limits());
    println!(
        "{script}: {rate:.0} scripts/s, {at_a_time} at a time, in a process of {} MB",
        ballast.len() >> 20
    );
}
