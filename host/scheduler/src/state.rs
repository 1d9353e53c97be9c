//! Changes of a task's state, and what follows from each: counts, the job's end, dependents.

use crate::effect::Effect;
use crate::ids::{JobId, TaskId};
use crate::queue::QueueIdx;
use crate::record::{EndReason, JobRecord, JobState, Record, TaskState};
use crate::scheduler::Scheduler;
use crate::task::{Place, Task, check_transition};
use crate::time::Time;
use crate::timers::Timer;

#[derive(Debug)]
pub(crate) struct Job {
    pub record: JobRecord,
    /// In submit order; empty for the open job.
    pub tasks: Vec<TaskId>,
    pub n_in_state: [u32; TaskState::ALL.len()],
    /// Nanoseconds: the longest path by expected run times.
    pub length: u64,
    /// The job `default`: has no end.
    pub is_open: bool,
}

/// What retention forgets at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finished {
    Job(JobId),
    Task(TaskId),
}

impl Job {
    pub fn n_unfinished(&self) -> u32 {
        let open = TaskState::ALL.into_iter().filter(|state| !state.is_terminal());
        open.map(|state| self.n_in_state[state as usize]).sum()
    }

    fn end_state(&self) -> JobState {
        JobState::of_ended(|state| self.n_in_state[state as usize] > 0)
    }
}

impl Scheduler {
    pub(crate) fn task(&self, id: TaskId) -> &Task {
        self.tasks.get(&id).expect("ids inside the state name tasks of the state")
    }

    pub(crate) fn task_mut(&mut self, id: TaskId) -> &mut Task {
        self.tasks.get_mut(&id).expect("ids inside the state name tasks of the state")
    }

    pub(crate) fn job_mut(&mut self, id: JobId) -> &mut Job {
        self.jobs.get_mut(&id).expect("a task's job is kept as long as the task")
    }

    pub(crate) fn persist_task(&self, id: TaskId, effects: &mut Vec<Effect>) {
        effects.push(Effect::Persist(Record::Task(id, self.task(id).status.clone())));
    }

    /// Moves a task along the transition table and keeps every count. The caller persists it.
    ///
    /// # Panics
    /// If the table does not allow it: callers have looked at the state before.
    pub(crate) fn set_state(&mut self, id: TaskId, to: TaskState, effects: &mut Vec<Effect>) {
        let now = self.now;
        let task = self.task_mut(id);
        let from = task.status.state;
        check_transition(from, to).expect("the caller chose a transition of the table");
        task.status.state = to;
        task.status.ended = if to.is_terminal() { Some(now) } else { None };
        if to.is_terminal() {
            task.status.cancel_requested = false;
            task.status.not_before = None;
            task.feedback = None;
        }
        let (job_id, queue) = (task.job, task.queue);
        self.count_open(queue, from, to);
        let job = self.job_mut(job_id);
        job.n_in_state[from as usize] -= 1;
        job.n_in_state[to as usize] += 1;
        if job.is_open {
            match (from.is_terminal(), to.is_terminal()) {
                (false, true) => {
                    self.n_finished += 1;
                    self.finished.push_back((Finished::Task(id), now));
                }
                (true, false) => self.n_finished -= 1,
                (false, false) | (true, true) => {}
            }
        } else {
            self.note_job_end(job_id, effects);
        }
    }

    fn count_open(&mut self, queue: QueueIdx, from: TaskState, to: TaskState) {
        let queue = self.queues.get_mut(queue);
        match (from.is_terminal(), to.is_terminal()) {
            (false, true) => queue.n_open -= 1,
            (true, false) => queue.n_open += 1,
            (false, false) | (true, true) => {}
        }
    }

    /// Ends the job with its last task, or takes it up again after a retry by hand.
    fn note_job_end(&mut self, job_id: JobId, effects: &mut Vec<Effect>) {
        let now = self.now;
        let job = self.job_mut(job_id);
        let is_over = job.n_unfinished() == 0;
        if is_over == job.record.ended.is_some() {
            return;
        }
        job.record.state = if is_over { job.end_state() } else { JobState::Running };
        job.record.ended = is_over.then_some(now);
        effects.push(Effect::Persist(Record::Job(job.record.clone())));
        let n_tasks = job.tasks.len() as u64;
        if is_over {
            self.n_finished += n_tasks;
            self.finished.push_back((Finished::Job(job_id), now));
        } else {
            self.n_finished -= n_tasks;
        }
    }

    /// The task succeeded: its dependents may have become ready.
    pub(crate) fn release_dependents(&mut self, id: TaskId, effects: &mut Vec<Effect>) {
        let now = self.now;
        for index in 0..self.task(id).dependents.len() {
            let dependent_id = self.task(id).dependents[index];
            let dependent = self.task_mut(dependent_id);
            dependent.n_deps_left -= 1;
            dependent.deps_changed = Some(now);
            let is_ready =
                dependent.n_deps_left == 0 && dependent.status.state == TaskState::Pending;
            if is_ready {
                self.make_ready(dependent_id);
                self.persist_task(dependent_id, effects);
            } else {
                self.deps_changed.insert(dependent_id);
            }
        }
    }

