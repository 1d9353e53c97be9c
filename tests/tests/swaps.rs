//! Policies are replaced again and again while tasks flow: nothing fails, nothing mixes, nothing leaks.

use pointsman_protocol::api::{JobView, Page, PoliciesView, TaskView, WireJobState};
use pointsman_protocol::worker::WireCapacity;
use pointsman_server::config::Config;
use pointsman_server::serve::{Host, ServeOptions};
use pointsman_worker::{WorkerOptions, run};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

const SWAPS: usize = 200;
/// Swaps after which memory is first looked at: caches are warm by then.
const WARM: usize = 50;

struct Site {
    base: String,
    http: reqwest::Client,
}

impl Site {
    async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let response = self.http.get(format!("{}{path}", self.base)).send().await.unwrap();
        response.json().await.unwrap()
    }

    async fn post(&self, path: &str, body: &serde_json::Value) -> serde_json::Value {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
        response.json().await.unwrap()
    }

    async fn scoring(&self) -> (u32, String, u64) {
        let view: PoliciesView = self.get("/v1/policies").await;
        let slot = view.slots.iter().find(|slot| slot.slot.word() == "scoring").unwrap();
        (slot.generation, slot.name.clone(), slot.failures)
    }
}

async fn start(folder: &Path) -> (Host, Site) {
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n[retention]\nfinished = 2000\n\
         [policies]\ndirectory = {:?}\n",
        folder.join("data"),
        folder.join("policies"),
    );
    std::fs::create_dir(folder.join("policies")).unwrap();
    let config = Config::parse("swaps.toml", &text).expect("a good configuration");
    let host = Host::start(ServeOptions { config, config_path: None }).await.unwrap();
    let base = format!("http://{}", host.address());
    for name in ["w1", "w2", "w3"] {
        let capacity = WireCapacity { cpu_milli: 50_000, memory: 50_000_000_000, gpus: 0 };
        let options = WorkerOptions {
            capacity: Some(capacity),
            no_execution: true,
            ..WorkerOptions::new(&base, name, folder.join(name))
        };
        tokio::spawn(run(options, std::future::pending()));
    }
    (host, Site { base, http: reqwest::Client::new() })
}

fn job(n_tasks: usize) -> serde_json::Value {
    let task = |index: usize| {
        json!({
            "task_name": format!("t{index}"), "script": "true",
            "resources": {"cpu": 1, "memory": "1MB"},
        })
    };
    json!({ "name": "load", "tasks": (0..n_tasks).map(task).collect::<Vec<_>>() })
}

/// Fills what is bounded (the events kept for readers, the finished tasks kept), so that growth
/// beyond is a leak.
async fn fill(site: &Site) {
    for _ in 0..20 {
        let submitted = site.post("/v1/jobs", &job(1000)).await;
        until_succeeded(site, submitted["job"].as_str().unwrap()).await;
    }
}

async fn until_succeeded(site: &Site, job: &str) {
    let path = format!("/v1/jobs/{job}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while site.get::<JobView>(&path).await.state != WireJobState::Succeeded {
        assert!(Instant::now() < deadline, "{job} does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Drops a policy into the folder as `weighted-score`, as a copy does: written aside, renamed over.
fn drop_in(folder: &Path, name: &str) {
    let bytes = pointsman_bundle::find(name).expect("a standard policy").bytes;
    let policies = folder.join("policies");
    std::fs::write(policies.join("new"), bytes).unwrap();
    std::fs::rename(policies.join("new"), policies.join("weighted-score.wasm")).unwrap();
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_swaps_under_load_fail_and_mix_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (host, site) = start(folder.path()).await;
    fill(&site).await;
    let job = job(20);
    let names = ["least-connections", "weighted-score"];
    let mut jobs = Vec::new();
    let mut generations = BTreeSet::new();
    let (mut resident_warm, mut n_failures) = (0, 0);
    for swap in 0..SWAPS {
        let submitted = site.post("/v1/jobs", &job).await;
        jobs.push(submitted["job"].as_str().unwrap().to_owned());
        let (before, _, _) = site.scoring().await;
        drop_in(folder.path(), names[swap % 2]);
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            site.post("/v1/policies/reload", &json!({})).await;
            let (generation, name, failures) = site.scoring().await;
            n_failures += failures;
            if name == names[swap % 2] && (swap == 0 || generation != before) {
                assert!(generations.insert(generation), "generation {generation} came twice");
                break;
            }
            assert!(Instant::now() < deadline, "swap {swap} never happened");
        }
        if swap == WARM {
            resident_warm = resident_kib();
        }
    }
    assert_eq!(n_failures, 0, "no call of any generation failed");
    assert_eq!(generations.len(), SWAPS);
    for job in &jobs[jobs.len() - 50..] {
        until_succeeded(&site, job).await;
        let page: Page<TaskView> = site.get(&format!("/v1/tasks?job={job}")).await;
        for task in page.items {
            let [attempt] = task.attempts.as_slice() else { panic!("{} ran twice", task.id) };
            let stamp = &attempt.decision.scoring;
            let of_bundle = |name: &&str| {
                let bytes = pointsman_bundle::find(name).unwrap().bytes;
                let digest = pointsman_policy::Digest::of(bytes).to_string();
                digest.starts_with(stamp.digest.as_ref())
            };
            assert!(names.iter().any(|name| of_bundle(&name)), "decided by {stamp:?}");
        }
    }
    let growth = resident_kib() as f64 / resident_warm as f64;
    assert!(growth < 1.1, "memory grew {growth:.2} times over {} swaps", SWAPS - WARM);
    host.stop().await;
}
