//! The agent's loop: registers, polls for commands, syncs, and carries news between the executor and
//! the host. What follows from what is the core's ([`crate::agent`]); this is the part that waits.

use crate::agent::{Action, Agent};
use crate::attempt::{AttemptKey, End, Outcome};
use crate::backoff::Backoff;
use crate::client::{CallError, HostClient};
use crate::executor::{Executor, ExecutorEvent, ExecutorOptions, LimitOptions, leftovers};
use crate::identity::{Identity, random_number};
use crate::measure::{Meter, machine_capacity};
use crate::run::{WorkerError, WorkerOptions};
use crate::uploads::Uploads;
use pointsman_protocol::worker::{
    CommandsResponse, Intervals, PROTOCOL_VERSION, RegisterRequest, RegisterResponse, SyncResponse,
};
use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

type Pending<T> = Pin<Box<dyn Future<Output = T>>>;
type Called<T> = Result<T, CallError>;

/// One life of the agent.
pub(crate) struct Session {
    options: WorkerOptions,
    identity: Identity,
    life: u64,
    agent: Agent,
    client: HostClient,
    meter: Meter,
    executor: Executor,
    events: mpsc::UnboundedReceiver<ExecutorEvent>,
    uploads: Uploads,
    backoff: Backoff,
    /// Round-trip time of the last sync.
    rtt: Option<Duration>,
}

/// How the host knows this worker.
struct Membership {
    worker: String,
    intervals: Intervals,
}

/// The calls on their way, and when the next ones are due.
struct Calls {
    poll: Pending<Called<CommandsResponse>>,
    sync: Option<(Instant, Pending<Called<SyncResponse>>)>,
    sync_not_before: Instant,
    /// A regular sync is due, with measurements.
    wants_sync: bool,
    tick: tokio::time::Interval,
    /// Set once the agent is told to end: by then it has.
    leave_by: Option<Instant>,
}

/// Why a membership ended.
enum Parted {
    RegisterAgain,
    Left,
}

/// How often running attempts are measured.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// On top of the kill grace, for saying good-bye.
const LEAVE_WITHIN: Duration = Duration::from_secs(3);

impl Session {
    pub fn open(options: WorkerOptions) -> Result<Session, WorkerError> {
        let setup = |error: &dyn std::fmt::Display| WorkerError::Setup(error.to_string());
        let identity = Identity::take(&options.data_dir)?;
        let life = random_number().map_err(|error| setup(&error))?;
        let marker = identity.marker().to_owned();
        let reaped = leftovers::reap(&options.data_dir, &marker, &options.limits);
        if !reaped.is_empty() {
            tracing::warn!(n_attempts = reaped.len(), "ended what an earlier life left running");
        }
        let client =
            HostClient::new(&options.host, options.token.clone()).map_err(|error| setup(&error))?;
        let capacity = options.capacity.unwrap_or_else(machine_capacity);
        let (sender, events) = mpsc::unbounded_channel();
        let executor_options = ExecutorOptions {
            data_dir: options.data_dir.clone(),
            kill_grace: options.kill_grace,
            output_cap: options.output_cap,
            sample_every: SAMPLE_EVERY,
            marker,
            life,
            // Where nothing runs, thousands of agents in one process make no groups either.
            limits: match options.no_execution {
                true => LimitOptions::off(),
                false => options.limits.clone(),
            },
            hides_devices: capacity.gpus > 0,
        };
        let executor = Executor::start(executor_options, sender)?;
        tracing::info!(limits = executor.limits(), "the limits of tasks");
        Ok(Session {
            identity,
            life,
            agent: Agent::new(life),
            executor,
            events,
            uploads: Uploads::new(client.clone()),
            client,
            meter: Meter::new(capacity, options.measurements.clone()),
            backoff: Backoff::new(life),
            rtt: None,
            options: WorkerOptions { capacity: Some(capacity), ..options },
        })
    }

