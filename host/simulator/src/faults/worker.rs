//! Workers: the production agent, and around it what its session does: registers, syncs, polls, tries
//! again. Scripts are spans of time with an outcome that their text and their attempt decide.

mod clock;
mod scripts;

use super::agenda::{Agenda, What};
use super::checker::Checker;
use super::client::NAME_LABEL;
use super::host::{Body, Request, Sender};
use super::plan::WorkerPlan;
use super::sabotage::Sabotage;
use clock::Clock;
use pointsman_protocol::worker::{
    CommandsResponse, PROTOCOL_VERSION, RegisterRequest, RegisterResponse, SyncResponse,
    WireCapacity,
};
use pointsman_scheduler::{Time, WorkerId};
use pointsman_worker::AttemptKey;
use pointsman_worker::agent::Agent;
use scripts::Running;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// What a call ended in.
#[derive(Debug, Clone)]
pub(super) enum Answered {
    Registered(RegisterResponse),
    Synced(SyncResponse),
    Commands(CommandsResponse),
    NotRegistered,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkerDue {
    /// Something may have to be said or stopped; counts only if nothing was armed since.
    Look(u64),
    ScriptStarts(AttemptKey),
    /// With the number of the end that counts.
    ScriptEnds(AttemptKey, u32),
    CallOver(u64),
    Register,
    Poll,
    /// Whoever watches over it starts it again.
    Restart,
}

const REGISTER_TIMEOUT: Duration = Duration::from_secs(10);
const SYNC_TIMEOUT: Duration = Duration::from_secs(5);
/// On top of the time that a poll is held.
const POLL_SLACK: Duration = Duration::from_secs(5);
const LAST_BACKOFF: Duration = Duration::from_secs(5);

pub(super) struct SimWorker {
    index: usize,
    pub name: String,
    capacity: WireCapacity,
    clock: Clock,
    /// Whatever runs here fails at once.
    pub is_broken: bool,
    n_calls: u64,
    n_lives: u64,
    is_paused: bool,
    deferred: VecDeque<What>,
    process: Option<Process>,
}

/// One life of an agent.
struct Process {
    life: u64,
    agent: Agent,
    membership: Option<Membership>,
    registering: Option<u64>,
    syncing: Option<u64>,
    polling: Option<u64>,
    wants_sync: bool,
    sync_not_before: Time,
    next_tick: Time,
    backoff: Duration,
    n_looks: u64,
    scripts: BTreeMap<AttemptKey, Running>,
}

struct Membership {
    worker: WorkerId,
    interval: Duration,
}

/// Beside the worker itself.
pub(super) struct Around<'a> {
    pub agenda: &'a mut Agenda,
    pub checker: &'a mut Checker,
    pub sabotage: Option<Sabotage>,
}

impl Around<'_> {
    /// Whether this planted bug strikes now, which it does with that probability.
    pub fn sabotages(&mut self, sabotage: Sabotage, probability: f64) -> bool {
        self.sabotage == Some(sabotage) && self.agenda.chance(probability)
    }
}

pub(super) fn worker_name(index: usize) -> String {
    format!("w{index}")
}

impl SimWorker {
    pub fn new(index: usize, plan: &WorkerPlan, epoch: Instant) -> SimWorker {
        let (cpu_milli, memory) = (plan.cpu_milli, plan.memory_mb * 1_000_000);
        SimWorker {
            index,
            name: worker_name(index),
            capacity: WireCapacity { cpu_milli, memory, gpus: 0 },
            clock: Clock::new(epoch, plan.drift_ppm),
            is_broken: false,
            n_calls: 0,
            n_lives: 0,
            is_paused: false,
            deferred: VecDeque::new(),
            process: None,
        }
    }

    pub fn is_down(&self) -> bool {
        self.process.is_none()
    }

    /// Its scripts die with it.
    pub fn crash(&mut self, now: Time, checker: &mut Checker) {
        if let Some(process) = self.process.take() {
            process.scripts.keys().for_each(|key| checker.note_gone(*key));
        }
        self.clock.go_on(now);
        self.is_paused = false;
        self.deferred.clear();
    }

    pub fn pause(&mut self, now: Time, clock_goes_on: bool, checker: &mut Checker) {
        let Some(process) = &self.process else { return };
        self.is_paused = true;
        if !clock_goes_on {
            self.clock.stop(now);
        }
        process.scripts.keys().for_each(|key| checker.note_frozen(*key));
    }

    pub fn resume(&mut self, now: Time) -> VecDeque<What> {
        self.is_paused = false;
        self.clock.go_on(now);
        std::mem::take(&mut self.deferred)
    }

    pub fn step_clock(&mut self, now: Time, ms: i64) {
        self.clock.jump(now, Duration::from_millis(ms.unsigned_abs()));
    }

