//! A host with durable store and workers, all in this process, over real HTTP on loopback.

use pointsman_protocol::api::{PoliciesView, StatusView};
use pointsman_protocol::worker::WireCapacity;
use pointsman_server::config::Config;
use pointsman_server::driver::Handle;
use pointsman_server::serve::{Host, ServeOptions};
use pointsman_worker::{LimitOptions, WorkerOptions, run};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub struct Site {
    host: Host,
    http: reqwest::Client,
    folder: tempfile::TempDir,
}

pub struct Crew {
    pub n_workers: usize,
    pub cpus: u64,
    pub no_execution: bool,
}

impl Site {
    pub async fn start() -> Site {
        Site::start_with("").await
    }

    /// With more TOML.
    pub async fn start_with(toml: &str) -> Site {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n[policies]\ndirectory = {:?}\n{toml}",
            folder.path().join("data"),
            folder.path().join("policies"),
        );
        std::fs::create_dir(folder.path().join("policies")).expect("a policy folder");
        let config = Config::parse("bench.toml", &text).expect("a good configuration");
        let host = Host::start(ServeOptions { config, config_path: None }).await;
        Site { host: host.expect("the host starts"), http: reqwest::Client::new(), folder }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host.address())
    }

    pub async fn hire(&self, crew: Crew) {
        let names: Vec<String> = (0..crew.n_workers).map(|index| format!("w{index}")).collect();
        self.hire_as(&names, crew).await;
    }

    /// Starts one worker of each name, and waits until they are live.
    pub async fn hire_as(&self, names: &[String], crew: Crew) {
        self.hire_limited(names, crew, &LimitOptions::default()).await;
    }

    /// As [`Self::hire_as`], with the limits that the workers are to enforce.
    pub async fn hire_limited(&self, names: &[String], crew: Crew, limits: &LimitOptions) {
        let expected = self.status().await.n_workers_live + names.len() as u64;
        for name in names {
            let options = WorkerOptions {
                capacity: Some(WireCapacity {
                    cpu_milli: crew.cpus * 1000,
                    memory: crew.cpus * 1_000_000_000,
                    gpus: 0,
                }),
                no_execution: crew.no_execution,
                limits: limits.clone(),
                ..WorkerOptions::new(&self.url(""), name, self.folder.path().join(name))
            };
            tokio::spawn(run(options, std::future::pending()));
        }
        while self.status().await.n_workers_live < expected {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The drop-in folder.
    pub fn policies(&self) -> PathBuf {
        self.folder.path().join("policies")
    }

    /// Drops a policy into the folder under this name, as a copy does: written aside, renamed over.
    pub fn drop_in(&self, name: &str, bytes: &[u8]) {
        let policies = self.folder.path().join("policies");
        std::fs::write(policies.join("new"), bytes).expect("the folder is writable");
        self.drop_aside(name);
    }

    /// Writes what [`Self::drop_aside`] is to drop, and waits until the disk has it.
    pub fn lay_aside(&self, bytes: &[u8]) {
        use std::io::Write;
        let path = self.folder.path().join("policies/new");
        let mut file = std::fs::File::create(path).expect("the folder is writable");
        file.write_all(bytes).and_then(|()| file.sync_all()).expect("the disk has room");
    }

    pub fn drop_aside(&self, name: &str) {
        let policies = self.folder.path().join("policies");
        std::fs::rename(policies.join("new"), policies.join(name).with_extension("wasm"))
            .expect("renamed over");
    }

    /// Makes the host look at its policy folder; what it found is in force in the answer.
    pub async fn reload_policies(&self) -> PoliciesView {
        let request = self.http.post(self.url("/v1/policies/reload")).json(&serde_json::json!({}));
        let response = request.send().await.expect("the host answers");
        response.json().await.expect("the slots")
    }

    /// Puts a policy in force by hand.
    pub async fn choose(&self, slot: &str, component: &str) {
        let body = serde_json::json!({ "component": component });
        let request = self.http.put(self.url(&format!("/v1/policies/{slot}"))).json(&body);
        let response = request.send().await.expect("the host answers");
        assert!(response.status().is_success(), "{}", response.text().await.unwrap_or_default());
    }

    /// For what would be in the way of what is measured if it came over HTTP.
    pub fn driver(&self) -> Handle {
        self.host.app().driver.clone()
    }

    pub async fn submit(&self, job: &Value) {
        let response = self.http.post(self.url("/v1/jobs")).json(job).send().await;
        let response = response.expect("the host answers");
        assert!(response.status().is_success(), "{}", response.text().await.unwrap_or_default());
    }

    pub async fn status(&self) -> StatusView {
        let response = self.http.get(self.url("/v1/status")).send().await;
        response.expect("the host answers").json().await.expect("a status")
    }

    /// Waits until so many tasks have succeeded.
    pub async fn until_succeeded(&self, n_tasks: u64) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let counts = self.status().await.counts;
            assert_eq!(counts.failed, 0, "no task fails");
            if counts.succeeded >= n_tasks {
                return;
            }
            assert!(Instant::now() < deadline, "{counts:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until no task is waiting or running.
    pub async fn until_idle(&self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let counts = self.status().await.counts;
            if counts.pending + counts.assigned + counts.running == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{counts:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn stop(self) {
        self.host.stop().await;
    }
}

/// A job of `n` equal tasks.
pub fn job(n: usize, script: &str) -> Value {
    let task = |index: usize| {
        serde_json::json!({
            "task_name": format!("t{index}"), "script": script,
            "resources": {"cpu": 1, "memory": "1MB"},
        })
    };
    serde_json::json!({ "name": "bench", "tasks": (0..n).map(task).collect::<Vec<_>>() })
}
