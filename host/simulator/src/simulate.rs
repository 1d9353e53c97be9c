//! The event loop: the production scheduler in virtual time. At one instant completions are handled
//! first, then arrivals, then starts.
//!
//! Workers register at 0, report every start and end at once, are never lost, and measure nothing of
//! themselves: they need no regular syncs, which would cost most of the work in long runs, so the
//! windows after which silence counts are never over. Starting and reporting take no time.

use crate::cluster::Cluster;
use crate::trace::Trace;
use crate::workload::Workload;
use pointsman_scheduler::event::{FinishedAttempt, Registration, SyncReport};
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::record::{Failure, Record, Snapshot, TaskState, TaskStatus};
use pointsman_scheduler::settings::{Heartbeat, QueueSettings};
use pointsman_scheduler::spec::JobSpec;
use pointsman_scheduler::{
    Answer, AttemptRef, Effect, Event, Policies, Refusal, RequestId, Scheduler, Settings, Start,
    Stop, StopReason, TaskId, Term, Time, WorkerId,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

/// How a workload is played.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub cluster: Cluster,
    /// The scheduler's settings; the windows of `heartbeat` and the limits of `queues` are replaced.
    pub settings: Settings,
    /// Seed of the scheduler's random generator.
    pub seed: u64,
    /// Check the scheduler's invariants at every instant: slow, since each check walks all tasks.
    pub check_invariants: bool,
}

impl Options {
    pub fn on(cluster: Cluster) -> Options {
        Options { cluster, settings: Settings::default(), seed: 0, check_invariants: false }
    }
}

/// What happened, task by task.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// By job and position, as in the workload.
    pub jobs: Vec<Vec<TaskRun>>,
    /// Instants at which something happened.
    pub n_instants: u64,
    /// Equal for equal runs: a hash over all effects with their times.
    pub trace_hash: u64,
}

/// One task's course. Times are virtual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRun {
    /// When its job had arrived and its last dependency had ended.
    pub ready: Time,
    /// Start of the first attempt; None if it never ran.
    pub started: Option<Time>,
    pub ended: Time,
    /// A final one.
    pub state: TaskState,
    pub n_attempts: u32,
    /// Worker of the last attempt, by position in the cluster.
    pub worker: Option<usize>,
    /// Nanoseconds that its attempts held a worker.
    pub busy: u128,
}

/// Why a simulation did not come to its end.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SimulateError {
    #[error("there are no workers; give at least one")]
    NoWorkers,
    #[error("the workload has no tasks")]
    NoTasks,
    #[error("job {job:?} was refused")]
    Refused { job: String, source: Refusal },
    #[error(
        "at {at_s} s nothing runs, nothing arrives, and {n_left} tasks wait for ever; the first is \
         {task:?} of job {job:?}: {reason:?}"
    )]
    Stuck { at_s: String, n_left: usize, job: String, task: String, reason: Option<Reason> },
    #[error("the scheduler broke an invariant at {at_s} s: {violations}")]
    Invariant { at_s: String, violations: String },
}

/// Plays the workload to its end.
///
/// # Errors
/// If there is nothing to play, a job is refused, or tasks wait for what cannot come.
pub fn simulate(
    workload: &Workload,
    options: &Options,
    policies: &mut dyn Policies,
) -> Result<Run, SimulateError> {
    if options.cluster.workers.is_empty() {
        return Err(SimulateError::NoWorkers);
    }
    if workload.n_tasks() == 0 {
        return Err(SimulateError::NoTasks);
    }
    let mut world = World::new(workload, options);
    world.register_workers();
    while world.n_left > 0 {
        let Some(now) = world.next_instant() else { return Err(world.stuck()) };
        world.now = now;
        world.n_instants += 1;
        world.complete();
        world.submit_arrivals()?;
        world.plan(policies)?;
        if world.is_idle_for_too_long() {
            return Err(world.stuck());
        }
        if options.check_invariants {
            world.check_invariants()?;
        }
    }
    Ok(world.into_run())
}

/// With nothing running and nothing to come, only timers of the scheduler can start something:
/// backoffs and restrictions, which are over by then.
const IDLE_MAX: Duration = Duration::from_secs(3600);
/// Planning rounds at one instant that start nothing although more is to be done.
const IDLE_ROUNDS_MAX: u32 = 1000;

