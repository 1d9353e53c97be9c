//! The same processes without any scheduler: what the machine allows at the time.

use super::work::{Measured, Missing, Work, cannot, failed, stamp};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

pub fn measure(work: Work, n_slots: usize) -> Measured {
    match work {
        Work::Processes { n } => processes(n, n_slots),
        Work::Latency { n } => latency(n),
        Work::Noop | Work::Waiting { .. } => cannot("nothing is scheduled"),
    }
}

fn processes(n: usize, n_slots: usize) -> Measured {
    let n_begun = AtomicUsize::new(0);
    let run = || -> Result<(), Missing> {
        while n_begun.fetch_add(1, Ordering::Relaxed) < n {
            end_well(&mut Command::new("/bin/true"))?;
        }
        Ok(())
    };
    let began = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_slots).map(|_| scope.spawn(run)).collect();
        let ends = threads.into_iter().map(|it| it.join().expect("it does not panic"));
        ends.collect::<Result<Vec<()>, Missing>>()
    })?;
    Ok(vec![n as f64 / began.elapsed().as_secs_f64()])
}

fn latency(n: usize) -> Measured {
    let folder = tempfile::tempdir().map_err(failed)?;
    let file = folder.path().join("stamps");
    let mut began = Vec::new();
    for _ in 0..n {
        began.push(now_ns());
        end_well(Command::new("/bin/sh").arg("-c").arg(stamp(&file)))?;
    }
    let stamps = std::fs::read_to_string(&file).map_err(failed)?;
    latencies(&began, &stamps)
}

/// Pairs submissions with the lines that their tasks wrote, in order.
pub(super) fn latencies(began: &[u128], stamps: &str) -> Measured {
    let stamps: Result<Vec<u128>, _> = stamps.lines().map(str::parse).collect();
    let stamps = stamps.map_err(failed)?;
    if stamps.len() != began.len() {
        return Err(failed(format!("{} starts of {} tasks", stamps.len(), began.len())));
    }
    let pairs = began.iter().zip(&stamps);
    Ok(pairs.map(|(began, stamp)| stamp.saturating_sub(*began) as f64 / 1e6).collect())
}

pub(super) fn now_ns() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos()
}

fn end_well(command: &mut Command) -> Result<(), Missing> {
    let status = command.status().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(failed(status)) }
}
