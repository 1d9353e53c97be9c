//! What must hold however much goes wrong, checked at every step and at rest. It sees what the host is
//! told and wants done, what is durable, what workers run and what clients are told, and believes
//! nobody.

mod aside;
mod durable;
mod status;

use super::history::{History, Run};
use super::invariant::{Broken, Invariant};
use super::plan::{JobPlan, Plan, WorkerPlan};
use super::sabotage::Sabotage;
use super::worker::worker_name;
use crate::trace::Trace;
use aside::Aside;
use durable::Durable;
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::record::{Attempt, JobRecord, TaskState, WorkerRecord};
use pointsman_scheduler::spec::{JobSpec, OnDisconnect};
use pointsman_scheduler::{Answer, AttemptRef, JobId, Scheduler, TaskId, Term, Time, WorkerId};
use pointsman_worker::{AttemptKey, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(super) struct Checker {
    /// The true time.
    pub now: Time,
    pub trace: Trace,
    pub history: History,
    plan: Vec<JobPlan>,
    capacities: BTreeMap<String, WorkerPlan>,
    durable: BTreeMap<TaskId, Durable>,
    by_place: BTreeMap<(usize, usize), TaskId>,
    dependents: BTreeMap<TaskId, Vec<TaskId>>,
    jobs: BTreeMap<JobId, JobRecord>,
    workers: BTreeMap<WorkerId, WorkerRecord>,
    /// What the batch in hand changed.
    touched: BTreeSet<TaskId>,
    touched_jobs: BTreeSet<JobId>,
    acknowledged: BTreeSet<TaskId>,
    /// Scripts that run now; true: its worker was frozen meanwhile, or began it as it woke, and could not know
    /// that its lease was over.
    running: BTreeMap<AttemptKey, bool>,
    ran: BTreeSet<AttemptKey>,
    /// How scripts ended by themselves.
    ends: BTreeMap<AttemptKey, Outcome>,
    newest_term: Term,
    aside: Aside,
    n_checks: u64,
    pub n_lost: u64,
    pub broken: Vec<Broken>,
}

/// The whole state is walked at every so many rounds.
const CHECK_EVERY: u64 = 16;

impl Checker {
    pub fn new(plan: &Plan) -> Checker {
        let named = |(index, it): (usize, &WorkerPlan)| (worker_name(index), it.clone());
        Checker {
            now: Time::ZERO,
            trace: Trace::new(),
            history: History::default(),
            plan: plan.jobs.clone(),
            capacities: plan.workers.iter().enumerate().map(named).collect(),
            durable: BTreeMap::new(),
            by_place: BTreeMap::new(),
            dependents: BTreeMap::new(),
            jobs: BTreeMap::new(),
            workers: BTreeMap::new(),
            touched: BTreeSet::new(),
            touched_jobs: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            running: BTreeMap::new(),
            ran: BTreeSet::new(),
            ends: BTreeMap::new(),
            newest_term: Term(0),
            aside: Aside::default(),
            n_checks: 0,
            n_lost: 0,
            broken: Vec::new(),
        }
    }

    pub fn complain(&mut self, invariant: Invariant, text: String) {
        self.broken.push(Broken { invariant, text });
    }

    pub fn n_ran(&self) -> usize {
        self.ran.len()
    }

    fn ms(&self) -> u64 {
        self.now.0 / 1_000_000
    }

    pub fn check_state(&mut self, scheduler: &Scheduler, sabotage: Option<Sabotage>) {
        self.n_checks += 1;
        if !self.n_checks.is_multiple_of(CHECK_EVERY) {
            return;
        }
        for text in scheduler.check_invariants() {
            self.complain(Invariant::StateAgrees, text);
        }
        let hides = sabotage == Some(Sabotage::WaitsLoseTheirReason);
        let is_hidden = |reason: &Reason| hides && matches!(reason, Reason::Backoff { .. });
        let states = self.aside.states.clone();
        for (id, state) in states {
            // What it is about is compared with what was submitted.
            if !self.durable.contains_key(&id) {
                continue;
            }
            let reason = scheduler.reason(id).filter(|it| !is_hidden(it));
            let is_right = match &reason {
                None => state != TaskState::Pending,
                Some(Reason::Dependencies { left }) => *left as usize == self.n_left(id),
                Some(Reason::Paused) => self.aside.is_paused,
                Some(_) => state == TaskState::Pending && self.n_left(id) == 0,
            };
            if !is_right {
                let text = format!("{id} is {state:?} and waits for {reason:?}");
                self.complain(Invariant::WaitsHaveReasons, text);
            }
        }
    }

    /// Of what the task waits for as it was submitted, so many have not succeeded as the host holds it.
    fn n_left(&self, id: TaskId) -> usize {
        let place = self.durable.get(&id).map(|it| it.place);
        let task = place.and_then(|(job, task)| Some((job, self.plan.get(job)?.tasks.get(task)?)));
        let Some((job, task)) = task else { return 0 };
        let is_left = |index: &&usize| {
            let dependency = self.by_place.get(&(job, **index));
            let state = dependency.and_then(|it| self.aside.states.get(it));
            state != Some(&TaskState::Succeeded)
        };
        task.dependencies.iter().filter(is_left).count()
    }

    /// A client is going to be told.
    pub fn note_answer(&mut self, answer: &Answer, about: Option<TaskId>) {
        match answer {
            Answer::Submitted { tasks, .. } => {
                for task in tasks {
                    if !self.durable.contains_key(task) {
                        let text = format!("{task} was acknowledged and is not durable");
                        self.complain(Invariant::DurableBeforeVisible, text);
                    }
                    self.acknowledged.insert(*task);
                }
            }
            Answer::Cancelled { state, stopping: false } => {
                let Some(task) = about else { return };
                let was = self.durable.get(&task).is_some_and(|it| it.was[*state as usize]);
                if !was {
                    let invariant = match state {
                        TaskState::Cancelled => Invariant::CancelledStaysCancelled,
                        _ => Invariant::DurableBeforeVisible,
                    };
                    let text = format!("{task} was said to be {state:?} and never was");
                    self.complain(invariant, text);
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
                let text = format!("{task} of {job} is not what was submitted");
                self.complain(Invariant::SubmissionsAreKept, text);
            }
        }
        if tasks.len() != spec.tasks.len() {
            let text = format!("{job} has {} tasks of {}", tasks.len(), spec.tasks.len());
            self.complain(Invariant::SubmissionsAreKept, text);
        }
    }

    /// A worker begins to run an attempt. `has_just_slept`: it cannot know that its lease is over.
    pub fn note_run(&mut self, key: AttemptKey, worker: &str, has_just_slept: bool) {
        let at = self.ms();
        let Some(durable) = self.durable.get(&TaskId(key.task)) else {
            let text = format!("{worker} runs {key} at {at} ms, whose task is not durable");
            self.complain(Invariant::DurableBeforeVisible, text);
            return;
        };
        let is_it = |it: &&Attempt| it.number == key.number && it.term.0 == key.term;
        let attempt = durable.status.attempts.iter().find(is_it);
        let recorded = attempt.and_then(|it| self.workers.get(&it.worker));
        let is_elsewhere = recorded.is_some_and(|it| it.name != worker);
        let must_not_overlap =
            durable.added.spec.on_disconnect == OnDisconnect::Stop && !has_just_slept;
        let (job, task) = durable.place;
        let (attempt, worker) = (attempt.map(|it| it.number), worker.to_owned());
        let run = Run { job, task, attempt: key.number, worker, from_ms: at, to_ms: None };
        let worker = run.worker.clone();
        self.history.runs.push(run);
        if attempt.is_none() {
            let text = format!("{worker} runs {key} at {at} ms, which is not durable");
            self.complain(Invariant::DurableBeforeVisible, text);
        }
        if is_elsewhere || !self.ran.insert(key) {
            let text = format!("{worker} runs {key} at {at} ms, which is another's or ran before");
            self.complain(Invariant::AttemptsRunOnceWhereRecorded, text);
        }
        let other = self.running.iter().find(|(it, frozen)| it.task == key.task && !**frozen);
        if let Some((other, _)) = other
            && must_not_overlap
        {
            let text = format!("{worker} runs {key} at {at} ms beside {other}, which must not be");
            self.complain(Invariant::StopOnDisconnectNeverOverlaps, text);
        }
        self.running.insert(key, has_just_slept);
    }

    pub fn note_frozen(&mut self, key: AttemptKey) {
        self.running.insert(key, true);
    }

    /// Its worker died.
    pub fn note_gone(&mut self, key: AttemptKey) {
        self.running.remove(&key);
        let at = self.ms();
        let place = self.durable.get(&TaskId(key.task)).map(|it| it.place);
        let is_it = |run: &&mut Run| {
            Some((run.job, run.task)) == place && run.attempt == key.number && run.to_ms.is_none()
        };
        self.history.runs.iter_mut().rev().filter(is_it).for_each(|run| run.to_ms = Some(at));
    }

    pub fn note_ended(
        &mut self,
        key: AttemptKey,
        outcome: &Outcome,
        ran: Option<Duration>,
        timeout: Option<Duration>,
    ) {
        self.note_gone(key);
        self.ends.insert(key, outcome.clone());
        if *outcome == Outcome::Timeout && ran < timeout {
            let text = format!("{key} timed out after {ran:?} of {timeout:?}");
            self.complain(Invariant::TimeoutsCountFromTheStart, text);
        }
    }

    /// Tasks that have not ended, of those that clients know of.
    pub fn unfinished(&self) -> Vec<TaskId> {
        let is_open =
            |id: &&TaskId| self.durable.get(id).is_none_or(|it| !it.status.state.is_terminal());
        self.acknowledged.iter().filter(is_open).copied().collect()
    }

    /// What is wrong at rest.
    pub fn check_rest(&mut self) {
        let mut found = Vec::new();
        for (id, task) in &self.durable {
            let open = task.status.attempts.iter().find(|attempt| attempt.outcome.is_none());
            if let Some(attempt) = open {
                let text = format!("attempt {} of {id} has no outcome", attempt.number);
                found.push((Invariant::AttemptsAreNumbered, text));
            }
        }
        for (id, job) in &self.jobs {
            let n_tasks = self.durable.values().filter(|task| task.added.job == *id).count();
            if n_tasks != job.n_tasks as usize || job.ended.is_none() {
                let text = format!("{id} has {n_tasks} tasks at rest and is {job:?}");
                found.push((Invariant::JobsAddUp, text));
            }
        }
        found.into_iter().for_each(|(invariant, text)| self.complain(invariant, text));
    }

    pub fn counts(&self) -> BTreeMap<TaskState, usize> {
        let mut counts = BTreeMap::new();
        for task in self.durable.values() {
            *counts.entry(task.status.state).or_default() += 1;
        }
        counts
    }

    pub fn worker_named(&self, name: &str) -> Option<WorkerId> {
        self.workers.values().find(|worker| worker.name == name).map(|worker| worker.id)
    }

    /// The durable one, and on which worker.
    pub fn current_attempt(&self, task: TaskId) -> Option<(WorkerId, AttemptRef)> {
        let attempt = self.durable.get(&task)?.status.current()?;
        Some((attempt.worker, attempt.reference(task)))
    }
}