/// Any number will do: workers have one life here.
const LIFE: u64 = 1;

struct World<'a> {
    workload: &'a Workload,
    options: &'a Options,
    scheduler: Scheduler,
    now: Time,
    /// Jobs not yet submitted, the next one last.
    arrivals: Vec<usize>,
    completions: BinaryHeap<Reverse<Completion>>,
    /// Current attempts, with the number of the completion that counts.
    running: HashMap<AttemptRef, Running>,
    n_completions: u64,
    /// Where a task is in the workload.
    places: HashMap<TaskId, (usize, usize)>,
    ids: Vec<Vec<TaskId>>,
    runs: Vec<Vec<TaskRun>>,
    /// By worker id.
    workers: BTreeMap<WorkerId, usize>,
    /// Starts to be reported.
    started: BTreeMap<WorkerId, Vec<AttemptRef>>,
    /// The answer to the last request.
    answer: Option<Answer>,
    n_left: usize,
    last_progress: Time,
    n_instants: u64,
    trace: Trace,
    effects: Vec<Effect>,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    worker: WorkerId,
    since: Time,
    completion: u64,
}

/// In order of time, then of scheduling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Completion {
    at: Time,
    number: u64,
    attempt: AttemptRef,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Success,
    Stopped(StopCause),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum StopCause {
    Cancelled,
    Migrated,
    Preempted,
}