    /// The task ended badly: everything that waits for it, however far, is skipped.
    pub(crate) fn skip_dependents(&mut self, root: TaskId, effects: &mut Vec<Effect>) {
        let root_name = self.task(root).spec.name.clone();
        let now = self.now;
        let mut waiting = self.task(root).dependents.clone();
        while let Some(id) = waiting.pop() {
            let task = self.task_mut(id);
            task.deps_changed = Some(now);
            if task.status.state != TaskState::Pending {
                continue;
            }
            let upstream = EndReason::Upstream { root, root_name: root_name.clone() };
            task.status.end_reason = Some(Box::new(upstream));
            waiting.extend(task.dependents.iter().copied());
            self.withdraw(id);
            self.set_state(id, TaskState::Skipped, effects);
            self.persist_task(id, effects);
        }
    }

    /// A PENDING task without dependencies left waits for its rank, or for its backoff to end.
    pub(crate) fn make_ready(&mut self, id: TaskId) {
        let now = self.now;
        let task = self.task_mut(id);
        debug_assert_eq!(task.status.state, TaskState::Pending);
        match task.status.not_before {
            Some(until) if until > now => {
                task.place = Place::Backoff;
                task.status.ready_since = None;
                self.timers.arm(until, Timer::Backoff(id));
            }
            Some(_) | None => {
                task.place = Place::Unranked;
                task.status.not_before = None;
                task.status.ready_since = Some(now);
                self.to_rank.push_back(id);
            }
        }
    }

    /// Takes a PENDING task out of wherever it waits.
    pub(crate) fn withdraw(&mut self, id: TaskId) {
        let task = self.task_mut(id);
        let place = task.place;
        task.place = Place::Nowhere;
        let ranked = task.ranked.take();
        match place {
            // The lists of timers and of tasks to rank are checked when their turn comes.
            Place::Nowhere | Place::Backoff | Place::Unranked => {}
            Place::Queued => {
                let ranked = ranked.expect("a queued task is ranked");
                self.queues.remove(ranked.class, ranked.key);
            }
        }
    }

    /// Forgets the oldest finished work beyond the retention, by number or by age: jobs whole, tasks
    /// of the open job one by one.
    pub(crate) fn retain(&mut self, effects: &mut Vec<Effect>) {
        let mut n_to_look_at = self.finished.len();
        while n_to_look_at > 0 && self.has_too_much_finished() {
            n_to_look_at -= 1;
            let Some((finished, ended)) = self.finished.pop_front() else { return };
            match finished {
                Finished::Job(id) => {
                    let is_over = |job: &Job| job.record.ended == Some(ended);
                    if self.jobs.get(&id).is_some_and(is_over) {
                        self.forget_job(id, effects);
                    }
                }
                Finished::Task(id) => {
                    let Some(task) = self.tasks.get(&id) else { continue };
                    if task.status.ended != Some(ended) {
                        continue;
                    }
                    if self.has_open_dependents(id) {
                        self.finished.push_back((finished, ended));
                    } else {
                        self.n_finished -= 1;
                        self.forget_task(id, effects);
                    }
                }
            }
        }
    }

    fn has_too_much_finished(&self) -> bool {
        self.n_finished > self.settings.retention_finished
            || self.oldest_expires().is_some_and(|at| at <= self.now)
    }

    /// When the oldest finished work is to be forgotten for its age.
    fn oldest_expires(&self) -> Option<Time> {
        let (_, ended) = self.finished.front()?;
        Some(ended.after(self.settings.retention_finished_for?))
    }

    /// The same, where time will make a difference: what others still wait for is kept.
    pub(crate) fn next_retention(&self) -> Option<Time> {
        self.oldest_expires().filter(|at| *at > self.now)
    }

    fn has_open_dependents(&self, id: TaskId) -> bool {
        let is_open =
            |id: &TaskId| self.tasks.get(id).is_some_and(|it| !it.status.state.is_terminal());
        self.task(id).dependents.iter().any(is_open)
    }

    fn forget_job(&mut self, id: JobId, effects: &mut Vec<Effect>) {
        let tasks = std::mem::take(&mut self.job_mut(id).tasks);
        self.n_finished -= tasks.len() as u64;
        for task in tasks {
            self.forget_task(task, effects);
        }
        self.jobs.remove(&id);
        effects.push(Effect::Persist(Record::JobForgotten(id)));
    }

    fn forget_task(&mut self, id: TaskId, effects: &mut Vec<Effect>) {
        let task = self.tasks.remove(&id).expect("looked up just before");
        effects.push(Effect::Persist(Record::TaskForgotten(id)));
        if self.latest_by_name.get(&task.spec.name) == Some(&id) {
            self.latest_by_name.remove(&task.spec.name);
        }
        // A retry by hand of what still waits for it does not wait for what nobody knows any more.
        if task.status.state != TaskState::Succeeded {
            for dependent in &task.dependents {
                if let Some(dependent) = self.tasks.get_mut(dependent) {
                    dependent.n_deps_left -= 1;
                }
            }
        }
        for dependency in &task.dependencies {
            if let Some(dependency) = self.tasks.get_mut(dependency) {
                dependency.dependents.retain(|dependent| *dependent != id);
            }
        }
        self.job_mut(task.job).n_in_state[task.status.state as usize] -= 1;
    }
}