    /// Until `stopped` is sent or dropped.
    pub async fn run(mut self, mut stopped: oneshot::Receiver<()>) -> Result<(), WorkerError> {
        loop {
            let Some(membership) = self.register(&mut stopped).await? else { break };
            match self.serve(membership, &mut stopped).await {
                Parted::RegisterAgain => {}
                Parted::Left => break,
            }
        }
        self.end_unseen().await;
        Ok(())
    }

    /// Tries until the host takes it. None: stopped meanwhile.
    async fn register(
        &mut self,
        stopped: &mut oneshot::Receiver<()>,
    ) -> Result<Option<Membership>, WorkerError> {
        self.tell_untold(None);
        loop {
            let call = self.registration();
            let Some(answer) = self.meanwhile(call, stopped).await else { return Ok(None) };
            let error = match answer {
                Ok(answer) => match self.take_registration(answer) {
                    Ok(membership) => return Ok(Some(membership)),
                    Err(error) => error,
                },
                Err(CallError::Refused(why)) => return Err(WorkerError::Refused(why)),
                Err(error) => error.to_string(),
            };
            self.agent.handle_call_failed();
            let delay = self.backoff.next_delay();
            tracing::warn!(error, ?delay, "failed to register; trying again");
            if self.meanwhile(tokio::time::sleep(delay), stopped).await.is_none() {
                return Ok(None);
            }
        }
    }

    fn registration(&mut self) -> Pending<Called<RegisterResponse>> {
        self.take_waiting_events(None);
        let (n, held, finished) = self.agent.next_registration(Instant::now());
        let request = RegisterRequest {
            protocol: PROTOCOL_VERSION,
            name: self.options.name.clone(),
            token: self.identity.token.clone(),
            life: self.life,
            n,
            capacity: self.options.capacity.expect("set when the session was opened"),
            labels: self.options.labels.clone(),
            held,
            finished,
        };
        let client = self.client.clone();
        Box::pin(async move { client.register(&request).await })
    }

    fn take_registration(&mut self, answer: RegisterResponse) -> Result<Membership, String> {
        let lease = Duration::from_millis(answer.intervals.lease_ms);
        let actions = self.agent.handle_registered(answer.term, lease, &answer.stale);
        let actions = actions.map_err(|older| older.to_string())?;
        self.act(actions);
        self.backoff.reset();
        self.backoff.fit(lease);
        let worker = answer.worker.to_string();
        tracing::info!(worker, name = self.options.name, term = answer.term, "registered");
        Ok(Membership { worker, intervals: answer.intervals })
    }

    /// Waits without a membership, minding attempts and lease. None: stopped meanwhile.
    async fn meanwhile<T>(
        &mut self,
        wait: impl Future<Output = T>,
        stopped: &mut oneshot::Receiver<()>,
    ) -> Option<T> {
        let mut wait = std::pin::pin!(wait);
        loop {
            let lease_ends = self.agent.lease_ends();
            tokio::select! {
                biased;
                _ = &mut *stopped => return None,
                done = &mut wait => return Some(done),
                () = until(lease_ends) => self.mind_the_lease(),
                event = self.events.recv() => self.take_event(event, None),
                uploaded = self.uploads.uploaded() => {
                    let told = self.uploads.handle_uploaded(uploaded, None);
                    self.tell(told);
                }
            }
        }
    }

