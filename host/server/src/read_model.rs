//! What GET and the event stream are served from: a fold of the durable records and of volatile
//! notices. Nobody sees here what a crash could take back.

use crate::figures::Histogram;
use crate::stages::Stages;
use pointsman_protocol::api::{
    AttemptView, Counts, ForecastView, JobView, Lookup, OutcomeView, PredictedView, QueueView,
    TaskExtras, TaskView, WorkerExtras, WorkerView,
};
use pointsman_scheduler::event::{Feedback, Measurements};
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::record::{
    Attempt, JobRecord, Snapshot, TaskAdded, TaskState, TaskStatus, WorkerRecord, WorkerState,
};
use pointsman_scheduler::resources::Free;
use pointsman_scheduler::run_times::RunTimes;
use pointsman_scheduler::settings::QueueSettings;
use pointsman_scheduler::spec::TaskSpec;
use pointsman_scheduler::task_table::{TaskSet, TaskTable};
use pointsman_scheduler::{JobId, Notice, Record, TaskId, Time, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// Shared by the store's thread, which writes, and requests, which read.
#[derive(Debug, Clone, Default)]
pub struct SharedReadModel {
    model: Arc<RwLock<ReadModel>>,
}

impl SharedReadModel {
    pub fn new(model: ReadModel) -> SharedReadModel {
        SharedReadModel { model: Arc::new(RwLock::new(model)) }
    }

    pub fn read(&self) -> RwLockReadGuard<'_, ReadModel> {
        self.model.read().expect("nobody panics while holding the model")
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, ReadModel> {
        self.model.write().expect("nobody panics while holding the model")
    }
}

#[derive(Debug, Default)]
pub struct ReadModel {
    pub jobs: BTreeMap<JobId, Job>,
    pub tasks: TaskTable<Task>,
    pub workers: BTreeMap<WorkerId, Worker>,
    /// Paused or not.
    pub queues: BTreeMap<String, Queue>,
    pub in_state: [TaskSet; TaskState::ALL.len()],
    /// To say how long something is expected to take, from what is kept here.
    run_times: RunTimes,
    pub ended: EndedAttempts,
    pub stages: Stages,
}

/// Attempts that ended since the host was started.
#[derive(Debug)]
pub struct EndedAttempts {
    /// By how they ended, like `succeeded` or `exit_code`; all kinds are there from the beginning.
    pub by_outcome: BTreeMap<&'static str, u64>,
    pub ran: Histogram,
}

#[derive(Debug)]
pub struct Job {
    pub record: JobRecord,
    pub counts: Counts,
    pub tasks: TaskSet,
}

#[derive(Debug)]
pub struct Task {
    pub added: TaskAdded,
    pub status: TaskStatus,
    pub feedback: Option<Box<Feedback>>,
}

#[derive(Debug)]
pub struct Worker {
    pub record: WorkerRecord,
    pub state: WorkerState,
    /// In the worker's own words.
    pub limits: String,
    pub measurements: Option<Measurements>,
    pub predicted: Option<PredictedView>,
    pub last_heartbeat: Option<Time>,
    pub quarantined_until: Option<Time>,
    /// Tasks with a current attempt there.
    pub holds: BTreeSet<TaskId>,
}

#[derive(Debug, Default)]
pub struct Queue {
    pub paused: bool,
    pub settings: QueueSettings,
    pub pending: u64,
    pub placed: u64,
    /// From ready to placed, of each placement since the host was started.
    pub waits: Histogram,
}

/// What a list of tasks is restricted to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskFilter {
    pub state: Option<TaskState>,
    pub queue: Option<String>,
    pub worker: Option<WorkerId>,
    pub job: Option<JobId>,
    /// A part of the name.
    pub text: Option<String>,
    /// Not at this time itself.
    pub submitted_after: Option<Time>,
    pub submitted_before: Option<Time>,
}

/// A part of a list of tasks.
#[derive(Debug, Default)]
pub struct TaskPage<'a> {
    pub tasks: Vec<&'a Task>,
    /// Where to go on; None: the list ends here.
    pub next: Option<TaskId>,
}

/// Tasks looked at for one page at most.
const MAX_LOOKED_AT: usize = 50_000;

impl TaskFilter {
    fn passes(&self, task: &Task) -> bool {
        let status = &task.status;
        self.state.is_none_or(|state| status.state == state)
            && self.job.is_none_or(|job| task.added.job == job)
            && self.queue.as_ref().is_none_or(|queue| *task.added.spec.queue == **queue)
            && self.worker.is_none_or(|worker| {
                status.attempts.last().is_some_and(|attempt| attempt.worker == worker)
            })
            && self.text.as_ref().is_none_or(|text| task.added.spec.name.contains(text))
            && self.submitted_after.is_none_or(|time| task.added.submitted > time)
            && self.submitted_before.is_none_or(|time| task.added.submitted < time)
    }

