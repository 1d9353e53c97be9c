//! The host: the production scheduler with a store, and around it what the production driver does.
//! Events are applied one round at a time, records are handed to the store, and what a round leads to
//! is released once its records are durable.

use super::agenda::{Agenda, What};
use super::outbox::Outboxes;
use super::policies::FaultyPolicies;
use super::sabotage::Sabotage;
use super::worker::{Answered, Around};
use pointsman_protocol::worker::{CommandsResponse, Intervals, RegisterResponse, SyncResponse};
use pointsman_scheduler::event::{Registration, SyncReport};
use pointsman_scheduler::record::{TaskState, WorkerState};
use pointsman_scheduler::{
    Answer, Effect, Event, KILL_GRACE, Notice, Record, RequestId, Scheduler, Settings, Start, Stop,
    TaskId, Term, Time, WorkerId,
};
use pointsman_store::{MemoryStore, Store};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A worker's call, or a client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Worker { worker: usize, life: u64, call: u64 },
    Client { operation: usize },
}

#[derive(Debug, Clone)]
pub(super) struct Request {
    pub from: Sender,
    pub body: Body,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Register(Registration),
    Sync {
        seq: u64,
        acked: u64,
        report: SyncReport,
    },
    Poll {
        worker: WorkerId,
        life: u64,
        after: u64,
    },
    /// Its request id is the host's to give.
    Client(Event),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostDue {
    /// A deadline of the scheduler; counts only if no later one was promised since.
    Wake(u64),
    /// The oldest batch is written, or fails to be.
    Commit,
    /// A poll is answered with nothing.
    PollOver { worker: usize, call: u64 },
}

/// Rounds whose records are not durable yet; beyond, no event is applied.
const MAX_WAITING: usize = 3;
/// Between two tries of a failing store.
const STORE_RETRY: Duration = Duration::from_millis(200);

pub(super) struct Host {
    pub store: MemoryStore,
    pub is_paused: bool,
    /// What came due while it was paused, or waits for room.
    deferred: VecDeque<What>,
    lives: u64,
    seed: u64,
    settings: Settings,
    policy_faults: f64,
    /// The newest time that anything durable bears.
    newest: Time,
    up: Option<Up>,
}

/// One life.
struct Up {
    life: u64,
    /// Its clock, and the time of the run, at its start.
    anchor: Time,
    started: Time,
    term: Term,
    scheduler: Scheduler,
    policies: FaultyPolicies,
    inbox: VecDeque<Told>,
    next_request: u64,
    replies: BTreeMap<RequestId, Reply>,
    records: Vec<Record>,
    items: Vec<Item>,
    batches: VecDeque<Batch>,
    outboxes: Outboxes,
    polls: Vec<Poll>,
    wake: u64,
}

struct Told {
    event: Event,
    reply: Option<(RequestId, Reply)>,
}

#[derive(Clone)]
struct Reply {
    from: Sender,
    /// Of a sync.
    seq: u64,
    /// The worker has taken commands up to this number.
    acked: Option<(WorkerId, u64)>,
    /// The task of a cancellation.
    about: Option<TaskId>,
}

struct Batch {
    at: Time,
    records: Vec<Record>,
    items: Vec<Item>,
}

enum Item {
    Start(Start),
    Stop(Stop),
    Lost(WorkerId),
    Registered { worker: WorkerId, life: u64 },
    Answer(Reply, Answer),
}

struct Poll {
    index: usize,
    life: u64,
    call: u64,
    worker: WorkerId,
    after: u64,
}

impl Host {
    pub fn new(seed: u64, settings: Settings, policy_faults: f64) -> Host {
        Host {
            store: MemoryStore::new(),
            is_paused: false,
            deferred: VecDeque::new(),
            lives: 0,
            seed,
            settings,
            policy_faults,
            newest: Time(1_700_000_000_000_000_000),
            up: None,
        }
    }

    pub fn is_down(&self) -> bool {
        self.up.is_none()
    }

    pub fn crash(&mut self) {
        self.up = None;
        self.is_paused = false;
        self.deferred.clear();
    }

