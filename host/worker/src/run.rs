//! The agent's loop: registers, polls for commands, syncs, and carries news between the executor and
//! the host. It runs on a thread of its own, so that nothing else delays the heartbeat.

use crate::agent::{Action, Agent};
use crate::attempt::{AttemptKey, End};
use crate::client::{CallError, HostClient, Progress};
use crate::executor::{Executor, ExecutorError, ExecutorEvent, ExecutorOptions, Output, leftovers};
use crate::identity::{Identity, IdentityError, random_number};
use crate::measure::{Meter, machine_capacity};
use pointsman_protocol::worker::{
    CommandsResponse, Intervals, PROTOCOL_VERSION, RegisterRequest, SyncResponse, WireCapacity,
};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How a worker runs.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Like `http://127.0.0.1:7400`.
    pub host: String,
    pub name: String,
    /// None: what the machine has.
    pub capacity: Option<WireCapacity>,
    pub labels: BTreeMap<String, String>,
    /// Identity, working folders, captured output; of this worker alone.
    pub data_dir: PathBuf,
    /// Sent as bearer token.
    pub token: Option<String>,
    /// From TERM to KILL.
    pub kill_grace: Duration,
    /// Bytes kept per output stream of an attempt.
    pub output_cap: u64,
    /// Acknowledge starts as succeeded without running anything: for measuring the host.
    pub no_execution: bool,
}

