//! The whole world of a scheduler in one struct: virtual time, workers that do as they are told,
//! policies in a few lines. Invariants are checked after every event.

#![allow(
    dead_code,
    reason = "each test file uses a part of it; expect would fail in one that uses all"
)]

use pointsman_scheduler::columns::{TaskColumn, WorkerColumn};
use pointsman_scheduler::event::{
    FinishedAttempt, HeldAttempt, Measurements, Registration, SyncReport,
};
use pointsman_scheduler::policies::{
    CallError, GroupBy, Policies, Proposal, QueueProfile, ReschedulingProfile, ScoringProfile,
};
use pointsman_scheduler::record::{
    Failure, JobRecord, PolicyStamp, Snapshot, TaskAdded, TaskState, TaskStatus, WorkerRecord,
};
use pointsman_scheduler::resources::Capacity;
use pointsman_scheduler::settings::Discipline;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use pointsman_scheduler::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Shares are told apart in this many steps.
pub const STEPS: f64 = (1 << 20) as f64;

/// Scores by free cpu; ranks by priority, then by the time a task became ready. With groups, the
/// share of the tenant comes before both.
pub struct PlainPolicies {
    pub discipline: Discipline,
    pub node_local: bool,
    pub banded: bool,
    /// Overrides every score.
    pub score: Option<f64>,
    pub generation: u32,
    pub proposals: Vec<Proposal>,
    pub fail_calls: u32,
    pub group_by: Option<GroupBy>,
    /// The policy that serves after a failure does not group.
    pub falls_to_plain: bool,
    /// What became ready last goes first.
    pub newest_first: bool,
    /// The slot of the queue policy is held.
    pub holds_ranks: bool,
    /// Rows of each call for ranks.
    pub rank_calls: Vec<usize>,
    /// The less of it, the higher the score.
    pub scores_by: WorkerColumn,
}

impl Default for PlainPolicies {
    fn default() -> Self {
        PlainPolicies {
            discipline: Discipline::Greedy,
            node_local: true,
            banded: false,
            score: None,
            generation: 1,
            proposals: Vec::new(),
            fail_calls: 0,
            group_by: None,
            falls_to_plain: false,
            newest_first: false,
            holds_ranks: false,
            rank_calls: Vec::new(),
            scores_by: WorkerColumn::CpuLoad,
        }
    }
}

impl PlainPolicies {
    fn stamp(&self) -> PolicyStamp {
        PolicyStamp { generation: self.generation, digest: 0 }
    }

    fn fails(&mut self) -> bool {
        let fails = self.fail_calls > 0;
        if fails {
            self.fail_calls -= 1;
            self.generation += 1;
            if self.falls_to_plain {
                self.group_by = None;
            }
        }
        fails
    }
}

impl Policies for PlainPolicies {
    fn begin_round(&mut self) {}

    fn scoring(&self) -> Arc<ScoringProfile> {
        Arc::new(ScoringProfile {
            stamp: self.stamp(),
            name: "plain".to_owned(),
            needs_worker: vec![self.scores_by],
            needs_task: vec![],
            node_local: self.node_local,
            banded: self.banded,
        })
    }

    fn queue(&self) -> Arc<QueueProfile> {
        Arc::new(QueueProfile {
            stamp: self.stamp(),
            name: "plain".to_owned(),
            needs_task: vec![
                TaskColumn::InheritedPriority,
                TaskColumn::ReadySinceMs,
                TaskColumn::TenantShare,
            ],
            refresh: None,
            discipline: Some(self.discipline),
            group_by: self.group_by,
        })
    }

    fn rescheduling(&self) -> Option<Arc<ReschedulingProfile>> {
        Some(Arc::new(ReschedulingProfile {
            stamp: self.stamp(),
            name: "plain".to_owned(),
            needs_task: vec![TaskColumn::ElapsedMs],
            needs_worker: vec![WorkerColumn::CpuLoad],
            interval: Duration::from_secs(5),
        }))
    }

    fn score(
        &mut self,
        _task: &[f64],
        workers: &[Vec<f64>],
        n_rows: usize,
        scores: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        if self.fails() {
            return Err(CallError::NextRung);
        }
        scores.clear();
        scores.extend((0..n_rows).map(|row| self.score.unwrap_or(1.0 - workers[0][row])));
        Ok(())
    }

    fn rank(
        &mut self,
        _now_ms: f64,
        tasks: &[Vec<f64>],
        n_rows: usize,
        ranks: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        if self.holds_ranks {
            return Err(CallError::Held);
        }
        if self.fails() {
            return Err(CallError::NextRung);
        }
        self.rank_calls.push(n_rows);
        let by_priority = |row: usize| tasks[1][row] - tasks[0][row] * 1e12;
        let rank = |row: usize| match self.group_by {
            None if self.newest_first => -tasks[1][row],
            None => by_priority(row),
            // Shares in steps that outweigh any priority, exactly.
            Some(_) => (tasks[2][row] * STEPS).round() * STEPS - tasks[0][row],
        };
        ranks.clear();
        ranks.extend((0..n_rows).map(rank));
        Ok(())
    }

