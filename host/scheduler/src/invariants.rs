//! What must hold after every event, checked against the whole state. One function per property;
//! numbers are those of the list in ARCHITECTURE.md.

use crate::ids::{JobId, TaskId};
use crate::record::{TaskState, WorkerState};
use crate::resources::Free;
use crate::scheduler::Scheduler;
use crate::task::Place;
use crate::worker::Worker;
use rustc_hash::FxHashMap;

impl Scheduler {
    pub(crate) fn violations(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.check_current_attempts(&mut found);
        self.check_capacity(&mut found);
        self.check_counts(&mut found);
        self.check_places(&mut found);
        self.check_queues_agree(&mut found);
        self.check_shares(&mut found);
        self.check_drained(&mut found);
        found
    }

    /// Invariant 3: exactly the placed tasks have a current attempt, held by its worker.
    fn check_current_attempts(&self, found: &mut Vec<String>) {
        let mut holders_of: FxHashMap<TaskId, Vec<&Worker>> = FxHashMap::default();
        for (_, worker) in self.workers.iter() {
            for id in &worker.holds {
                holders_of.entry(*id).or_default().push(worker);
            }
        }
        for task in self.tasks.values() {
            let holders = holders_of.remove(&task.id).unwrap_or_default();
            let current = task.status.current();
            match (current, holders.as_slice()) {
                (None, []) => {}
                (Some(attempt), [holder]) if holder.record.id == attempt.worker => {
                    if attempt.ended.is_some() {
                        found.push(format!("the current attempt of {} has ended", task.id));
                    }
                }
                (_, holders) => {
                    found.push(format!("{} is held by {} workers", task.id, holders.len()));
                }
            }
            let numbers: Vec<u32> = task.status.attempts.iter().map(|it| it.number).collect();
            if !numbers.is_sorted_by(|a, b| a < b)
                || numbers.last().is_some_and(|last| *last >= task.status.next_attempt)
            {
                found.push(format!("attempts of {} are numbered {numbers:?}", task.id));
            }
        }
    }

    /// Invariants 4 and 5: free capacity is the total less what current attempts hold.
    fn check_capacity(&self, found: &mut Vec<String>) {
        for (_, worker) in self.workers.iter() {
            let mut free = Free::all_of(&worker.record.capacity);
            for id in &worker.holds {
                let Some(attempt) = self.tasks.get(id).and_then(|task| task.status.current())
                else {
                    found.push(format!("{} holds {id}, which is not placed", worker.record.id));
                    continue;
                };
                if !free.take_exactly(&self.task(*id).spec.request, &attempt.devices) {
                    found.push(format!("{} is overcommitted by {id}", worker.record.id));
                }
            }
            if free != worker.free {
                let id = worker.record.id;
                found.push(format!("{id} counts {:?} free, derived {free:?}", worker.free));
            }
        }
    }

    /// Invariant 5: sums over states equal the number of tasks.
    fn check_counts(&self, found: &mut Vec<String>) {
        let mut n_of_job: FxHashMap<JobId, [usize; TaskState::ALL.len()]> = FxHashMap::default();
        for task in self.tasks.values() {
            n_of_job.entry(task.job).or_default()[task.status.state as usize] += 1;
        }
        for (id, job) in &self.jobs {
            let n_in_state = n_of_job.remove(id).unwrap_or_default();
            for state in TaskState::ALL {
                let n = n_in_state[state as usize];
                if n != job.n_in_state[state as usize] as usize {
                    let counted = job.n_in_state[state as usize];
                    found.push(format!("{id} counts {counted} {state:?}, there are {n}"));
                }
            }
            if !job.is_open && (job.n_unfinished() == 0) != job.record.ended.is_some() {
                found.push(format!(
                    "{id} has {} open tasks and is {:?}",
                    job.n_unfinished(),
                    job.record.state
                ));
            }
        }
    }

    /// Invariant 6: each open task has one place from which something can move it.
    fn check_places(&self, found: &mut Vec<String>) {
        for task in self.tasks.values() {
            let id = task.id;
            let n_left = task
                .dependencies
                .iter()
                .filter_map(|it| self.tasks.get(it))
                .filter(|it| it.status.state != TaskState::Succeeded)
                .count();
            if n_left != task.n_deps_left as usize {
                found.push(format!("{id} waits for {n_left} tasks, counts {}", task.n_deps_left));
            }
            let is_pending = task.status.state == TaskState::Pending;
            let is_ready = is_pending && task.n_deps_left == 0;
            if is_ready != (task.place != Place::Nowhere) {
                found.push(format!("{id} is {:?} and kept {:?}", task.status.state, task.place));
            }
            if is_pending != self.pending_reason(id).is_some() {
                found.push(format!(
                    "{id} is {:?}, its reason missing or too many",
                    task.status.state
                ));
            }
            let is_hopeless =
                task.dependencies.iter().filter_map(|it| self.tasks.get(it)).any(|it| {
                    it.status.state.is_terminal() && it.status.state != TaskState::Succeeded
                });
            if is_pending && is_hopeless {
                found.push(format!("{id} waits for a task that will not succeed"));
            }
        }
    }

    /// Exactly those workers drain that somebody took out of service, unless they are lost.
    fn check_drained(&self, found: &mut Vec<String>) {
        for (_, worker) in self.workers.iter() {
            let drains = worker.state == WorkerState::Draining;
            let is_drained = worker.record.is_drained && worker.state != WorkerState::Lost;
            if drains != is_drained {
                let (id, state) = (worker.record.id, worker.state);
                found.push(format!("{id} is {state:?}, drained: {}", worker.record.is_drained));
            }
        }
    }

    /// Tenants hold what their current attempts hold, and the heads of groups are ranked by that.
    fn check_shares(&self, found: &mut Vec<String>) {
        let current = self.tasks.values().filter(|task| task.status.current().is_some());
        let current = current.map(|task| (&*task.spec.tenant, &task.spec.request));
        found.extend(self.shares.violations(current));
        let share_now = |id| self.shares.dominant(&self.task(id).spec.tenant);
        found.extend(self.queues.group_violations(share_now));
    }

    /// Queued tasks are in the set of their class, and classes hold nothing else.
    fn check_queues_agree(&self, found: &mut Vec<String>) {
        for task in self.tasks.values() {
            let is_queued = task.place == Place::Queued;
            let in_class = task
                .ranked
                .is_some_and(|ranked| self.queues.class(ranked.class).tasks.contains(&ranked.key));
            if is_queued != in_class {
                found.push(format!("{} queued: {is_queued}, in its class: {in_class}", task.id));
            }
        }
        let n_in_classes: usize = self.queues.classes.iter().map(|it| it.tasks.len()).sum();
        if n_in_classes != self.queues.n_queued {
            let counted = self.queues.n_queued;
            found.push(format!("{n_in_classes} tasks in classes, counted {counted}"));
        }
        for class in &self.queues.classes {
            if class.candidate.is_none() && !class.tasks.is_empty() && class.reason.is_none() {
                found.push("a class is blocked without a reason".to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests;
