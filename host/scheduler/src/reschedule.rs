//! Rescheduling: asks the policy about running work and gates what it proposes.

use crate::columns::TaskColumn;
use crate::effect::{Effect, Notice, StopReason};
use crate::ids::TaskId;
use crate::policies::{
    Action, CallError, MAX_ROWS, NO_WORKER, Policies, Proposal, ReschedulingProfile,
};
use crate::record::TaskState;
use crate::scheduler::Scheduler;
use crate::scores::fill_worker_columns;
use crate::task::Place;
use crate::time::Time;
use crate::timers::Timer;
use crate::worker::WorkerIdx;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::Duration;

/// What limits accepted proposals beside feasibility.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    /// Times of accepted migrations and requeues within the last minute.
    accepted: VecDeque<Time>,
    /// Accepted in the review that goes on, per worker.
    per_worker: FxHashMap<WorkerIdx, u32>,
}

const RATE_WINDOW: Duration = Duration::from_secs(60);

impl Scheduler {
    /// Arms the review's timer when a policy is bound to the slot.
    pub(crate) fn arm_review(&mut self, policies: &dyn Policies) {
        if !self.is_review_armed
            && let Some(profile) = policies.rescheduling()
        {
            self.is_review_armed = true;
            self.timers.arm(self.now.after(profile.interval), Timer::Review);
        }
    }

    /// The interval has passed: all running tasks, and waiting ones whose dependencies changed.
    pub(crate) fn review(&mut self, policies: &mut dyn Policies, effects: &mut Vec<Effect>) {
        self.is_review_armed = false;
        self.follow_workers();
        let mut rows: Vec<TaskId> =
            self.workers.iter().flat_map(|(_, worker)| worker.holds.iter().copied()).collect();
        rows.retain(|id| self.task(*id).status.state == TaskState::Running);
        let changed = std::mem::take(&mut self.deps_changed);
        let is_waiting = |id: &TaskId| {
            self.tasks.get(id).is_some_and(|task| task.status.state == TaskState::Pending)
        };
        rows.extend(changed.into_iter().filter(is_waiting));
        self.gate.per_worker.clear();
        for batch in rows.chunks(MAX_ROWS) {
            for proposal in self.ask_for_review(batch, policies) {
                self.judge(batch[proposal.row], proposal, effects);
            }
        }
    }

    fn ask_for_review(&self, batch: &[TaskId], policies: &mut dyn Policies) -> Vec<Proposal> {
        for _ in 0..crate::placement::MAX_RUNGS {
            let Some(profile) = policies.rescheduling() else { return Vec::new() };
            let (tasks, on_worker, workers) = self.review_columns(batch, &profile);
            match policies.review(self.now.as_ms(), &tasks, &on_worker, &workers) {
                Ok(proposals) => return proposals,
                Err(CallError::NextRung) => {}
                Err(CallError::Held) => return Vec::new(),
            }
        }
        Vec::new()
    }

