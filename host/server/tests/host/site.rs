//! A host in a folder of its own, and someone who talks to it.

use crate::gate::Gate;
use pointsman_server::config::Config;
use pointsman_server::serve::{Host, ServeOptions};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Site {
    pub host: Host,
    pub gate: Gate,
    pub folder: tempfile::TempDir,
    pub http: reqwest::Client,
}

/// An answer: its status, its type, its body as JSON if it is that.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub content_type: String,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
    pub body: Value,
}

impl Reply {
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }
}

impl Site {
    pub async fn start() -> Site {
        Site::start_with("").await
    }

    /// `more` is TOML that follows the sections every test needs.
    pub async fn start_with(more: &str) -> Site {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("pointsman.toml"), text(&folder, more)).unwrap();
        let gate = Gate::default();
        let host = run(&folder, &gate).await;
        Site { host, gate, folder, http: reqwest::Client::new() }
    }

    /// The host ends, and another one takes up its store.
    pub async fn restart(self) -> Site {
        let Site { host, gate, folder, http } = self;
        host.stop().await;
        let host = run(&folder, &gate).await;
        Site { host, gate, folder, http }
    }

    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("pointsman.toml")
    }

    pub fn rewrite_config(&self, more: &str) {
        std::fs::write(self.config_path(), text(&self.folder, more)).unwrap();
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host.address())
    }

    pub async fn get(&self, path: &str) -> Reply {
        reply(self.http.get(self.url(path))).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        reply(self.http.post(self.url(path)).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        reply(self.http.put(self.url(path)).json(body)).await
    }

    /// Submits tasks that depend on nothing.
    pub async fn submit_many(&self, n: usize) -> Reply {
        let task = |k| json!({"task_name": format!("task-{k}"), "script": "true"});
        let tasks: Vec<Value> = (0..n).map(task).collect();
        let reply = self.post("/v1/jobs", &json!({"name": "many", "tasks": tasks})).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply
    }

    /// Submits one task; its id.
    pub async fn submit(&self, name: &str) -> String {
        let reply = self.post("/v1/tasks", &json!({"task_name": name, "script": "true"})).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.body["tasks"][0]["id"].as_str().expect("an id").to_owned()
    }

    pub async fn until(&self, what: &str, check: impl AsyncFn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !check().await {
            assert!(Instant::now() < deadline, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

pub async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let content_type = headers.get("content-type").map(|it| it.to_str().unwrap().to_owned());
    let bytes = response.bytes().await.expect("a body").to_vec();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Reply { status, content_type: content_type.unwrap_or_default(), headers, bytes, body }
}

fn text(folder: &tempfile::TempDir, more: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndata_dir = {:?}\n[store]\nbackend = \"memory\"\n\
         [policies]\ndirectory = {:?}\n{more}\n",
        folder.path().join("data"),
        folder.path().join("policies"),
    )
}

async fn run(folder: &tempfile::TempDir, gate: &Gate) -> Host {
    let path = folder.path().join("pointsman.toml");
    let config = Config::load(&path).expect("a good configuration");
    let options = ServeOptions { config, config_path: Some(path) };
    Host::start_on(options, Box::new(gate.clone())).await.expect("the host starts")
}

/// A worker process, as far as the host sees one.
pub struct Worker {
    pub id: String,
    pub life: u64,
    seq: u64,
    pub acked: u64,
}

impl Worker {
    pub async fn register(site: &Site, name: &str, life: u64) -> Worker {
        let reply = site.post("/v1/workers", &registration(name, life)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let id = reply.body["worker"].as_str().expect("an id").to_owned();
        Worker { id, life, seq: 0, acked: 0 }
    }

    /// Commands after those taken, as `(n, command)`; empty if the poll ran out.
    pub async fn poll(&self, site: &Site) -> Reply {
        let (id, life, acked) = (&self.id, self.life, self.acked);
        site.get(&format!("/v1/workers/{id}/commands?after={acked}&life={life}")).await
    }

    /// Polls until there are commands.
    pub async fn commands(&self, site: &Site) -> Vec<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = self.poll(site).await;
            assert_eq!(reply.status, 200, "{}", reply.body);
            let commands = reply.body["commands"].as_array().expect("commands").clone();
            if !commands.is_empty() {
                return commands;
            }
            assert!(Instant::now() < deadline, "no commands");
        }
    }

    pub async fn sync(&mut self, site: &Site, report: Value) -> Reply {
        self.seq += 1;
        let mut body = report;
        body["seq"] = json!(self.seq);
        body["life"] = json!(self.life);
        body["acked_command"] = json!(self.acked);
        site.post(&format!("/v1/workers/{}/sync", self.id), &body).await
    }
}

pub fn registration(name: &str, life: u64) -> Value {
    static N: AtomicU64 = AtomicU64::new(1);
    json!({
        "protocol": 1,
        "name": name,
        "token": format!("token-of-{name}"),
        "life": life,
        "n": N.fetch_add(1, Ordering::Relaxed),
        "capacity": {"cpu_milli": 4000, "memory": 8_000_000_000u64},
    })
}
