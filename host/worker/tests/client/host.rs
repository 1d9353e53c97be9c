//! A host as a worker sees it: takes registrations, syncs and output, gives commands, and can go
//! away and come back under the same address.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use pointsman_protocol::worker::{
    Command, CommandAction, CommandsResponse, Intervals, RegisterRequest, RegisterResponse,
    StartCommand, StopCommand, SyncRequest, SyncResponse, WireAttempt, WireFinished,
    WireOnDisconnect, WireStopReason,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

pub const INTERVAL: Duration = Duration::from_millis(50);
pub const LEASE: Duration = Duration::from_millis(400);
pub const TOKEN: &str = "worker-token";

/// What the worker said, and what it is to be told.
#[derive(Default)]
pub struct Said {
    pub term: u64,
    pub registrations: Vec<RegisterRequest>,
    pub syncs: Vec<SyncRequest>,
    /// In the order of their arrival: results and pieces of output.
    pub finished: Vec<WireFinished>,
    pub logs: HashMap<(u64, String), Vec<u8>>,
    /// Streams of which a part was not kept.
    pub truncated: BTreeSet<(u64, String)>,
    /// Whether the output of a task was there when its result came.
    pub output_at_end: HashMap<u64, usize>,
    pub stale: Vec<WireAttempt>,
    /// Answer syncs with 404 until the next registration.
    pub forgets: bool,
    /// Refuse output with 503.
    pub refuses_output: bool,
    commands: Vec<Command>,
    next_n: u64,
}

#[derive(Clone)]
struct App {
    said: Arc<Mutex<Said>>,
    news: Arc<Notify>,
}

pub struct FakeHost {
    app: App,
    address: SocketAddr,
    server: Option<tokio::task::JoinHandle<()>>,
}

impl FakeHost {
    pub async fn start() -> FakeHost {
        let said = Said { term: 1, next_n: 1, ..Said::default() };
        let app = App { said: Arc::new(Mutex::new(said)), news: Arc::default() };
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut host = FakeHost { app, address: any, server: None };
        host.listen().await;
        host
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn said(&self) -> MutexGuard<'_, Said> {
        self.app.said.lock().expect("no handler panics")
    }

    /// Nothing listens any more, and open connections break.
    pub async fn go_down(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }

    /// Back under the same address, in the next term, and asking for registrations.
    pub async fn come_back(&mut self) {
        {
            let mut said = self.said();
            said.term += 1;
            said.forgets = true;
        }
        self.listen().await;
    }

    async fn listen(&mut self) {
        let listener = tokio::net::TcpListener::bind(self.address).await.expect("the port is free");
        self.address = listener.local_addr().expect("it is bound");
        let router = Router::new()
            .route("/v1/workers", post(register))
            .route("/v1/workers/w1/sync", post(sync))
            .route("/v1/workers/w1/commands", get(commands))
            .route("/v1/workers/{id}/log", post(log))
            .with_state(self.app.clone());
        let serving = async move {
            // Connections live in this task alone, so that they end with it.
            let mut connections = tokio::task::JoinSet::new();
            let mut listener = axum::serve::ListenerExt::tap_io(listener, |_| {});
            loop {
                let (stream, _) = axum::serve::Listener::accept(&mut listener).await;
                let service = hyper_util::service::TowerToHyperService::new(router.clone());
                connections.spawn(async move {
                    let io = hyper_util::rt::TokioIo::new(stream);
                    // The worker may hang up.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                });
            }
        };
        self.server = Some(tokio::spawn(serving));
    }

    pub fn start_task(&self, task: u64, script: &str) {
        self.start_with(task, script, WireOnDisconnect::Keep);
    }

    pub fn start_with(&self, task: u64, script: &str, on_disconnect: WireOnDisconnect) {
        let start = StartCommand {
            attempt: WireAttempt(task, 1, 1),
            job: "j1".parse().expect("an id"),
            name: format!("task-{task}"),
            script: script.to_owned(),
            env: BTreeMap::new(),
            workdir: None,
            timeout_ms: None,
            on_disconnect,
            devices: vec![],
            cpu_milli: 1000,
            memory: 100_000_000,
            traceparent: None,
        };
        self.push(CommandAction::Start(Box::new(start)));
    }

    pub fn stop_task(&self, task: u64) {
        let attempt = WireAttempt(task, 1, 1);
        self.push(CommandAction::Stop(StopCommand { attempt, why: WireStopReason::Cancelled }));
    }

    fn push(&self, action: CommandAction) {
        {
            let mut said = self.said();
            let n = said.next_n;
            said.next_n += 1;
            said.commands.push(Command { n, action });
        }
        self.app.news.notify_waiters();
    }

    /// Waits until what was said makes `found` answer something.
    pub async fn until<T>(&self, what: &str, found: impl Fn(&Said) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let news = self.app.news.notified();
            if let Some(found) = found(&self.said()) {
                return found;
            }
            assert!(Instant::now() < deadline, "not in time: {what}");
            let _ = tokio::time::timeout(Duration::from_millis(20), news).await;
        }
    }

    pub async fn result(&self, task: u64) -> WireFinished {
        let of_task = |said: &Said| said.finished.iter().find(|it| it.attempt.0 == task).cloned();
        self.until(&format!("the end of {task}"), of_task).await
    }
}

impl App {
    fn check(&self, headers: &HeaderMap) -> Result<MutexGuard<'_, Said>, StatusCode> {
        let expected = format!("Bearer {TOKEN}");
        match headers.get("authorization").map(|it| it.as_bytes() == expected.as_bytes()) {
            Some(true) => Ok(self.said.lock().expect("no handler panics")),
            Some(false) | None => Err(StatusCode::UNAUTHORIZED),
        }
    }
}

