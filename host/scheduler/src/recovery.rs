//! Taking up what a store read back.

use crate::effect::Effect;
use crate::ids::{TaskId, Term};
use crate::record::{Failure, Snapshot, TaskState};
use crate::scheduler::Scheduler;
use crate::settings::{QueueSettings, Settings};
use crate::spec::DEFAULT;
use crate::state::{Finished, Job};
use crate::task::Place;
use crate::time::Time;
use crate::worker::Worker;

impl Scheduler {
    /// Takes up what a store read back (empty for a new one). `term` must be larger than that of
    /// any earlier start. Every worker in the snapshot gets a full new window to report.
    pub fn recover(
        settings: Settings,
        seed: u64,
        term: Term,
        now: Time,
        snapshot: Snapshot,
        effects: &mut Vec<Effect>,
    ) -> Scheduler {
        let mut scheduler = Scheduler::empty(settings, seed, term, now);
        scheduler.last_job = snapshot.last_job;
        scheduler.last_task = snapshot.last_task;
        for queue in &snapshot.queues {
            let idx = scheduler
                .queues
                .find(&queue.name)
                .unwrap_or_else(|| scheduler.queues.ensure(&queue.name, &QueueSettings::default()));
            scheduler.queues.pause(idx, queue.paused);
        }
        for key in snapshot.keys {
            scheduler.keys.insert(key.key.clone(), key);
        }
        for record in snapshot.workers {
            let idx = scheduler.workers.add(Worker::new(record, now));
            scheduler.arm_check(idx);
        }
        scheduler.workers.last_id = scheduler.workers.last_id.max(snapshot.last_worker);
        for record in snapshot.jobs {
            let is_open = record.name == DEFAULT && scheduler.open_job.is_none();
            if is_open {
                scheduler.open_job = Some(record.id);
            }
            scheduler.last_job = scheduler.last_job.max(record.id.0);
            let job = Job {
                record,
                tasks: Vec::new(),
                n_in_state: Default::default(),
                length: 0,
                is_open,
            };
            scheduler.jobs.insert(job.record.id, job);
        }
        scheduler.recover_tasks(snapshot.tasks, effects);
        scheduler.expire_keys(effects);
        scheduler
    }

    fn recover_tasks(
        &mut self,
        tasks: Vec<(crate::record::TaskAdded, crate::record::TaskStatus)>,
        effects: &mut Vec<Effect>,
    ) {
        let mut ids = Vec::with_capacity(tasks.len());
        for (added, status) in tasks {
            ids.push(added.id);
            self.recover_task(added, status);
        }
        self.link(&ids);
        for job in self.jobs_in_order() {
            let order = self.dependency_order(job);
            self.measure_paths(job, &order);
        }
        for &id in &ids {
            self.recover_place(id, effects);
        }
        self.recover_finished();
    }

    fn recover_task(&mut self, added: crate::record::TaskAdded, status: crate::record::TaskStatus) {
        let queue = self
            .queues
            .find(&added.spec.queue)
            .unwrap_or_else(|| self.queues.ensure(&added.spec.queue, &QueueSettings::default()));
        if status.state == TaskState::Succeeded {
            self.run_times.note_success(&added.spec.name, &status);
        }
        let state = status.state;
        let task = self.make_task(&added, status, queue);
        let job = self.job_mut(added.job);
        job.n_in_state[state as usize] += 1;
        if job.is_open {
            self.latest_by_name.insert(added.spec.name.clone(), added.id);
        } else {
            job.tasks.push(added.id);
        }
        if !state.is_terminal() {
            self.queues.get_mut(queue).n_open += 1;
        }
        self.last_task = self.last_task.max(added.id.0);
        self.tasks.insert(added.id, task);
    }

    /// Dependents, and how many dependencies are left, now that all tasks are there.
    fn link(&mut self, ids: &[TaskId]) {
        for &id in ids {
            let dependencies = self.task(id).dependencies.clone();
            let mut n_left = 0;
            for dependency in dependencies {
                if let Some(dependency) = self.tasks.get_mut(&dependency) {
                    dependency.dependents.push(id);
                    n_left += u32::from(dependency.status.state != TaskState::Succeeded);
                }
            }
            self.task_mut(id).n_deps_left = n_left;
        }
    }