    fn page<'a>(&self, tasks: impl Iterator<Item = &'a Task>, limit: usize) -> TaskPage<'a> {
        let mut page = TaskPage::default();
        let mut last = None;
        for (n_looked_at, task) in tasks.enumerate() {
            if page.tasks.len() == limit || n_looked_at == MAX_LOOKED_AT {
                page.next = last;
                break;
            }
            last = Some(task.added.id);
            if self.passes(task) {
                page.tasks.push(task);
            }
        }
        page
    }
}

impl ReadModel {
    pub fn from_snapshot(snapshot: &Snapshot) -> ReadModel {
        let mut model = ReadModel::default();
        let jobs = snapshot.jobs.iter().cloned().map(Record::Job);
        let workers = snapshot.workers.iter().cloned().map(Record::Worker);
        let queues = snapshot.queues.iter().cloned().map(Record::Queue);
        jobs.chain(workers).chain(queues).for_each(|record| model.apply(&record));
        for (added, status) in &snapshot.tasks {
            model.apply(&Record::TaskAdded(added.clone()));
            model.apply(&Record::Task(added.id, status.clone()));
        }
        // Nothing of that happened in this life.
        model.ended = EndedAttempts::default();
        model.stages = Stages::default();
        model.queues.values_mut().for_each(|queue| queue.waits = Histogram::default());
        model
    }

    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Job(job) => match self.jobs.get_mut(&job.id) {
                Some(known) => known.record = job.clone(),
                None => {
                    let (counts, tasks) = (Counts::default(), TaskSet::default());
                    self.jobs.insert(job.id, Job { record: job.clone(), counts, tasks });
                }
            },
            Record::JobForgotten(id) => {
                self.jobs.remove(id);
            }
            Record::TaskAdded(added) => self.add_task(added),
            Record::Task(id, status) => self.set_status(*id, status),
            Record::TaskForgotten(id) => self.forget_task(*id),
            Record::Worker(record) => match self.workers.get_mut(&record.id) {
                Some(worker) => {
                    worker.state = record.state;
                    worker.record = record.clone();
                }
                None => {
                    let worker = Worker {
                        state: record.state,
                        record: record.clone(),
                        limits: String::new(),
                        measurements: None,
                        predicted: None,
                        last_heartbeat: None,
                        quarantined_until: None,
                        holds: BTreeSet::new(),
                    };
                    self.workers.insert(record.id, worker);
                }
            },
            Record::WorkerForgotten(id) => {
                self.workers.remove(id);
            }
            Record::Queue(queue) => {
                self.queues.entry(queue.name.clone()).or_default().paused = queue.paused;
            }
            // Keys are answered by the scheduler.
            Record::Key(_) | Record::KeyForgotten(_) => {}
        }
    }

    fn add_task(&mut self, added: &TaskAdded) {
        let status = TaskStatus { next_attempt: 1, ..TaskStatus::default() };
        self.in_state[status.state as usize].insert(added.id, ());
        if let Some(job) = self.jobs.get_mut(&added.job) {
            job.counts.add(status.state);
            job.tasks.insert(added.id, ());
        }
        self.queues.entry(added.spec.queue.to_string()).or_default().pending += 1;
        let task = Task { added: added.clone(), status, feedback: None };
        self.tasks.insert(added.id, task);
    }

    fn set_status(&mut self, id: TaskId, status: &TaskStatus) {
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let old = std::mem::replace(&mut task.status, status.clone());
        let (from, to) = (old.state, status.state);
        let was_on = old.current().map(|attempt| attempt.worker);
        let is_on = status.current().map(|attempt| attempt.worker);
        if !to.is_placed() {
            task.feedback = None;
        }
        self.ended.note(&old, status);
        self.stages.note(id, &old, status);
        if let (None, Some(attempt), Some(ready)) = (was_on, status.current(), status.ready_since)
            && let Some(queue) = self.queues.get(&*task.added.spec.queue)
        {
            queue.waits.note(attempt.assigned.since(ready));
        }
        if from != to && to == TaskState::Succeeded {
            self.run_times.note_success(&task.added.spec.name, status);
        }
        if from != to {
            self.in_state[from as usize].remove(&id);
            self.in_state[to as usize].insert(id, ());
            if let Some(job) = self.jobs.get_mut(&task.added.job) {
                job.counts.remove(from);
                job.counts.add(to);
            }
            if let Some(queue) = self.queues.get_mut(&*task.added.spec.queue) {
                queue.count(from, to);
            }
        }
        if was_on != is_on {
            if let Some(worker) = was_on.and_then(|id| self.workers.get_mut(&id)) {
                worker.holds.remove(&id);
            }
            if let Some(worker) = is_on.and_then(|id| self.workers.get_mut(&id)) {
                worker.holds.insert(id);
            }
        }
    }

    fn forget_task(&mut self, id: TaskId) {
        let Some(task) = self.tasks.remove(&id) else { return };
        self.in_state[task.status.state as usize].remove(&id);
        if let Some(job) = self.jobs.get_mut(&task.added.job) {
            job.tasks.remove(&id);
            // A job that goes whole keeps its counts until it is gone itself.
            job.counts.remove(task.status.state);
        }
    }

    /// What was submitted with it, else what tasks of its name took.
    pub fn expected(&self, spec: &TaskSpec) -> Option<Duration> {
        spec.expected.or_else(|| self.run_times.median(&spec.name))
    }

    /// A worker gave a sign of life.
    pub fn note_heard(&mut self, worker: WorkerId, at: Time) {
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.last_heartbeat = Some(at);
        }
    }

    pub fn apply_notice(&mut self, notice: &Notice) {
        match notice {
            Notice::WorkerMeasured { worker, measurements } => {
                if let Some(worker) = self.workers.get_mut(worker) {
                    worker.measurements = Some(*measurements);
                }
            }
            Notice::Forecast(forecast) => {
                self.workers.values_mut().for_each(|worker| worker.predicted = None);
                for ForecastView { worker, predicted } in ForecastView::of(forecast) {
                    if let Some(worker) = self.workers.get_mut(&worker) {
                        worker.predicted = Some(predicted);
                    }
                }
            }
            Notice::WorkerState { worker, state } => {
                if let Some(worker) = self.workers.get_mut(worker) {
                    worker.state = *state;
                }
            }
            Notice::Feedback { attempt, feedback } => {
                if let Some(task) = self.tasks.get_mut(&attempt.task) {
                    task.feedback = Some(Box::new(feedback.clone()));
                }
            }
            Notice::WorkerQuarantined { worker, until, .. } => {
                if let Some(worker) = self.workers.get_mut(worker) {
                    worker.quarantined_until = *until;
                }
            }
            Notice::StaleReport { .. }
            | Notice::LossesHeld { .. }
            | Notice::PolicySwapped(_)
            | Notice::PolicyFailed { .. }
            | Notice::Rescheduling { .. } => {}
        }
    }

    /// The configured queues; those that are configured no more stay while they have tasks.
    pub fn set_queues(&mut self, settings: &BTreeMap<String, QueueSettings>) {
        for (name, settings) in settings {
            self.queues.entry(name.clone()).or_default().settings = settings.clone();
        }
        self.queues
            .retain(|name, queue| settings.contains_key(name) || queue.pending + queue.placed > 0);
    }

    pub fn counts(&self) -> Counts {
        let n = |state: TaskState| self.in_state[state as usize].len() as u64;
        Counts {
            pending: n(TaskState::Pending),
            assigned: n(TaskState::Assigned),
            running: n(TaskState::Running),
            succeeded: n(TaskState::Succeeded),
            failed: n(TaskState::Failed),
            skipped: n(TaskState::Skipped),
            cancelled: n(TaskState::Cancelled),
        }
    }

    /// Up to `limit` tasks after `after` that pass, in id order. Where few pass, looking ends after
    /// [`MAX_LOOKED_AT`] tasks with a short page, so that no request holds up the others.
    pub fn page(&self, filter: &TaskFilter, after: Option<TaskId>, limit: usize) -> TaskPage<'_> {
        let from = TaskId(after.map_or(0, |id| id.0.saturating_add(1)));
        let found = |(id, _): (TaskId, _)| self.tasks.get(&id);
        match (filter.job, filter.state) {
            (Some(job), _) => {
                let ids = self.jobs.get(&job).into_iter().flat_map(|job| job.tasks.range(from));
                filter.page(ids.filter_map(found), limit)
            }
            (None, Some(state)) => {
                filter.page(self.in_state[state as usize].range(from).filter_map(found), limit)
            }
            (None, None) => filter.page(self.tasks.range(from).map(|(_, task)| task), limit),
        }
    }

    pub fn task_row(&self, id: TaskId, reason: Option<&Reason>) -> Option<TaskView> {
        let task = self.tasks.get(&id)?;
        let extras = TaskExtras { reason, feedback: task.feedback.as_deref() };
        Some(TaskView::row(&task.added, &task.status, extras, self))
    }

    /// A row with all attempts, not just the last.
    pub fn task_row_with_attempts(&self, id: TaskId, reason: Option<&Reason>) -> Option<TaskView> {
        let mut view = self.task_row(id, reason)?;
        let attempts = self.tasks.get(&id)?.status.attempts.iter();
        view.attempts = attempts.map(|it| AttemptView::new(it, self)).collect();
        Some(view)
    }

    pub fn task_whole(&self, id: TaskId, reason: Option<&Reason>) -> Option<TaskView> {
        let task = self.tasks.get(&id)?;
        let extras = TaskExtras { reason, feedback: task.feedback.as_deref() };
        Some(TaskView::whole(&task.added, &task.status, extras, self))
    }

    pub fn job_view(&self, id: JobId) -> Option<JobView> {
        let job = self.jobs.get(&id)?;
        let mut view = JobView::new(&job.record, job.counts);
        view.n_tasks = view.n_tasks.max(job.tasks.len() as u32);
        Some(view)
    }

    /// What a worker says of its limits is no record, and nothing is decided by it.
    pub fn note_limits(&mut self, id: WorkerId, limits: String) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.limits = limits;
        }
    }

    pub fn has_limits(&self, id: WorkerId, limits: &str) -> bool {
        self.workers.get(&id).is_some_and(|worker| worker.limits == limits)
    }

    /// What of a worker no attempt holds.
    pub fn free_of(&self, worker: &Worker) -> Free {
        let mut free = Free::all_of(&worker.record.capacity);
        for task in worker.holds.iter().filter_map(|id| self.tasks.get(id)) {
            if let Some(attempt) = task.status.current() {
                free.take_exactly(&task.added.spec.request, &attempt.devices);
            }
        }
        free
    }

    pub fn worker_view(&self, id: WorkerId, now: Time) -> Option<WorkerView> {
        let worker = self.workers.get(&id)?;
        let free = self.free_of(worker);
        let extras = WorkerExtras {
            state: Some(worker.state),
            free: Some(&free),
            limits: &worker.limits,
            measurements: worker.measurements,
            predicted: worker.predicted,
            silent_for: worker.last_heartbeat.map(|at| now.since(at)),
            n_running: worker.holds.len() as u64,
            quarantined_until: worker.quarantined_until,
        };
        Some(WorkerView::new(&worker.record, extras))
    }

    pub fn queue_view(&self, name: &str) -> Option<QueueView> {
        let queue = self.queues.get(name)?;
        Some(QueueView {
            name: name.to_owned(),
            paused: queue.paused,
            pending: queue.pending,
            placed: queue.placed,
            limit: queue.settings.limit,
            discipline: queue.settings.discipline.map(Into::into),
        })
    }
}

