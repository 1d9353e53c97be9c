//! A planning round's placements: wakes what could be helped, and places tasks in order.

use crate::basis::Basis;
use crate::columns::TaskColumn;
use crate::effect::Effect;
use crate::explain::Reason;
use crate::ids::TaskId;
use crate::index::WorkerKey;
use crate::policies::{CallError, Policies, QueueProfile, ScoringProfile};
use crate::queue::{Candidate, ClassIdx, QueueIdx, RankKey};
use crate::record::{Decision, Outcome, PolicyStamp, TaskState};
use crate::reservation::Reservation;
use crate::resources::{Devices, Request};
use crate::scheduler::{PlanReport, Scheduler};
use crate::scores::Wanted;
use crate::settings::Discipline;
use crate::task::Place;
use crate::time::Time;
use crate::timers::Timer;
use crate::worker::{Worker, WorkerIdx};
use std::sync::Arc;

/// Below this score a worker is restricted, if the policy declares bands.
const RESTRICTED_BELOW: f64 = 0.5;
/// A slot can step down a few rungs in a round; more in a row means the policies are broken.
pub(crate) const MAX_RUNGS: usize = 8;

/// What was found for a task.
pub(crate) enum Choice {
    Worker(WorkerIdx, Decision, Basis),
    /// It fits somewhere, but only on workers held back for another reason.
    HeldBack(Reason),
    /// It fits nowhere now.
    Nowhere,
    /// The scoring slot is held.
    NoPolicy,
}

impl Scheduler {
    pub(crate) fn place_all(
        &mut self,
        policies: &mut dyn Policies,
        more: bool,
        effects: &mut Vec<Effect>,
    ) -> PlanReport {
        let queue_profile = policies.queue();
        let mut report = PlanReport { n_started: 0, more };
        self.wake_helped();
        self.best_free = None;
        self.serve_starving(policies, &mut report, effects);
        self.review_reservation(&queue_profile, policies);
        while self.rank_heads(policies)
            && let Some(first) = self.queues.first()
        {
            if report.n_started == self.settings.max_placements_per_round {
                report.more = true;
                break;
            }
            self.refresh_reservation(first.order, &queue_profile, policies);
            match self.choose(&first, policies) {
                Choice::Worker(worker, decision, basis) => {
                    self.commit(&first, worker, (decision, basis), effects);
                    report.n_started += 1;
                }
                Choice::HeldBack(reason) => {
                    let most = self.starvation.most_passed_over();
                    self.queues.pass_over(first.class, first.key, reason, most);
                }
                Choice::Nowhere => self.note_no_fit(&first, &queue_profile),
                Choice::NoPolicy => break,
            }
        }
        report
    }

    pub(crate) fn commit(
        &mut self,
        first: &Candidate,
        worker_idx: WorkerIdx,
        (mut decision, basis): (Decision, Basis),
        effects: &mut Vec<Effect>,
    ) {
        let id = first.key.task;
        decision.queue = self.task(id).ranked.map(|ranked| ranked.stamp).unwrap_or_default();
        self.bases.keep(id, self.task(id).status.next_attempt, basis);
        let request = self.task(id).spec.request;
        let expected = self.task(id).expected;
        if let Some(reservation) = &mut self.reservation {
            if reservation.binds(first.order) {
                reservation.note_start(self.now, worker_idx, &request, expected);
            } else {
                self.is_reservation_stale = true;
            }
        }
        self.starvation.note_start(self.now, id, worker_idx, &request, expected);
        self.start(id, worker_idx, decision, effects);
    }

    /// The head does not fit anywhere now: what that means for its class and queue.
    fn note_no_fit(&mut self, first: &Candidate, profile: &QueueProfile) {
        let Candidate { key, class, order } = *first;
        let reason = self.why_no_fit(key.task);
        let queue = self.queues.class(class).key.queue;
        let discipline = self.queues.get(queue).settings.discipline.or(profile.discipline);
        // What no worker could ever run blocks nobody, in any discipline.
        let is_possible =
            matches!(reason, Reason::NoCapacityNow { .. } | Reason::Restricted { .. });
        match discipline.unwrap_or_default() {
            Discipline::Strict if is_possible => {
                self.queues.block_queue(queue, key);
                return;
            }
            Discipline::Backfill if is_possible && !self.is_reserved_before(order) => {
                if let Some(reservation) = self.reserve(order) {
                    self.reservation = Some(reservation);
                    self.is_reservation_stale = false;
                }
            }
            Discipline::Strict | Discipline::Backfill | Discipline::Greedy => {}
        }
        let tasks = &self.tasks;
        self.queues.fail(class, key, reason, |id| tasks[&id].spec.request);
    }