    /// `clock_step`: of the wall clock since the last start, nanoseconds.
    pub fn start(&mut self, around: &mut Around<'_>, clock_step: i64) {
        self.lives += 1;
        let term = self.store.begin_term().expect("this store always takes a new term");
        let snapshot = self.store.load().expect("this store can always be read");
        let wall = Time(self.newest.0.saturating_add_signed(clock_step));
        let anchor = wall.max(self.newest);
        let mut effects = Vec::new();
        let seed = self.seed ^ self.lives;
        let settings = self.settings.clone();
        let scheduler = Scheduler::recover(settings, seed, term, anchor, snapshot, &mut effects);
        let mut up = Up {
            life: self.lives,
            anchor,
            started: around.agenda.now,
            term,
            scheduler,
            policies: FaultyPolicies::new(seed, self.policy_faults),
            inbox: VecDeque::new(),
            next_request: 1,
            replies: BTreeMap::new(),
            records: Vec::new(),
            items: Vec::new(),
            batches: VecDeque::new(),
            outboxes: Outboxes::new(term),
            polls: Vec::new(),
            wake: 0,
        };
        up.sort(effects, around);
        self.up = Some(up);
        self.round(around);
    }

    /// Policies work from now on, and the disk does.
    pub fn heal(&mut self) {
        self.policy_faults = 0.0;
        if let Some(up) = &mut self.up {
            up.policies.faults = 0.0;
        }
    }

    /// What waited while it was paused.
    pub fn take_deferred(&mut self) -> VecDeque<What> {
        std::mem::take(&mut self.deferred)
    }

    pub fn handle_due(&mut self, around: &mut Around<'_>, life: u64, due: HostDue) {
        let Some(up) = &mut self.up else { return };
        if up.life != life {
            return;
        }
        if self.is_paused {
            self.deferred.push_back(What::Host { life, due });
            return;
        }
        match due {
            HostDue::Wake(n) if n == up.wake => self.round(around),
            HostDue::Wake(_) => {}
            HostDue::Commit => self.commit(around),
            HostDue::PollOver { worker, call } => {
                let is_it = |poll: &Poll| poll.index == worker && poll.call == call;
                if let Some(index) = up.polls.iter().position(is_it) {
                    let poll = up.polls.remove(index);
                    let answer = CommandsResponse { term: up.term.0, commands: Vec::new() };
                    let answer = Answered::Commands(answer);
                    around.agenda.send_to_worker(poll.index, poll.life, poll.call, answer);
                }
            }
        }
    }

    pub fn handle_request(&mut self, around: &mut Around<'_>, request: Request) {
        let Some(up) = &mut self.up else {
            refuse(around.agenda, request.from);
            return;
        };
        if self.is_paused {
            self.deferred.push_back(What::ToHost(Box::new(request)));
            return;
        }
        let (mut seq, mut acked, mut about) = (0, None, None);
        let id = RequestId(up.next_request);
        let event = match request.body {
            Body::Poll { worker, life, after } => {
                up.poll(around.agenda, &self.settings, request.from, worker, life, after);
                return;
            }
            Body::Register(registration) => Event::Register { request: id, registration },
            Body::Sync { seq: sent, acked: up_to, report } => {
                (seq, acked) = (sent, Some((report.worker, up_to)));
                Event::Sync { request: id, report }
            }
            Body::Client(event) => {
                if let Event::CancelTask { task, .. } = event {
                    about = Some(task);
                }
                with_request(event, id)
            }
        };
        up.next_request += 1;
        let reply = Reply { from: request.from, seq, acked, about };
        up.inbox.push_back(Told { event, reply: Some((id, reply)) });
        self.work(around);
    }

    /// Applies what waits, unless too much is not durable yet.
    fn work(&mut self, around: &mut Around<'_>) {
        let Some(up) = &mut self.up else { return };
        if up.batches.len() >= MAX_WAITING || up.inbox.is_empty() {
            return;
        }
        while let Some(told) = up.inbox.pop_front() {
            let now = up.now(around.agenda);
            let life = match &told.event {
                Event::Register { registration, .. } => Some(registration.life),
                _ => None,
            };
            if let Some((id, reply)) = told.reply {
                up.replies.insert(id, reply);
            }
            let mut effects = Vec::new();
            up.scheduler.handle(now, told.event, &mut effects);
            if let Some(life) = life {
                up.note_registered(life, &effects);
            }
            up.sort(effects, around);
        }
        self.round(around);
    }

