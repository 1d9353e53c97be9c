//! What must hold however much goes wrong, checked at every step and at rest. It sees what is durable,
//! what workers run and what clients are told, and believes nobody.

use crate::trace::Trace;
use pointsman_scheduler::record::{Attempt, Outcome, TaskAdded, TaskState, TaskStatus};
use pointsman_scheduler::spec::{JobSpec, OnDisconnect};
use pointsman_scheduler::{Answer, JobId, Record, Scheduler, TaskId, Time};
use pointsman_worker::AttemptKey;
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct Checker {
    pub trace: Trace,
    durable: BTreeMap<TaskId, Durable>,
    acknowledged: BTreeSet<TaskId>,
    /// Scripts that run now; true: its worker was frozen meanwhile, and could not end it.
    running: BTreeMap<AttemptKey, bool>,
    ran: BTreeSet<AttemptKey>,
    n_checks: u64,
    pub n_lost: u64,
    pub violations: Vec<String>,
}

struct Durable {
    added: TaskAdded,
    status: TaskStatus,
    /// Each state it ever was in, by number.
    was: [bool; TaskState::ALL.len()],
}

/// The whole state is walked at every so many rounds.
const CHECK_EVERY: u64 = 16;

impl Checker {
    pub fn new() -> Checker {
        Checker {
            trace: Trace::new(),
            durable: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            running: BTreeMap::new(),
            ran: BTreeSet::new(),
            n_checks: 0,
            n_lost: 0,
            violations: Vec::new(),
        }
    }

    pub fn complain(&mut self, violation: String) {
        self.violations.push(violation);
    }

    pub fn n_ran(&self) -> usize {
        self.ran.len()
    }

    pub fn note_lost(&mut self) {
        self.n_lost += 1;
    }

    pub fn check_state(&mut self, scheduler: &Scheduler) {
        self.n_checks += 1;
        if self.n_checks.is_multiple_of(CHECK_EVERY) {
            self.violations.extend(scheduler.check_invariants());
        }
    }

    pub fn note_durable(&mut self, record: &Record) {
        match record {
            Record::TaskAdded(added) => {
                let status = TaskStatus { next_attempt: 1, ..TaskStatus::default() };
                let durable = Durable { added: added.clone(), status, was: Default::default() };
                if self.durable.insert(added.id, durable).is_some() {
                    self.complain(format!("{} was given twice", added.id));
                }
            }
            Record::Task(id, status) => match self.durable.get_mut(id) {
                None => self.complain(format!("{id} has a state and was never added")),
                Some(durable) => {
                    let found = differences(*id, &durable.status, status);
                    durable.status = status.clone();
                    durable.was[status.state as usize] = true;
                    self.violations.extend(found);
                }
            },
            Record::Job(_)
            | Record::Worker(_)
            | Record::WorkerForgotten(_)
            | Record::Queue(_)
            | Record::Key(_)
            | Record::KeyForgotten(_) => {}
            Record::TaskForgotten(id) => self.complain(format!("{id} was forgotten")),
            Record::JobForgotten(id) => self.complain(format!("{id} was forgotten")),
        }
    }

    /// A client is going to be told.
    pub fn note_answer(&mut self, answer: &Answer, about: Option<TaskId>) {
        match answer {
            Answer::Submitted { tasks, .. } => {
                for task in tasks {
                    if !self.durable.contains_key(task) {
                        self.complain(format!("{task} was acknowledged and is not durable"));
                    }
                    self.acknowledged.insert(*task);
                }
            }
            Answer::Cancelled { state, stopping: false } => {
                let Some(task) = about else { return };
                let was = self.durable.get(&task).is_some_and(|it| it.was[*state as usize]);
                if !was {
                    self.complain(format!("{task} was said to be {state:?} and never was"));
                }
            }
            _ => {}
        }
    }

    /// The client got the answer to its submission.
    pub fn check_submitted(&mut self, job: JobId, tasks: &[TaskId], spec: &JobSpec) {
        for (task, wanted) in tasks.iter().zip(&spec.tasks) {
            let is_it = self
                .durable
                .get(task)
                .is_some_and(|it| it.added.job == job && it.added.spec.name == wanted.name);
            if !is_it {
                self.complain(format!("{task} of {job} is not what was submitted"));
            }
        }
        if tasks.len() != spec.tasks.len() {
            self.complain(format!("{job} has {} tasks of {}", tasks.len(), spec.tasks.len()));
        }
    }