    pub fn start(&mut self, agenda: &mut Agenda) {
        if self.process.is_some() {
            return;
        }
        self.n_lives += 1;
        let life = (self.index as u64 + 1) << 32 | self.n_lives;
        self.process = Some(Process {
            life,
            agent: Agent::new(life),
            membership: None,
            registering: None,
            syncing: None,
            polling: None,
            wants_sync: false,
            sync_not_before: Time::ZERO,
            next_tick: Time::ZERO,
            backoff: Duration::from_millis(100),
            n_looks: 0,
            scripts: BTreeMap::new(),
        });
        self.register(agenda);
    }

    fn instant(&self, at: Time) -> Instant {
        self.clock.at(at)
    }

    fn call(&mut self, agenda: &mut Agenda, body: Body, timeout: Duration) -> u64 {
        self.n_calls += 1;
        let call = self.n_calls;
        let (worker, life) = (self.index, self.life());
        agenda.after(timeout, What::Worker { worker, life, due: WorkerDue::CallOver(call) });
        let from = Sender::Worker { worker, life, call };
        agenda.send_to_host(Some(worker), Request { from, body });
        call
    }

    fn life(&self) -> u64 {
        self.process.as_ref().map_or(0, |process| process.life)
    }

    fn later(&self, agenda: &mut Agenda, wait: Duration, due: WorkerDue) {
        agenda.after(wait, What::Worker { worker: self.index, life: self.life(), due });
    }

