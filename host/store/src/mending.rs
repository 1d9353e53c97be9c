//! What becomes of rows that cannot be read, where the rest tells enough: the row is set aside, and
//! what it stood for gets a state that nobody mistakes for another. Nothing is run twice for it, and
//! nothing runs that waited for what is not known to have succeeded.
//!
//! - A task whose description is lost, or whose state is, is FAILED, and what waits for it SKIPPED;
//!   unless it is known to have succeeded, by its job or by a task that ran after it.
//! - A job is put together from its tasks.
//! - A worker registers anew. A queue is paused. An idempotency key is forgotten.

use crate::encoding::seal::Key;
use crate::parts::{BadRow, Parts, Table};
use pointsman_scheduler::record::{
    EndReason, Failure, JobRecord, JobState, Outcome, QueueRecord, TaskAdded, TaskState, TaskStatus,
};
use pointsman_scheduler::spec::{DEFAULT, TaskSpec};
use pointsman_scheduler::{JobId, Record, TaskId, Time, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) struct Mended {
    pub parts: Parts,
    /// What has to be written in place of the rows that are set aside.
    pub changed: Vec<Record>,
    /// Each bad row with its outcome.
    pub set_aside: Vec<(BadRow, String)>,
    /// Tasks of which not even the job can be told; nothing stands in their place.
    pub orphans: BTreeSet<TaskId>,
}

/// A try by hand of what stands for a lost task says why it cannot work.
const PLACEHOLDER_SCRIPT: &str =
    "echo 'the record of this task was damaged; submit it anew' >&2; exit 1";

pub(crate) fn mend(mut parts: Parts) -> Mended {
    let mut bad = std::mem::take(&mut parts.bad);
    // Jobs before their tasks, descriptions before states.
    bad.sort_by(|a, b| (a.table, &a.key).cmp(&(b.table, &b.key)));
    let mut mending = Mending::new(parts, &bad);
    let outcomes: Vec<String> = bad.iter().map(|row| mending.settle(row)).collect();
    let n_skipped = mending.skip_dependents();
    mending.end_jobs();
    let mut set_aside: Vec<(BadRow, String)> = bad.into_iter().zip(outcomes).collect();
    for (row, outcome) in &mut set_aside {
        if let (Table::Task | Table::TaskStatus, Key::Number(id)) = (row.table, &row.key)
            && let Some(n_skipped) = n_skipped.get(&TaskId(*id as u64))
        {
            outcome.push_str(&format!("; {n_skipped} waiting for it are SKIPPED"));
        }
    }
    let changed = mending.records();
    Mended { parts: mending.parts, changed, set_aside, orphans: mending.orphans }
}

struct Mending {
    parts: Parts,
    /// Tasks whose description is lost.
    lost: BTreeSet<TaskId>,
    /// Tasks for which others have waited, and these have run.
    ran_before: BTreeSet<TaskId>,
    spans: BTreeMap<JobId, Span>,
    /// Tasks that did not succeed, as far as is known.
    failed: BTreeSet<TaskId>,
    orphans: BTreeSet<TaskId>,
    changed_jobs: BTreeSet<JobId>,
    changed_tasks: BTreeSet<TaskId>,
    changed_queues: Vec<QueueRecord>,
}

/// The tasks of a job that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    first: u64,
    last: u64,
    n: u64,
}

impl Mending {
    fn new(parts: Parts, bad: &[BadRow]) -> Mending {
        let lost = bad.iter().filter_map(|row| match (row.table, &row.key) {
            (Table::Task, Key::Number(id)) => Some(TaskId(*id as u64)),
            _ => None,
        });
        let has_run = |task: &&TaskAdded| {
            parts.statuses.get(&task.id).is_some_and(|status| {
                !status.attempts.is_empty() || status.state == TaskState::Succeeded
            })
        };
        let ran = parts.added.iter().filter(has_run);
        Mending {
            lost: lost.collect(),
            ran_before: ran.flat_map(|task| task.dependencies.iter().copied()).collect(),
            spans: spans(&parts.added),
            failed: BTreeSet::new(),
            orphans: BTreeSet::new(),
            changed_jobs: BTreeSet::new(),
            changed_tasks: BTreeSet::new(),
            changed_queues: Vec::new(),
            parts,
        }
    }

