//! Attempts: their start, their end in every way, and the wish to end them.

use crate::effect::{Answer, Effect, Refusal, Start, Stop, StopReason};
use crate::event::FinishedAttempt;
use crate::ids::{AttemptRef, JobId, RequestId, TaskId};
use crate::record::{Attempt, Decision, EndReason, Failure, MAX_ATTEMPTS_KEPT, Outcome, TaskState};
use crate::retry::backoff;
use crate::scheduler::Scheduler;
use crate::worker::WorkerIdx;
use std::sync::Arc;

/// Attempts in a row that may be lost before they were known to run, free of charge: mostly the worker died of
/// something else. A script can also kill its worker before that tells of the start.
const LOST_UNSEEN_MAX: usize = 3;

impl Scheduler {
    /// Places a ready task: reserves, records, and dispatches once durable.
    pub(crate) fn start(
        &mut self,
        id: TaskId,
        worker_idx: WorkerIdx,
        decision: Decision,
        effects: &mut Vec<Effect>,
    ) {
        self.withdraw(id);
        let (now, term) = (self.now, self.term);
        let request = self.task(id).spec.request;
        let worker = self.workers.change(worker_idx);
        assert!(worker.is_placeable(), "a task is placed only on a live worker");
        let devices = worker.take(now, id, &request);
        worker.dispatched += 1.0 / worker.weight;
        let worker_id = worker.record.id;
        self.charge_tenant(id);
        let task = self.task_mut(id);
        assert_eq!(task.n_deps_left, 0, "a task is placed only when its dependencies are met");
        let status = &mut task.status;
        let number = status.next_attempt;
        status.next_attempt += 1;
        if status.attempts.len() == MAX_ATTEMPTS_KEPT {
            status.attempts.remove(0);
        }
        status.attempts.push(Attempt {
            number,
            term,
            worker: worker_id,
            devices: devices.clone(),
            assigned: now,
            started: None,
            ended: None,
            outcome: None,
            decision,
        });
        let (job, spec) = (task.job, task.spec.clone());
        self.set_state(id, TaskState::Assigned, effects);
        self.persist_task(id, effects);
        effects.push(Effect::Start(Start {
            worker: worker_id,
            attempt: AttemptRef { task: id, attempt: number, term },
            job,
            spec,
            devices,
        }));
    }

    /// Whether this attempt is the current one of its task.
    pub(crate) fn is_current(&self, attempt: AttemptRef) -> bool {
        self.tasks
            .get(&attempt.task)
            .and_then(|task| task.status.current())
            .is_some_and(|it| it.number == attempt.attempt && it.term == attempt.term)
    }

    /// The worker says that the current attempt runs.
    pub(crate) fn note_started(&mut self, id: TaskId, effects: &mut Vec<Effect>) {
        if self.task(id).status.state != TaskState::Assigned {
            return;
        }
        let now = self.now;
        self.set_state(id, TaskState::Running, effects);
        let attempt = self.task_mut(id).status.attempts.last_mut();
        attempt.expect("a placed task has an attempt").started = Some(now);
        self.persist_task(id, effects);
    }

    /// The worker says how the current attempt ended.
    pub(crate) fn note_finished(&mut self, report: &FinishedAttempt, effects: &mut Vec<Effect>) {
        let id = report.attempt.task;
        let now = self.now;
        let attempt = self.task_mut(id).status.attempts.last_mut();
        let attempt = attempt.expect("a placed task has an attempt");
        if let (None, Some(ran)) = (attempt.started, report.ran) {
            let start = crate::Time(now.0.saturating_sub(crate::time::nanos(ran)));
            attempt.started = Some(start.max(attempt.assigned));
        }
        if let (None, Some(ran)) = (&report.failure, report.ran) {
            let spec = Arc::clone(&self.task(id).spec);
            self.run_times.note(&spec.name, ran);
        }
        self.judge_worker(report, effects);
        self.end_attempt(id, report.failure.clone(), effects);
    }

    /// Ends the current attempt, frees its capacity and moves the task on. `None`: it succeeded.
    pub(crate) fn end_attempt(
        &mut self,
        id: TaskId,
        failure: Option<Failure>,
        effects: &mut Vec<Effect>,
    ) {
        let now = self.now;
        let was_running = self.task(id).status.state == TaskState::Running;
        self.free_capacity(id);
        let task = self.task_mut(id);
        let attempt = task.status.attempts.last_mut().expect("a placed task has an attempt");
        attempt.ended = Some(now);
        attempt.outcome = Some(match &failure {
            None => Outcome::Succeeded,
            Some(failure) => Outcome::Failed(failure.clone()),
        });
        match failure {
            None => self.succeed(id, effects),
            Some(_) if self.task(id).status.cancel_requested => {
                let reason = self.cancel_reasons.remove(&id);
                self.end_badly(id, TaskState::Cancelled, cancelled_by(reason), effects);
            }
            // The host's own doing: neither budget is charged.
            Some(Failure::Migrated | Failure::Preempted | Failure::Cancelled) => {
                self.requeue(id, effects);
            }
            Some(Failure::WorkerLost)
                if !was_running && self.n_lost_unseen(id) <= LOST_UNSEEN_MAX =>
            {
                self.requeue(id, effects);
            }
            Some(Failure::WorkerLost) => self.charge_loss(id, effects),
            Some(
                failure @ (Failure::ExitCode(_)
                | Failure::Signal(_)
                | Failure::Timeout
                | Failure::OutOfMemory
                | Failure::StartFailed(_)),
            ) => self.charge_failure(id, failure, effects),
        }
    }