    fn register(&mut self, agenda: &mut Agenda) {
        let now = self.instant(agenda.now);
        let (name, capacity) = (self.name.clone(), self.capacity);
        let Some(process) = &mut self.process else { return };
        process.membership = None;
        (process.syncing, process.polling) = (None, None);
        let (n, held, finished) = process.agent.next_registration(now);
        let request = RegisterRequest {
            protocol: PROTOCOL_VERSION,
            token: name.clone(),
            name,
            life: process.life,
            n,
            capacity,
            labels: BTreeMap::from([(NAME_LABEL.to_owned(), self.name.clone())]),
            held,
            finished,
        };
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&(self.index as u64 + 1).to_le_bytes());
        let registration = request.into_registration(hash).expect("it is a good one");
        let call = self.call(agenda, Body::Register(registration), REGISTER_TIMEOUT);
        self.process_mut().registering = Some(call);
    }

    fn process_mut(&mut self) -> &mut Process {
        self.process.as_mut().expect("only a living worker does things")
    }

    pub fn handle_due(&mut self, around: &mut Around<'_>, life: u64, due: WorkerDue) {
        if self.life() != life {
            return;
        }
        if self.is_paused {
            self.deferred.push_back(What::Worker { worker: self.index, life, due });
            return;
        }
        match due {
            WorkerDue::Look(n) if n != self.process_mut().n_looks => return,
            WorkerDue::Look(_) => {}
            WorkerDue::ScriptStarts(key) => self.script_starts(around, key),
            WorkerDue::ScriptEnds(key, n) => self.script_ends(around, key, n),
            WorkerDue::CallOver(call) => self.take(around, call, Answered::Failed),
            WorkerDue::Register => self.register(around.agenda),
            WorkerDue::Poll => self.poll(around.agenda),
            WorkerDue::Restart => self.start(around.agenda),
        }
        self.look(around);
    }

    pub fn handle_answer(&mut self, around: &mut Around<'_>, life: u64, call: u64, it: Answered) {
        if self.life() != life {
            return;
        }
        if self.is_paused {
            let answer = Box::new(it);
            self.deferred.push_back(What::ToWorker { worker: self.index, life, call, answer });
            return;
        }
        self.take(around, call, it);
        self.look(around);
    }

    /// Takes the answer of a call, if it is still waited for.
    fn take(&mut self, around: &mut Around<'_>, call: u64, answer: Answered) {
        let process = self.process_mut();
        if process.registering == Some(call) {
            process.registering = None;
            self.take_registration(around, answer);
        } else if process.syncing == Some(call) {
            process.syncing = None;
            self.take_sync(around, answer);
        } else if process.polling == Some(call) {
            process.polling = None;
            self.take_poll(around, answer);
        }
    }

    fn next_backoff(&mut self, agenda: &mut Agenda) -> Duration {
        let process = self.process_mut();
        let wait = agenda.between(Duration::ZERO, process.backoff);
        process.backoff = (process.backoff * 2).min(LAST_BACKOFF);
        wait
    }

    fn take_registration(&mut self, around: &mut Around<'_>, answer: Answered) {
        let process = self.process_mut();
        if let Answered::Registered(answer) = answer {
            let lease = Duration::from_millis(answer.intervals.lease_ms);
            let actions = process.agent.handle_registered(answer.term, lease, &answer.stale);
            if let Ok(actions) = actions {
                let interval = Duration::from_millis(answer.intervals.interval_ms);
                process.membership = Some(Membership { worker: answer.worker, interval });
                process.wants_sync = true;
                process.sync_not_before = around.agenda.now;
                process.next_tick = around.agenda.now.after(interval);
                process.backoff = Duration::from_millis(100);
                self.act(around, actions);
                self.poll(around.agenda);
                return;
            }
        }
        process.agent.handle_call_failed();
        let wait = self.next_backoff(around.agenda);
        self.later(around.agenda, wait, WorkerDue::Register);
    }

    fn take_sync(&mut self, around: &mut Around<'_>, answer: Answered) {
        let process = self.process_mut();
        match answer {
            Answered::Synced(answer) => {
                let lease = Duration::from_millis(answer.intervals.lease_ms);
                if let Ok(actions) = process.agent.handle_synced(answer.term, lease, &answer.stale)
                {
                    process.backoff = Duration::from_millis(100);
                    self.act(around, actions);
                    return;
                }
            }
            Answered::NotRegistered => {
                process.agent.handle_call_failed();
                self.register(around.agenda);
                return;
            }
            Answered::Registered(_) | Answered::Commands(_) | Answered::Failed => {}
        }
        process.agent.handle_call_failed();
        let wait = self.next_backoff(around.agenda);
        let process = self.process_mut();
        process.sync_not_before = around.agenda.now.after(wait);
        process.wants_sync = true;
    }

    fn take_poll(&mut self, around: &mut Around<'_>, answer: Answered) {
        let now = self.instant(around.agenda.now);
        let process = self.process_mut();
        match answer {
            Answered::Commands(answer) => {
                match process.agent.handle_commands(now, answer.term, answer.commands) {
                    Ok(actions) => {
                        self.act(around, actions);
                        self.poll(around.agenda);
                        return;
                    }
                    Err(_older) => {}
                }
            }
            Answered::NotRegistered => {
                process.agent.handle_call_failed();
                self.register(around.agenda);
                return;
            }
            Answered::Registered(_) | Answered::Synced(_) | Answered::Failed => {}
        }
        let wait = self.next_backoff(around.agenda);
        self.later(around.agenda, wait, WorkerDue::Poll);
    }

    fn poll(&mut self, agenda: &mut Agenda) {
        let process = self.process_mut();
        let Some(membership) = &process.membership else { return };
        if process.polling.is_some() {
            return;
        }
        let (worker, interval) = (membership.worker, membership.interval);
        let body = Body::Poll { worker, life: process.life, after: process.agent.last_command() };
        let call = self.call(agenda, body, interval + POLL_SLACK);
        self.process_mut().polling = Some(call);
    }

    /// Says and stops what is due, and comes back in time for the next.
    fn look(&mut self, around: &mut Around<'_>) {
        let now = around.agenda.now;
        let instant = self.instant(now);
        if self.process.is_none() {
            return;
        }
        let heeds_lease = around.sabotage != Some(Sabotage::LeaseIsIgnored);
        if heeds_lease {
            let actions = self.process_mut().agent.handle_time(instant);
            self.act(around, actions);
        }
        let process = self.process_mut();
        if process.membership.is_some() && process.next_tick <= now {
            process.wants_sync = true;
            let interval = process.membership.as_ref().map(|it| it.interval).unwrap_or_default();
            process.next_tick = now.after(interval);
        }
        self.sync_if_due(around.agenda);
        let process = self.process.as_ref().expect("checked above");
        let news = process.agent.news_due().filter(|_| process.syncing.is_none());
        let news = news.map(|at| self.clock.when(at, now).max(process.sync_not_before));
        let wanted = process.wants_sync.then_some(process.sync_not_before);
        let tick = Some(process.next_tick);
        let of_member = [news, wanted.filter(|_| process.syncing.is_none()), tick];
        let of_member = of_member.into_iter().flatten().filter(|_| process.membership.is_some());
        let lease =
            process.agent.lease_ends().filter(|_| heeds_lease).map(|at| self.clock.when(at, now));
        let next = of_member.chain(lease).min();
        let process = self.process_mut();
        process.n_looks += 1;
        let due = WorkerDue::Look(process.n_looks);
        if let Some(next) = next {
            let wait = next.since(now).max(Duration::from_micros(100));
            self.later(around.agenda, wait, due);
        }
    }

    fn sync_if_due(&mut self, agenda: &mut Agenda) {
        let (now, instant) = (agenda.now, self.instant(agenda.now));
        let process = self.process_mut();
        let Some(membership) = &process.membership else { return };
        if process.syncing.is_some() || now < process.sync_not_before {
            return;
        }
        let has_news = process.agent.news_due().is_some_and(|due| due <= instant);
        if !has_news && !process.wants_sync {
            return;
        }
        process.wants_sync = false;
        let worker = membership.worker;
        let request = process.agent.next_sync(instant, None);
        let (seq, acked) = (request.seq, request.acked_command);
        let body = Body::Sync { seq, acked, report: request.into_report(worker) };
        let call = self.call(agenda, body, SYNC_TIMEOUT);
        self.process_mut().syncing = Some(call);
    }

    /// What is left to do at rest.
    pub fn unrest(&self) -> Option<String> {
        let Some(process) = &self.process else { return Some(format!("{} is down", self.name)) };
        if !process.scripts.is_empty() || !process.agent.is_idle() {
            return Some(format!("{} still runs {} scripts", self.name, process.scripts.len()));
        }
        (!process.agent.is_told()).then(|| format!("{} has results left to tell", self.name))
    }
}