    /// Serves one membership until the host does not know it any more, or until everything has
    /// ended after a stop.
    async fn serve(
        &mut self,
        mut membership: Membership,
        stopped: &mut oneshot::Receiver<()>,
    ) -> Parted {
        let mut calls = Calls {
            poll: self.poll(&membership, Duration::ZERO),
            sync: None,
            sync_not_before: Instant::now(),
            wants_sync: true,
            tick: ticker(membership.intervals),
            leave_by: None,
        };
        loop {
            self.send_sync(&membership, &mut calls);
            if calls.leave_by.is_some_and(|by| Instant::now() >= by || self.has_left(&calls)) {
                return Parted::Left;
            }
            let deadline = self.next_deadline(&calls);
            let is_leaving = calls.leave_by.is_some();
            let syncing = async {
                match &mut calls.sync {
                    Some((_, call)) => call.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = &mut *stopped, if !is_leaving => {
                    let actions = self.agent.handle_shutdown();
                    self.act(actions);
                    calls.leave_by = Some(Instant::now() + self.options.kill_grace + LEAVE_WITHIN);
                }
                _ = calls.tick.tick() => {
                    calls.wants_sync = true;
                    self.uploads.handle_tick(&membership.worker);
                }
                answer = syncing => {
                    if self.take_sync(answer, &mut membership, &mut calls).is_err() {
                        return if is_leaving { Parted::Left } else { Parted::RegisterAgain };
                    }
                }
                answer = &mut calls.poll, if !is_leaving => match self.take_poll(answer) {
                    Ok(delay) => calls.poll = self.poll(&membership, delay),
                    Err(NotRegistered) => {
                        self.agent.handle_call_failed();
                        return Parted::RegisterAgain;
                    }
                },
                uploaded = self.uploads.uploaded() => {
                    let told = self.uploads.handle_uploaded(uploaded, Some(&membership.worker));
                    self.tell(told);
                }
                event = self.events.recv() => {
                    self.take_event(event, Some(&membership.worker));
                    self.take_waiting_events(Some(&membership.worker));
                }
                () = until(deadline) => {
                    self.mind_the_lease();
                    self.tell_untold(Some(Instant::now()));
                }
            }
        }
    }

    fn has_left(&self, calls: &Calls) -> bool {
        self.agent.is_idle()
            && self.agent.is_told()
            && self.uploads.is_empty()
            && calls.sync.is_none()
    }

    fn next_deadline(&self, calls: &Calls) -> Option<Instant> {
        let sync = calls.sync.is_none().then(|| self.agent.news_due()).flatten();
        let sync = sync.map(|due| due.max(calls.sync_not_before));
        [sync, self.agent.lease_ends(), self.uploads.patience_ends(), calls.leave_by]
            .into_iter()
            .flatten()
            .min()
    }

    /// Sends what there is to say: one sync at a time, all that is new in the next one.
    fn send_sync(&mut self, membership: &Membership, calls: &mut Calls) {
        let now = Instant::now();
        if calls.sync.is_some() || now < calls.sync_not_before {
            return;
        }
        let has_news = self.agent.news_due().is_some_and(|due| due <= now);
        if !has_news && !calls.wants_sync {
            return;
        }
        let measurements = calls.wants_sync.then(|| self.meter.measure(self.rtt));
        calls.wants_sync = false;
        let mut request = self.agent.next_sync(now, measurements);
        request.limits = measurements.map(|_| self.executor.limits().to_owned());
        let (client, worker) = (self.client.clone(), membership.worker.clone());
        // Short enough that a lost connection leaves time for another try within the lease.
        let timeout = Duration::from_millis(membership.intervals.interval_ms)
            .clamp(Duration::from_secs(2), Duration::from_secs(10));
        let call = async move { client.sync(worker, request, timeout).await };
        calls.sync = Some((now, Box::pin(call)));
    }

    fn take_sync(
        &mut self,
        answer: Called<SyncResponse>,
        membership: &mut Membership,
        calls: &mut Calls,
    ) -> Result<(), NotRegistered> {
        let (sent, _) = calls.sync.take().expect("only a sync that was sent is answered");
        let error = match answer {
            Ok(answer) => {
                let lease = Duration::from_millis(answer.intervals.lease_ms);
                match self.agent.handle_synced(answer.term, lease, &answer.stale) {
                    Ok(actions) => {
                        self.rtt = Some(sent.elapsed());
                        self.backoff.reset();
                        if membership.intervals != answer.intervals {
                            membership.intervals = answer.intervals;
                            self.backoff.fit(lease);
                            calls.tick = ticker(answer.intervals);
                        }
                        self.act(actions);
                        return Ok(());
                    }
                    Err(older) => older.to_string(),
                }
            }
            Err(CallError::NotRegistered(why)) => {
                tracing::info!(why, "registering again");
                self.agent.handle_call_failed();
                return Err(NotRegistered);
            }
            Err(error) => error.to_string(),
        };
        self.agent.handle_call_failed();
        let delay = self.backoff.next_delay();
        tracing::warn!(error, ?delay, "failed to sync; trying again");
        calls.sync_not_before = Instant::now() + delay;
        // Also without news: the lease is to be renewed.
        calls.wants_sync = true;
        calls.tick.reset_at((calls.sync_not_before + Duration::from_millis(1)).into());
        // Results waiting for their output are worth more than the order.
        self.tell_untold(None);
        Ok(())
    }

    /// Answers how long to wait before the next poll.
    fn take_poll(&mut self, answer: Called<CommandsResponse>) -> Result<Duration, NotRegistered> {
        let error = match answer {
            Ok(answer) => {
                match self.agent.handle_commands(Instant::now(), answer.term, answer.commands) {
                    Ok(actions) => {
                        self.act(actions);
                        return Ok(Duration::ZERO);
                    }
                    Err(older) => older.to_string(),
                }
            }
            Err(CallError::NotRegistered(why)) => {
                tracing::info!(why, "registering again");
                return Err(NotRegistered);
            }
            Err(error) => error.to_string(),
        };
        let delay = self.backoff.next_delay();
        tracing::warn!(error, ?delay, "failed to poll for commands; trying again");
        Ok(delay)
    }

    fn poll(&self, membership: &Membership, delay: Duration) -> Pending<Called<CommandsResponse>> {
        let (client, worker) = (self.client.clone(), membership.worker.clone());
        let (life, after) = (self.life, self.agent.last_command());
        let hold = Duration::from_millis(membership.intervals.interval_ms);
        Box::pin(async move {
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            client.commands(worker, life, after, hold).await
        })
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Run(execution) if self.options.no_execution => {
                    let end = End { outcome: Outcome::ExitCode(0), ran: Some(Duration::ZERO) };
                    self.agent.handle_ended(execution.key, &end);
                }
                Action::Run(execution) => self.executor.run(*execution),
                Action::Stop(key, reason) => self.executor.stop(key, reason),
            }
        }
    }

    fn mind_the_lease(&mut self) {
        let actions = self.agent.handle_time(Instant::now());
        if !actions.is_empty() {
            tracing::warn!(
                n_attempts = actions.len(),
                "the host was out of reach for too long: \
                stopping what must not run unseen"
            );
        }
        self.act(actions);
    }

    fn take_waiting_events(&mut self, worker: Option<&str>) {
        while let Ok(event) = self.events.try_recv() {
            self.take_event(Some(event), worker);
        }
    }

    fn take_event(&mut self, event: Option<ExecutorEvent>, worker: Option<&str>) {
        match event.expect("the executor lives as long as the session") {
            ExecutorEvent::Started { key, output } => {
                self.agent.handle_started(Instant::now(), key);
                self.uploads.handle_started(key, output);
            }
            ExecutorEvent::Feedback(feedback) => self.agent.handle_feedback(feedback),
            ExecutorEvent::Ended { key, end, output: _ } => {
                let told = self.uploads.handle_ended(Instant::now(), key, end, worker);
                self.tell(told.map(|end| (key, end)));
            }
        }
    }

    fn tell(&mut self, told: Option<(AttemptKey, End)>) {
        if let Some((key, end)) = told {
            self.agent.handle_ended(key, &end);
        }
    }

    /// Ends that waited for their output until now; None: all of them.
    fn tell_untold(&mut self, until: Option<Instant>) {
        for (key, end) in self.uploads.take_untold(until) {
            self.agent.handle_ended(key, &end);
        }
    }

    /// Ends what still runs without telling the host, which will notice by itself.
    async fn end_unseen(&mut self) {
        let actions = self.agent.handle_shutdown();
        self.act(actions);
        let by = tokio::time::Instant::now() + self.options.kill_grace + LEAVE_WITHIN;
        while !self.agent.is_idle() {
            match tokio::time::timeout_at(by, self.events.recv()).await {
                Ok(event) => self.take_event(event, None),
                Err(_) => return,
            }
        }
    }
}

struct NotRegistered;

fn ticker(intervals: Intervals) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(Duration::from_millis(intervals.interval_ms.max(1)));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