    fn jobs_in_order(&self) -> Vec<crate::ids::JobId> {
        let mut jobs: Vec<_> = self.jobs.keys().copied().collect();
        jobs.sort_unstable();
        jobs
    }

    /// The job's tasks, each after its dependencies. In the open job ids do that already.
    fn dependency_order(&self, job: crate::ids::JobId) -> Vec<TaskId> {
        if self.jobs[&job].is_open {
            let of_job = self.tasks.values().filter(|task| task.job == job);
            let mut order: Vec<TaskId> = of_job.map(|task| task.id).collect();
            order.sort_unstable();
            return order;
        }
        let tasks = &self.jobs[&job].tasks;
        let Some(first) = tasks.first().copied() else { return Vec::new() };
        let position = |id: TaskId| (id.0 - first.0) as usize;
        let mut n_left: Vec<usize> =
            tasks.iter().map(|id| self.task(*id).dependencies.len()).collect();
        let is_root = |id: &&TaskId| n_left[position(**id)] == 0;
        let mut order: Vec<TaskId> = tasks.iter().filter(is_root).copied().collect();
        let mut next = 0;
        while let Some(&id) = order.get(next) {
            next += 1;
            for &dependent in &self.task(id).dependents {
                n_left[position(dependent)] -= 1;
                if n_left[position(dependent)] == 0 {
                    order.push(dependent);
                }
            }
        }
        order
    }

    /// Puts the task where it waits, or its attempt back onto its worker. Attempts stay current
    /// until their worker reports or its lease ends.
    fn recover_place(&mut self, id: TaskId, effects: &mut Vec<Effect>) {
        let task = self.task(id);
        match task.status.state {
            TaskState::Pending if task.n_deps_left == 0 => {
                let ready_since = task.status.ready_since;
                self.make_ready(id);
                if self.task(id).place == Place::Unranked && ready_since.is_some() {
                    self.task_mut(id).status.ready_since = ready_since;
                }
            }
            TaskState::Assigned | TaskState::Running => {
                let attempt = task.status.current().expect("a placed task has an attempt");
                let (request, devices) = (task.spec.request, attempt.devices.clone());
                let idx = self.workers.find(attempt.worker);
                let fits = idx.is_some_and(|idx| {
                    let worker = self.workers.change(idx);
                    let fits = worker.free.take_exactly(&request, &devices);
                    if fits {
                        worker.holds.insert(id);
                    }
                    fits
                });
                self.recover_attempt(id, fits, effects);
            }
            TaskState::Pending
            | TaskState::Succeeded
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::Cancelled => {}
        }
    }

    fn recover_attempt(&mut self, id: TaskId, is_held: bool, effects: &mut Vec<Effect>) {
        self.charge_tenant(id);
        if !is_held {
            self.end_attempt(id, Some(Failure::WorkerLost), effects);
        }
    }

    /// Finished work in the order of its end, for the retention.
    fn recover_finished(&mut self) {
        let mut finished: Vec<(Time, Finished, u64)> = Vec::new();
        for (id, job) in &self.jobs {
            if let (false, Some(ended)) = (job.is_open, job.record.ended) {
                finished.push((ended, Finished::Job(*id), job.tasks.len() as u64));
            }
        }
        for task in self.tasks.values().filter(|task| self.jobs[&task.job].is_open) {
            if let Some(ended) = task.status.ended {
                finished.push((ended, Finished::Task(task.id), 1));
            }
        }
        finished.sort_unstable_by_key(|(ended, finished, _)| {
            let id = match finished {
                Finished::Job(id) => id.0,
                Finished::Task(id) => id.0,
            };
            (*ended, id)
        });
        self.n_finished = finished.iter().map(|(_, _, n_tasks)| n_tasks).sum();
        self.finished = finished.into_iter().map(|(ended, it, _)| (it, ended)).collect();
    }
}
