//! Clients: submit DAGs, cancel, retry, pause, drain, and repeat themselves until they get an answer.

use super::agenda::{Agenda, What};
use super::checker::Checker;
use super::host::{Body, Request, Sender};
use super::invariant::Invariant;
use super::plan::{JobPlan, Plan, TaskPlan, Wish, WorkerPlan};
use super::script::Script;
use super::worker::worker_name;
use pointsman_scheduler::event::Key;
use pointsman_scheduler::resources::Request as Amounts;
use pointsman_scheduler::spec::{DEFAULT, JobSpec, OnDisconnect, TaskSpec};
use pointsman_scheduler::{Answer, Event, JobId, RequestId, TaskId, Time, WorkerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientDue {
    /// Jobs and wishes by their place in the plan.
    Submit(usize),
    Ask(usize),
    /// No answer came.
    Again(usize),
    /// Everything paused or set aside is taken up again.
    Settle,
}

pub(super) struct Client {
    /// Of the plan; behind them the one that is asked for at rest.
    jobs: Vec<JobPlan>,
    probe: usize,
    wishes: Vec<Wish>,
    n_workers: usize,
    operations: Vec<Operation>,
    /// Of those that were acknowledged.
    known: BTreeMap<usize, (JobId, Vec<TaskId>)>,
    n_submitted: usize,
    is_healed: bool,
    is_settled: bool,
}

struct Operation {
    event: Event,
    /// The place in the plan of what is submitted.
    job: Option<usize>,
    is_answered: bool,
}

const PATIENCE: Duration = Duration::from_secs(3);
/// Longer than any message is under way.
const SETTLE_AFTER: Duration = Duration::from_secs(60);
const NO_REQUEST: RequestId = RequestId(0);
/// A label that each worker bears with its own name.
pub(super) const NAME_LABEL: &str = "name";

impl Client {
    pub fn new(agenda: &mut Agenda, plan: &Plan) -> Client {
        let at = |ms: u64| Time::ZERO.after(Duration::from_millis(ms));
        for (index, job) in plan.jobs.iter().enumerate() {
            agenda.at(at(job.at_ms), What::Client(ClientDue::Submit(index)));
        }
        for (index, ask) in plan.asks.iter().enumerate() {
            agenda.at(at(ask.at_ms), What::Client(ClientDue::Ask(index)));
        }
        Client {
            // At rest, every worker has to be able to take a task that needs all of it.
            jobs: plan.jobs.iter().cloned().chain(probe(&plan.workers)).collect(),
            probe: plan.jobs.len(),
            wishes: plan.asks.iter().map(|ask| ask.wish).collect(),
            n_workers: plan.workers.len(),
            operations: Vec::new(),
            known: BTreeMap::new(),
            n_submitted: 0,
            is_healed: false,
            is_settled: false,
        }
    }

    pub fn handle_due(&mut self, agenda: &mut Agenda, checker: &Checker, due: ClientDue) {
        match due {
            ClientDue::Submit(index) => self.submit(agenda, index),
            ClientDue::Ask(_) if self.is_healed => {}
            ClientDue::Ask(index) => {
                if let Some(event) = self.event_of(self.wishes[index], checker) {
                    self.ask(agenda, event, None);
                }
            }
            ClientDue::Settle => self.settle(agenda, checker),
            ClientDue::Again(operation) => {
                if !self.operations[operation].is_answered {
                    self.send(agenda, operation);
                }
            }
        }
    }

    fn submit(&mut self, agenda: &mut Agenda, index: usize) {
        let mut body_hash = [0; 32];
        body_hash[..8].copy_from_slice(&(index as u64).to_le_bytes());
        let key = Some(Key { key: format!("k{index}"), body_hash });
        let is_probe = index == self.probe;
        let spec = |(at, task): (usize, &TaskPlan)| {
            let mut spec = task_spec(at, task);
            if is_probe {
                spec.requires = BTreeMap::from([(NAME_LABEL.to_owned(), worker_name(at))]).into();
            }
            Arc::new(spec)
        };
        let tasks = self.jobs[index].tasks.iter().enumerate().map(spec).collect();
        let job = JobSpec { name: job_name(index), tasks };
        self.n_submitted += 1;
        self.ask(agenda, Event::SubmitJob { request: NO_REQUEST, key, job }, Some(index));
    }

    fn ask(&mut self, agenda: &mut Agenda, event: Event, job: Option<usize>) {
        self.operations.push(Operation { event, job, is_answered: false });
        self.send(agenda, self.operations.len() - 1);
    }

    fn send(&mut self, agenda: &mut Agenda, operation: usize) {
        let from = Sender::Client { operation };
        let body = Body::Client(self.operations[operation].event.clone());
        agenda.send_to_host(None, Request { from, body });
        let wait = agenda.between(PATIENCE / 2, PATIENCE);
        agenda.after(wait, What::Client(ClientDue::Again(operation)));
    }

    pub fn handle_answer(
        &mut self,
        checker: &mut Checker,
        operation: usize,
        answer: Option<Answer>,
    ) {
        let operation = &mut self.operations[operation];
        let Some(answer) = answer else { return };
        if std::mem::replace(&mut operation.is_answered, true) {
            return;
        }
        match (&operation.event, answer) {
            (Event::SubmitJob { job: spec, .. }, Answer::Submitted { job, tasks, .. }) => {
                checker.check_submitted(job, &tasks, spec);
                let index = operation.job.expect("a submission is of a job of the plan");
                self.known.insert(index, (job, tasks));
            }
            (Event::SubmitJob { .. }, other) => {
                let text = format!("a good submission was answered by {other:?}");
                checker.complain(Invariant::SubmissionsAreKept, text);
            }
            _ => {}
        }
    }

    /// None: what it is about is not there, as far as anybody was told.
    fn event_of(&self, wish: Wish, checker: &Checker) -> Option<Event> {
        let request = NO_REQUEST;
        let task = |job: usize, task: usize| self.known.get(&job).map(|(_, it)| it[task]);
        Some(match wish {
            Wish::CancelTask { job, task: it } => {
                Event::CancelTask { request, task: task(job, it)? }
            }
            Wish::CancelJob { job } => Event::CancelJob { request, job: self.known.get(&job)?.0 },
            Wish::RetryTask { job, task: it } => Event::RetryTask { request, task: task(job, it)? },
            Wish::PauseQueue { paused } => {
                Event::PauseQueue { request, queue: DEFAULT.to_owned(), paused }
            }
            Wish::DrainWorker { worker, draining } => {
                let worker: WorkerId = checker.worker_named(&worker_name(worker))?;
                Event::DrainWorker { request, worker, draining }
            }
        })
    }

    /// Nobody meddles any more, and what was lost of that is not said again.
    pub fn heal(&mut self, agenda: &mut Agenda) {
        self.is_healed = true;
        let is_meddling = |it: &&mut Operation| !matches!(it.event, Event::SubmitJob { .. });
        self.operations.iter_mut().filter(is_meddling).for_each(|it| it.is_answered = true);
        agenda.after(SETTLE_AFTER, What::Client(ClientDue::Settle));
    }

    /// Lets everything run to its end, and looks whether each worker can still be had as a whole.
    fn settle(&mut self, agenda: &mut Agenda, checker: &Checker) {
        self.is_settled = true;
        let resume = self.event_of(Wish::PauseQueue { paused: false }, checker);
        let undrain = |worker| Wish::DrainWorker { worker, draining: false };
        let undrains = (0..self.n_workers).map(|it| self.event_of(undrain(it), checker));
        let events: Vec<Event> = resume.into_iter().chain(undrains.flatten()).collect();
        events.into_iter().for_each(|event| self.ask(agenda, event, None));
        if self.probe < self.jobs.len() {
            self.submit(agenda, self.probe);
        }
    }

    /// Whether everything is submitted and every question answered.
    pub fn is_done(&self) -> bool {
        let is_all_said = self.is_settled && self.n_submitted == self.jobs.len();
        is_all_said && self.operations.iter().all(|it| it.is_answered)
    }
}

pub(super) fn job_name(index: usize) -> String {
    format!("job-{index}")
}

/// A task for each worker that takes all of it.
fn probe(workers: &[WorkerPlan]) -> Option<JobPlan> {
    let task = |worker: &WorkerPlan| TaskPlan {
        ms: 1_000,
        cpu_milli: worker.cpu_milli,
        memory_mb: worker.memory_mb,
        ..TaskPlan::default()
    };
    let tasks: Vec<TaskPlan> = workers.iter().map(task).collect();
    (!tasks.is_empty()).then_some(JobPlan { at_ms: 0, tasks })
}

fn task_spec(index: usize, task: &TaskPlan) -> TaskSpec {
    TaskSpec {
        dependencies: task.dependencies.iter().map(|it| format!("t{it}")).collect(),
        priority: task.priority,
        request: Amounts {
            cpu_milli: task.cpu_milli,
            memory: task.memory_mb * 1_000_000,
            gpu_milli: 0,
        },
        timeout: task.timeout_ms.map(Duration::from_millis),
        max_retries: task.max_retries,
        max_worker_losses: task.max_worker_losses,
        on_disconnect: match task.stops_on_disconnect {
            true => OnDisconnect::Stop,
            false => OnDisconnect::Keep,
        },
        ..TaskSpec::new(format!("t{index}"), Script::text(task))
    }
}
