//! What is durable, record by record in the order in which it was written.

use super::Checker;
use super::status::{self, Budgets};
use crate::faults::invariant::Invariant;
use crate::faults::plan::WorkerPlan;
use crate::faults::policies::is_stamped;
use pointsman_scheduler::record::{
    Attempt, EndReason, Failure, JobRecord, JobState, Outcome, TaskAdded, TaskState, TaskStatus,
};
use pointsman_scheduler::{JobId, Record, TaskId, Term, WorkerId};
use pointsman_worker::{AttemptKey, Outcome as ScriptOutcome};

pub(super) struct Durable {
    pub added: TaskAdded,
    pub status: TaskStatus,
    /// Job and task in the plan.
    pub place: (usize, usize),
    /// Each state it ever was in, by number.
    pub was: [bool; TaskState::ALL.len()],
    budgets: Budgets,
}

/// The number in the name of a job or task.
fn number(name: &str) -> usize {
    let digits = name.trim_start_matches(|it: char| !it.is_ascii_digit());
    digits.parse().expect("names of this world end in their number")
}

impl Checker {
    /// Something was written in this term.
    pub fn note_commit(&mut self, term: Term) {
        if term < self.newest_term {
            let text = format!("{term:?} wrote after {:?} had begun", self.newest_term);
            self.complain(Invariant::OldLeadersAreRefused, text);
        }
    }

    pub fn note_durable(&mut self, record: &Record) {
        match record {
            Record::TaskAdded(added) => self.note_added(added),
            Record::Task(id, status) => self.note_status(*id, status),
            Record::Job(job) => {
                self.touched_jobs.insert(job.id);
                self.jobs.insert(job.id, job.clone());
            }
            Record::Worker(worker) => {
                self.workers.insert(worker.id, worker.clone());
            }
            Record::WorkerForgotten(_)
            | Record::Queue(_)
            | Record::Key(_)
            | Record::KeyForgotten(_) => {}
            Record::TaskForgotten(id) => {
                self.complain(Invariant::SubmissionsAreKept, format!("{id} was forgotten"));
            }
            Record::JobForgotten(id) => {
                self.complain(Invariant::SubmissionsAreKept, format!("{id} was forgotten"));
            }
        }
    }

    fn note_added(&mut self, added: &TaskAdded) {
        let job = self.jobs.get(&added.job).map_or("0", |job| job.name.as_str());
        let place = (number(job), number(&added.spec.name));
        let status = TaskStatus { next_attempt: 1, ..TaskStatus::default() };
        let (was, budgets) = (Default::default(), Budgets::default());
        let durable = Durable { added: added.clone(), status, place, was, budgets };
        for dependency in &added.dependencies {
            self.dependents.entry(*dependency).or_default().push(added.id);
        }
        let is_twice = self.durable.insert(added.id, durable).is_some();
        if self.by_place.insert(place, added.id).is_some() || is_twice {
            let text = format!("{} was taken twice, as job {} task {}", added.id, place.0, place.1);
            self.complain(Invariant::SubmissionsAreKept, text);
        }
    }

    fn note_status(&mut self, id: TaskId, new: &TaskStatus) {
        let at = self.ms();
        let Some(durable) = self.durable.get_mut(&id) else {
            let text = format!("{id} has a state and was never added");
            self.complain(Invariant::SubmissionsAreKept, text);
            return;
        };
        let spec = durable.added.spec.clone();
        let old = std::mem::replace(&mut durable.status, new.clone());
        durable.was[new.state as usize] = true;
        let place = durable.place;
        let mut found = status::differences(id, &old, new);
        let ended = status::newly_ended(&old, new).cloned();
        found.extend(durable.budgets.follow(id, &spec, &old, new, ended.as_ref()));
        self.touched.insert(id);
        let story = self.history.tasks.entry(place).or_default();
        if story.states.last().is_none_or(|(_, last)| *last != new.state) {
            story.states.push((at, new.state));
        }
        story.last = new.clone();
        found.into_iter().for_each(|(invariant, text)| self.complain(invariant, text));
        if let Some(attempt) = &ended {
            self.check_truth(id, attempt);
        }
        if new.next_attempt > old.next_attempt
            && let Some(attempt) = new.attempts.last()
        {
            self.check_placement(id, place, attempt);
        }
        self.check_end(id, new);
    }

    /// The outcome is what the script of that very attempt did.
    fn check_truth(&mut self, id: TaskId, attempt: &Attempt) {
        let key = AttemptKey { task: id.0, number: attempt.number, term: attempt.term.0 };
        let truth = self.ends.get(&key);
        let is_true = match &attempt.outcome {
            None => true,
            Some(Outcome::Succeeded) => truth == Some(&ScriptOutcome::ExitCode(0)),
            Some(Outcome::Failed(Failure::ExitCode(code))) => {
                truth == Some(&ScriptOutcome::ExitCode(*code))
            }
            Some(Outcome::Failed(Failure::Timeout)) => truth == Some(&ScriptOutcome::Timeout),
            Some(Outcome::Failed(
                Failure::WorkerLost | Failure::Migrated | Failure::Preempted | Failure::Cancelled,
            )) => true,
            // No script of this world ends so.
            Some(Outcome::Failed(
                Failure::Signal(_) | Failure::OutOfMemory | Failure::StartFailed(_),
            )) => false,
        };
        if !is_true {
            let text = format!("{key} is recorded as {:?}; it ended in {truth:?}", attempt.outcome);
            self.complain(Invariant::OutcomesAreTrue, text);
        }
    }

