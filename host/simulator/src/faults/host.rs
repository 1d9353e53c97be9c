//! The host: the production scheduler with a store, and around it what the production driver does.
//! Events are applied one round at a time, records are handed to the store, and what a round leads to
//! is released once its records are durable.

mod bugs;
mod call;
mod life;

use super::agenda::{Agenda, What};
use super::disaster::Disaster;
use super::invariant::{Broken, Invariant};
use super::kind::FaultKind;
use super::outbox::Outboxes;
use super::policies::{FaultyPolicies, Moods};
use super::sabotage::Sabotage;
use super::worker::Around;
pub(super) use call::{Body, Request, Sender};
use life::{Batch, Reply, Told, Up};
use pointsman_scheduler::{
    Event, Record, RequestId, Scheduler, Settings, Slot, TaskId, Term, Time,
};
use pointsman_store::{MemoryStore, Store};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostDue {
    /// A deadline of the scheduler; counts only if no later one was promised since.
    Wake(u64),
    /// The oldest batch is written, or fails to be.
    Commit,
    /// A poll is answered with nothing.
    PollOver { worker: usize, call: u64 },
    /// The policy that took its time has answered.
    PolicyAnswers,
}

/// Rounds whose records are not durable yet; beyond, no event is applied.
const MAX_WAITING: usize = 3;
/// Between two tries of a failing store.
const STORE_RETRY: Duration = Duration::from_millis(200);
const SLOW_DISK: Duration = Duration::from_millis(700);
const SLOW_POLICY: Duration = Duration::from_millis(500);
/// While a slot is held, the host looks again this often.
const HELD_LOOK: Duration = Duration::from_secs(1);

pub(super) struct Host {
    pub store: MemoryStore,
    pub is_paused: bool,
    pub has_slow_disk: bool,
    /// Dies with its next commit, and comes back after that long; by which fault of the plan.
    pub crash_after_commit: Option<(usize, Duration)>,
    pub moods: Moods,
    /// A policy has not answered yet.
    is_busy: bool,
    /// What came due while it was paused or busy.
    deferred: VecDeque<What>,
    lives: u64,
    seed: u64,
    settings: Settings,
    /// The newest time that anything durable bears.
    newest: Time,
    /// What its wall clock shows beyond that at the next start, nanoseconds.
    clock_step: i64,
    up: Option<Up>,
    /// Was paused while another took over, and does not know.
    deposed: Option<Up>,
}

impl Host {
    pub fn new(seed: u64, settings: Settings) -> Host {
        Host {
            store: MemoryStore::new(),
            is_paused: false,
            has_slow_disk: false,
            crash_after_commit: None,
            moods: Moods::default(),
            is_busy: false,
            deferred: VecDeque::new(),
            lives: 0,
            seed,
            settings,
            newest: Time(1_700_000_000_000_000_000),
            clock_step: 0,
            up: None,
            deposed: None,
        }
    }

    pub fn is_down(&self) -> bool {
        self.up.is_none()
    }

    pub fn crash(&mut self) {
        self.up = None;
        self.is_paused = false;
        self.is_busy = false;
        self.crash_after_commit = None;
        self.deferred.clear();
    }

    /// It freezes while another one is started in its place.
    pub fn depose(&mut self) {
        let deposed = self.up.take();
        self.crash();
        self.deposed = deposed;
    }

    /// The old one goes on where it was: it tells what it has to tell, and writes what it has to write.
    pub fn wake_deposed(&mut self, around: &mut Around<'_>) {
        let Some(mut old) = self.deposed.take() else { return };
        old.try_polls(around.agenda);
        while let Some(batch) = old.batches.pop_front() {
            let ignores = around.sabotage == Some(Sabotage::TermsAreIgnored);
            let current = Term(self.up.as_ref().map_or(old.term.0, |up| up.term.0));
            let term = if ignores { current } else { old.term };
            let records: Vec<&Record> = batch.records.iter().collect();
            if self.store.commit(term, &records).is_err() {
                return;
            }
            around.checker.note_commit(old.term);
            batch.records.iter().for_each(|record| around.checker.note_durable(record));
            old.release(around, &self.settings, &batch.items);
        }
    }

    pub fn step_clock(&mut self, ms: i64) {
        self.clock_step = ms.saturating_mul(1_000_000);
    }

