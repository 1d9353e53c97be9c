//! The driver: one thread that owns the scheduler and the policies. It drains its inbox, plans, hands
//! the batch of records to the store, and computes the next batch meanwhile. What a batch leads to
//! is released when its records are durable (see [`crate::release`]).

use crate::clock::Clock;
use crate::release::{Item, Release};
use pointsman_policy::PolicyHost;
use pointsman_scheduler::{Answer, Effect, Event, RequestId, Scheduler, Time};
use pointsman_store::{Batch, Health, StoreWriter};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// What reaches the driver.
enum Input {
    Event { event: Event, reply: Option<(RequestId, oneshot::Sender<Answer>)> },
    Query(Query),
    Stop,
}

type Query = Box<dyn FnOnce(&mut Scheduler, &mut PolicyHost, Time) + Send>;

/// A cheap handle; whoever has it can tell the driver what happened and ask it things.
#[derive(Clone)]
pub struct Handle {
    inbox: SyncSender<Input>,
    next_request: Arc<AtomicU64>,
    store: Arc<Health>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("the host has more requests waiting than it takes")]
    Busy,
    #[error("the store fails: {0}")]
    StoreFailing(String),
    /// The request may or may not take effect.
    #[error("the store failed while the request was being written")]
    OutcomeUnknown,
    #[error("the host is stopping")]
    Stopping,
}

/// Inputs waiting at most.
const INBOX: usize = 16_384;
/// Inputs handled before a planning round.
const MAX_INPUTS_PER_ROUND: usize = 4096;
/// A full inbox is tried again this often, and for this long.
const BUSY_RETRY: Duration = Duration::from_millis(5);
const BUSY_PATIENCE: Duration = Duration::from_secs(2);
/// How long a request waits for a store that began to fail after the request was taken.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

impl Handle {
    /// Tells what happened and waits until it is durable.
    ///
    /// # Errors
    /// See [`NoAnswer`].
    pub async fn request(&self, make: impl FnOnce(RequestId) -> Event) -> Result<Answer, NoAnswer> {
        if let Some((_, error)) = self.store.failure() {
            return Err(NoAnswer::StoreFailing(error));
        }
        let request = RequestId(self.next_request.fetch_add(1, Ordering::Relaxed));
        let (sender, mut receiver) = oneshot::channel();
        self.put(Input::Event { event: make(request), reply: Some((request, sender)) }).await?;
        loop {
            match tokio::time::timeout(STORE_PATIENCE, &mut receiver).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(_)) => return Err(NoAnswer::Stopping),
                Err(_) if self.store.is_failing() => return Err(NoAnswer::OutcomeUnknown),
                Err(_) => {}
            }
        }
    }

    /// Tells what happened; nobody waits for an answer.
    ///
    /// # Errors
    /// If the driver takes nothing now.
    pub async fn tell(&self, event: Event) -> Result<(), NoAnswer> {
        self.put(Input::Event { event, reply: None }).await
    }

    /// Runs a question on the driver's thread, after the events before it.
    ///
    /// # Errors
    /// If the driver takes nothing now.
    pub async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Scheduler, &mut PolicyHost, Time) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (sender, receiver) = oneshot::channel();
        self.put(Input::Query(Box::new(move |scheduler, policies, now| {
            // Whoever asked may have gone.
            let _ = sender.send(ask(scheduler, policies, now));
        })))
        .await?;
        receiver.await.map_err(|_| NoAnswer::Stopping)
    }

    /// Makes the driver look at its policies and timers now.
    pub fn nudge(&self) {
        // Full: it is awake anyway.
        let _ = self.inbox.try_send(Input::Event { event: Event::Tick, reply: None });
    }

    /// Ends the driver after what is waiting.
    pub async fn stop(&self) {
        // If it takes nothing any more it has ended already.
        let _ = self.put(Input::Stop).await;
    }

    async fn put(&self, input: Input) -> Result<(), NoAnswer> {
        let mut input = input;
        let started = std::time::Instant::now();
        loop {
            match self.inbox.try_send(input) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(NoAnswer::Stopping),
                Err(TrySendError::Full(_)) if started.elapsed() > BUSY_PATIENCE => {
                    return Err(match self.store.failure() {
                        Some((_, error)) => NoAnswer::StoreFailing(error),
                        None => NoAnswer::Busy,
                    });
                }
                Err(TrySendError::Full(back)) => input = back,
            }
            tokio::time::sleep(BUSY_RETRY).await;
        }
    }
}

/// What the driver's thread owns.
pub struct Driver {
    pub scheduler: Scheduler,
    pub policies: PolicyHost,
    pub clock: Clock,
    pub writer: StoreWriter<Release>,
    /// Effects of the recovery, to be released first.
    pub first: Vec<Effect>,
}