impl Default for EndedAttempts {
    fn default() -> EndedAttempts {
        let by_outcome = OutcomeView::KINDS.into_iter().map(|kind| (kind, 0)).collect();
        EndedAttempts { by_outcome, ran: Histogram::default() }
    }
}

impl EndedAttempts {
    fn note(&mut self, old: &TaskStatus, new: &TaskStatus) {
        let Some(attempt) = new.attempts.last() else { return };
        let Some(outcome) = &attempt.outcome else { return };
        let is_known = |it: &Attempt| it.number == attempt.number && it.outcome.is_some();
        if old.attempts.last().is_some_and(is_known) {
            return;
        }
        let kind = OutcomeView::from(outcome).kind;
        *self.by_outcome.get_mut(&*kind).expect("all kinds are there") += 1;
        if let (Some(started), Some(ended)) = (attempt.started, attempt.ended) {
            self.ran.note(ended.since(started));
        }
    }
}

impl Queue {
    fn count(&mut self, from: TaskState, to: TaskState) {
        self.pending -= u64::from(from == TaskState::Pending);
        self.placed -= u64::from(from.is_placed());
        self.pending += u64::from(to == TaskState::Pending);
        self.placed += u64::from(to.is_placed());
    }
}

impl Lookup for ReadModel {
    fn worker_name(&self, worker: WorkerId) -> Option<String> {
        self.workers.get(&worker).map(|worker| worker.record.name.clone())
    }

    fn task_name(&self, task: TaskId) -> Option<String> {
        self.tasks.get(&task).map(|task| task.added.spec.name.clone())
    }

    fn task_state(&self, task: TaskId) -> Option<TaskState> {
        self.tasks.get(&task).map(|task| task.status.state)
    }
}