    /// A worker begins to run an attempt.
    pub fn note_run(&mut self, key: AttemptKey, worker: &str, now: Time) {
        let at = now.0 / 1_000_000;
        let id = TaskId(key.task);
        let Some(durable) = self.durable.get(&id) else {
            self.complain(format!("{worker} runs {key} at {at} ms, whose task is not durable"));
            return;
        };
        let is_it = |it: &Attempt| it.number == key.number && it.term.0 == key.term;
        let is_durable = durable.status.attempts.iter().any(is_it);
        let must_not_overlap = durable.added.spec.on_disconnect == OnDisconnect::Stop;
        if !is_durable {
            self.complain(format!("{worker} runs {key} at {at} ms, which is not durable"));
        }
        if !self.ran.insert(key) {
            self.complain(format!("{worker} runs {key} again at {at} ms"));
        }
        let other = self.running.iter().find(|(it, frozen)| it.task == key.task && !**frozen);
        if let Some((other, _)) = other
            && must_not_overlap
        {
            let text = format!("{worker} runs {key} at {at} ms beside {other}, which must not be");
            self.complain(text);
        }
        self.running.insert(key, false);
    }

    pub fn note_frozen(&mut self, key: AttemptKey) {
        self.running.insert(key, true);
    }

    pub fn note_ended(&mut self, key: AttemptKey) {
        self.running.remove(&key);
    }

    /// Tasks that have not ended, of those that clients know of.
    pub fn unfinished(&self) -> Vec<TaskId> {
        let is_open =
            |id: &&TaskId| self.durable.get(id).is_none_or(|it| !it.status.state.is_terminal());
        self.acknowledged.iter().filter(is_open).copied().collect()
    }

    /// What is wrong at rest.
    pub fn unrest(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (id, task) in &self.durable {
            let open = task.status.attempts.iter().find(|attempt| attempt.outcome.is_none());
            if let Some(attempt) = open {
                found.push(format!("attempt {} of {id} has no outcome", attempt.number));
            }
            if task.status.state != TaskState::Succeeded && task.status.end_reason.is_none() {
                found.push(format!("{id} is {:?} for no reason", task.status.state));
            }
        }
        found
    }

    pub fn counts(&self) -> BTreeMap<TaskState, usize> {
        let mut counts = BTreeMap::new();
        for task in self.durable.values() {
            *counts.entry(task.status.state).or_default() += 1;
        }
        counts
    }
}

/// What of the change from one durable state to the next must not be.
fn differences(id: TaskId, old: &TaskStatus, new: &TaskStatus) -> Vec<String> {
    use TaskState::{Assigned, Cancelled, Failed, Pending, Running, Skipped, Succeeded};
    let mut found = Vec::new();
    let is_allowed = match (old.state, new.state) {
        (from, to) if from == to => true,
        (Pending, Assigned | Cancelled | Skipped)
        | (Assigned, Running | Succeeded | Failed | Cancelled | Pending)
        | (Running, Succeeded | Failed | Cancelled | Pending)
        | (Failed | Skipped | Cancelled, Pending) => true,
        (
            Pending | Assigned | Running | Succeeded | Failed | Skipped | Cancelled,
            Pending | Assigned | Running | Succeeded | Failed | Skipped | Cancelled,
        ) => false,
    };
    if !is_allowed {
        found.push(format!("{id} went from {:?} to {:?}", old.state, new.state));
    }
    if new.next_attempt < old.next_attempt {
        found.push(format!("{id} counts attempts backwards"));
    }
    for before in old.attempts.iter().filter(|attempt| attempt.outcome.is_some()) {
        let now = new.attempts.iter().find(|it| it.number == before.number);
        if now.is_some_and(|now| now.outcome != before.outcome) {
            found.push(format!("attempt {} of {id} has two outcomes", before.number));
        }
    }
    let succeeded = |attempt: &&Attempt| attempt.outcome == Some(Outcome::Succeeded);
    if new.attempts.iter().filter(succeeded).count() > 1 {
        found.push(format!("{id} succeeded twice"));
    }
    found
}