impl Driver {
    /// Starts the thread.
    ///
    /// # Errors
    /// If no thread can be made.
    pub fn spawn(self) -> std::io::Result<(Handle, std::thread::JoinHandle<()>)> {
        let (inbox, receiver) = sync_channel(INBOX);
        let store = self.writer.health();
        let handle = Handle { inbox, next_request: Arc::new(AtomicU64::new(1)), store };
        let run = Running { driver: self, replies: FxHashMap::default(), items: Vec::new() };
        let thread = std::thread::Builder::new()
            .name("driver".to_owned())
            // Policies run on this stack.
            .stack_size(8 << 20)
            .spawn(move || run.run(&receiver))?;
        Ok((handle, thread))
    }
}

struct Running {
    driver: Driver,
    replies: FxHashMap<RequestId, oneshot::Sender<Answer>>,
    items: Vec<Item>,
}

impl Running {
    fn run(mut self, inbox: &Receiver<Input>) {
        let first = std::mem::take(&mut self.driver.first);
        let mut records = Vec::new();
        self.sort(first, &mut records);
        self.round(records);
        loop {
            let mut records = Vec::new();
            match self.next_input(inbox) {
                Ok(input) => {
                    if !self.take_inputs(input, inbox, &mut records) {
                        self.round(records);
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.round(records);
        }
    }

    fn next_input(&mut self, inbox: &Receiver<Input>) -> Result<Input, RecvTimeoutError> {
        if let Ok(input) = inbox.try_recv() {
            return Ok(input);
        }
        self.driver.policies.idle();
        let now = self.driver.clock.now();
        let until_deadline = self.driver.scheduler.next_deadline().map(|at| at.since(now));
        let waits = [until_deadline, self.driver.policies.wake_in(), Some(IDLE_WAKE)];
        let wait = waits.into_iter().flatten().min().unwrap_or(IDLE_WAKE);
        inbox.recv_timeout(wait)
    }

    /// Handles this input and those that wait behind it. False: the driver is to stop.
    fn take_inputs(
        &mut self,
        first: Input,
        inbox: &Receiver<Input>,
        records: &mut Vec<pointsman_scheduler::Record>,
    ) -> bool {
        let mut next = Some(first);
        let mut n_taken = 0;
        while let Some(input) = next {
            match input {
                Input::Event { event, reply } => {
                    if let Some((request, sender)) = reply {
                        self.replies.insert(request, sender);
                    }
                    let mut effects = Vec::new();
                    let now = self.driver.clock.now();
                    self.driver.scheduler.handle(now, event, &mut effects);
                    self.sort(effects, records);
                }
                Input::Query(ask) => {
                    let now = self.driver.clock.now();
                    ask(&mut self.driver.scheduler, &mut self.driver.policies, now);
                }
                Input::Stop => return false,
            }
            n_taken += 1;
            next = if n_taken < MAX_INPUTS_PER_ROUND { inbox.try_recv().ok() } else { None };
        }
        true
    }

    /// Plans, and hands everything of the round over.
    fn round(&mut self, mut records: Vec<pointsman_scheduler::Record>) {
        let mut effects = Vec::new();
        let now = self.driver.clock.now();
        self.driver.scheduler.plan(now, &mut self.driver.policies, &mut effects);
        for incident in self.driver.policies.take_incidents() {
            tracing::warn!(
                slot = incident.slot.name(),
                policy = incident.name,
                "{}",
                incident.message
            );
            self.driver.scheduler.handle(now, incident.event(), &mut effects);
        }
        self.sort(effects, &mut records);
        if records.is_empty() && self.items.is_empty() {
            return;
        }
        let items = std::mem::take(&mut self.items);
        self.driver.writer.submit(Batch { records, payload: Release { at: now, items } });
    }

    /// Splits effects into what is made durable and what is released then.
    fn sort(&mut self, effects: Vec<Effect>, records: &mut Vec<pointsman_scheduler::Record>) {
        // A worker that registered begins with an empty list of commands; what this same event
        // has to tell it comes after that.
        for effect in &effects {
            if let Effect::Answer { answer: Answer::Registered { worker, .. }, .. } = effect {
                self.items.push(Item::ForgetCommands(*worker));
            }
        }
        for effect in effects {
            match effect {
                Effect::Persist(record) => records.push(record),
                Effect::Publish(notice) => self.items.push(Item::Notice(notice)),
                Effect::Start(start) => self.items.push(Item::Start(start)),
                Effect::Stop(stop) => self.items.push(Item::Stop(stop)),
                Effect::Answer { request, answer } => {
                    if let Some(sender) = self.replies.remove(&request) {
                        self.items.push(Item::Answer(sender, answer));
                    }
                }
            }
        }
    }
}

/// Swapped policies are looked for at least this often.
const IDLE_WAKE: Duration = Duration::from_millis(100);