impl WorkerOptions {
    pub fn new(host: &str, name: &str, data_dir: PathBuf) -> WorkerOptions {
        WorkerOptions {
            host: host.to_owned(),
            name: name.to_owned(),
            capacity: None,
            labels: BTreeMap::new(),
            data_dir,
            token: None,
            kill_grace: Duration::from_secs(10),
            output_cap: 8 << 20,
            no_execution: false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    #[error("failed to set up the worker: {0}")]
    Setup(String),
    #[error("the host refuses this worker: {0}")]
    Refused(String),
}

/// Runs a worker until `shutdown` is done, then ends its attempts and tells the host.
///
/// # Errors
/// If it cannot start, or the host refuses it for good.
pub async fn run(
    options: WorkerOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<(), WorkerError> {
    let (stop, stopped) = oneshot::channel();
    let (done, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name("agent".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outcome = match runtime {
            Ok(runtime) => runtime.block_on(async { Session::open(options)?.run(stopped).await }),
            Err(error) => Err(WorkerError::Setup(error.to_string())),
        };
        // Whoever waited may have gone.
        let _ = done.send(outcome);
    });
    thread.map_err(|error| WorkerError::Setup(error.to_string()))?;
    let mut outcome = outcome;
    let ended = tokio::select! {
        ended = &mut outcome => ended,
        () = shutdown => {
            // It may be ending at this moment.
            let _ = stop.send(());
            outcome.await
        }
    };
    ended.unwrap_or_else(|_| Err(WorkerError::Setup("the agent's thread panicked".to_owned())))
}

type Pending<T> = Pin<Box<dyn Future<Output = T>>>;

/// One life of the agent.
struct Session {
    options: WorkerOptions,
    identity: Identity,
    life: u64,
    agent: Agent,
    client: HostClient,
    meter: Meter,
    executor: Executor,
    events: mpsc::UnboundedReceiver<ExecutorEvent>,
    outputs: HashMap<AttemptKey, Uploading>,
    uploads: (mpsc::UnboundedSender<Uploaded>, mpsc::UnboundedReceiver<Uploaded>),
    jitter: u64,
    rtt: Option<Duration>,
    /// When the last acknowledged sync was sent: the lease counts from there.
    leased_from: Instant,
}

/// What is known of an attempt's output.
struct Uploading {
    output: Arc<Output>,
    reached: [Progress; 2],
    is_busy: bool,
    /// It has ended: reported when the output is up.
    end: Option<End>,
}

/// An upload came to its end, well or not.
struct Uploaded {
    key: AttemptKey,
    outcome: Result<[Progress; 2], CallError>,
    was_over: bool,
}

/// How the host knows this worker.
struct Membership {
    worker: String,
    intervals: Intervals,
}

/// Why a membership ended.
enum Parted {
    RegisterAgain,
    Stopped,
}

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(5);

impl Session {
    fn open(options: WorkerOptions) -> Result<Session, WorkerError> {
        let setup = |error: &dyn std::fmt::Display| WorkerError::Setup(error.to_string());
        let identity = Identity::take(&options.data_dir)?;
        let life = random_number().map_err(|error| setup(&error))?;
        let marker = identity.token[..16].to_owned();
        let reaped = leftovers::reap(&options.data_dir, &marker);
        if !reaped.is_empty() {
            tracing::warn!(n_attempts = reaped.len(), "ended what an earlier life left running");
        }
        let client =
            HostClient::new(&options.host, options.token.clone()).map_err(|error| setup(&error))?;
        let (sender, events) = mpsc::unbounded_channel();
        let executor_options = ExecutorOptions {
            data_dir: options.data_dir.clone(),
            kill_grace: options.kill_grace,
            output_cap: options.output_cap,
            sample_every: Duration::from_secs(1),
            marker,
            life,
            hides_devices: options.capacity.is_some_and(|capacity| capacity.gpus > 0),
        };
        let executor = Executor::start(executor_options, sender)?;
        let capacity = options.capacity.unwrap_or_else(machine_capacity);
        Ok(Session {
            identity,
            life,
            agent: Agent::new(life),
            client,
            meter: Meter::new(capacity),
            executor,
            events,
            outputs: HashMap::new(),
            uploads: mpsc::unbounded_channel(),
            jitter: life | 1,
            rtt: None,
            leased_from: Instant::now(),
            options: WorkerOptions { capacity: Some(capacity), ..options },
        })
    }

    async fn run(mut self, mut stopped: oneshot::Receiver<()>) -> Result<(), WorkerError> {
        loop {
            let Some(membership) = self.register(&mut stopped).await? else { return Ok(()) };
            match self.serve(&membership, &mut stopped).await {
                Parted::RegisterAgain => {}
                Parted::Stopped => {
                    self.leave(&membership).await;
                    return Ok(());
                }
            }
        }
    }

    /// Tries until the host takes it. None: stopped meanwhile.
    async fn register(
        &mut self,
        stopped: &mut oneshot::Receiver<()>,
    ) -> Result<Option<Membership>, WorkerError> {
        let mut ceiling = FIRST_BACKOFF;
        loop {
            self.take_waiting_events();
            let (held, finished) = self.agent.in_hand();
            let request = RegisterRequest {
                protocol: PROTOCOL_VERSION,
                name: self.options.name.clone(),
                token: self.identity.token.clone(),
                life: self.life,
                capacity: self.options.capacity.expect("set when the session was opened"),
                labels: self.options.labels.clone(),
                held,
                finished,
            };
            let sent = Instant::now();
            match self.client.register(&request).await {
                Ok(answer) => {
                    self.leased_from = sent;
                    let actions = self.agent.handle_registered(answer.term, &answer.stale);
                    self.act(actions);
                    let worker = answer.worker.to_string();
                    tracing::info!(worker, name = self.options.name, "registered");
                    return Ok(Some(Membership { worker, intervals: answer.intervals }));
                }
                Err(CallError::Refused(why)) => return Err(WorkerError::Refused(why)),
                Err(error) => {
                    tracing::warn!(%error, "failed to register; trying again");
                    self.stop_without_lease(None);
                }
            }
            let delay = self.full_jitter(ceiling);
            ceiling = (ceiling * 2).min(LAST_BACKOFF);
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = &mut *stopped => return Ok(None),
            }
        }
    }

    /// Serves one membership until the host does not know it any more.
    async fn serve(
        &mut self,
        membership: &Membership,
        stopped: &mut oneshot::Receiver<()>,
    ) -> Parted {
        let mut intervals = membership.intervals;
        let mut poll = self.poll(membership, intervals, Duration::ZERO);
        let mut sync: Option<(Instant, Pending<Result<SyncResponse, CallError>>)> = None;
        let mut tick = tokio::time::interval(Duration::from_millis(intervals.interval_ms.max(1)));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ceiling = FIRST_BACKOFF;
        let mut wants_sync = false;
        let mut sync_not_before = Instant::now();
        loop {
            let may_sync = sync.is_none() && Instant::now() >= sync_not_before;
            if may_sync && (wants_sync || self.agent.has_news()) {
                let measurements = wants_sync.then(|| self.meter.measure(self.rtt));
                let request = self.agent.next_sync(measurements);
                wants_sync = false;
                let (client, worker) = (self.client.clone(), membership.worker.clone());
                let call = async move { client.sync(worker, request).await };
                sync = Some((Instant::now(), Box::pin(call)));
            }
            let syncing = async {
                match &mut sync {
                    Some((_, call)) => call.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = &mut *stopped => return Parted::Stopped,
                _ = tick.tick() => {
                    wants_sync = true;
                    self.stop_without_lease(Some(intervals));
                    self.upload_running(membership);
                }
                answer = syncing => {
                    let (sent, _) = sync.take().expect("only a sync that was sent is answered");
                    match answer {
                        Ok(answer) => {
                            self.leased_from = sent;
                            self.rtt = Some(sent.elapsed());
                            intervals = answer.intervals;
                            ceiling = FIRST_BACKOFF;
                            let actions =
                                self.agent.handle_synced(answer.seq, answer.term, &answer.stale);
                            self.act(actions);
                        }
                        Err(CallError::NotRegistered(why)) => {
                            tracing::info!(why, "registering again");
                            self.agent.handle_sync_failed();
                            return Parted::RegisterAgain;
                        }
                        Err(error) => {
                            tracing::warn!(%error, "failed to sync; trying again");
                            self.agent.handle_sync_failed();
                            wants_sync = true;
                            sync_not_before = Instant::now() + self.full_jitter(ceiling);
                            ceiling = (ceiling * 2).min(LAST_BACKOFF);
                            tick.reset_at((sync_not_before + Duration::from_millis(1)).into());
                        }
                    }
                }
                answer = &mut poll => match answer {
                    Ok(answer) => {
                        let actions = self.agent.handle_commands(answer.term, answer.commands);
                        self.act(actions);
                        poll = self.poll(membership, intervals, Duration::ZERO);
                    }
                    Err(CallError::NotRegistered(_)) => return Parted::RegisterAgain,
                    Err(_) => {
                        let delay = self.full_jitter(LAST_BACKOFF / 5);
                        poll = self.poll(membership, intervals, delay);
                    }
                },
                Some(event) = self.events.recv() => {
                    self.take_event(event, Some(membership));
                    self.take_waiting_events();
                }
                Some(uploaded) = self.uploads.1.recv() => self.take_upload(uploaded, membership),
            }
        }
    }

    fn poll(
        &self,
        membership: &Membership,
        intervals: Intervals,
        delay: Duration,
    ) -> Pending<Result<CommandsResponse, CallError>> {
        let (client, worker) = (self.client.clone(), membership.worker.clone());
        let (life, after) = (self.life, self.agent.last_command());
        let hold = Duration::from_millis(intervals.interval_ms);
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            client.commands(worker, life, after, hold).await
        })
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Run(execution) if self.options.no_execution => {
                    let outcome = crate::attempt::Outcome::ExitCode(0);
                    let end = End { outcome, ran: Some(Duration::ZERO) };
                    self.agent.handle_ended(execution.key, &end);
                }
                Action::Run(execution) => self.executor.run(*execution),
                Action::Stop(key, reason) => self.executor.stop(key, reason),
            }
        }
    }

    fn take_waiting_events(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.take_event(event, None);
        }
    }

    fn take_event(&mut self, event: ExecutorEvent, membership: Option<&Membership>) {
        match event {
            ExecutorEvent::Started { key, output } => {
                self.agent.handle_started(key);
                let reached = [Progress::default(); 2];
                let uploading = Uploading { output, reached, is_busy: false, end: None };
                self.outputs.insert(key, uploading);
            }
            ExecutorEvent::Feedback(feedback) => self.agent.handle_feedback(feedback),
            ExecutorEvent::Ended { key, end, output } => {
                let is_silent = output.as_ref().is_none_or(|output| output.is_empty());
                match self.outputs.get_mut(&key) {
                    Some(uploading) if !is_silent => uploading.end = Some(end),
                    Some(_) | None => {
                        self.outputs.remove(&key);
                        self.agent.handle_ended(key, &end);
                        return;
                    }
                }
                // Its output goes up first, so that it is there when the task has ended.
                match membership {
                    Some(membership) => self.upload(key, membership),
                    None => self.report_unsent(key),
                }
            }
        }
    }

    /// The host is out of reach: the result counts more than the output.
    fn report_unsent(&mut self, key: AttemptKey) {
        if let Some(Uploading { end: Some(end), .. }) = self.outputs.get(&key) {
            let end = end.clone();
            self.agent.handle_ended(key, &end);
        }
    }

    fn upload_running(&mut self, membership: &Membership) {
        let has_more = |(key, it): (&AttemptKey, &Uploading)| {
            (!it.is_busy && !it.output.is_empty()).then_some(*key)
        };
        let keys: Vec<AttemptKey> = self.outputs.iter().filter_map(has_more).collect();
        for key in keys {
            self.upload(key, membership);
        }
    }

    fn upload(&mut self, key: AttemptKey, membership: &Membership) {
        let Some(uploading) = self.outputs.get_mut(&key) else { return };
        if uploading.is_busy {
            return;
        }
        uploading.is_busy = true;
        let was_over = uploading.end.is_some();
        let (output, reached) = (uploading.output.clone(), uploading.reached);
        let (client, worker) = (self.client.clone(), membership.worker.clone());
        let uploads = self.uploads.0.clone();
        tokio::spawn(async move {
            let outcome = client.upload(&worker, key, &output, reached, was_over).await;
            // The session may have ended.
            let _ = uploads.send(Uploaded { key, outcome, was_over });
        });
    }

    fn take_upload(&mut self, uploaded: Uploaded, membership: &Membership) {
        let Uploaded { key, outcome, was_over } = uploaded;
        let Some(uploading) = self.outputs.get_mut(&key) else { return };
        uploading.is_busy = false;
        let is_up = outcome.is_ok();
        match outcome {
            Ok(reached) => uploading.reached = reached,
            Err(error) => tracing::warn!(%error, attempt = %key, "failed to upload output"),
        }
        let Some(end) = uploading.end.clone() else { return };
        if was_over || !is_up {
            self.outputs.remove(&key);
            self.agent.handle_ended(key, &end);
        } else {
            // It ended during the upload: the rest follows.
            self.upload(key, membership);
        }
    }

    /// What must not run unseen ends with the lease.
    fn stop_without_lease(&mut self, intervals: Option<Intervals>) {
        let lease = Duration::from_millis(intervals.map_or(15_000, |it| it.lease_ms));
        if self.leased_from.elapsed() > lease {
            let actions = self.agent.handle_lease_ended();
            self.act(actions);
        }
    }

    /// Ends all attempts and tells the host, as far as it listens.
    async fn leave(&mut self, membership: &Membership) {
        let actions = self.agent.handle_shutdown();
        self.act(actions);
        let deadline =
            tokio::time::Instant::now() + self.options.kill_grace + Duration::from_secs(2);
        while !self.agent.is_idle() {
            let event = tokio::time::timeout_at(deadline, self.events.recv()).await;
            let Ok(Some(event)) = event else { break };
            if let ExecutorEvent::Ended { key, end, .. } = event {
                self.agent.handle_ended(key, &end);
            }
        }
        let request = self.agent.next_sync(None);
        if let Err(error) = self.client.sync(membership.worker.clone(), request).await {
            tracing::warn!(%error, "failed to say good-bye");
        }
    }

    /// Uniform in [0, ceiling], so that many workers do not come back at the same moment.
    fn full_jitter(&mut self, ceiling: Duration) -> Duration {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        ceiling.mul_f64((self.jitter >> 11) as f64 / (1u64 << 53) as f64)
    }
}