    /// What becomes of the row, in words.
    fn settle(&mut self, row: &BadRow) -> String {
        match (row.table, &row.key) {
            (Table::Job, Key::Number(id)) => self.settle_job(JobId(*id as u64)),
            (Table::Task, Key::Number(id)) => self.settle_task(TaskId(*id as u64)),
            (Table::TaskStatus, Key::Number(id)) => self.settle_status(TaskId(*id as u64)),
            (Table::Worker, Key::Number(id)) => self.settle_worker(WorkerId(*id as u32)),
            (Table::Queue, Key::Text(name)) => {
                let queue = QueueRecord { name: name.clone(), paused: true };
                self.parts.queues.push(queue.clone());
                self.parts.queues.sort_by(|a, b| a.name.cmp(&b.name));
                self.changed_queues.push(queue);
                "the queue is paused until it is resumed: whether it was is not known".to_owned()
            }
            (Table::IdempotencyKey, _) => {
                "it is forgotten: a request that is repeated with it is done again".to_owned()
            }
            (Table::Job | Table::Task | Table::TaskStatus | Table::Worker, Key::Text(_))
            | (Table::Queue, Key::Number(_)) => "nothing is known of it".to_owned(),
        }
    }

    /// Its attempts end with it, as if it had been silent for too long.
    fn settle_worker(&mut self, worker: WorkerId) -> String {
        for (id, status) in &mut self.parts.statuses {
            let is_running = status.state == TaskState::Running;
            let current = if status.state.is_placed() { status.attempts.last_mut() } else { None };
            let Some(attempt) = current.filter(|attempt| attempt.worker == worker) else {
                continue;
            };
            attempt.ended = attempt.started.or(Some(attempt.assigned));
            attempt.outcome = Some(Outcome::Failed(Failure::WorkerLost));
            status.losses_used += u32::from(is_running);
            status.state = TaskState::Pending;
            if status.cancel_requested {
                status.state = TaskState::Cancelled;
                status.cancel_requested = false;
                status.ended = attempt.ended;
                status.end_reason = Some(Box::new(EndReason::CancelledByRequest));
                self.failed.insert(*id);
            }
            self.changed_tasks.insert(*id);
        }
        "the worker is taken for a new one; what it ran counts as lost with it".to_owned()
    }

    /// Puts the job together from its tasks. All of one submission have one time; the open job
    /// collects its tasks over time.
    fn settle_job(&mut self, id: JobId) -> String {
        let tasks: Vec<&TaskAdded> = self.parts.added.iter().filter(|it| it.job == id).collect();
        let (Some(first), Some(last)) = (tasks.first(), tasks.last()) else {
            return "none of its tasks is there, and it is forgotten".to_owned();
        };
        let has_open = self.parts.jobs.iter().any(|job| job.name == DEFAULT);
        let is_open = !has_open && tasks.iter().any(|task| task.submitted != first.submitted);
        let name = if is_open { DEFAULT.to_owned() } else { format!("damaged-{id}") };
        let n_tasks = if is_open { 0 } else { last.id.0 - first.id.0 + 1 };
        let job = JobRecord {
            id,
            name,
            submitted: first.submitted,
            n_tasks: u32::try_from(n_tasks).unwrap_or(u32::MAX),
            state: JobState::Running,
            ended: None,
        };
        let outcome = format!("it is put together from its tasks, and named {}", job.name);
        self.parts.jobs.push(job);
        self.parts.jobs.sort_by_key(|job| job.id);
        self.changed_jobs.insert(id);
        outcome
    }

    /// A task that stands for the one whose description is lost.
    fn settle_task(&mut self, id: TaskId) -> String {
        let Some(job) = self.job_of_lost(id) else {
            self.orphans.insert(id);
            self.parts.statuses.remove(&id);
            return "no job is known that it belongs to".to_owned();
        };
        let submitted = self.job(job).map_or(Time::ZERO, |job| job.submitted);
        let mut spec = TaskSpec::new(format!("damaged-{id}"), PLACEHOLDER_SCRIPT);
        spec.max_retries = Some(0);
        let spec = Arc::new(spec);
        let added = TaskAdded { id, job, submitted, spec, dependencies: Vec::new() };
        let at = self.parts.added.partition_point(|it| it.id < id);
        self.parts.added.insert(at, added);
        note(&mut self.spans, job, id);
        self.changed_tasks.insert(id);
        self.changed_jobs.insert(job);
        match self.parts.statuses.get(&id) {
            Some(status) if status.state.is_terminal() => {
                if status.state != TaskState::Succeeded {
                    self.failed.insert(id);
                }
                format!("it stays {:?}; its script is lost", status.state)
            }
            Some(_) => {
                self.fail(id, "its description in the store was damaged");
                "it is FAILED: its script is lost".to_owned()
            }
            None => self.settle_state(id),
        }
    }