    fn round(&mut self, around: &mut Around<'_>) {
        let Some(up) = &mut self.up else { return };
        if up.batches.len() >= MAX_WAITING {
            return;
        }
        let now = up.now(around.agenda);
        let mut effects = Vec::new();
        let report = up.scheduler.plan(now, &mut up.policies, &mut effects);
        up.sort(effects, around);
        around.checker.check_state(&up.scheduler);
        up.wake += 1;
        let next = if report.more { Some(now) } else { up.scheduler.next_deadline() };
        if let Some(next) = next {
            let wait = next.since(now).max(Duration::from_micros(100));
            let due = HostDue::Wake(up.wake);
            around.agenda.after(wait, What::Host { life: up.life, due });
        }
        if up.records.is_empty() && up.items.is_empty() {
            return;
        }
        let records = std::mem::take(&mut up.records);
        let items = std::mem::take(&mut up.items);
        let batch = Batch { at: now, records, items };
        if around.sabotage == Some(Sabotage::ReleasesBeforeDurable) {
            up.release(around, &self.settings, &batch.items);
        }
        up.batches.push_back(batch);
        if up.batches.len() == 1 {
            up.write_next(around.agenda);
        }
    }

    fn commit(&mut self, around: &mut Around<'_>) {
        let Some(up) = &mut self.up else { return };
        let batch = up.batches.front().expect("a commit was due for it");
        let records: Vec<&Record> = batch.records.iter().collect();
        let is_dropped =
            around.sabotage == Some(Sabotage::StoreForgets) && around.agenda.chance(0.02);
        if !is_dropped && self.store.commit(up.term, &records).is_err() {
            around.agenda.after(STORE_RETRY, What::Host { life: up.life, due: HostDue::Commit });
            return;
        }
        let batch = up.batches.pop_front().expect("looked at just before");
        self.newest = self.newest.max(batch.at);
        if !is_dropped {
            batch.records.iter().for_each(|record| around.checker.note_durable(record));
        }
        if around.sabotage != Some(Sabotage::ReleasesBeforeDurable) {
            up.release(around, &self.settings, &batch.items);
        }
        if !up.batches.is_empty() {
            up.write_next(around.agenda);
        }
        self.work(around);
    }

    /// What is wrong at rest.
    pub fn unrest(&self) -> Vec<String> {
        let Some(up) = &self.up else { return vec!["the host is down".to_owned()] };
        let mut found = up.scheduler.check_invariants();
        if !up.batches.is_empty() || !up.inbox.is_empty() {
            found.push("the host still has something to write or to do".to_owned());
        }
        found
    }

    /// Why a task that has not ended waits.
    pub fn reason(&self, task: TaskId) -> String {
        let reason = self.up.as_ref().and_then(|up| up.scheduler.reason(task));
        format!("{reason:?}")
    }
}

impl Up {
    fn now(&self, agenda: &Agenda) -> Time {
        self.anchor.after(agenda.now.since(self.started))
    }

    fn write_next(&self, agenda: &mut Agenda) {
        let wait = agenda.around(Duration::from_millis(2));
        agenda.after(wait, What::Host { life: self.life, due: HostDue::Commit });
    }

    fn sort(&mut self, effects: Vec<Effect>, around: &mut Around<'_>) {
        let now = self.now(around.agenda);
        for effect in effects {
            around.checker.trace.note(now, &effect);
            match effect {
                Effect::Persist(Record::Task(_, status))
                    if around.sabotage == Some(Sabotage::CancelIsForgotten)
                        && status.state == TaskState::Cancelled => {}
                Effect::Persist(record) => self.records.push(record),
                Effect::Publish(Notice::WorkerState { worker, state: WorkerState::Lost }) => {
                    around.checker.note_lost();
                    self.items.push(Item::Lost(worker));
                }
                Effect::Publish(_) => {}
                Effect::Start(start) => self.items.push(Item::Start(start)),
                Effect::Stop(stop) => self.items.push(Item::Stop(stop)),
                Effect::Answer { request, answer } => {
                    if let Some(reply) = self.replies.remove(&request) {
                        self.items.push(Item::Answer(reply, answer));
                    }
                }
            }
        }
    }

    fn note_registered(&mut self, life: u64, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Answer { answer: Answer::Registered { worker, .. }, .. } = effect {
                self.items.push(Item::Registered { worker: *worker, life });
            }
        }
    }