    fn review_columns(
        &self,
        batch: &[TaskId],
        profile: &ReschedulingProfile,
    ) -> (Vec<Vec<f64>>, Vec<u32>, Vec<Vec<f64>>) {
        let live: Vec<WorkerIdx> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.life.is_some())
            .map(|(idx, _)| idx)
            .collect();
        let mut workers = Vec::new();
        fill_worker_columns(&self.workers, &profile.needs_worker, &live, &mut workers);
        let column = |column| {
            let with_share = column == TaskColumn::TenantShare;
            let context = |id| self.context(id, with_share);
            let value = |id: &TaskId| self.task(*id).column(column, &context(*id));
            batch.iter().map(value).collect()
        };
        let tasks = profile.needs_task.iter().map(|it| column(*it)).collect();
        let row_of = |id: &TaskId| {
            let attempt = self.task(*id).status.current();
            let idx = attempt.and_then(|attempt| self.workers.find(attempt.worker));
            idx.and_then(|idx| live.binary_search(&idx).ok()).map_or(NO_WORKER, |row| row as u32)
        };
        (tasks, batch.iter().map(row_of).collect(), workers)
    }

    fn judge(&mut self, id: TaskId, proposal: Proposal, effects: &mut Vec<Effect>) {
        let verdict = match self.refuse(id, proposal.action) {
            Some(why) => format!("refused: {why}"),
            None => {
                self.accept(id, &proposal, effects);
                "accepted".to_owned()
            }
        };
        let action = match proposal.action {
            Action::Migrate => "migrate".to_owned(),
            Action::Requeue => "requeue".to_owned(),
            Action::Cancel => "cancel".to_owned(),
            Action::RaisePriority(priority) => format!("raise-priority {priority}"),
        };
        let reason = proposal.reason;
        effects.push(Effect::Publish(Notice::Rescheduling { task: id, action, reason, verdict }));
    }

    /// Why the host does not do what was proposed.
    fn refuse(&mut self, id: TaskId, action: Action) -> Option<&'static str> {
        let settings = &self.settings.rescheduling;
        let now = self.now;
        let task = self.tasks.get(&id)?;
        let is_running = task.status.state == TaskState::Running;
        if task.status.cancel_requested || self.moving.contains(&id) {
            return Some("it is being stopped already");
        }
        if task.rescheduled.is_some_and(|last| last.after(settings.cool_down) > now) {
            return Some("it was rescheduled a short time ago (cool-down)");
        }
        match action {
            Action::Cancel => None,
            Action::RaisePriority(priority) if priority <= task.priority() => {
                Some("its priority is at least that already")
            }
            Action::RaisePriority(_) => None,
            Action::Migrate | Action::Requeue if !is_running => Some("it is not running"),
            Action::Migrate | Action::Requeue => {
                while self.gate.accepted.front().is_some_and(|it| it.after(RATE_WINDOW) <= now) {
                    self.gate.accepted.pop_front();
                }
                if self.gate.accepted.len() >= settings.rate_per_minute as usize {
                    return Some("the rate limit is reached");
                }
                let from = self.current_worker(id)?;
                let n_from = self.gate.per_worker.get(&from).copied().unwrap_or(0);
                if n_from >= settings.per_worker {
                    return Some("its worker gave away enough in this review");
                }
                if action == Action::Migrate && !self.fits_elsewhere(id, from) {
                    return Some("no other worker fits it now");
                }
                None
            }
        }
    }

    fn current_worker(&self, id: TaskId) -> Option<WorkerIdx> {
        self.workers.find(self.task(id).status.current()?.worker)
    }

    fn fits_elsewhere(&self, id: TaskId, from: WorkerIdx) -> bool {
        let spec = &self.task(id).spec;
        self.workers.iter().any(|(idx, worker)| {
            idx != from
                && worker.is_placeable()
                && worker.free.fits(&spec.request)
                && worker.has_labels(&spec.requires)
        })
    }

    fn accept(&mut self, id: TaskId, proposal: &Proposal, effects: &mut Vec<Effect>) {
        let now = self.now;
        self.task_mut(id).rescheduled = Some(now);
        match proposal.action {
            Action::Cancel => {
                self.cancel(id, Some(proposal.reason.clone()), effects);
            }
            Action::RaisePriority(priority) => self.raise_priority(id, priority, effects),
            Action::Migrate | Action::Requeue => {
                let from = self.current_worker(id).expect("a running task has a worker");
                *self.gate.per_worker.entry(from).or_default() += 1;
                self.gate.accepted.push_back(now);
                self.moving.insert(id);
                let why = match proposal.action {
                    Action::Migrate => StopReason::Migrated,
                    Action::Requeue | Action::Cancel | Action::RaisePriority(_) => {
                        StopReason::Preempted
                    }
                };
                self.stop(id, why, effects);
            }
        }
    }

    fn raise_priority(&mut self, id: TaskId, priority: i32, effects: &mut Vec<Effect>) {
        let task = self.task_mut(id);
        task.status.raised_priority = Some(priority);
        task.inherited_priority = task.inherited_priority.max(priority);
        let (place, dependencies) = (task.place, task.dependencies.clone());
        if place == Place::Queued {
            self.to_rank.push_back(id);
        }
        self.raise_inherited(&dependencies, priority);
        self.persist_task(id, effects);
    }
}
