//! The state machine's face: what drives it and in which order.

use crate::basis::Bases;
use crate::effect::{Answer, Effect, Notice, Refusal};
use crate::event::Event;
use crate::explain::{Explanation, Placed, Reason, Standings};
use crate::ids::{JobId, RequestId, TaskId, Term};
use crate::policies::Policies;
use crate::queue::Queues;
use crate::random::Random;
use crate::record::{KeyRecord, PolicyStamp, QueueRecord, Record};
use crate::reschedule::Gate;
use crate::reservation::Reservation;
use crate::resources::FreeBound;
use crate::run_times::RunTimes;
use crate::scores::Scores;
use crate::settings::Settings;
use crate::shares::Shares;
use crate::silence::Hold;
use crate::starvation::Starvation;
use crate::state::{Finished, Job};
use crate::task::Task;
use crate::task_table::TaskTable;
use crate::time::Time;
use crate::timers::{Timer, Timers};
use crate::worker::{WorkerIdx, Workers};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Owned by one driver. After each batch of `handle` calls, call `plan` once; wake it again at
/// [`Scheduler::next_deadline`].
#[derive(Debug)]
pub struct Scheduler {
    pub(crate) settings: Settings,
    pub(crate) term: Term,
    pub(crate) random: Random,
    /// The time of the event or round in hand.
    pub(crate) now: Time,
    pub(crate) jobs: FxHashMap<JobId, Job>,
    pub(crate) tasks: TaskTable<Task>,
    pub(crate) workers: Workers,
    pub(crate) queues: Queues,
    pub(crate) timers: Timers,
    /// The last time that losses were held back.
    pub(crate) hold: Option<Hold>,
    pub(crate) keys: BTreeMap<String, KeyRecord>,
    pub(crate) last_job: u64,
    pub(crate) last_task: u64,
    pub(crate) open_job: Option<JobId>,
    /// In the open job: the newest task of each name.
    pub(crate) latest_by_name: FxHashMap<String, TaskId>,
    /// Ready tasks whose rank is missing or out of date.
    pub(crate) to_rank: VecDeque<TaskId>,
    pub(crate) ranked_by: PolicyStamp,
    pub(crate) scores: Scores,
    pub(crate) bases: Bases,
    /// Backfill: the reservation of the round in hand.
    pub(crate) reservation: Option<Reservation>,
    /// It has to be looked for again before the next choice.
    pub(crate) is_reservation_stale: bool,
    pub(crate) starvation: Starvation,
    /// Computed at most once a round.
    pub(crate) best_free: Option<FreeBound>,
    pub(crate) run_times: RunTimes,
    pub(crate) shares: Shares,
    /// Waiting tasks of which a dependency ended since the last review.
    pub(crate) deps_changed: BTreeSet<TaskId>,
    pub(crate) gate: Gate,
    pub(crate) is_review_armed: bool,
    /// Tasks that were told to stop in order to be moved.
    pub(crate) moving: FxHashSet<TaskId>,
    /// Why a policy cancelled tasks whose attempts have not ended yet.
    pub(crate) cancel_reasons: FxHashMap<TaskId, String>,
    /// Finished work, oldest first, with the time of its end.
    pub(crate) finished: VecDeque<(Finished, Time)>,
    /// Tasks in `finished` that still exist.
    pub(crate) n_finished: u64,
    /// The deadline last promised to the driver.
    pub(crate) promised: Option<Time>,
}

/// What one planning round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanReport {
    pub n_started: usize,
    /// The round's limit was reached: call `plan` again at once.
    pub more: bool,
}

impl Scheduler {
    /// A scheduler without any work, in its first term.
    pub(crate) fn empty(settings: Settings, seed: u64, term: Term, now: Time) -> Scheduler {
        let mut scheduler = Scheduler {
            settings,
            term,
            random: Random::seeded(seed),
            now,
            jobs: FxHashMap::default(),
            tasks: TaskTable::default(),
            workers: Workers::default(),
            queues: Queues::default(),
            timers: Timers::default(),
            hold: None,
            keys: BTreeMap::new(),
            last_job: 0,
            last_task: 0,
            open_job: None,
            latest_by_name: FxHashMap::default(),
            to_rank: VecDeque::new(),
            ranked_by: PolicyStamp::default(),
            scores: Scores::default(),
            bases: Bases::default(),
            reservation: None,
            is_reservation_stale: true,
            starvation: Starvation::default(),
            best_free: None,
            run_times: RunTimes::default(),
            shares: Shares::default(),
            deps_changed: BTreeSet::new(),
            gate: Gate::default(),
            is_review_armed: false,
            moving: FxHashSet::default(),
            cancel_reasons: FxHashMap::default(),
            finished: VecDeque::new(),
            n_finished: 0,
            promised: None,
        };
        scheduler.take_queue_settings();
        scheduler
    }