    fn release(&mut self, around: &mut Around<'_>, settings: &Settings, items: &[Item]) {
        for item in items {
            match item {
                Item::Start(start) => self.outboxes.start(start),
                Item::Stop(stop) => self.outboxes.stop(stop),
                Item::Lost(worker) => self.outboxes.lose(*worker),
                Item::Registered { worker, life } => self.outboxes.register(*worker, *life),
                Item::Answer(reply, answer) => {
                    if let Sender::Client { .. } = reply.from {
                        around.checker.note_answer(answer, reply.about);
                    }
                    self.answer(around.agenda, settings, reply, answer);
                }
            }
        }
        let polls = std::mem::take(&mut self.polls);
        for poll in polls {
            self.try_poll(around.agenda, poll);
        }
    }

    fn answer(&mut self, agenda: &mut Agenda, settings: &Settings, reply: &Reply, answer: &Answer) {
        let (worker, life, call) = match reply.from {
            Sender::Client { operation } => {
                agenda.send_to_client(operation, Some(answer.clone()));
                return;
            }
            Sender::Worker { worker, life, call } => (worker, life, call),
        };
        let intervals = intervals(settings);
        let term = self.term.0;
        let wire = |stale: &[pointsman_scheduler::AttemptRef]| {
            stale.iter().map(|it| (*it).into()).collect()
        };
        let answered = match answer {
            Answer::Registered { worker, stale } => Answered::Registered(RegisterResponse {
                worker: *worker,
                term,
                intervals,
                stale: wire(stale),
            }),
            Answer::Synced { stale } => {
                if let Some((worker, up_to)) = reply.acked {
                    self.outboxes.acknowledge(worker, up_to);
                }
                let stale = wire(stale);
                Answered::Synced(SyncResponse { seq: reply.seq, term, intervals, stale })
            }
            Answer::Refused(_) => Answered::NotRegistered,
            other => unreachable!("a worker asks for nothing else: {other:?}"),
        };
        agenda.send_to_worker(worker, life, call, answered);
    }

    fn poll(
        &mut self,
        agenda: &mut Agenda,
        settings: &Settings,
        from: Sender,
        worker: WorkerId,
        life: u64,
        after: u64,
    ) {
        let Sender::Worker { worker: index, call, .. } = from else {
            unreachable!("only workers poll")
        };
        let due = HostDue::PollOver { worker: index, call };
        agenda.after(settings.heartbeat.interval, What::Host { life: self.life, due });
        self.try_poll(agenda, Poll { index, life, call, worker, after });
    }

    fn try_poll(&mut self, agenda: &mut Agenda, poll: Poll) {
        let answered = match self.outboxes.after(poll.worker, poll.life, poll.after) {
            None => Answered::NotRegistered,
            Some(commands) if commands.is_empty() => {
                self.polls.push(poll);
                return;
            }
            Some(commands) => Answered::Commands(CommandsResponse { term: self.term.0, commands }),
        };
        agenda.send_to_worker(poll.index, poll.life, poll.call, answered);
    }
}

fn intervals(settings: &Settings) -> Intervals {
    let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    Intervals {
        interval_ms: ms(settings.heartbeat.interval),
        lease_ms: ms(settings.heartbeat.lost_after),
        kill_grace_ms: ms(KILL_GRACE),
    }
}

/// The connection is refused.
fn refuse(agenda: &mut Agenda, from: Sender) {
    match from {
        Sender::Worker { worker, life, call } => {
            agenda.send_to_worker(worker, life, call, Answered::Failed);
        }
        Sender::Client { operation } => agenda.send_to_client(operation, None),
    }
}

fn with_request(event: Event, request: RequestId) -> Event {
    match event {
        Event::SubmitJob { key, job, .. } => Event::SubmitJob { request, key, job },
        Event::SubmitTask { key, task, .. } => Event::SubmitTask { request, key, task },
        Event::CancelTask { task, .. } => Event::CancelTask { request, task },
        Event::CancelJob { job, .. } => Event::CancelJob { request, job },
        Event::RetryTask { task, .. } => Event::RetryTask { request, task },
        Event::PauseQueue { queue, paused, .. } => Event::PauseQueue { request, queue, paused },
        Event::DrainWorker { worker, draining, .. } => {
            Event::DrainWorker { request, worker, draining }
        }
        other => unreachable!("no client's: {other:?}"),
    }
}