    fn review(
        &mut self,
        _now_ms: f64,
        tasks: &[Vec<f64>],
        _on_worker: &[u32],
        _workers: &[Vec<f64>],
    ) -> Result<Vec<Proposal>, CallError> {
        let n_rows = tasks[0].len();
        Ok(self.proposals.drain(..).filter(|proposal| proposal.row < n_rows).collect())
    }
}

pub struct World {
    pub scheduler: Scheduler,
    pub policies: PlainPolicies,
    pub now: Time,
    pub answers: Vec<Answer>,
    pub started: Vec<Start>,
    pub stopped: Vec<Stop>,
    pub notices: Vec<Notice>,
    pub status: BTreeMap<TaskId, TaskStatus>,
    pub added: BTreeMap<TaskId, TaskAdded>,
    pub jobs: BTreeMap<JobId, JobRecord>,
    pub workers: BTreeMap<WorkerId, WorkerRecord>,
    pub term: u64,
    pub settings: Settings,
    /// Walk the whole state after every event; off for large worlds.
    pub is_checked: bool,
    next_request: u64,
}

impl World {
    pub fn new() -> World {
        World::with(Settings::default())
    }

    pub fn with(settings: Settings) -> World {
        let now = Time(1_000_000_000_000);
        let mut effects = Vec::new();
        let scheduler = Scheduler::recover(
            settings.clone(),
            42,
            Term(1),
            now,
            Snapshot::default(),
            &mut effects,
        );
        World {
            scheduler,
            policies: PlainPolicies::default(),
            now,
            answers: Vec::new(),
            started: Vec::new(),
            stopped: Vec::new(),
            notices: Vec::new(),
            status: BTreeMap::new(),
            added: BTreeMap::new(),
            jobs: BTreeMap::new(),
            workers: BTreeMap::new(),
            term: 1,
            settings,
            is_checked: true,
            next_request: 0,
        }
    }

    pub fn request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    /// Handles one event and plans; answers the last answer, if the event got one.
    pub fn event(&mut self, event: Event) -> Option<Answer> {
        let mut effects = Vec::new();
        let n_answers = self.answers.len();
        self.scheduler.handle(self.now, event, &mut effects);
        self.take(effects);
        self.plan();
        if self.answers.len() > n_answers { self.answers.last().cloned() } else { None }
    }

    pub fn plan(&mut self) {
        loop {
            let mut effects = Vec::new();
            let report = self.scheduler.plan(self.now, &mut self.policies, &mut effects);
            self.take(effects);
            if self.is_checked {
                assert_eq!(self.scheduler.check_invariants(), Vec::<String>::new());
            }
            if !report.more {
                break;
            }
        }
    }

