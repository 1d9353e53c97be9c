//! The driver: one thread that owns the scheduler and the policies. It drains its inbox, plans, hands
//! the batch of records to the store, and computes the next batch meanwhile. What a batch leads to
//! is released when its records are durable (see [`crate::release`]). While too many batches are not
//! durable, a failing store above all, no event is applied; questions are answered all the time.

mod inbox;

use crate::clock::Clock;
use crate::figures::Figures;
use crate::release::{Item, Release, Releaser};
use inbox::{Inbox, NoRoom, Told, Work};
use pointsman_policy::{Incident, IncidentKind, PolicyHost};
use pointsman_scheduler::{Answer, Effect, Event, Record, RequestId, Scheduler, Term, Time};
use pointsman_store::{Batch, Health, Store, StoreWriter};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// A cheap handle; whoever has it can tell the driver what happened and ask it things.
#[derive(Clone)]
pub struct Handle {
    inbox: Arc<Inbox>,
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

/// How long a request waits for room in the inbox.
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
        self.put(Told { event: make(request), reply: Some((request, sender)) }).await?;
        loop {
            match tokio::time::timeout(STORE_PATIENCE, &mut receiver).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(_)) => return Err(NoAnswer::Stopping),
                Err(_) if self.store.is_failing() => return Err(NoAnswer::OutcomeUnknown),
                Err(_) => {}
            }
        }
    }

    /// What the thread that asks for forecasts has to tell. Waits for nothing.
    pub fn tell_beside(&self, events: Vec<Event>) {
        self.inbox.tell_beside(events);
    }

    /// Tells what happened; nobody waits for an answer.
    ///
    /// # Errors
    /// If the driver takes nothing now.
    pub async fn tell(&self, event: Event) -> Result<(), NoAnswer> {
        self.put(Told { event, reply: None }).await
    }

    /// Runs a question on the driver's thread. It sees every event that was answered before, and
    /// perhaps newer ones that are not durable yet.
    ///
    /// # Errors
    /// If the driver takes nothing now.
    pub async fn query<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Scheduler, &mut PolicyHost, Time) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (sender, receiver) = oneshot::channel();
        let question = Box::new(move |scheduler: &mut _, policies: &mut _, now| {
            // Whoever asked may have gone.
            let _ = sender.send(ask(scheduler, policies, now));
        });
        self.inbox.ask(question, BUSY_PATIENCE).await.map_err(|why| self.no_answer(why))?;
        receiver.await.map_err(|_| NoAnswer::Stopping)
    }

    /// Waits until one more planning round is over: swaps that were ready are in force then.
    ///
    /// # Errors
    /// If the driver has ended.
    pub async fn after_round(&self) -> Result<(), NoAnswer> {
        let (sender, receiver) = oneshot::channel();
        self.inbox.after_round(sender).map_err(|why| self.no_answer(why))?;
        receiver.await.map_err(|_| NoAnswer::Stopping)
    }

    /// Makes the driver look at its policies and timers now.
    pub fn nudge(&self) {
        self.inbox.nudge();
    }

    /// Ends the driver after what is waiting.
    pub fn stop(&self) {
        self.inbox.stop();
    }

    pub fn has_ended(&self) -> bool {
        *self.inbox.ended().borrow()
    }

    /// Waits until the driver has ended, however that happened; what it wrote is durable then.
    pub async fn ended(&self) {
        // It fails if the inbox is gone, and that is an end too.
        let _ = self.inbox.ended().wait_for(|ended| *ended).await;
    }

    async fn put(&self, told: Told) -> Result<(), NoAnswer> {
        self.inbox.tell(told, BUSY_PATIENCE).await.map_err(|why| self.no_answer(why))
    }

    fn no_answer(&self, why: NoRoom) -> NoAnswer {
        match (why, self.store.failure()) {
            (NoRoom::Closed, _) => NoAnswer::Stopping,
            (NoRoom::Full, Some((_, error))) => NoAnswer::StoreFailing(error),
            (NoRoom::Full, None) => NoAnswer::Busy,
        }
    }
}

/// What the driver's thread owns.
pub struct Driver {
    pub scheduler: Scheduler,
    pub policies: PolicyHost,
    pub clock: Clock,
    /// Effects of the recovery, to be released first.
    pub first: Vec<Effect>,
    pub figures: Arc<Figures>,
}

/// A driver that runs.
pub struct Started {
    pub handle: Handle,
    pub store: Arc<Health>,
    pub thread: std::thread::JoinHandle<()>,
}