    fn discipline(&self, queue: QueueIdx, profile: &QueueProfile) -> Discipline {
        let set = self.queues.get(queue).settings.discipline;
        set.or(profile.discipline).unwrap_or_default()
    }

    /// Whether one that comes earlier holds the round's reservation.
    fn is_reserved_before(&self, order: RankKey) -> bool {
        self.reservation.as_ref().is_some_and(|reservation| reservation.binds(order))
    }

    /// At the start of a round. Tasks wait for the sake of the last round's reservation: if it is not
    /// the same any more, they are tried again.
    fn review_reservation(&mut self, profile: &QueueProfile, policies: &mut dyn Policies) {
        let last = self.reservation.take();
        if self.queues.is_nothing_to_try() {
            // Nothing asks for a reservation, and whatever waited for the sake of one is gone.
            return;
        }
        self.reservation = self.reserve_for_best_head(profile, policies);
        self.is_reservation_stale = false;
        if self.reservation != last {
            self.queues.reopen_held_back();
        }
    }

    /// Before a choice: better-ranked tasks may have taken what the reservation was computed with.
    /// They are not bound by it themselves.
    fn refresh_reservation(
        &mut self,
        order: RankKey,
        profile: &QueueProfile,
        policies: &mut dyn Policies,
    ) {
        if self.is_reservation_stale && self.is_reserved_before(order) {
            self.reservation = self.reserve_for_best_head(profile, policies);
            self.is_reservation_stale = false;
        }
    }

    /// The round's reservation: for the best-ranked task of all backfill queues that was tried and
    /// did not fit.
    fn reserve_for_best_head(
        &self,
        profile: &QueueProfile,
        policies: &mut dyn Policies,
    ) -> Option<Reservation> {
        let is_blocked = |reason: &Option<Reason>| {
            matches!(reason, Some(Reason::NoCapacityNow { .. } | Reason::ReservedFor { .. }))
        };
        let waiting = self.queues.waiting.iter().map(|idx| self.queues.class(*idx));
        let blocked = waiting.filter(|class| {
            is_blocked(&class.reason)
                && self.discipline(class.key.queue, profile) == Discipline::Backfill
                && !self.queues.get(class.key.queue).paused
        });
        let heads = blocked.filter_map(|class| {
            let first = class.tasks.first().copied()?;
            let was_tried = class.candidate.is_none_or(|candidate| first < candidate);
            was_tried.then_some((first, class.key.group_id()))
        });
        let best = if self.queues.groups.is_empty() {
            heads.map(|(key, _)| key).min()?
        } else {
            let heads = heads.collect();
            self.best_head(heads, policies)?
        };
        self.reserve(best)
    }

    pub(crate) fn choose(&mut self, first: &Candidate, policies: &mut dyn Policies) -> Choice {
        for _ in 0..MAX_RUNGS {
            let profile = policies.scoring();
            match self.choose_by(first, &profile, policies) {
                Ok(choice) => return choice,
                Err(CallError::NextRung) => {}
                Err(CallError::Held) => return Choice::NoPolicy,
            }
        }
        Choice::NoPolicy
    }