impl World<'_> {
    fn new<'a>(workload: &'a Workload, options: &'a Options) -> World<'a> {
        let mut arrivals: Vec<usize> = (0..workload.jobs.len()).collect();
        arrivals.sort_by_key(|job| Reverse((workload.jobs[*job].arrives, *job)));
        let unstarted = TaskRun {
            ready: Time::ZERO,
            started: None,
            ended: Time::ZERO,
            state: TaskState::Pending,
            n_attempts: 0,
            worker: None,
            busy: 0,
        };
        let mut effects = Vec::new();
        let scheduler = Scheduler::recover(
            settings(workload, options),
            options.seed,
            Term(1),
            Time::ZERO,
            Snapshot::default(),
            &mut effects,
        );
        World {
            workload,
            options,
            scheduler,
            now: Time::ZERO,
            arrivals,
            completions: BinaryHeap::new(),
            running: HashMap::new(),
            n_completions: 0,
            places: HashMap::new(),
            ids: vec![Vec::new(); workload.jobs.len()],
            runs: workload
                .jobs
                .iter()
                .map(|job| vec![unstarted.clone(); job.spec.tasks.len()])
                .collect(),
            workers: BTreeMap::new(),
            started: BTreeMap::new(),
            answer: None,
            n_left: workload.n_tasks(),
            last_progress: Time::ZERO,
            n_instants: 0,
            trace: Trace::new(),
            effects,
        }
    }

    fn register_workers(&mut self) {
        for (position, capacity) in self.options.cluster.workers.iter().enumerate() {
            let mut token_hash = [0; 32];
            token_hash[..8].copy_from_slice(&(position as u64).to_le_bytes());
            let registration = Registration {
                name: format!("worker-{}", position + 1),
                token_hash,
                life: LIFE,
                capacity: *capacity,
                labels: BTreeMap::new(),
                held: Vec::new(),
                finished: Vec::new(),
            };
            match self.ask(|request| Event::Register { request, registration }) {
                Answer::Registered { worker, .. } => {
                    self.workers.insert(worker, position);
                }
                other => unreachable!("a new worker under a new name registers: {other:?}"),
            }
        }
    }

    /// When something happens next; None: never.
    fn next_instant(&self) -> Option<Time> {
        let completion = self.completions.peek().map(|Reverse(completion)| completion.at);
        let arrival = self.arrivals.last().map(|job| self.workload.jobs[*job].arrives);
        let deadline = self.scheduler.next_deadline();
        let next = [completion, arrival, deadline].into_iter().flatten().min()?;
        (next < Time::NEVER).then(|| next.max(self.now))
    }

    fn complete(&mut self) {
        while let Some(Reverse(completion)) = self.completions.peek()
            && completion.at <= self.now
        {
            let Some(Reverse(completion)) = self.completions.pop() else { return };
            let attempt = completion.attempt;
            match self.running.get(&attempt) {
                Some(running) if running.completion == completion.number => {}
                // It was stopped before.
                Some(_) | None => continue,
            }
            let running = self.running.remove(&attempt).expect("looked up just before");
            let ran = self.now.since(running.since);
            let (job, position) = self.places[&attempt.task];
            self.runs[job][position].busy += ran.as_nanos();
            let failure = match completion.end {
                End::Success => None,
                End::Stopped(StopCause::Cancelled) => Some(Failure::Cancelled),
                End::Stopped(StopCause::Migrated) => Some(Failure::Migrated),
                End::Stopped(StopCause::Preempted) => Some(Failure::Preempted),
            };
            let finished = FinishedAttempt { attempt, failure, ran: Some(ran) };
            self.sync(running.worker, Vec::new(), vec![finished]);
        }
    }

    fn submit_arrivals(&mut self) -> Result<(), SimulateError> {
        while let Some(&job) = self.arrivals.last()
            && self.workload.jobs[job].arrives <= self.now
        {
            self.arrivals.pop();
            let spec = &self.workload.jobs[job].spec;
            let cluster = &self.options.cluster;
            let tasks = spec.tasks.iter().map(|task| cluster.adapt(task)).collect();
            let submitted = JobSpec { name: spec.name.clone(), tasks };
            match self.ask(|request| Event::SubmitJob { request, key: None, job: submitted }) {
                Answer::Submitted { tasks, .. } => self.note_submitted(job, tasks),
                Answer::Refused(source) => {
                    return Err(SimulateError::Refused { job: spec.name.clone(), source });
                }
                other => unreachable!("a submission is accepted or refused: {other:?}"),
            }
        }
        Ok(())
    }

    fn note_submitted(&mut self, job: usize, tasks: Vec<TaskId>) {
        for (position, id) in tasks.iter().enumerate() {
            self.places.insert(*id, (job, position));
            self.runs[job][position].ready = self.now;
        }
        self.ids[job] = tasks;
        self.last_progress = self.now;
    }

    /// Plans until nothing more can start at this instant, then reports the starts.
    fn plan(&mut self, policies: &mut dyn Policies) -> Result<(), SimulateError> {
        let mut n_idle = 0;
        loop {
            let report = self.scheduler.plan(self.now, policies, &mut self.effects);
            self.apply();
            if !report.more {
                break;
            }
            n_idle = if report.n_started > 0 { 0 } else { n_idle + 1 };
            if n_idle > IDLE_ROUNDS_MAX {
                return Err(self.stuck());
            }
        }
        for (worker, started) in std::mem::take(&mut self.started) {
            self.sync(worker, started, Vec::new());
        }
        Ok(())
    }

    fn sync(&mut self, worker: WorkerId, started: Vec<AttemptRef>, finished: Vec<FinishedAttempt>) {
        let report = SyncReport {
            worker,
            life: LIFE,
            measurements: None,
            started,
            finished,
            feedback: Vec::new(),
        };
        match self.ask(|request| Event::Sync { request, report }) {
            Answer::Synced { .. } => {}
            other => unreachable!("a worker that is never lost can report: {other:?}"),
        }
    }

    fn ask(&mut self, event: impl FnOnce(RequestId) -> Event) -> Answer {
        self.scheduler.handle(self.now, event(RequestId(0)), &mut self.effects);
        self.apply();
        self.answer.take().expect("every request is answered at once")
    }

    /// Does what the scheduler wants done.
    fn apply(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.trace.note(self.now, &effect);
            match effect {
                Effect::Persist(Record::Task(id, status)) => self.note_status(id, &status),
                Effect::Persist(_) | Effect::Publish(_) => {}
                Effect::Start(start) => self.start(&start),
                Effect::Stop(stop) => self.stop(&stop),
                Effect::Answer { answer, .. } => self.answer = Some(answer),
            }
        }
        self.effects = effects;
    }

    fn note_status(&mut self, id: TaskId, status: &TaskStatus) {
        // Records of a submission come before its answer tells where they belong.
        let Some(&(job, position)) = self.places.get(&id) else { return };
        let run = &mut self.runs[job][position];
        run.n_attempts = status.next_attempt.saturating_sub(1);
        if status.state.is_terminal() && !run.state.is_terminal() {
            self.n_left -= 1;
            self.last_progress = self.now;
            run.ended = self.now;
        } else if let (TaskState::Assigned, None, Some(ready)) =
            (status.state, run.started, status.ready_since)
        {
            run.ready = ready;
        }
        run.state = status.state;
    }

    fn start(&mut self, start: &Start) {
        let (job, position) = self.places[&start.attempt.task];
        let run = &mut self.runs[job][position];
        run.started.get_or_insert(self.now);
        run.worker = self.workers.get(&start.worker).copied();
        let run_time = Duration::from_nanos(self.workload.jobs[job].run_times[position]);
        let completion = self.complete_at(self.now.after(run_time), start.attempt, End::Success);
        let running = Running { worker: start.worker, since: self.now, completion };
        self.running.insert(start.attempt, running);
        self.started.entry(start.worker).or_default().push(start.attempt);
        self.last_progress = self.now;
    }

    fn stop(&mut self, stop: &Stop) {
        let cause = match stop.why {
            StopReason::Cancelled => StopCause::Cancelled,
            StopReason::Migrated => StopCause::Migrated,
            StopReason::Preempted => StopCause::Preempted,
            StopReason::Stale => {
                self.running.remove(&stop.attempt);
                return;
            }
        };
        let completion = self.complete_at(self.now, stop.attempt, End::Stopped(cause));
        if let Some(running) = self.running.get_mut(&stop.attempt) {
            running.completion = completion;
        }
    }

    fn complete_at(&mut self, at: Time, attempt: AttemptRef, end: End) -> u64 {
        self.n_completions += 1;
        let number = self.n_completions;
        self.completions.push(Reverse(Completion { at, number, attempt, end }));
        number
    }

    fn is_idle_for_too_long(&self) -> bool {
        self.n_left > 0
            && self.running.is_empty()
            && self.arrivals.is_empty()
            && self.now.since(self.last_progress) > IDLE_MAX
    }

    fn stuck(&self) -> SimulateError {
        let tasks = self.ids.iter().flatten();
        let waiting = tasks.copied().find(|id| {
            let (job, position) = self.places[id];
            !self.runs[job][position].state.is_terminal()
                && !matches!(self.scheduler.reason(*id), Some(Reason::Dependencies { .. }))
        });
        let name = |id: TaskId| {
            let (job, position) = self.places[&id];
            let spec = &self.workload.jobs[job].spec;
            (spec.name.clone(), spec.tasks[position].name.clone())
        };
        let (job, task) = waiting.map(name).unwrap_or_default();
        SimulateError::Stuck {
            at_s: crate::seconds::format_millis(self.now.0),
            n_left: self.n_left,
            job,
            task,
            reason: waiting.and_then(|id| self.scheduler.reason(id)),
        }
    }

    fn check_invariants(&self) -> Result<(), SimulateError> {
        let violations = self.scheduler.check_invariants();
        if violations.is_empty() {
            return Ok(());
        }
        Err(SimulateError::Invariant {
            at_s: crate::seconds::format_millis(self.now.0),
            violations: violations.join("; "),
        })
    }

    fn into_run(self) -> Run {
        Run { jobs: self.runs, n_instants: self.n_instants, trace_hash: self.trace.hash() }
    }
}

/// The settings in force: nobody's silence counts, and every queue named by a task exists.
fn settings(workload: &Workload, options: &Options) -> Settings {
    let mut settings = options.settings.clone();
    settings.heartbeat = Heartbeat {
        suspect_after: Duration::MAX,
        lost_after: Duration::MAX,
        interval: settings.heartbeat.interval,
    };
    for task in workload.jobs.iter().flat_map(|job| &job.spec.tasks) {
        if !settings.queues.contains_key(&task.queue) {
            settings.queues.insert(task.queue.clone(), QueueSettings::default());
        }
    }
    for queue in settings.queues.values_mut() {
        queue.limit = None;
    }
    settings
}