    pub fn start(&mut self, around: &mut Around<'_>) {
        self.lives += 1;
        let term = self.store.begin_term().expect("this store always takes a new term");
        let mut snapshot = self.store.load().expect("this store can always be read");
        let wall = Time(self.newest.0.saturating_add_signed(std::mem::take(&mut self.clock_step)));
        let anchor = wall.max(self.newest);
        let mut effects = Vec::new();
        let seed = self.seed ^ self.lives;
        let settings = self.settings.clone();
        around.checker.note_start(term, &snapshot);
        if around.sabotage == Some(Sabotage::JobEndsAreNotRead) {
            snapshot.jobs.iter_mut().for_each(|job| job.ended = None);
        }
        let scheduler = Scheduler::recover(settings, seed, term, anchor, snapshot, &mut effects);
        let mut up = Up {
            life: self.lives,
            anchor,
            started: around.agenda.now,
            term,
            scheduler,
            policies: FaultyPolicies::new(seed, self.lives),
            inbox: VecDeque::new(),
            next_request: 1,
            replies: BTreeMap::new(),
            records: Vec::new(),
            items: Vec::new(),
            batches: VecDeque::new(),
            outboxes: Outboxes::new(term),
            polls: Vec::new(),
            wake: 0,
            ahead: Duration::ZERO,
        };
        up.sort(effects, around);
        self.up = Some(up);
        self.round(around);
    }

    /// Policies and disk work from now on.
    pub fn heal(&mut self) {
        self.moods = Moods::default();
        self.has_slow_disk = false;
        self.crash_after_commit = None;
        self.deposed = None;
        self.store.fail_next(0);
    }

    /// What waited while it was paused or busy, unless it still is.
    pub fn take_deferred(&mut self) -> VecDeque<What> {
        if self.is_paused || self.is_busy {
            return VecDeque::new();
        }
        std::mem::take(&mut self.deferred)
    }

    /// The policies of both slots are replaced.
    pub fn swap_policies(&mut self, around: &mut Around<'_>) {
        let Some(up) = &mut self.up else { return };
        up.policies.swap(&mut around.agenda.rng);
        for slot in [Slot::Scoring, Slot::Queue] {
            up.inbox.push_back(Told { event: Event::PolicySwapped(slot), reply: None });
        }
        if !self.is_paused && !self.is_busy {
            self.work(around);
        }
    }

    /// It looks at its policies and timers.
    pub fn nudge(&mut self, around: &mut Around<'_>) {
        if !self.is_paused && !self.is_busy {
            self.round(around);
        }
    }

    pub fn handle_due(&mut self, around: &mut Around<'_>, life: u64, due: HostDue) {
        let Some(up) = &mut self.up else { return };
        if up.life != life {
            return;
        }
        if due == HostDue::PolicyAnswers {
            self.is_busy = false;
        }
        if self.is_paused || self.is_busy {
            self.deferred.push_back(What::Host { life, due });
            return;
        }
        match due {
            HostDue::Wake(n) if n == up.wake => self.round(around),
            HostDue::Wake(_) => {}
            HostDue::Commit => self.commit(around),
            HostDue::PollOver { worker, call } => up.end_poll(around.agenda, worker, call),
            HostDue::PolicyAnswers => {
                let now = around.agenda.now;
                self.take_deferred().into_iter().for_each(|it| around.agenda.at(now, it));
            }
        }
    }