    /// Of its last attempts, how many in a row were lost before they were known to run.
    fn n_lost_unseen(&self, id: TaskId) -> usize {
        let is_lost_unseen = |attempt: &&Attempt| {
            attempt.started.is_none()
                && attempt.outcome == Some(Outcome::Failed(Failure::WorkerLost))
        };
        self.task(id).status.attempts.iter().rev().take_while(is_lost_unseen).count()
    }

    fn free_capacity(&mut self, id: TaskId) {
        let task = self.task(id);
        let request = task.spec.request;
        let attempt = task.status.current().expect("only a placed task holds capacity");
        let devices = attempt.devices.clone();
        let idx = self.workers.find(attempt.worker).expect("an attempt's worker is known");
        let worker = self.workers.change(idx);
        // A worker that came back smaller may not hold what it was given.
        if worker.holds.remove(&id) {
            worker.free.give_back(&request, &devices);
        }
        self.workers.touched.insert(idx);
        self.discharge_tenant(id);
        self.moving.remove(&id);
    }

    fn succeed(&mut self, id: TaskId, effects: &mut Vec<Effect>) {
        self.task_mut(id).status.end_reason = None;
        self.cancel_reasons.remove(&id);
        self.set_state(id, TaskState::Succeeded, effects);
        self.persist_task(id, effects);
        self.release_dependents(id, effects);
    }

    fn end_badly(
        &mut self,
        id: TaskId,
        state: TaskState,
        reason: EndReason,
        effects: &mut Vec<Effect>,
    ) {
        self.task_mut(id).status.end_reason = Some(Box::new(reason));
        self.set_state(id, state, effects);
        self.persist_task(id, effects);
        self.skip_dependents(id, effects);
    }

    /// Back to the queue, charging nothing.
    fn requeue(&mut self, id: TaskId, effects: &mut Vec<Effect>) {
        self.set_state(id, TaskState::Pending, effects);
        self.make_ready(id);
        self.persist_task(id, effects);
    }

    fn charge_loss(&mut self, id: TaskId, effects: &mut Vec<Effect>) {
        let default = self.settings.retry.max_worker_losses;
        let task = self.task_mut(id);
        let allowed = task.spec.max_worker_losses.unwrap_or(default);
        if task.status.losses_used >= allowed {
            let losses = task.status.losses_used + 1;
            let reason = EndReason::WorkerLossesUsedUp { losses };
            self.end_badly(id, TaskState::Failed, reason, effects);
        } else {
            task.status.losses_used += 1;
            self.requeue(id, effects);
        }
    }

    fn charge_failure(&mut self, id: TaskId, failure: Failure, effects: &mut Vec<Effect>) {
        let default = self.settings.retry.max_retries;
        let now = self.now;
        let task = self.tasks.get_mut(&id).expect("the caller looked it up");
        let allowed = task.spec.max_retries.unwrap_or(default);
        if task.status.retries_used >= allowed {
            let attempts = task.status.next_attempt - 1;
            let reason = EndReason::Failed { failure, attempts };
            self.end_badly(id, TaskState::Failed, reason, effects);
        } else {
            task.status.retries_used += 1;
            let delay = backoff(&self.settings.retry, task.status.retries_used, &mut self.random);
            task.status.not_before = Some(now.after(delay));
            self.requeue(id, effects);
        }
    }

    pub(crate) fn handle_cancel_task(
        &mut self,
        request: RequestId,
        id: TaskId,
        effects: &mut Vec<Effect>,
    ) {
        let answer = if self.tasks.contains_key(&id) {
            let stopping = self.cancel(id, None, effects);
            Answer::Cancelled { state: self.task(id).status.state, stopping }
        } else {
            Answer::Refused(Refusal::UnknownTask(id))
        };
        effects.push(Effect::Answer { request, answer });
    }