    fn settle_status(&mut self, id: TaskId) -> String {
        if self.lost.contains(&id) {
            return "see its description".to_owned();
        }
        if self.parts.added.binary_search_by_key(&id, |it| it.id).is_err() {
            return "no such task is known".to_owned();
        }
        self.settle_state(id)
    }

    /// The state of a task whose state is lost.
    fn settle_state(&mut self, id: TaskId) -> String {
        if self.is_known_to_have_succeeded(id) {
            let job = self.job_of(id).and_then(|job| self.job(job));
            let ended = job.map(|job| job.ended.unwrap_or(job.submitted));
            let status = TaskStatus {
                state: TaskState::Succeeded,
                next_attempt: 1,
                ended,
                ..TaskStatus::default()
            };
            self.parts.statuses.insert(id, status);
            self.changed_tasks.insert(id);
            return "it counts as SUCCEEDED, as what came after it shows".to_owned();
        }
        self.fail(id, "its state in the store was damaged; whether it ran is not known");
        "it is FAILED: whether it ran is not known".to_owned()
    }

    fn is_known_to_have_succeeded(&self, id: TaskId) -> bool {
        let job = self.job_of(id).and_then(|job| self.job(job));
        self.ran_before.contains(&id) || job.is_some_and(|job| job.state == JobState::Succeeded)
    }

    fn fail(&mut self, id: TaskId, why: &str) {
        let job = self.job_of(id).and_then(|job| self.job(job));
        let mut ended = job.map_or(Time::ZERO, |job| job.ended.unwrap_or(job.submitted));
        let status = self.parts.statuses.entry(id).or_default();
        let failure = Failure::StartFailed(why.to_owned());
        if let (true, Some(attempt)) = (status.state.is_placed(), status.attempts.last_mut()) {
            attempt.ended = attempt.started.or(Some(attempt.assigned));
            attempt.outcome = Some(Outcome::Failed(failure.clone()));
        }
        for attempt in &status.attempts {
            ended = ended.max(attempt.ended.unwrap_or(attempt.assigned));
        }
        let attempts = status.next_attempt.saturating_sub(1);
        status.state = TaskState::Failed;
        status.next_attempt = status.next_attempt.max(1);
        status.cancel_requested = false;
        status.not_before = None;
        status.ready_since = None;
        status.ended = Some(ended);
        status.end_reason = Some(Box::new(EndReason::Failed { failure, attempts }));
        self.failed.insert(id);
        self.changed_tasks.insert(id);
    }

    /// Tasks of a job have ids in a row, but for those of the open job.
    fn job_of_lost(&self, id: TaskId) -> Option<JobId> {
        let mut empty = None;
        for job in self.parts.jobs.iter().filter(|job| job.name != DEFAULT) {
            let n_tasks = u64::from(job.n_tasks);
            match self.spans.get(&job.id) {
                Some(span) if span.n < n_tasks => {
                    let begins = (span.last + 1).saturating_sub(n_tasks);
                    if (begins..span.first + n_tasks).contains(&id.0) {
                        return Some(job.id);
                    }
                }
                Some(_) => {}
                None if empty.is_none() && n_tasks > 0 => empty = Some(job.id),
                None => {}
            }
        }
        let open = || self.parts.jobs.iter().find(|job| job.name == DEFAULT).map(|job| job.id);
        empty.or_else(open)
    }

    fn job(&self, id: JobId) -> Option<&JobRecord> {
        let at = self.parts.jobs.binary_search_by_key(&id, |job| job.id).ok()?;
        Some(&self.parts.jobs[at])
    }

    fn job_of(&self, id: TaskId) -> Option<JobId> {
        let at = self.parts.added.binary_search_by_key(&id, |it| it.id).ok()?;
        Some(self.parts.added[at].job)
    }

