//! One life of a host: what it holds in memory, and how what it decides gets out.

use super::call::Sender;
use crate::faults::agenda::{Agenda, What};
use crate::faults::host::HostDue;
use crate::faults::outbox::Outboxes;
use crate::faults::policies::FaultyPolicies;
use crate::faults::worker::{Answered, Around};
use pointsman_protocol::worker::{CommandsResponse, Intervals, RegisterResponse, SyncResponse};
use pointsman_scheduler::record::WorkerState;
use pointsman_scheduler::{
    Answer, Effect, Event, KILL_GRACE, Notice, Record, RequestId, Scheduler, Settings, Start, Stop,
    TaskId, Term, Time, WorkerId,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(super) struct Up {
    pub life: u64,
    /// Its clock, and the time of the run, at its start.
    pub anchor: Time,
    pub started: Time,
    pub term: Term,
    pub scheduler: Scheduler,
    pub policies: FaultyPolicies,
    pub inbox: VecDeque<Told>,
    pub next_request: u64,
    pub replies: BTreeMap<RequestId, Reply>,
    pub records: Vec<Record>,
    pub items: Vec<Item>,
    pub batches: VecDeque<Batch>,
    pub outboxes: Outboxes,
    pub polls: Vec<Poll>,
    pub wake: u64,
    /// By how much a planted bug has put its clock ahead.
    pub ahead: Duration,
}

pub(super) struct Told {
    pub event: Event,
    pub reply: Option<(RequestId, Reply)>,
}

#[derive(Clone)]
pub(super) struct Reply {
    pub from: Sender,
    /// Of a sync.
    pub seq: u64,
    /// The worker has taken commands up to this number.
    pub acked: Option<(WorkerId, u64)>,
    /// The task of a cancellation.
    pub about: Option<TaskId>,
}

pub(super) struct Batch {
    pub at: Time,
    pub records: Vec<Record>,
    pub items: Vec<Item>,
}

pub(super) enum Item {
    Start(Start),
    Stop(Stop),
    Lost(WorkerId),
    Registered { worker: WorkerId, life: u64 },
    Answer(Reply, Answer),
}

pub(super) struct Poll {
    index: usize,
    life: u64,
    call: u64,
    worker: WorkerId,
    after: u64,
}

impl Up {
    pub fn now(&self, agenda: &Agenda) -> Time {
        self.anchor.after(agenda.now.since(self.started)).after(self.ahead)
    }

    pub fn handle(&mut self, around: &mut Around<'_>, event: Event) {
        let now = self.now(around.agenda);
        let life = match &event {
            Event::Register { registration, .. } => Some(registration.life),
            _ => None,
        };
        let mut effects = Vec::new();
        self.scheduler.handle(now, event, &mut effects);
        if let Some(life) = life {
            self.note_registered(life, &effects);
        }
        self.sort(effects, around);
    }

    /// Takes up what the scheduler wants done, to be released once it is durable.
    pub fn sort(&mut self, effects: Vec<Effect>, around: &mut Around<'_>) {
        let now = self.now(around.agenda);
        for effect in effects {
            around.checker.trace.note(now, &effect);
            around.checker.note_effect(now, &effect);
            match effect {
                Effect::Persist(record) => self.records.extend(self.alter_record(around, record)),
                Effect::Publish(Notice::WorkerState { worker, state: WorkerState::Lost }) => {
                    self.items.push(Item::Lost(worker));
                }
                Effect::Publish(notice) => self.abuse_notice(around, &notice),
                Effect::Start(start) => {
                    self.items.extend(self.alter_start(around, start).map(Item::Start));
                }
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

    pub fn release(&mut self, around: &mut Around<'_>, settings: &Settings, items: &[Item]) {
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
        self.try_polls(around.agenda);
    }

    pub fn try_polls(&mut self, agenda: &mut Agenda) {
        let polls = std::mem::take(&mut self.polls);
        for poll in polls {
            self.try_poll(agenda, poll);
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

    pub fn poll(
        &mut self,
        agenda: &mut Agenda,
        held_for: Duration,
        from: Sender,
        (worker, life, after): (WorkerId, u64, u64),
    ) {
        let Sender::Worker { worker: index, call, .. } = from else {
            unreachable!("only workers poll")
        };
        let due = HostDue::PollOver { worker: index, call };
        agenda.after(held_for, What::Host { life: self.life, due });
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

    /// Nothing came up for it.
    pub fn end_poll(&mut self, agenda: &mut Agenda, worker: usize, call: u64) {
        let is_it = |poll: &Poll| poll.index == worker && poll.call == call;
        if let Some(index) = self.polls.iter().position(is_it) {
            let poll = self.polls.remove(index);
            let answer = CommandsResponse { term: self.term.0, commands: Vec::new() };
            agenda.send_to_worker(poll.index, poll.life, poll.call, Answered::Commands(answer));
        }
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