    /// True: an attempt is current and has been told to stop. `reason`: a policy's.
    pub(crate) fn cancel(
        &mut self,
        id: TaskId,
        reason: Option<String>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let status = &mut self.task_mut(id).status;
        match status.state {
            TaskState::Pending => {
                self.withdraw(id);
                self.end_badly(id, TaskState::Cancelled, cancelled_by(reason), effects);
                false
            }
            TaskState::Assigned | TaskState::Running => {
                if !status.cancel_requested {
                    status.cancel_requested = true;
                    if let Some(reason) = reason {
                        self.cancel_reasons.insert(id, reason);
                    }
                    self.persist_task(id, effects);
                    self.stop(id, StopReason::Cancelled, effects);
                }
                true
            }
            TaskState::Succeeded
            | TaskState::Failed
            | TaskState::Skipped
            | TaskState::Cancelled => false,
        }
    }

    pub(crate) fn stop(&mut self, id: TaskId, why: StopReason, effects: &mut Vec<Effect>) {
        let attempt = self.task(id).status.current().expect("only a placed task can be stopped");
        effects.push(Effect::Stop(Stop {
            worker: attempt.worker,
            attempt: attempt.reference(id),
            why,
        }));
    }

    pub(crate) fn handle_cancel_job(
        &mut self,
        request: RequestId,
        id: JobId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(job) = self.jobs.get(&id) else {
            let answer = Answer::Refused(Refusal::UnknownJob(id));
            effects.push(Effect::Answer { request, answer });
            return;
        };
        let mut tasks = job.tasks.clone();
        if job.is_open {
            tasks = self.tasks.values().filter(|it| it.job == id).map(|it| it.id).collect();
            tasks.sort_unstable();
        }
        let (mut n_cancelled, mut n_stopping) = (0, 0);
        // Dependents first, so that each is CANCELLED and none SKIPPED.
        for &task in tasks
            .iter()
            .filter(|it| self.task(**it).status.state == TaskState::Pending)
            .collect::<Vec<_>>()
        {
            self.withdraw(task);
            self.task_mut(task).status.end_reason = Some(Box::new(EndReason::CancelledByRequest));
            self.set_state(task, TaskState::Cancelled, effects);
            self.persist_task(task, effects);
            n_cancelled += 1;
        }
        for &task in &tasks {
            n_stopping += u32::from(self.cancel(task, None, effects));
        }
        effects.push(Effect::Answer {
            request,
            answer: Answer::JobCancelled { n_cancelled, n_stopping },
        });
    }

    /// Takes an ended task up again, with fresh budgets, and the SKIPPED tasks that wait for it.
    pub(crate) fn handle_retry(
        &mut self,
        request: RequestId,
        id: TaskId,
        effects: &mut Vec<Effect>,
    ) {
        let answer = match self.check_retry(id) {
            Ok(()) => Answer::Retried { n_revived: self.revive(id, effects) },
            Err(refusal) => Answer::Refused(refusal),
        };
        effects.push(Effect::Answer { request, answer });
    }

    fn check_retry(&self, id: TaskId) -> Result<(), Refusal> {
        let task = self.tasks.get(&id).ok_or(Refusal::UnknownTask(id))?;
        let state = task.status.state;
        match state {
            TaskState::Failed | TaskState::Skipped | TaskState::Cancelled => {}
            TaskState::Pending
            | TaskState::Assigned
            | TaskState::Running
            | TaskState::Succeeded => return Err(Refusal::NotRetryable { task: id, state }),
        }
        match self.bad_dependency(id) {
            Some((upstream, state)) => Err(Refusal::UpstreamEnded { task: id, upstream, state }),
            None => Ok(()),
        }
    }

    fn bad_dependency(&self, id: TaskId) -> Option<(TaskId, TaskState)> {
        let states = self.task(id).dependencies.iter().filter_map(|dependency| {
            self.tasks.get(dependency).map(|it| (*dependency, it.status.state))
        });
        states.into_iter().find(|(_, state)| state.is_terminal() && *state != TaskState::Succeeded)
    }

    fn revive(&mut self, root: TaskId, effects: &mut Vec<Effect>) -> u32 {
        let mut waiting = std::collections::VecDeque::from([root]);
        let mut n_revived = 0;
        while let Some(id) = waiting.pop_front() {
            let is_skipped = self.task(id).status.state == TaskState::Skipped;
            if id != root && (!is_skipped || self.bad_dependency(id).is_some()) {
                continue;
            }
            let status = &mut self.task_mut(id).status;
            (status.retries_used, status.losses_used, status.end_reason) = (0, 0, None);
            self.set_state(id, TaskState::Pending, effects);
            let task = self.task(id);
            waiting.extend(task.dependents.iter().copied());
            if task.n_deps_left == 0 {
                self.make_ready(id);
            }
            self.persist_task(id, effects);
            n_revived += 1;
        }
        if self.jobs[&self.task(root).job].is_open {
            self.latest_by_name.insert(self.task(root).spec.name.clone(), root);
        }
        n_revived
    }
}

fn cancelled_by(reason: Option<String>) -> EndReason {
    match reason {
        Some(reason) => EndReason::CancelledByPolicy { reason },
        None => EndReason::CancelledByRequest,
    }
}
