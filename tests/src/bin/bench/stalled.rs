//! What viewers that never read do to the host: at about 500 updates/s, windows with 20 stalled sockets
//! between windows without; a viewer that reads is there all the time. Dispatch latency and memory may not
//! change.

use pointsman_tests::load::Load;
use pointsman_tests::site::{Crew, Site};
use pointsman_tests::soak::resident_kib;
use pointsman_tests::windows::{Comparison, percentile};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// Each changes three times at least: placed, started, ended.
const TASKS_PER_S: f64 = 170.0;
const N_STALLED: usize = 20;
const WINDOW: Duration = Duration::from_secs(20);
const N_PAIRS: usize = 15;
/// Until what is bounded is full: the events and the finished tasks that are kept.
const FILLING: Duration = Duration::from_secs(150);
/// Of a reader's own machine, so that it stalls soon.
const RECEIVE_BUFFER: u32 = 4096;
const MAX_RATIO: f64 = 1.2;
const MAX_GROWTH: f64 = 1.1;

pub fn run() -> Value {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure())
}

async fn measure() -> Value {
    let site = Site::start_with("[retention]\nfinished = 10000\n").await;
    site.hire(Crew { n_workers: 4, cpus: 64, no_execution: true }).await;
    let load = Load::start(&site.url(""), TASKS_PER_S, Arc::new(|_| Ok(()))).await;
    tokio::time::sleep(FILLING).await;
    let memory_before = resident_kib();
    load.next_window();
    let (mut with, mut without, mut most) = (Vec::new(), Vec::new(), 0);
    for _ in 0..N_PAIRS {
        let mut stalled = Vec::new();
        for _ in 0..N_STALLED {
            stalled.push(stall(&site).await);
        }
        tokio::time::sleep(WINDOW).await;
        with.push(percentile(load.next_window(), 0.99));
        most = most.max(resident_kib());
        drop(stalled);
        tokio::time::sleep(WINDOW).await;
        without.push(percentile(load.next_window(), 0.99));
    }
    let comparison = Comparison::of(&with, &without);
    let growth = most as f64 / memory_before as f64;
    let (seen, n_lost) = load.finish().await;
    site.stop().await;
    println!("dispatch with {N_STALLED} stalled sockets: {comparison}");
    println!("memory at most {growth:.3} × that before ({} MiB)", memory_before / 1024);
    println!("{} tasks submitted, {n_lost} never seen to end", seen.n_submitted);
    if !comparison.is_within(MAX_RATIO) {
        println!("  FAULT: dispatch is slower than {MAX_RATIO} ×");
    }
    if growth > MAX_GROWTH {
        println!("  FAULT: memory grew to {growth:.3} ×");
    }
    if n_lost > 0 || !seen.complaints.is_empty() {
        println!("  FAULT: the reader missed something: {:?}", seen.complaints);
    }
    json!({
        "p99_with_ms": comparison.with_ms, "p99_without_ms": comparison.without_ms,
        "ratio": comparison.ratio, "low": comparison.low, "high": comparison.high,
        "memory_growth": growth, "n_tasks": seen.n_submitted, "n_lost": n_lost,
    })
}

/// Opens a WebSocket on the event stream and never reads a byte of it.
async fn stall(site: &Site) -> TcpStream {
    let address = site.url("").replace("http://", "");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(RECEIVE_BUFFER).expect("a small buffer");
    let host = address.parse().expect("an address");
    let mut stream = socket.connect(host).await.expect("the host takes it");
    let request = format!(
        "GET /v1/events HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the host reads it");
    stream
}
