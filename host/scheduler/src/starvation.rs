//! The starvation bound: whatever a queue policy prefers, a task that waits and is overtaken gets
//! its turn.
//!
//! A task is starving when it has been ready for its queue's `reserve_after` and, meanwhile, a task
//! submitted after it or ranked behind it was started on capacity that it could have used. The oldest
//! of them are tried before all others; one that does not fit now has a worker kept free for it, where
//! others start only if they end before it can, or use what it leaves.

use crate::effect::Effect;
use crate::ids::TaskId;
use crate::placement::Choice;
use crate::policies::Policies;
use crate::queue::{Candidate, Class, Queue, RankKey};
use crate::reservation::Reservation;
use crate::resources::Request;
use crate::scheduler::{PlanReport, Scheduler};
use crate::task::{Place, Task};
use crate::time::Time;
use crate::worker::{Worker, WorkerIdx};
use std::collections::BTreeSet;
use std::time::Duration;

/// Starving tasks are looked for this often.
const LOOK: Duration = Duration::from_secs(1);
/// At most one in so many workers is kept free, and at least one.
const WORKERS_PER_HOLD: usize = 20;

/// Tasks alike are passed over one by one while a worker is kept free; not all of a million.
const MAX_PASSED_OVER: usize = 64;

/// Starving tasks, oldest first, with the workers kept free for them.
#[derive(Debug, Default)]
pub(crate) struct Starvation {
    holds: Vec<Hold>,
    next_look: Time,
    /// At the last look: how many there may be, and whether there are more.
    limit: usize,
    has_more: bool,
}

#[derive(Debug)]
struct Hold {
    task: TaskId,
    /// None: every worker that could take it is kept for an older one, or gone.
    reservation: Option<Reservation>,
}

impl Starvation {
    /// The worker kept free for a task, and when it will fit there as far as that can be told.
    pub fn kept_for(&self, task: TaskId) -> Option<(WorkerIdx, Time)> {
        let hold = self.holds.iter().find(|hold| hold.task == task)?;
        hold.reservation.as_ref().map(|kept| (kept.worker, kept.shadow))
    }

    /// The starving task for whose sake `task` may not start on `worker`.
    pub fn forbids(
        &self,
        now: Time,
        task: TaskId,
        worker: WorkerIdx,
        request: &Request,
        expected: Option<Duration>,
    ) -> Option<TaskId> {
        // Those behind it in the list are younger, and give way.
        let older = self.holds.iter().take_while(|hold| hold.task != task);
        let mut kept = older.filter_map(|hold| hold.reservation.as_ref());
        let forbidding = kept.find(|kept| !kept.allows(now, worker, request, expected))?;
        Some(forbidding.task)
    }

    /// How many members of a class are tried for one that may start beside what is kept free.
    pub fn most_passed_over(&self) -> usize {
        if self.holds.is_empty() { usize::MAX } else { MAX_PASSED_OVER }
    }

    pub fn note_start(
        &mut self,
        now: Time,
        task: TaskId,
        worker: WorkerIdx,
        request: &Request,
        expected: Option<Duration>,
    ) {
        self.holds.retain(|hold| hold.task != task);
        for kept in self.holds.iter_mut().filter_map(|hold| hold.reservation.as_mut()) {
            kept.note_start(now, worker, request, expected);
        }
    }

    /// What others wait for.
    fn fingerprint(&self) -> Vec<(TaskId, Option<(WorkerIdx, Time)>)> {
        let kept = |hold: &Hold| hold.reservation.as_ref().map(|it| (it.worker, it.shadow));
        self.holds.iter().map(|hold| (hold.task, kept(hold))).collect()
    }
}

impl Scheduler {
    /// At the start of a round: starving tasks go first.
    pub(crate) fn serve_starving(
        &mut self,
        policies: &mut dyn Policies,
        report: &mut PlanReport,
        effects: &mut Vec<Effect>,
    ) {
        let mut is_due = self.starvation.next_look <= self.now;
        if self.starvation.holds.is_empty() && !is_due {
            return;
        }
        let before = self.starvation.fingerprint();
        loop {
            let holds = std::mem::take(&mut self.starvation.holds);
            let mut starving: Vec<TaskId> = holds.into_iter().map(|hold| hold.task).collect();
            starving.retain(|id| self.can_be_served(*id));
            let has_room = starving.len() < self.starvation.limit;
            if is_due || (self.starvation.has_more && has_room) {
                self.find_starving(&mut starving);
                is_due = false;
            }
            let has_started = self.start_or_keep_for(starving, policies, report, effects);
            if !has_started || !self.starvation.has_more {
                break;
            }
        }
        if self.starvation.fingerprint() != before {
            self.queues.reopen_held_back();
        }
    }