    fn choose_by(
        &mut self,
        first: &Candidate,
        profile: &Arc<ScoringProfile>,
        policies: &mut dyn Policies,
    ) -> Result<Choice, CallError> {
        let id = first.key.task;
        let with_share = profile.needs_task.contains(&TaskColumn::TenantShare);
        if with_share {
            self.follow_workers();
        }
        let task = self.tasks.get(&id).expect("queued tasks are in the state");
        let context = self.context(id, with_share);
        let task_columns: Vec<f64> =
            profile.needs_task.iter().map(|column| task.column(*column, &context)).collect();
        let now = self.now;
        let workers = &self.workers;
        let reservation = self.reservation.as_ref().filter(|it| it.binds(first.order));
        let starvation = &self.starvation;
        let spec = &task.spec;
        let is_restricted = |key: &WorkerKey| {
            profile.banded
                && key.score < RESTRICTED_BELOW
                && workers.get(key.worker).restricted_until > now
        };
        let mut held_back = None;
        let accept = |key: &WorkerKey| {
            if !spec.requires.is_empty() && !workers.get(key.worker).has_labels(&spec.requires) {
                return false;
            }
            if let Some(reservation) = reservation
                && !reservation.allows(now, key.worker, &spec.request, task.expected)
            {
                held_back = Some(Reason::ReservedFor { task: reservation.task });
                return false;
            }
            if let Some(task) =
                starvation.forbids(now, id, key.worker, &spec.request, task.expected)
            {
                held_back = Some(Reason::ReservedFor { task });
                return false;
            }
            if is_restricted(key) {
                let until = workers.get(key.worker).restricted_until;
                held_back.get_or_insert(Reason::Restricted { until });
                return false;
            }
            true
        };
        let wanted = Wanted {
            task_columns: &task_columns,
            request: spec.request,
            n_queued: self.queues.n_queued,
        };
        let best = self.scores.best(workers, policies, profile, &wanted, accept)?;
        let Some(mut chosen) = best[0] else {
            return Ok(held_back.map_or(Choice::Nowhere, Choice::HeldBack));
        };
        let mut second = best[1];
        // A retry prefers another worker.
        if let Some(other) = second
            && self.failed_last_on(id) == Some(chosen.worker)
        {
            (chosen, second) = (other, Some(chosen));
        }
        if profile.banded && chosen.score < RESTRICTED_BELOW {
            let until = now.after(self.settings.heartbeat.interval);
            self.workers.get_mut(chosen.worker).restricted_until = until;
            self.timers.arm(until, Timer::Unrestrict(chosen.worker));
        }
        let rows = [Some(chosen), second].into_iter().flatten().map(|key| key.worker);
        let basis = Basis::of(task_columns, profile, &self.workers, rows);
        let name = |key: WorkerKey| (self.workers.get(key.worker).record.id, key.score);
        let decision = Decision {
            scoring: profile.stamp,
            queue: PolicyStamp::default(),
            score: chosen.score,
            second: second.map(name),
        };
        Ok(Choice::Worker(chosen.worker, decision, basis))
    }

    fn failed_last_on(&self, id: TaskId) -> Option<WorkerIdx> {
        let attempt = self.task(id).status.attempts.last()?;
        match attempt.outcome {
            Some(Outcome::Failed(_)) => self.workers.find(attempt.worker),
            Some(Outcome::Succeeded) | None => None,
        }
    }

    /// Opens the blocked classes and queues that a changed worker could help.
    fn wake_helped(&mut self) {
        let touched = std::mem::take(&mut self.workers.touched);
        let touched: Vec<WorkerIdx> =
            touched.into_iter().filter(|idx| self.workers.get(*idx).is_placeable()).collect();
        if touched.is_empty() {
            return;
        }
        for idx in 0..self.queues.all.len() as u32 {
            let Some(head) = self.queues.get(QueueIdx(idx)).blocked_by else { continue };
            let spec = &self.task(head.task).spec;
            let helps = |worker: &WorkerIdx| {
                let worker = self.workers.get(*worker);
                worker.free.fits(&spec.request) && worker.has_labels(&spec.requires)
            };
            if touched.iter().any(helps) {
                self.queues.open_queue(QueueIdx(idx));
            }
        }
        let helped: Vec<ClassIdx> = self
            .queues
            .waiting
            .iter()
            .copied()
            .filter(|class| {
                let class = self.queues.class(*class);
                let helps = |worker: &WorkerIdx| {
                    let worker = self.workers.get(*worker);
                    worker.free.fits(&class.least) && worker.has_labels(&class.key.requires)
                };
                class.is_held_back || touched.iter().any(helps)
            })
            .collect();
        for class in helped {
            self.queues.reopen(class);
        }
    }