impl Driver {
    /// Starts the thread, and that of the store.
    ///
    /// # Errors
    /// If no thread can be made.
    pub fn spawn(
        self,
        store: Box<dyn Store>,
        term: Term,
        releaser: Releaser,
    ) -> std::io::Result<Started> {
        let inbox = Arc::new(Inbox::new());
        let durable = inbox.clone();
        let writer = StoreWriter::spawn(store, term, move |batches: Vec<Batch<Release>>| {
            let n_batches = batches.len();
            releaser.release(batches);
            durable.note_durable(n_batches);
        })?;
        let health = writer.health();
        let next_request = Arc::new(AtomicU64::new(1));
        let handle = Handle { inbox: inbox.clone(), next_request, store: health.clone() };
        let running = Running {
            driver: self,
            writer,
            replies: FxHashMap::default(),
            effects: Vec::new(),
            records: Vec::new(),
            items: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("driver".to_owned())
            // Policies run on this stack.
            .stack_size(8 << 20)
            .spawn(move || {
                // Closes also when the thread panics, and after the store's last commit.
                let closing = Closing(inbox);
                running.run(&closing.0);
            })?;
        Ok(Started { handle, store: health, thread })
    }
}

struct Closing(Arc<Inbox>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

struct Running {
    driver: Driver,
    writer: StoreWriter<Release>,
    replies: FxHashMap<RequestId, oneshot::Sender<Answer>>,
    /// Of the event or round in hand; empty in between.
    effects: Vec<Effect>,
    /// Of the batch in hand.
    records: Vec<Record>,
    items: Vec<Item>,
}

/// The driver looks at its timers at least this often.
const IDLE_WAKE: Duration = Duration::from_secs(1);

impl Running {
    fn run(mut self, inbox: &Inbox) {
        self.effects = std::mem::take(&mut self.driver.first);
        self.sort();
        self.round(inbox);
        loop {
            if inbox.is_empty() {
                self.driver.policies.idle();
            }
            let work = inbox.take(self.wait());
            let (is_last, is_stuck) = (work.is_last, work.is_stuck);
            let rounds = self.take_in(work);
            if is_stuck {
                continue;
            }
            self.round(inbox);
            for waiting in rounds {
                // Whoever waits may have gone.
                let _ = waiting.send(());
            }
            if is_last {
                return;
            }
        }
    }

    fn wait(&self) -> Duration {
        let now = self.driver.clock.now();
        let until_deadline = self.driver.scheduler.next_deadline().map(|at| at.since(now));
        let waits = [until_deadline, self.driver.policies.wake_in()];
        waits.into_iter().flatten().fold(IDLE_WAKE, Duration::min)
    }

    fn take_in(&mut self, work: Work) -> Vec<oneshot::Sender<()>> {
        for told in work.told {
            self.handle(told);
        }
        for ask in work.questions {
            let now = self.driver.clock.now();
            ask(&mut self.driver.scheduler, &mut self.driver.policies, now);
        }
        work.rounds
    }

    fn handle(&mut self, told: Told) {
        if let Some((request, sender)) = told.reply {
            if sender.is_closed() {
                // Whoever asked has been told that the outcome is unknown, or has gone. That
                // nothing happens is such an outcome.
                return;
            }
            self.replies.insert(request, sender);
        }
        let reporter = Reporter::of(&told.event);
        let now = self.driver.clock.now();
        self.driver.scheduler.handle(now, told.event, &mut self.effects);
        if let Some(reporter) = reporter {
            self.note_reporter(reporter);
        }
        self.sort();
    }

    /// A worker that registered begins with an empty list of commands; what the same event has to
    /// tell it comes after that.
    fn note_reporter(&mut self, reporter: Reporter) {
        for effect in &self.effects {
            let Effect::Answer { answer, .. } = effect else { continue };
            match reporter {
                Reporter::Registering { life } => {
                    if let Answer::Registered { worker, .. } = *answer {
                        self.items.push(Item::Registered { worker, life });
                        self.items.push(Item::Heard(worker));
                    }
                }
                Reporter::Syncing(worker) => {
                    if matches!(answer, Answer::Synced { .. }) {
                        self.items.push(Item::Heard(worker));
                    }
                }
            }
        }
    }

    /// Plans, and hands everything of the round over.
    fn round(&mut self, inbox: &Inbox) {
        let Driver { scheduler, policies, clock, figures, .. } = &mut self.driver;
        let now = clock.now();
        scheduler.plan(now, policies, &mut self.effects);
        let ended = clock.now();
        figures.rounds.note(ended.since(now));
        figures.last_round.store(ended.0, Ordering::Relaxed);
        for incident in policies.take_incidents() {
            tell_incident(&incident);
            scheduler.handle(now, incident.event(), &mut self.effects);
        }
        self.sort();
        if self.records.is_empty() && self.items.is_empty() {
            return;
        }
        let records = std::mem::take(&mut self.records);
        let items = std::mem::take(&mut self.items);
        inbox.note_submitted();
        self.writer.submit(Batch { records, payload: Release { at: now, items } });
    }

    /// Splits the effects into what is made durable and what is released then.
    fn sort(&mut self) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Persist(record) => self.records.push(record),
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

pub(crate) fn tell_incident(incident: &Incident) {
    let (slot, policy, message) = (incident.slot.name(), &incident.name, &incident.message);
    let (version, generation) = (&incident.version, incident.generation);
    let digest = incident.digest.map_or_else(|| "native".to_owned(), |digest| digest.to_string());
    match incident.kind {
        IncidentKind::Serving => {
            tracing::info!(slot, policy, version, generation, digest, "{message}");
        }
        IncidentKind::Failed { kind, .. } => {
            let stage = kind.stage();
            tracing::warn!(slot, policy, version, generation, digest, stage, "{message}");
        }
        IncidentKind::Quarantined | IncidentKind::Waiting => {
            tracing::warn!(slot, policy, version, generation, digest, "{message}");
        }
    }
}

/// Who an event is heard from, where that is a worker.
enum Reporter {
    Registering { life: u64 },
    Syncing(pointsman_scheduler::WorkerId),
}

impl Reporter {
    fn of(event: &Event) -> Option<Reporter> {
        match event {
            Event::Register { registration, .. } => {
                Some(Reporter::Registering { life: registration.life })
            }
            Event::Sync { report, .. } => Some(Reporter::Syncing(report.worker)),
            Event::SubmitJob { .. }
            | Event::SubmitTask { .. }
            | Event::CancelTask { .. }
            | Event::CancelJob { .. }
            | Event::RetryTask { .. }
            | Event::PauseQueue { .. }
            | Event::DrainWorker { .. }
            | Event::Configure(_)
            | Event::Forecast(_)
            | Event::PolicySwapped(_)
            | Event::PolicyFailed { .. }
            | Event::Tick => None,
        }
    }
}