impl Said {
    fn take_finished(&mut self, finished: &[WireFinished]) {
        for it in finished {
            let key = (it.attempt.0, "stdout".to_owned());
            let n_bytes = self.logs.get(&key).map_or(0, Vec::len);
            self.output_at_end.entry(it.attempt.0).or_insert(n_bytes);
        }
        self.finished.extend_from_slice(finished);
    }
}

fn intervals() -> Intervals {
    Intervals {
        interval_ms: INTERVAL.as_millis() as u64,
        lease_ms: LEASE.as_millis() as u64,
        kill_grace_ms: 100,
    }
}

async fn register(
    State(app): State<App>,
    headers: HeaderMap,
    Json(request): Json<RegisterRequest>,
) -> Result<Json<RegisterResponse>, StatusCode> {
    let mut said = app.check(&headers)?;
    said.forgets = false;
    said.commands.clear();
    said.take_finished(&request.finished);
    said.registrations.push(request);
    let response = RegisterResponse {
        worker: "w1".parse().expect("an id"),
        term: said.term,
        intervals: intervals(),
        stale: vec![],
    };
    app.news.notify_waiters();
    Ok(Json(response))
}

async fn sync(
    State(app): State<App>,
    headers: HeaderMap,
    Json(request): Json<SyncRequest>,
) -> Result<Json<SyncResponse>, StatusCode> {
    let mut said = app.check(&headers)?;
    if said.forgets {
        return Err(StatusCode::NOT_FOUND);
    }
    said.take_finished(&request.finished);
    said.commands.retain(|command| command.n > request.acked_command);
    let stale = std::mem::take(&mut said.stale);
    let (seq, term) = (request.seq, said.term);
    said.syncs.push(request);
    app.news.notify_waiters();
    Ok(Json(SyncResponse { seq, term, intervals: intervals(), stale }))
}

async fn commands(
    State(app): State<App>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, u64>>,
) -> Result<Json<CommandsResponse>, StatusCode> {
    let after = query["after"];
    let deadline = tokio::time::Instant::now() + INTERVAL;
    loop {
        let news = app.news.notified();
        {
            let said = app.check(&headers)?;
            let newest = said.registrations.last().map(|it| it.life);
            assert_eq!(newest, Some(query["life"]));
            let commands: Vec<_> =
                said.commands.iter().filter(|it| it.n > after).cloned().collect();
            if !commands.is_empty() || tokio::time::Instant::now() >= deadline {
                return Ok(Json(CommandsResponse { term: said.term, commands }));
            }
        }
        let _ = tokio::time::timeout_at(deadline, news).await;
    }
}

async fn log(
    State(app): State<App>,
    headers: HeaderMap,
    Path(_): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    body: axum::body::Bytes,
) -> Result<StatusCode, StatusCode> {
    let mut said = app.check(&headers)?;
    if said.refuses_output {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    let number = |name: &str| query[name].parse::<u64>().expect("a number");
    if query.get("truncated").is_some_and(|it| it == "true") {
        said.truncated.insert((number("task"), query["stream"].clone()));
    }
    let log = said.logs.entry((number("task"), query["stream"].clone())).or_default();
    let at = number("offset") as usize;
    log.resize(log.len().max(at + body.len()), 0);
    log[at..at + body.len()].copy_from_slice(&body);
    app.news.notify_waiters();
    Ok(StatusCode::NO_CONTENT)
}