    /// Whether any has started.
    fn start_or_keep_for(
        &mut self,
        starving: Vec<TaskId>,
        policies: &mut dyn Policies,
        report: &mut PlanReport,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let mut has_started = false;
        for id in starving {
            if report.n_started < self.settings.max_placements_per_round
                && self.start_starving(id, policies, effects)
            {
                report.n_started += 1;
                has_started = true;
                continue;
            }
            let reservation = self.keep_worker_for(id);
            self.starvation.holds.push(Hold { task: id, reservation });
        }
        has_started
    }

    fn start_starving(
        &mut self,
        id: TaskId,
        policies: &mut dyn Policies,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let ranked = self.task(id).ranked.expect("a queued task is ranked");
        let first = Candidate { key: ranked.key, class: ranked.class, order: RankKey::first(id) };
        match self.choose(&first, policies) {
            Choice::Worker(worker, decision, basis) => {
                self.commit(&first, worker, (decision, basis), effects);
                true
            }
            Choice::HeldBack(_) | Choice::Nowhere | Choice::NoPolicy => false,
        }
    }

    /// It waits in a queue that starts tasks.
    fn can_be_served(&self, id: TaskId) -> bool {
        let Some(task) = self.tasks.get(&id) else { return false };
        let queue = self.queues.get(task.queue);
        task.place == Place::Queued
            && queue.settings.reserve_after.is_some()
            && !queue.paused
            && queue.blocked_by.is_none_or(|head| head.task == id)
    }

    /// Adds the oldest that are not yet in the list, as far as there may be more.
    fn find_starving(&mut self, starving: &mut Vec<TaskId>) {
        let n_live = self.workers.iter().filter(|(_, worker)| worker.is_placeable()).count();
        let limit = (n_live / WORKERS_PER_HOLD).max(1);
        let mut all = BTreeSet::new();
        for queue in &self.queues.all {
            let Some(after) = queue.settings.reserve_after else { continue };
            let classes = queue.classes.iter().map(|idx| self.queues.class(*idx));
            for class in classes.filter(|class| !class.tasks.is_empty()) {
                all.extend(self.starving_in(queue, class, after, limit + 1));
            }
        }
        let is_new = |id: &TaskId| !starving.contains(id) && self.can_be_served(*id);
        let room = limit.saturating_sub(starving.len());
        let mut new = all.into_iter().filter(is_new);
        let found: Vec<TaskId> = new.by_ref().take(room).collect();
        let has_more = new.next().is_some();
        starving.extend(found);
        starving.sort();
        self.starvation.limit = limit;
        self.starvation.has_more = has_more;
        self.starvation.next_look = self.now.after(LOOK);
    }

    /// The oldest of a class, and its head.
    fn starving_in(
        &self,
        queue: &Queue,
        class: &Class,
        after: Duration,
        limit: usize,
    ) -> Vec<TaskId> {
        let waits_long = |id: &TaskId| self.is_ready_for(*id, after);
        let oldest = class.by_age.iter().copied().take_while(waits_long).take(limit);
        let overtaken = oldest
            .take_while(|id| self.could_use(*id, |worker, task| worker.newest_started > task.id));
        let mut found: Vec<TaskId> = overtaken.collect();
        // What did not fit when it was tried: all that started since was ranked behind it.
        let head = class.tasks.first().copied();
        let was_tried = |head: &RankKey| {
            queue.blocked_by == Some(*head) || class.candidate.is_none_or(|next| *head < next)
        };
        let head = head.filter(was_tried).map(|head| head.task).filter(waits_long);
        found.extend(head.filter(|id| self.could_use(*id, |_, _| true)));
        found
    }

    fn is_ready_for(&self, id: TaskId, span: Duration) -> bool {
        self.task(id).status.ready_since.is_some_and(|since| since.after(span) <= self.now)
    }

    /// Since the task is ready, a start that counts was made on a worker that could run it.
    fn could_use(&self, id: TaskId, counts: impl Fn(&Worker, &Task) -> bool) -> bool {
        let task = self.task(id);
        let ready_since = task.status.ready_since.unwrap_or(Time::NEVER);
        self.workers.iter().any(|(_, worker)| {
            worker.last_start.is_some_and(|at| at >= ready_since)
                && counts(worker, task)
                && worker.could_run(&task.spec)
        })
    }

    /// The worker where it fits first, of those not kept for older ones.
    fn keep_worker_for(&self, id: TaskId) -> Option<Reservation> {
        let is_kept = |idx: WorkerIdx| {
            let mut kept =
                self.starvation.holds.iter().filter_map(|hold| hold.reservation.as_ref());
            kept.any(|kept| kept.worker == idx)
        };
        let task = self.task(id);
        let candidates = self.workers.iter().filter(|(idx, worker)| {
            worker.is_placeable() && worker.could_run(&task.spec) && !is_kept(*idx)
        });
        let kept = candidates.filter_map(|(idx, worker)| {
            let running = self.expected_ends(worker);
            Reservation::whenever(RankKey::first(id), &task.spec.request, idx, worker, running)
        });
        // Of those without a known end, the one that is least taken.
        kept.min_by_key(|kept| (kept.shadow, self.workers.get(kept.worker).load(), kept.worker))
    }
}
