//! Clients: submit DAGs, cancel, retry, pause, drain, and repeat themselves until they get an answer.

use super::agenda::{Agenda, What};
use super::checker::Checker;
use super::host::{Body, Request, Sender};
use super::profile::Profile;
use super::script::Script;
use pointsman_scheduler::event::Key;
use pointsman_scheduler::resources::Request as Amounts;
use pointsman_scheduler::spec::{DEFAULT, JobSpec, OnDisconnect, TaskSpec};
use pointsman_scheduler::{Answer, Event, JobId, RequestId, TaskId, Time, WorkerId};
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientDue {
    Submit,
    Meddle,
    /// No answer came.
    Again(usize),
    /// Everything paused or set aside is taken up again.
    Settle,
}

pub(super) struct Client {
    operations: Vec<Operation>,
    n_submitted: usize,
    n_jobs: usize,
    submit_every: Duration,
    tasks: Vec<TaskId>,
    jobs: Vec<JobId>,
    n_workers: u32,
    is_healed: bool,
    is_settled: bool,
}

struct Operation {
    event: Event,
    is_answered: bool,
}

const PATIENCE: Duration = Duration::from_secs(3);
const MEDDLE_EVERY: Duration = Duration::from_secs(4);
/// Longer than any message is under way.
const SETTLE_AFTER: Duration = Duration::from_secs(60);
const NO_REQUEST: RequestId = RequestId(0);

impl Client {
    pub fn new(agenda: &mut Agenda, profile: &Profile) -> Client {
        let submit_every = profile.active.div_f64(1.5 * profile.n_jobs as f64);
        agenda.at(Time::ZERO, What::Client(ClientDue::Submit));
        agenda.after(MEDDLE_EVERY, What::Client(ClientDue::Meddle));
        Client {
            operations: Vec::new(),
            n_submitted: 0,
            n_jobs: profile.n_jobs,
            submit_every,
            tasks: Vec::new(),
            jobs: Vec::new(),
            n_workers: profile.n_workers as u32,
            is_healed: false,
            is_settled: false,
        }
    }

    pub fn handle_due(&mut self, agenda: &mut Agenda, due: ClientDue) {
        match due {
            ClientDue::Submit if self.n_submitted < self.n_jobs => {
                let event = self.submission(agenda);
                self.n_submitted += 1;
                self.ask(agenda, event);
                let wait = agenda.around(self.submit_every);
                agenda.after(wait, What::Client(ClientDue::Submit));
            }
            ClientDue::Submit => {}
            ClientDue::Meddle => {
                if self.is_healed {
                    return;
                }
                if let Some(event) = self.meddling(agenda) {
                    self.ask(agenda, event);
                }
                let wait = agenda.around(MEDDLE_EVERY);
                agenda.after(wait, What::Client(ClientDue::Meddle));
            }
            ClientDue::Settle => self.settle(agenda),
            ClientDue::Again(operation) => {
                if !self.operations[operation].is_answered {
                    self.send(agenda, operation);
                }
            }
        }
    }

    fn ask(&mut self, agenda: &mut Agenda, event: Event) {
        self.operations.push(Operation { event, is_answered: false });
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
                self.jobs.push(job);
                self.tasks.extend(tasks);
            }
            (Event::SubmitJob { .. }, other) => {
                checker.complain(format!("a good submission was answered by {other:?}"));
            }
            _ => {}
        }
    }

    fn submission(&mut self, agenda: &mut Agenda) -> Event {
        let rng = &mut agenda.rng;
        let n_tasks = rng.usize(1..=8);
        let mut tasks = Vec::new();
        for index in 0..n_tasks {
            let n_dependencies = rng.usize(..=index.min(2));
            let dependencies = (0..n_dependencies).map(|_| format!("t{}", rng.usize(..index)));
            let mut dependencies: Vec<String> = dependencies.collect();
            dependencies.sort();
            dependencies.dedup();
            let ms = [50, 1_000, 5_000, 60_000][rng.usize(..4)];
            let fail = [0, 0, 0, 10, 50][rng.usize(..5)];
            tasks.push(Arc::new(TaskSpec {
                dependencies,
                priority: rng.i32(-5..=5),
                request: Amounts {
                    cpu_milli: rng.u64(1..=20) * 100,
                    memory: rng.u64(1..=3_000) * 1_000_000,
                    gpu_milli: 0,
                },
                timeout: (rng.u32(..5) == 0).then(|| Duration::from_secs(rng.u64(1..=20))),
                max_retries: [None, Some(0), Some(10)][rng.usize(..3)],
                on_disconnect: match rng.u32(..3) {
                    0 => OnDisconnect::Stop,
                    _ => OnDisconnect::Keep,
                },
                ..TaskSpec::new(format!("t{index}"), Script::text(ms, fail))
            }));
        }
        let mut body_hash = [0; 32];
        body_hash[..8].copy_from_slice(&(self.n_submitted as u64).to_le_bytes());
        let key = Some(Key { key: format!("k{}", self.n_submitted), body_hash });
        let job = JobSpec { name: format!("job-{}", self.n_submitted), tasks };
        Event::SubmitJob { request: NO_REQUEST, key, job }
    }

    fn meddling(&mut self, agenda: &mut Agenda) -> Option<Event> {
        let rng = &mut agenda.rng;
        let request = NO_REQUEST;
        let task = (!self.tasks.is_empty()).then(|| self.tasks[rng.usize(..self.tasks.len())]);
        let job = (!self.jobs.is_empty()).then(|| self.jobs[rng.usize(..self.jobs.len())]);
        Some(match rng.u32(..10) {
            0..=2 => Event::CancelTask { request, task: task? },
            3 => Event::CancelJob { request, job: job? },
            4..=6 => Event::RetryTask { request, task: task? },
            7 => Event::PauseQueue { request, queue: DEFAULT.to_owned(), paused: rng.bool() },
            _ => {
                let worker = WorkerId(rng.u32(1..=self.n_workers));
                Event::DrainWorker { request, worker, draining: rng.bool() }
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

    /// Lets everything run to its end.
    fn settle(&mut self, agenda: &mut Agenda) {
        self.is_settled = true;
        let request = NO_REQUEST;
        self.ask(agenda, Event::PauseQueue { request, queue: DEFAULT.to_owned(), paused: false });
        for worker in 1..=self.n_workers {
            let worker = WorkerId(worker);
            self.ask(agenda, Event::DrainWorker { request, worker, draining: false });
        }
    }

    /// Whether everything is submitted and every question answered.
    pub fn is_done(&self) -> bool {
        let is_all_said = self.is_settled && self.n_submitted == self.n_jobs;
        is_all_said && self.operations.iter().all(|it| it.is_answered)
    }
}
