//! A hostile policy in force while the API is used: what it does to requests, heartbeats, tasks and
//! memory. Windows with faults and windows at rest alternate; the policy misbehaves about marked tasks
//! alone, and only windows with faults have such tasks.

use crate::site::{Crew, Site, job};
use crate::soak::resident_kib;
use crate::windows::{Comparison, percentile};
use pointsman_fixtures::{Fault, SIGNAL, config, hostile};
use pointsman_protocol::api::{PoliciesView, PolicyView};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub struct HostileOptions {
    /// As in the contract: `scoring.score`, `queue.rank` or `rescheduling.review`.
    pub function: &'static str,
    pub fault: Fault,
    pub requests_per_s: f64,
    pub window: Duration,
    /// Pairs of a window at rest and one with faults.
    pub n_pairs: usize,
    /// Tasks run before memory is looked at, in thousands: they fill what is bounded (the events kept for
    /// readers, the finished tasks kept).
    pub n_filling: usize,
}

#[derive(Debug)]
pub struct HostileReport {
    pub api: Comparison,
    pub heartbeats: Comparison,
    /// Of the slot at the end.
    pub policy: PolicyView,
    pub n_succeeded: u64,
    pub n_failed: u64,
    pub memory_growth: f64,
    /// Requests that were not answered well, the first few.
    pub complaints: Vec<String>,
}

impl std::fmt::Display for HostileReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "  requests:   {}", self.api)?;
        writeln!(f, "  heartbeats: {}", self.heartbeats)?;
        let failed = self.policy.last_failure.as_ref().map_or("no failure", |it| &it.message);
        writeln!(f, "  last failure: {failed}")?;
        write!(
            f,
            "  {} tasks succeeded, {} failed; memory {:.3} × that before",
            self.n_succeeded, self.n_failed, self.memory_growth
        )
    }
}

/// Latencies of a window, in ms.
#[derive(Default)]
struct Window {
    api: Vec<f64>,
    heartbeats: Vec<f64>,
    complaints: Vec<String>,
}

type Shared = Arc<Mutex<Window>>;

/// The slot whose policy exports `function`.
fn slot_of(function: &str) -> &str {
    function.split('.').next().unwrap_or(function)
}

/// Runs it all: `2 * n_pairs` windows.
pub async fn run(options: HostileOptions) -> HostileReport {
    let slot = slot_of(options.function);
    let config: Value =
        serde_json::from_str(&config(options.function, options.fault)).expect("it is JSON");
    let site = Site::start_with(&format!(
        "[retention]\nfinished = 1000\n[policies.{slot}]\ncomponent = \"hostile\"\n\
         [policies.{slot}.config]\nfault = {}\non = {}\n",
        config["fault"], config["on"],
    ))
    .await;
    site.drop_in("hostile", hostile(slot).bytes);
    let view = slot_view(&site.reload_policies().await, slot);
    assert_eq!(view.name, format!("hostile-{slot}"), "{view:?}");
    // What is reviewed has to run for a while.
    let no_execution = slot != "rescheduling";
    site.hire(Crew { n_workers: 2, cpus: 1_000, no_execution }).await;
    for _ in 0..options.n_filling {
        site.submit(&job(1000, "true")).await;
        site.until_idle().await;
    }
    let heart = Heart::register(&site).await;
    let shared = Shared::default();
    let mut user = User { site: &site, heart, shared: shared.clone(), number: 0 };
    user.use_api(options, false).await;
    take(&shared);
    let before = resident_kib();
    let (mut rest, mut fault) = ([vec![], vec![]], [vec![], vec![]]);
    let mut complaints = Vec::new();
    for _ in 0..options.n_pairs {
        for (is_fault, p99) in [(false, &mut rest), (true, &mut fault)] {
            user.use_api(options, is_fault).await;
            let window = take(&shared);
            p99[0].push(percentile(window.api, 0.99));
            p99[1].push(percentile(window.heartbeats, 0.99));
            complaints.extend(window.complaints);
        }
    }
    site.until_idle().await;
    let memory_growth = resident_kib() as f64 / before as f64;
    let counts = site.status().await.counts;
    let policy = slot_view(&policies(&site).await, slot);
    site.stop().await;
    complaints.truncate(20);
    HostileReport {
        api: Comparison::of(&fault[0], &rest[0]),
        heartbeats: Comparison::of(&fault[1], &rest[1]),
        policy,
        n_succeeded: counts.succeeded,
        n_failed: counts.failed,
        memory_growth,
        complaints,
    }
}