    fn take(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(record) => self.keep(record),
                Effect::Publish(notice) => self.notices.push(notice),
                Effect::Start(start) => self.started.push(start),
                Effect::Stop(stop) => self.stopped.push(stop),
                Effect::Answer { answer, .. } => self.answers.push(answer),
            }
        }
    }

    fn keep(&mut self, record: Record) {
        match record {
            Record::Job(job) => {
                self.jobs.insert(job.id, job);
            }
            Record::TaskAdded(added) => {
                self.added.insert(added.id, added);
            }
            Record::Task(id, status) => {
                self.status.insert(id, status);
            }
            Record::Worker(worker) => {
                self.workers.insert(worker.id, worker);
            }
            Record::WorkerForgotten(id) => {
                self.workers.remove(&id);
            }
            Record::TaskForgotten(id) => {
                self.added.remove(&id);
                self.status.remove(&id);
            }
            Record::JobForgotten(id) => {
                self.jobs.remove(&id);
            }
            Record::Queue(_) | Record::Key(_) | Record::KeyForgotten(_) => {}
        }
    }

    /// Lets time pass, waking the scheduler whenever it asked for it. Workers stay silent.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(deadline) = self.scheduler.next_deadline()
            && deadline <= end
        {
            self.now = self.now.max(deadline);
            self.plan();
        }
        self.now = end;
        self.plan();
    }

    /// Lets time pass while all live workers sync every interval.
    pub fn pass_synced(&mut self, span: Duration) {
        let end = self.now.after(span);
        while self.now < end {
            let step = Duration::from_secs(5).min(end.since(self.now));
            self.pass(step);
            for id in self.workers.keys().copied().collect::<Vec<_>>() {
                self.sync(id);
            }
        }
    }

    pub fn submit(&mut self, tasks: Vec<TaskSpec>) -> Vec<TaskId> {
        let request = self.request();
        let tasks = tasks.into_iter().map(Arc::new).collect();
        let job = JobSpec { name: "job".to_owned(), tasks };
        match self.event(Event::SubmitJob { request, key: None, job }) {
            Some(Answer::Submitted { tasks, .. }) => tasks,
            other => panic!("expected the job to be accepted, got {other:?}"),
        }
    }

    pub fn submit_one(&mut self, task: TaskSpec) -> Answer {
        let request = self.request();
        let event = Event::SubmitTask { request, key: None, task: Arc::new(task) };
        self.event(event).expect("a submission is answered")
    }

    pub fn registration(&self, name: &str, cpus: u64) -> Registration {
        let mut token_hash = [0; 32];
        for (to, from) in token_hash.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        Registration {
            name: name.to_owned(),
            token_hash,
            life: 1,
            n: self.next_request + 1,
            capacity: Capacity { cpu_milli: cpus * 1000, memory: 8_000_000_000, gpus: 0 },
            labels: BTreeMap::new(),
            held: vec![],
            finished: vec![],
        }
    }

    pub fn worker(&mut self, name: &str, cpus: u64) -> WorkerId {
        let registration = self.registration(name, cpus);
        self.register(registration)
    }

    pub fn register(&mut self, registration: Registration) -> WorkerId {
        let request = self.request();
        match self.event(Event::Register { request, registration }) {
            Some(Answer::Registered { worker, .. }) => worker,
            other => panic!("expected the worker to be registered, got {other:?}"),
        }
    }

    pub fn report(&self, worker: WorkerId) -> SyncReport {
        SyncReport {
            worker,
            life: 1,
            measurements: None,
            started: vec![],
            finished: vec![],
            feedback: vec![],
        }
    }

    pub fn sync_with(&mut self, report: SyncReport) -> Answer {
        let request = self.request();
        self.event(Event::Sync { request, report }).expect("a sync is answered")
    }

    pub fn sync(&mut self, worker: WorkerId) -> Answer {
        let report = self.report(worker);
        self.sync_with(report)
    }

    pub fn measure(&mut self, worker: WorkerId, measurements: Measurements) {
        let report = SyncReport { measurements: Some(measurements), ..self.report(worker) };
        self.sync_with(report);
    }

    /// The newest start command of a task.
    pub fn attempt(&self, task: TaskId) -> (WorkerId, AttemptRef) {
        let start = self.started.iter().rev().find(|start| start.attempt.task == task);
        let start = start.unwrap_or_else(|| panic!("{task} was never started"));
        (start.worker, start.attempt)
    }

    pub fn begin(&mut self, task: TaskId) {
        let (worker, attempt) = self.attempt(task);
        let report = SyncReport { started: vec![attempt], ..self.report(worker) };
        self.sync_with(report);
    }

    pub fn finish(&mut self, task: TaskId, failure: Option<Failure>) -> Answer {
        let (worker, attempt) = self.attempt(task);
        let finished = FinishedAttempt { attempt, failure, ran: Some(Duration::from_secs(1)) };
        let report = SyncReport { finished: vec![finished], ..self.report(worker) };
        self.sync_with(report)
    }

    pub fn state(&self, task: TaskId) -> TaskState {
        self.status[&task].state
    }

    pub fn states(&self, tasks: &[TaskId]) -> Vec<TaskState> {
        tasks.iter().map(|task| self.state(*task)).collect()
    }

    /// The host dies and a new one reads what was durable.
    pub fn restart(&mut self, down: Duration) {
        self.now = self.now.after(down);
        self.term += 1;
        let snapshot = self.snapshot();
        let mut effects = Vec::new();
        self.scheduler = Scheduler::recover(
            self.settings.clone(),
            43,
            Term(self.term),
            self.now,
            snapshot,
            &mut effects,
        );
        self.take(effects);
        self.plan();
    }

    pub fn snapshot(&self) -> Snapshot {
        let status = |id: &TaskId| self.status.get(id).cloned().expect("added tasks have a status");
        Snapshot {
            jobs: self.jobs.values().cloned().collect(),
            tasks: self.added.values().map(|added| (added.clone(), status(&added.id))).collect(),
            workers: self.workers.values().cloned().collect(),
            ..Snapshot::default()
        }
    }

    /// Registers again as the same process, holding these.
    pub fn register_again(
        &mut self,
        name: &str,
        cpus: u64,
        held: Vec<HeldAttempt>,
        finished: Vec<FinishedAttempt>,
    ) -> Answer {
        let registration = Registration { held, finished, ..self.registration(name, cpus) };
        let request = self.request();
        self.event(Event::Register { request, registration }).expect("a registration is answered")
    }
}

pub fn task(name: &str) -> TaskSpec {
    TaskSpec::new(name, "true")
}

pub fn after(name: &str, dependencies: &[&str]) -> TaskSpec {
    let dependencies = dependencies.iter().map(|name| (*name).to_owned()).collect();
    TaskSpec { dependencies, ..task(name) }
}

pub fn cpus(name: &str, cpu_milli: u64) -> TaskSpec {
    let mut spec = task(name);
    spec.request.cpu_milli = cpu_milli;
    spec
}

pub fn exit(code: i32) -> Option<Failure> {
    Some(Failure::ExitCode(code))
}