    /// What can ever fit may have changed: look at all that wait again.
    pub(crate) fn reopen_waiting(&mut self) {
        for class in self.queues.waiting.clone() {
            self.queues.reopen(class);
        }
        for idx in 0..self.queues.all.len() as u32 {
            if self.queues.get(QueueIdx(idx)).blocked_by.is_some() {
                self.queues.open_queue(QueueIdx(idx));
            }
        }
    }

    /// The reason of a task that fits no live worker now.
    fn why_no_fit(&mut self, id: TaskId) -> Reason {
        let spec = self.task(id).spec.clone();
        let registered =
            || self.workers.iter().filter(|(_, it)| it.state != crate::record::WorkerState::Lost);
        let is_large =
            |worker: &crate::worker::Worker| worker.record.capacity.could_ever_fit(&spec.request);
        if !registered().any(|(_, worker)| is_large(worker)) {
            let largest = self.workers.largest_capacity();
            return Reason::NoWorkerCanEverFit { asked: spec.request, largest };
        }
        let suits =
            |worker: &crate::worker::Worker| is_large(worker) && worker.has_labels(&spec.requires);
        if !registered().any(|(_, worker)| suits(worker)) {
            return Reason::NoConstraintMatch;
        }
        let best_free = *self.best_free.get_or_insert_with(|| self.workers.best_free());
        Reason::NoCapacityNow { asked: spec.request, best_free }
    }

    /// The primary reason of a PENDING task.
    pub(crate) fn pending_reason(&self, id: TaskId) -> Option<Reason> {
        let task = self.tasks.get(&id)?;
        if task.status.state != TaskState::Pending {
            return None;
        }
        let next_round = Some(Reason::NextRound);
        match task.place {
            Place::Nowhere => Some(Reason::Dependencies { left: task.n_deps_left }),
            Place::Backoff => {
                Some(Reason::Backoff { until: task.status.not_before.unwrap_or(Time::ZERO) })
            }
            Place::Unranked => next_round,
            Place::Queued => {
                let queue = self.queues.get(task.queue);
                let ranked = task.ranked.expect("a queued task is ranked");
                let key = ranked.key;
                let class = self.queues.class(ranked.class);
                let was_tried = class.candidate.is_none_or(|candidate| key < candidate);
                let kept = self.starvation.kept_for(id);
                if queue.paused {
                    Some(Reason::Paused)
                } else if let Some((worker, until)) = kept {
                    let worker = self.workers.get(worker).record.id;
                    Some(Reason::WorkerKeptFree { worker, until })
                } else if was_tried && class.reason.is_some() {
                    class.reason.clone()
                } else if let Some(head) = queue.blocked_by {
                    Some(if head.task == id {
                        let asked = task.spec.request;
                        Reason::NoCapacityNow { asked, best_free: self.workers.best_free() }
                    } else {
                        Reason::BlockedByHead { task: head.task }
                    })
                } else {
                    next_round
                }
            }
        }
    }

    /// Takes the round's reservation for the best-ranked blocked head of a backfill queue.
    fn reserve(&self, order: RankKey) -> Option<Reservation> {
        let id = order.task;
        let task = self.task(id);
        let candidates = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.is_placeable() && worker.could_run(&task.spec));
        let reservations = candidates.filter_map(|(idx, worker)| {
            let running = self.expected_ends(worker);
            Reservation::earliest(order, &task.spec.request, idx, worker, running)
        });
        reservations.min_by_key(|reservation| (reservation.shadow, reservation.worker))
    }

    /// Of each attempt there: when it is expected to end, NEVER if that is unknown, and what it holds.
    pub(crate) fn expected_ends(&self, worker: &Worker) -> Vec<(Time, Request, Devices)> {
        let running = worker.holds.iter().map(|held| {
            let held = self.task(*held);
            let attempt = held.status.current().expect("held attempts are current");
            let since = attempt.started.unwrap_or(attempt.assigned);
            let end = held.expected.map_or(Time::NEVER, |expected| since.after(expected));
            (end.max(self.now), held.spec.request, attempt.devices.clone())
        });
        running.collect()
    }
}
