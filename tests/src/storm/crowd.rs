//! Hundreds of workers that lose their host at the same moment: they come back spread out, and the
//! host gives none of them up meanwhile. They speak the workers' protocol and wait as agents do, but
//! are tasks of this process and run nothing.

#[path = "../../../host/worker/src/backoff.rs"]
mod backoff;

use super::cluster::{Cluster, Heartbeat};
use backoff::Backoff;
use pointsman_protocol::api::{WireWorkerState, WorkerView};
use pointsman_protocol::worker::{PROTOCOL_VERSION, RegisterResponse};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The defaults.
const HEARTBEAT: Heartbeat = Heartbeat {
    interval: Duration::from_secs(5),
    suspect_after: Duration::from_secs(10),
    lost_after: Duration::from_secs(15),
};
/// Registrations in the busiest second against the mean.
const MAX_PEAK: f64 = 3.0;
/// The longest wait of an agent, over which registrations spread when all waits have grown to it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// After an outage of this length they have. After a shorter one they come back sooner, and more at once.
const GROWN_AFTER: Duration = Duration::from_secs(8);
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// How the workers came back after one outage.
#[derive(Debug, Clone, PartialEq)]
pub struct Return {
    pub n_workers: usize,
    pub outage: Duration,
    /// From when the host served again until the last one was back.
    pub took: Duration,
    /// Registrations per second.
    pub peak: f64,
    pub mean: f64,
    pub n_lost: usize,
}

impl Return {
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.outage >= GROWN_AFTER && self.peak > MAX_PEAK * self.mean {
            complaints.push(format!("they came back in step: {self}"));
        }
        if self.n_lost > 0 {
            complaints.push(format!("{} were given up in the first window", self.n_lost));
        }
        if self.took > BACK_WITHIN {
            complaints.push(format!("not all were back in time: {self}"));
        }
        complaints
    }
}

impl fmt::Display for Return {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} workers after {:>2} s of outage: all back in {:.1} s, peak {:.0}/s, mean {:.0}/s ({:.2} ×), {} lost",
            self.n_workers,
            self.outage.as_secs(),
            self.took.as_secs_f64(),
            self.peak,
            self.mean,
            self.peak / self.mean,
            self.n_lost
        )
    }
}

/// Kills the host, keeps it away for each outage in turn, and looks at how they come back.
pub async fn reconnect(binary: &Path, n_workers: usize, outages: &[Duration]) -> Vec<Return> {
    let mut cluster = Cluster::start(binary, HEARTBEAT, 0).await;
    let mut crowd = JoinSet::new();
    for index in 0..n_workers {
        crowd.spawn(Member::new(cluster.api.base(), index).live());
    }
    cluster.until_all_live(n_workers).await;
    let mut returns = Vec::new();
    for outage in outages {
        cluster.kill_host();
        tokio::time::sleep(*outage).await;
        cluster.start_host();
        cluster.until_ready().await;
        returns.push(watch_return(&cluster, n_workers, *outage).await);
    }
    returns
}

/// One of the crowd.
struct Member {
    base: String,
    name: String,
    life: u64,
    n_registrations: u64,
    backoff: Backoff,
    http: reqwest::Client,
}

/// How a call to the host ended.
enum Called {
    Taken(Response),
    /// It wants a registration.
    Unknown,
    Failed,
}

impl Member {
    fn new(base: &str, index: usize) -> Member {
        // Connections of its own.
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(15)).build();
        let life = 1 + index as u64;
        Member {
            base: format!("{base}/v1/workers"),
            name: format!("crowd-{index}"),
            life,
            n_registrations: 0,
            backoff: Backoff::new(life.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            http: http.expect("a client"),
        }
    }

    async fn live(mut self) {
        loop {
            let registered = self.register().await;
            let lease = Duration::from_millis(registered.intervals.lease_ms);
            let interval = Duration::from_millis(registered.intervals.interval_ms);
            self.backoff.reset();
            self.backoff.fit(lease);
            self.serve(&registered.worker.to_string(), interval).await;
        }
    }

    async fn register(&mut self) -> RegisterResponse {
        loop {
            self.n_registrations += 1;
            let request = self.http.post(&self.base).json(&json!({
                "protocol": PROTOCOL_VERSION, "name": self.name, "token": self.name,
                "life": self.life, "n": self.n_registrations,
                "capacity": {"cpu_milli": 1000, "memory": 1_000_000_000, "gpus": 0},
            }));
            if let Called::Taken(response) = call(request).await
                && let Ok(registered) = response.json().await
            {
                return registered;
            }
            tokio::time::sleep(self.backoff.next_delay()).await;
        }
    }