    /// Changes state for one thing that happened.
    pub fn handle(&mut self, now: Time, event: Event, effects: &mut Vec<Effect>) {
        self.now = self.now.max(now);
        match event {
            Event::SubmitJob { request, key, job } => {
                self.handle_submit_job(request, key, job, effects);
            }
            Event::SubmitTask { request, key, task } => {
                self.handle_submit_task(request, key, task, effects);
            }
            Event::CancelTask { request, task } => self.handle_cancel_task(request, task, effects),
            Event::CancelJob { request, job } => self.handle_cancel_job(request, job, effects),
            Event::RetryTask { request, task } => self.handle_retry(request, task, effects),
            Event::PauseQueue { request, queue, paused } => {
                self.handle_pause(request, &queue, paused, effects);
            }
            Event::Register { request, registration } => {
                self.handle_register(request, registration, effects);
            }
            Event::Sync { request, report } => self.handle_sync(request, report, effects),
            Event::DrainWorker { request, worker, draining } => {
                self.handle_drain(request, worker, draining, effects);
            }
            Event::Configure(settings) => self.handle_configure(*settings),
            Event::Forecast(forecast) => self.handle_forecast(forecast, effects),
            Event::PolicySwapped(slot) => {
                effects.push(Effect::Publish(Notice::PolicySwapped(slot)));
            }
            Event::PolicyFailed { slot, call, kind } => {
                effects.push(Effect::Publish(Notice::PolicyFailed { slot, call, kind }));
            }
            Event::Tick => {}
        }
    }

    /// Runs due timers, refreshes ranks, places tasks, reviews running ones.
    pub fn plan(
        &mut self,
        now: Time,
        policies: &mut dyn Policies,
        effects: &mut Vec<Effect>,
    ) -> PlanReport {
        self.now = self.now.max(now);
        self.note_absence();
        policies.begin_round();
        self.run_timers(policies, effects);
        self.arm_review(policies);
        let more = self.rank_ready(policies);
        let report = self.place_all(policies, more, effects);
        self.retain(effects);
        let next = [self.timers.next(), self.next_retention()].into_iter().flatten().min();
        self.promised = if report.more { Some(self.now) } else { next };
        report
    }

    /// When `plan` is to be called again at the latest, events or not.
    pub fn next_deadline(&self) -> Option<Time> {
        self.promised
    }

    /// The primary reason of a task that is PENDING; None otherwise. Cheap.
    pub fn reason(&self, task: TaskId) -> Option<Reason> {
        self.pending_reason(task)
    }

    /// Why a task waits, or could be where; asks the scoring policy. None: no such task.
    pub fn explain(
        &mut self,
        now: Time,
        task: TaskId,
        policies: &mut dyn Policies,
    ) -> Option<Explanation> {
        self.now = self.now.max(now);
        self.explain_task(task, policies)
    }

    /// An attempt that is kept, with what the scoring policy was shown for it if that is remembered.
    pub fn placement(&self, task: TaskId, attempt: u32) -> Option<Placed> {
        let attempts = &self.tasks.get(&task)?.status.attempts;
        let attempt = attempts.iter().find(|it| it.number == attempt)?;
        Some(self.placed(task, attempt))
    }

    /// How the scoring policy sees each worker now.
    pub fn standings(&mut self, now: Time, policies: &mut dyn Policies) -> Standings {
        self.now = self.now.max(now);
        self.all_standings(policies)
    }

    /// Every violated invariant, in words; empty if all hold. Walks the whole state.
    pub fn check_invariants(&self) -> Vec<String> {
        self.violations()
    }

    /// Called much later than promised, the host was away itself and may have missed reports:
    /// everyone gets a full new window.
    fn note_absence(&mut self) {
        let interval = self.settings.heartbeat.interval;
        if self.promised.is_some_and(|promised| promised.after(interval) <= self.now) {
            self.grant_new_windows();
        }
    }

    fn run_timers(&mut self, policies: &mut dyn Policies, effects: &mut Vec<Effect>) {
        while let Some((at, timer)) = self.timers.pop_due(self.now) {
            match timer {
                Timer::Backoff(id) => self.end_backoff(id, at),
                Timer::WorkerCheck(idx) => self.check_worker(at, idx, effects),
                Timer::EndQuarantine(idx) => self.end_quarantine_at(idx, at, effects),
                Timer::Unrestrict(idx) => {
                    self.workers.touched.insert(idx);
                }
                Timer::RefreshRanks => {
                    if let Some(refresh) = policies.queue().refresh {
                        self.rank_all_again();
                        self.timers.arm(self.now.after(refresh), Timer::RefreshRanks);
                    }
                }
                Timer::Review => self.review(policies, effects),
                Timer::ExpireKeys => self.expire_keys(effects),
            }
        }
    }

    fn end_backoff(&mut self, id: TaskId, armed_for: Time) {
        let Some(task) = self.tasks.get(&id) else { return };
        if task.place == crate::task::Place::Backoff && task.status.not_before == Some(armed_for) {
            self.make_ready(id);
        }
    }

    fn handle_pause(
        &mut self,
        request: RequestId,
        name: &str,
        paused: bool,
        effects: &mut Vec<Effect>,
    ) {
        let answer = match self.queues.find(name) {
            None => Answer::Refused(Refusal::UnknownQueue(name.to_owned())),
            Some(idx) => {
                self.queues.pause(idx, paused);
                let record = QueueRecord { name: name.to_owned(), paused };
                effects.push(Effect::Persist(Record::Queue(record)));
                Answer::QueuePaused
            }
        };
        effects.push(Effect::Answer { request, answer });
    }

    fn handle_configure(&mut self, settings: Settings) {
        self.settings = settings;
        self.take_queue_settings();
        self.queues.reopen_all();
        for slot in 0..self.workers.iter().count() {
            self.arm_check(WorkerIdx(slot as u32));
        }
    }

    fn take_queue_settings(&mut self) {
        for (name, settings) in self.settings.queues.clone() {
            self.queues.ensure(&name, &settings);
        }
    }
}