    fn check_placement(&mut self, id: TaskId, place: (usize, usize), attempt: &Attempt) {
        let task = self.plan.get(place.0).and_then(|job| job.tasks.get(place.1));
        let dependencies = task.map_or(&[][..], |task| &task.dependencies);
        let succeeded = |index: &usize| {
            let dependency = self.by_place.get(&(place.0, *index));
            let durable = dependency.and_then(|id| self.durable.get(id));
            durable.is_some_and(|it| it.status.state == TaskState::Succeeded)
        };
        if !dependencies.iter().all(succeeded) {
            let text = format!("{id} is placed before all of {dependencies:?} succeeded");
            self.complain(Invariant::DependenciesComeFirst, text);
        }
        let decision = attempt.decision;
        if !is_stamped(decision.scoring) || !is_stamped(decision.queue) {
            let text = format!("{id} is placed by nobody knows whom: {decision:?}");
            self.complain(Invariant::DecisionsAreStamped, text);
        }
        self.check_capacity(attempt.worker);
    }

    /// What is current on the worker, against what it truly has.
    fn check_capacity(&mut self, worker: WorkerId) {
        let Some(record) = self.workers.get(&worker) else { return };
        let Some(WorkerPlan { cpu_milli, memory_mb, .. }) = self.capacities.get(&record.name)
        else {
            return;
        };
        let (most_cpu, most_memory) = (*cpu_milli, memory_mb * 1_000_000);
        let is_there = |it: &&Durable| it.status.current().is_some_and(|it| it.worker == worker);
        let there = self.durable.values().filter(is_there);
        let (cpu, memory) = there.fold((0, 0), |(cpu, memory), task| {
            let request = &task.added.spec.request;
            (cpu + request.cpu_milli, memory + request.memory)
        });
        if cpu > most_cpu || memory > most_memory {
            let name = record.name.clone();
            let text = format!(
                "{name} has {most_cpu} m and {most_memory} B, {cpu} m and {memory} B are taken"
            );
            self.complain(Invariant::NothingIsOvercommitted, text);
        }
    }

    fn check_end(&mut self, id: TaskId, status: &TaskStatus) {
        let is_said = match (status.state, status.end_reason.as_deref()) {
            (TaskState::Failed, Some(EndReason::Failed { .. }))
            | (TaskState::Failed, Some(EndReason::WorkerLossesUsedUp { .. }))
            | (TaskState::Cancelled, Some(EndReason::CancelledByRequest))
            | (TaskState::Cancelled, Some(EndReason::CancelledByPolicy { .. })) => true,
            (TaskState::Skipped, Some(EndReason::Upstream { root, .. })) => {
                let root = self.durable.get(root).map(|it| it.status.state);
                root.is_some_and(|it| it.is_terminal() && it != TaskState::Succeeded)
            }
            (TaskState::Failed | TaskState::Cancelled | TaskState::Skipped, _) => false,
            (TaskState::Pending | TaskState::Assigned | TaskState::Running, _)
            | (TaskState::Succeeded, _) => true,
        };
        if !is_said {
            let text = format!("{id} is {:?} because of {:?}", status.state, status.end_reason);
            self.complain(Invariant::EndsHaveReasons, text);
        }
    }

    /// What one batch leaves behind is whole in itself.
    pub fn note_batch_end(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let state = self.durable.get(&id).map(|it| it.status.state);
            self.touched_jobs.extend(self.durable.get(&id).map(|it| it.added.job));
            if !state.is_some_and(|it| it.is_terminal() && it != TaskState::Succeeded) {
                continue;
            }
            let waiting = self.dependents.get(&id).into_iter().flatten();
            let waiting = waiting.filter_map(|it| self.durable.get(it));
            let waiting: Vec<TaskId> = waiting
                .filter(|it| it.status.state == TaskState::Pending)
                .map(|it| it.added.id)
                .collect();
            if !waiting.is_empty() {
                let text = format!("{waiting:?} wait for {id}, which will not succeed");
                self.complain(Invariant::DependentsEndToo, text);
            }
        }
        for id in std::mem::take(&mut self.touched_jobs) {
            self.check_job(id);
        }
    }

    fn check_job(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let states = self.durable.values().filter(|it| it.added.job == id);
        let states: Vec<TaskState> = states.map(|it| it.status.state).collect();
        if !is_job_right(job, &states) {
            let text = format!("{id} is {:?}, its tasks {states:?}", job.state);
            self.complain(Invariant::JobsAddUp, text);
        }
    }
}

/// Its own words, not those of the scheduler that is checked.
fn is_job_right(job: &JobRecord, states: &[TaskState]) -> bool {
    let has = |state: TaskState| states.contains(&state);
    let is_over = states.iter().all(|it| it.is_terminal());
    let expected = if !is_over {
        JobState::Running
    } else if has(TaskState::Failed) {
        JobState::Failed
    } else if has(TaskState::Cancelled) {
        JobState::Cancelled
    } else if has(TaskState::Skipped) {
        JobState::Failed
    } else {
        JobState::Succeeded
    };
    job.state == expected && job.ended.is_some() == is_over
}