    /// Polls and syncs until the host does not know it any more.
    async fn serve(&mut self, worker: &str, interval: Duration) {
        let (base, life) = (&self.base, self.life);
        let poll = || self.http.get(format!("{base}/{worker}/commands?after=0&life={life}"));
        let mut polling = pin!(call(poll()));
        let mut tick = tokio::time::interval(interval);
        for seq in 1_u64.. {
            tokio::select! {
                _ = tick.tick() => {
                    let report = json!({"seq": seq, "life": life, "acked_command": 0});
                    match call(self.http.post(format!("{base}/{worker}/sync")).json(&report)).await {
                        Called::Taken(_) => self.backoff.reset(),
                        Called::Unknown => return,
                        Called::Failed => tick.reset_after(self.backoff.next_delay()),
                    }
                }
                polled = &mut polling => match polled {
                    Called::Taken(_) => polling.set(call(poll())),
                    Called::Unknown => return,
                    Called::Failed => {
                        tokio::time::sleep(self.backoff.next_delay()).await;
                        polling.set(call(poll()));
                    }
                }
            }
        }
    }
}

async fn call(request: RequestBuilder) -> Called {
    match request.send().await {
        Ok(response) if response.status().is_success() => Called::Taken(response),
        Ok(response)
            if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::CONFLICT) =>
        {
            Called::Unknown
        }
        Ok(_) | Err(_) => Called::Failed,
    }
}

/// From now, when the host serves, to the end of the first window.
async fn watch_return(cluster: &Cluster, n_workers: usize, outage: Duration) -> Return {
    let served = Instant::now();
    let mut back: BTreeMap<String, Duration> = BTreeMap::new();
    let mut lost: BTreeSet<String> = BTreeSet::new();
    while back.len() < n_workers || served.elapsed() < HEARTBEAT.lost_after {
        let workers: Vec<WorkerView> = cluster.api.wait_for("/v1/workers").await;
        for worker in workers {
            if worker.state == WireWorkerState::Lost {
                lost.insert(worker.name.clone());
            }
            // Nothing was heard of it before it registered with this life of the host.
            if let Some(ms_ago) = worker.last_heartbeat_ms_ago {
                let ago = Duration::from_millis(ms_ago);
                back.entry(worker.name).or_insert(served.elapsed().saturating_sub(ago));
            }
        }
        if served.elapsed() > BACK_WITHIN * 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut moments: Vec<Duration> = back.into_values().collect();
    moments.sort_unstable();
    let is_whole = moments.len() == n_workers;
    let took = if is_whole { moments.last().copied().unwrap_or_default() } else { Duration::MAX };
    let (peak, mean) = rates(&moments);
    Return { n_workers, outage, took, peak, mean, n_lost: lost.len() }
}

/// The busiest second of any, and the mean over all that it took, but at least the longest wait.
fn rates(moments: &[Duration]) -> (f64, f64) {
    const SECOND: Duration = Duration::from_secs(1);
    let (Some(first), Some(last)) = (moments.first(), moments.last()) else { return (0.0, 0.0) };
    let until = |start: Duration| moments.partition_point(|it| *it < start + SECOND);
    let counts = moments.iter().enumerate().map(|(index, start)| until(*start) - index);
    let peak = counts.max().unwrap_or(0);
    let span = (*last - *first).max(LONGEST_WAIT);
    (peak as f64, moments.len() as f64 / span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_that_comes_in_step_is_told_from_one_that_does_not() {
        let spread: Vec<Duration> = (0..500).map(|it| Duration::from_millis(it * 10)).collect();
        let (peak, mean) = rates(&spread);
        assert!(peak <= 1.1 * mean, "{peak} {mean}");
        for straggler_s in [0, 5] {
            let moments = (0..500).map(|it| Duration::from_secs(it / 490 * straggler_s));
            let (peak, mean) = rates(&moments.collect::<Vec<_>>());
            assert!(peak > MAX_PEAK * mean, "{peak} {mean}");
        }
        assert_eq!(rates(&[]), (0.0, 0.0));
    }
}