    /// What waits, however far, for a task that did not succeed. How many, for each such task.
    fn skip_dependents(&mut self) -> BTreeMap<TaskId, usize> {
        let mut dependents: BTreeMap<TaskId, Vec<TaskId>> = BTreeMap::new();
        if !self.failed.is_empty() {
            for task in &self.parts.added {
                for dependency in &task.dependencies {
                    dependents.entry(*dependency).or_default().push(task.id);
                }
            }
        }
        let mut n_skipped = BTreeMap::new();
        for root in self.failed.clone() {
            let at = self.parts.added.binary_search_by_key(&root, |it| it.id);
            let root_name = at.map(|at| self.parts.added[at].spec.name.clone());
            let root_name = root_name.expect("only tasks that are there have failed");
            let ended = self.parts.statuses[&root].ended;
            let mut waiting = dependents.get(&root).cloned().unwrap_or_default();
            while let Some(id) = waiting.pop() {
                let status = self.parts.statuses.entry(id).or_default();
                if status.state != TaskState::Pending {
                    continue;
                }
                status.state = TaskState::Skipped;
                status.next_attempt = status.next_attempt.max(1);
                status.ended = ended;
                status.ready_since = None;
                status.not_before = None;
                let upstream = EndReason::Upstream { root, root_name: root_name.clone() };
                status.end_reason = Some(Box::new(upstream));
                self.changed_tasks.insert(id);
                *n_skipped.entry(root).or_default() += 1;
                waiting.extend(dependents.get(&id).into_iter().flatten());
            }
        }
        n_skipped
    }

    /// A job has ended exactly when all of its tasks have.
    fn end_jobs(&mut self) {
        let of_changed = self.changed_tasks.iter().filter_map(|id| self.job_of(*id));
        let changed: BTreeSet<JobId> = of_changed.chain(self.changed_jobs.clone()).collect();
        for job in &mut self.parts.jobs {
            if !changed.contains(&job.id) || job.name == DEFAULT {
                continue;
            }
            let tasks = self.parts.added.iter().filter(|task| task.job == job.id);
            let statuses: Vec<&TaskStatus> =
                tasks.filter_map(|task| self.parts.statuses.get(&task.id)).collect();
            let has = |state: TaskState| statuses.iter().any(|status| status.state == state);
            let is_over = statuses.iter().all(|status| status.state.is_terminal());
            if !is_over || job.ended.is_some() {
                continue;
            }
            job.ended = statuses.iter().filter_map(|it| it.ended).max().or(Some(job.submitted));
            job.state = JobState::of_ended(has);
            self.changed_jobs.insert(job.id);
        }
    }

    fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> =
            self.changed_queues.iter().cloned().map(Record::Queue).collect();
        let jobs = self.changed_jobs.iter().filter_map(|id| self.job(*id));
        records.extend(jobs.cloned().map(Record::Job));
        for id in &self.changed_tasks {
            if self.lost.contains(id)
                && let Ok(at) = self.parts.added.binary_search_by_key(id, |it| it.id)
            {
                records.push(Record::TaskAdded(self.parts.added[at].clone()));
            }
            if let Some(status) = self.parts.statuses.get(id) {
                records.push(Record::Task(*id, status.clone()));
            }
        }
        records
    }
}

/// What does not fit together, so that no host can take it up.
pub(crate) fn inconsistencies(parts: &Parts) -> Vec<String> {
    let mut found = Vec::new();
    let spans = spans(&parts.added);
    for job in spans.keys() {
        if parts.jobs.binary_search_by_key(job, |it| it.id).is_err() {
            found.push(format!("{job} has tasks and no record"));
        }
    }
    for job in parts.jobs.iter().filter(|job| job.name != DEFAULT) {
        let span = spans.get(&job.id).copied().unwrap_or(Span { first: 1, last: 0, n: 0 });
        if span.n != u64::from(job.n_tasks) || span.last + 1 - span.first != span.n {
            found.push(format!("{} has {} of its {} tasks", job.id, span.n, job.n_tasks));
        }
    }
    for id in parts.statuses.keys() {
        if parts.added.binary_search_by_key(id, |it| it.id).is_err() {
            found.push(format!("{id} has a state and no description"));
        }
    }
    found
}

fn spans(added: &[TaskAdded]) -> BTreeMap<JobId, Span> {
    let mut spans = BTreeMap::new();
    for task in added {
        note(&mut spans, task.job, task.id);
    }
    spans
}

fn note(spans: &mut BTreeMap<JobId, Span>, job: JobId, task: TaskId) {
    let id = task.0;
    let span = spans.entry(job).or_insert(Span { first: id, last: id, n: 0 });
    span.first = span.first.min(id);
    span.last = span.last.max(id);
    span.n += 1;
}
