//! The faults: the host or a worker is killed or frozen, at moments that differ from round to round.

use super::Row;
use super::cluster::{Cluster, Heartbeat};
use super::verdict::{Verdict, judge};
use super::work::{LONG, Ledger, Work};
use nix::sys::signal::Signal;
use pointsman_protocol::api::{WireWorkerState, WorkerView};
use std::path::Path;
use std::time::{Duration, Instant};

const N_WORKERS: usize = 3;
/// A killed agent's scripts have to be gone after this, long before they end by themselves.
const GONE_WITHIN: Duration = Duration::from_secs(3);

/// Nobody is given up while the machine is merely busy.
const PATIENT: Heartbeat = Heartbeat {
    interval: Duration::from_millis(250),
    suspect_after: Duration::from_secs(5),
    lost_after: Duration::from_secs(30),
};
/// Workers are lost soon.
const QUICK: Heartbeat = Heartbeat {
    interval: Duration::from_millis(250),
    suspect_after: Duration::from_millis(1250),
    lost_after: Duration::from_millis(2500),
};

/// The host is killed and started again. No worker is lost, so each attempt that ran is adopted, and
/// no task runs again.
pub async fn kill_hosts(binary: &Path, n_rounds: usize) -> Row {
    let mut storm = Storm::begin(binary, PATIENT).await;
    for round in 0..n_rounds {
        storm.sleep(50..600).await;
        storm.cluster.kill_host();
        if round % 2 == 1 {
            storm.sleep(0..400).await;
        }
        let began = Instant::now();
        storm.cluster.start_host();
        // Some are killed before they serve.
        if round % 4 != 3 {
            storm.cluster.until_ready().await;
            storm.note(began.elapsed());
        }
    }
    let (mut row, verdict) = storm.end("host killed", n_rounds, "answers after").await;
    let figures = verdict.figures;
    if figures.n_run_again + figures.n_overlaps > 0 {
        row.complaints.push("tasks ran again though no worker was lost".to_owned());
    }
    row
}

/// A worker is killed and started again, at once or after a while. What it ran is over before it
/// runs elsewhere.
pub async fn kill_workers(binary: &Path, n_rounds: usize) -> Row {
    let mut storm = Storm::begin(binary, QUICK).await;
    let mut stayed = 0;
    for round in 0..n_rounds {
        storm.sleep(100..700).await;
        let index = round % N_WORKERS;
        storm.cluster.kill_worker(index);
        if round % 2 == 0 {
            let killed = Instant::now();
            while !storm.cluster.scripts_of(index).is_empty() && killed.elapsed() < GONE_WITHIN {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            stayed += storm.cluster.scripts_of(index).len();
            storm.note(killed.elapsed());
        }
        if round % 10 == 6 {
            storm.cluster.until_worker_is(index, WireWorkerState::Lost).await;
            // What it ran runs elsewhere now, to its end: nobody is lost without end.
            tokio::time::sleep(LONG).await;
        }
        storm.cluster.start_worker(index);
    }
    storm.cluster.until_all_live(N_WORKERS).await;
    let (mut row, verdict) = storm.end("worker killed", n_rounds, "scripts gone after").await;
    if stayed > 0 {
        row.complaints.push(format!("{stayed} processes outlived their agent"));
    }
    if verdict.figures.n_overlaps > 0 {
        row.complaints.push("attempts began while an earlier one still ran".to_owned());
    }
    row
}

/// The host is frozen for longer than a worker may be silent. It was away itself, so nobody is lost.
pub async fn freeze_hosts(binary: &Path, n_rounds: usize) -> Row {
    let mut storm = Storm::begin(binary, QUICK).await;
    let mut lost = Vec::new();
    for _ in 0..n_rounds {
        storm.sleep(100..600).await;
        storm.cluster.signal_host(Signal::SIGSTOP);
        storm.sleep(3_000..5_000).await;
        storm.cluster.signal_host(Signal::SIGCONT);
        let woken = Instant::now();
        storm.cluster.until_ready().await;
        storm.note(woken.elapsed());
        while woken.elapsed() < QUICK.lost_after {
            let workers: Vec<WorkerView> = storm.cluster.api.wait_for("/v1/workers").await;
            let is_lost = |it: &WorkerView| it.state == WireWorkerState::Lost;
            lost.extend(workers.into_iter().filter(is_lost).map(|it| it.name));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let (mut row, verdict) = storm.end("host frozen", n_rounds, "answers after").await;
    let Verdict { figures, .. } = verdict;
    if !lost.is_empty() || figures.n_worker_lost + figures.n_run_again + figures.n_overlaps > 0 {
        row.complaints.push(format!("workers were lost though the host was away: {lost:?}"));
    }
    row
}

/// An agent and its scripts are frozen until the worker is lost, then woken: what it held is void by
/// then, and is ended.
pub async fn freeze_workers(binary: &Path, n_rounds: usize) -> Row {
    let mut storm = Storm::begin(binary, QUICK).await;
    for round in 0..n_rounds {
        storm.sleep(100..600).await;
        let index = round % N_WORKERS;
        storm.cluster.signal_worker(index, Signal::SIGSTOP);
        let frozen = Instant::now();
        storm.cluster.until_worker_is(index, WireWorkerState::Lost).await;
        storm.note(frozen.elapsed());
        storm.sleep(0..1_500).await;
        storm.cluster.signal_worker(index, Signal::SIGCONT);
        storm.cluster.until_worker_is(index, WireWorkerState::Live).await;
    }
    storm.end("worker frozen", n_rounds, "lost after").await.0
}

/// A cluster under load.
struct Storm {
    cluster: Cluster,
    work: Work,
    random: u64,
    longest: Duration,
}

impl Storm {
    async fn begin(binary: &Path, heartbeat: Heartbeat) -> Storm {
        let cluster = Cluster::start(binary, heartbeat, N_WORKERS).await;
        let work = Work::start(&cluster);
        let random = u64::from(std::process::id());
        Storm { cluster, work, random, longest: Duration::ZERO }
    }

    /// The storm itself: the next fault comes at another moment than the one before.
    async fn sleep(&mut self, ms: std::ops::Range<u64>) {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let ms = ms.start + (self.random >> 33) % (ms.end - ms.start);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn note(&mut self, took: Duration) {
        self.longest = self.longest.max(took);
    }

    async fn end(
        mut self,
        name: &'static str,
        n_rounds: usize,
        measured: &'static str,
    ) -> (Row, Verdict) {
        self.cluster.until_ready().await;
        let ledger: Ledger = self.work.stop().await;
        let verdict = judge(&self.cluster, &ledger).await;
        let figures = verdict.figures;
        let complaints = verdict.complaints.clone();
        (Row { name, n_rounds, figures, measured, longest: self.longest, complaints }, verdict)
    }
}
