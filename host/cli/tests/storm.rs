//! A short storm: hosts and workers killed and frozen under load. `cargo xtask storm` is a longer one.

#[path = "../../../tests/src/storm/mod.rs"]
mod storm;

use std::path::Path;
use std::time::Duration;
use storm::{HEAD, Row, crowd, faults};

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_pointsman"))
}

fn check(row: &Row) {
    println!("{HEAD}\n{row}");
    assert!(row.complaints.is_empty(), "{row}: {:#?}", row.complaints);
    assert!(row.figures.n_attempts > 0, "{row}: it had nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_hosts_lose_nothing_and_run_nothing_again() {
    check(&faults::kill_hosts(binary(), 10).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_leave_nothing_running_and_lose_nothing() {
    check(&faults::kill_workers(binary(), 10).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_host_gives_no_worker_up() {
    check(&faults::freeze_hosts(binary(), 2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_frozen_worker_held_counts_once() {
    check(&faults::freeze_workers(binary(), 3).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_workers_comes_back_spread_out() {
    let outages = [0, 8].map(Duration::from_secs);
    for returned in crowd::reconnect(binary(), 300, &outages).await {
        println!("{returned}");
        assert_eq!(returned.complaints(), Vec::<String>::new());
    }
}