    pub fn handle_request(&mut self, around: &mut Around<'_>, request: Request) {
        let Some(up) = &mut self.up else {
            call::refuse(around.agenda, request.from);
            return;
        };
        if self.is_paused || self.is_busy {
            self.deferred.push_back(What::ToHost(Box::new(request)));
            return;
        }
        let (mut seq, mut acked, mut about) = (0, None, None);
        let id = RequestId(up.next_request);
        let event = match request.body {
            Body::Poll { worker, life, after } => {
                let held_for = self.settings.heartbeat.interval;
                up.poll(around.agenda, held_for, request.from, (worker, life, after));
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
                call::with_request(event, id)
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
            if let Some((id, reply)) = told.reply {
                up.replies.insert(id, reply);
            }
            around.checker.note_event(&told.event);
            for event in up.alter_event(around, told.event) {
                up.handle(around, event);
            }
        }
        self.round(around);
    }

    fn round(&mut self, around: &mut Around<'_>) {
        let Some(up) = &mut self.up else { return };
        if up.batches.len() >= MAX_WAITING {
            return;
        }
        up.alter_clock(around);
        let now = up.now(around.agenda);
        let mut effects = Vec::new();
        up.policies.begin(self.moods, around.agenda.rates.policy_failures);
        let report = up.scheduler.plan(now, &mut up.policies, &mut effects);
        let strikes = up.policies.take_strikes();
        around.agenda.strikes.merge(&strikes);
        let hangs = strikes.of(FaultKind::PolicyFailure) > 0;
        self.is_busy |= hangs && around.sabotage == Some(Sabotage::PolicyStopsTheHost);
        up.sort(effects, around);
        around.checker.check_state(&up.scheduler, around.sabotage);
        let next = if report.more { Some(now) } else { up.scheduler.next_deadline() };
        let wait = next.map(|next| next.since(now).max(Duration::from_micros(100)));
        let wait = wait.into_iter().chain(self.moods.holds.then_some(HELD_LOOK)).min();
        up.wake += 1;
        if let Some(wait) = wait {
            let due = HostDue::Wake(up.wake);
            around.agenda.after(wait, What::Host { life: up.life, due });
        }
        if self.moods.is_slow && !up.records.is_empty() {
            self.is_busy = true;
            let wait = around.agenda.around(SLOW_POLICY);
            let due = HostDue::PolicyAnswers;
            around.agenda.after(wait, What::Host { life: up.life, due });
        }
        self.hand_over(around, now);
    }

    /// Gives the store what the round has to write.
    fn hand_over(&mut self, around: &mut Around<'_>, at: Time) {
        let Some(up) = &mut self.up else { return };
        if up.records.is_empty() && up.items.is_empty() {
            return;
        }
        let records = std::mem::take(&mut up.records);
        let items = std::mem::take(&mut up.items);
        let mut batch = Batch { at, records, items };
        if around.sabotage == Some(Sabotage::RecordsAreReordered) {
            batch.records.reverse();
        }
        if around.sabotage == Some(Sabotage::ReleasesBeforeDurable) {
            up.release(around, &self.settings, &batch.items);
        }
        up.batches.push_back(batch);
        if up.batches.len() == 1 {
            self.write_next(around.agenda);
        }
    }

    fn write_next(&self, agenda: &mut Agenda) {
        let Some(up) = &self.up else { return };
        let mean = if self.has_slow_disk { SLOW_DISK } else { Duration::from_millis(2) };
        let wait = agenda.around(mean);
        agenda.after(wait, What::Host { life: up.life, due: HostDue::Commit });
    }

    fn commit(&mut self, around: &mut Around<'_>) {
        let Some(up) = &mut self.up else { return };
        let batch = up.batches.front().expect("a commit was due for it");
        let records: Vec<&Record> = batch.records.iter().collect();
        let is_dropped = around.sabotages(Sabotage::StoreForgets, 0.02);
        if !is_dropped && self.store.commit(up.term, &records).is_err() {
            around.agenda.after(STORE_RETRY, What::Host { life: up.life, due: HostDue::Commit });
            return;
        }
        let batch = up.batches.pop_front().expect("looked at just before");
        self.newest = self.newest.max(batch.at);
        if !is_dropped {
            around.checker.note_commit(up.term);
            batch.records.iter().for_each(|record| around.checker.note_durable(record));
            around.checker.note_batch_end();
        }
        if let Some((index, lasts)) = self.crash_after_commit.take() {
            self.crash();
            around.agenda.strikes.add(FaultKind::CrashBeforeAck);
            around.agenda.after(lasts, What::Disaster(Disaster::End(index)));
            return;
        }
        if around.sabotage != Some(Sabotage::ReleasesBeforeDurable) {
            up.release(around, &self.settings, &batch.items);
        }
        if !up.batches.is_empty() {
            self.write_next(around.agenda);
        }
        self.work(around);
    }

    /// What is wrong at rest.
    pub fn unrest(&self) -> Vec<Broken> {
        let broken = |invariant, text: &str| Broken { invariant, text: text.to_owned() };
        let Some(up) = &self.up else {
            return vec![broken(Invariant::EverythingEnds, "the host is down")];
        };
        let of_state = up.scheduler.check_invariants();
        let mut found: Vec<Broken> =
            of_state.iter().map(|text| broken(Invariant::StateAgrees, text)).collect();
        if !up.batches.is_empty() || !up.inbox.is_empty() {
            let text = "the host still has something to write or to do";
            found.push(broken(Invariant::EverythingEnds, text));
        }
        found
    }

    /// Why a task that has not ended waits.
    pub fn reason(&self, task: TaskId) -> String {
        let reason = self.up.as_ref().and_then(|up| up.scheduler.reason(task));
        format!("{reason:?}")
    }
}