fn take(shared: &Shared) -> Window {
    std::mem::take(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn policies(site: &Site) -> PoliciesView {
    let response = reqwest::get(site.url("/v1/policies")).await.expect("the host answers");
    response.json().await.expect("the slots")
}

fn slot_view(view: &PoliciesView, slot: &str) -> PolicyView {
    let is_it = |it: &&PolicyView| serde_json::to_value(it.slot).is_ok_and(|it| it == slot);
    view.slots.iter().find(is_it).expect("every slot is shown").clone()
}

/// A worker too small for any task, that does nothing but report.
#[derive(Clone)]
struct Heart {
    url: String,
    seq: u64,
}

const LIFE: u64 = 7;

impl Heart {
    async fn register(site: &Site) -> Heart {
        let body = json!({
            "protocol": pointsman_protocol::worker::PROTOCOL_VERSION,
            "name": "heart", "token": "ab".repeat(32), "life": LIFE, "n": 1,
            "capacity": {"cpu_milli": 1, "memory": 1000},
        });
        let request = reqwest::Client::new().post(site.url("/v1/workers")).json(&body);
        let answer: Value = request.send().await.expect("answered").json().await.expect("JSON");
        let worker = answer["worker"].as_str().unwrap_or_else(|| panic!("{answer}"));
        Heart { url: site.url(&format!("/v1/workers/{worker}/sync")), seq: 0 }
    }
}

struct User<'a> {
    site: &'a Site,
    heart: Heart,
    shared: Shared,
    number: u64,
}

impl User<'_> {
    /// One window of requests, each sent when it is due, whatever became of those before.
    async fn use_api(&mut self, options: HostileOptions, is_fault: bool) {
        let http = reqwest::Client::new();
        let began = Instant::now();
        let n_requests = (options.window.as_secs_f64() * options.requests_per_s) as u32;
        let mut sent = Vec::new();
        for index in 0..n_requests {
            let due = began + Duration::from_secs_f64(f64::from(index) / options.requests_per_s);
            tokio::time::sleep_until(due.into()).await;
            if is_fault && f64::from(index) % options.requests_per_s < 1.0 {
                // Takes back what was given up, so that the fault goes on.
                let slot = slot_of(options.function);
                let url = self.site.url(&format!("/v1/policies/{slot}"));
                let request = http.put(url).json(&json!({"component": "hostile"}));
                sent.push(tokio::spawn(async move { drop(request.send().await) }));
            }
            self.number += 1;
            let (is_heartbeat, request) = self.request(&http, index, is_fault);
            let shared = self.shared.clone();
            sent.push(tokio::spawn(async move {
                let complaint = match request.send().await {
                    Ok(response) if response.status().is_success() => None,
                    Ok(response) => Some(response.status().to_string()),
                    Err(error) => Some(error.to_string()),
                };
                let took = due.elapsed().as_secs_f64() * 1e3;
                let mut window = shared.lock().unwrap_or_else(PoisonError::into_inner);
                let times = if is_heartbeat { &mut window.heartbeats } else { &mut window.api };
                times.push(took);
                window.complaints.extend(complaint);
            }));
        }
        for request in sent {
            request.await.expect("requests do not panic");
        }
    }

    /// Every fourth is a heartbeat, every fourth a task, of which every tenth is marked.
    fn request(
        &mut self,
        http: &reqwest::Client,
        index: u32,
        is_fault: bool,
    ) -> (bool, reqwest::RequestBuilder) {
        match index % 4 {
            0 => {
                let is_marked = is_fault && index.is_multiple_of(40);
                let task = json!({
                    "task_name": format!("t{}", self.number),
                    "script": if is_marked { "sleep 0.3" } else { "true" },
                    "priority": if is_marked { SIGNAL } else { 0 },
                    "resources": {"cpu": 1, "memory": "1MB"},
                });
                (false, http.post(self.site.url("/v1/tasks")).json(&task))
            }
            1 => {
                self.heart.seq += 1;
                let sync = json!({"seq": self.heart.seq, "life": LIFE});
                (true, http.post(&self.heart.url).json(&sync))
            }
            2 => (false, http.get(self.site.url("/v1/status"))),
            _ => (false, http.get(self.site.url("/v1/workers"))),
        }
    }
}
