//! The event loop: the production scheduler in virtual time. At one instant completions are handled
//! first, then arrivals, then starts.
//!
//! Workers register at 0, report every start and end at once, and measure nothing of themselves.
//! Unless outages are played none is ever lost: they need no regular syncs, which would cost most of
//! the work in long runs, so the windows after which silence counts are never over. Starting and
//! reporting take no time.

mod away;

use crate::contender::TimedPolicies;
use crate::outage::Machines;
use crate::simulate::{Options, Run, SimulateError, TaskRun};
use crate::trace::Trace;
use crate::workload::Workload;
use pointsman_policy::{Incident, IncidentKind};
use pointsman_scheduler::event::{FinishedAttempt, Registration, SyncReport};
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::record::{Failure, Record, Snapshot, TaskState, TaskStatus};
use pointsman_scheduler::settings::{Heartbeat, QueueSettings};
use pointsman_scheduler::spec::JobSpec;
use pointsman_scheduler::{
    Answer, AttemptRef, Effect, Event, RequestId, Scheduler, Settings, Start, Stop, StopReason,
    TaskId, Term, Time, WorkerId,
};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// With nothing running and nothing to come, only timers of the scheduler can start something:
/// backoffs and restrictions, which are over by then.
const IDLE_MAX: Duration = Duration::from_secs(3600);
/// A task that was moved this often will be moved for ever.
const ATTEMPTS_MAX: u32 = 1000;
/// The soonest that policies are asked again for their own sake.
const WAKE_MIN: Duration = Duration::from_millis(1);
/// Planning rounds at one instant that start nothing although more is to be done.
const IDLE_ROUNDS_MAX: u32 = 1000;

pub(crate) struct World<'a> {
    workload: &'a Workload,
    options: &'a Options,
    scheduler: Scheduler,
    now: Time,
    /// Jobs not yet submitted, the next one last.
    arrivals: Vec<usize>,
    completions: BinaryHeap<Reverse<Completion>>,
    /// Current attempts, with the number of the completion that counts.
    running: FxHashMap<AttemptRef, Running>,
    n_completions: u64,
    /// Where a task is in the workload.
    places: FxHashMap<TaskId, (usize, usize)>,
    ids: Vec<Vec<TaskId>>,
    runs: Vec<Vec<TaskRun>>,
    /// By worker id.
    workers: BTreeMap<WorkerId, usize>,
    machines: Machines,
    /// Starts to be reported.
    started: BTreeMap<WorkerId, Vec<AttemptRef>>,
    /// The answer to the last request.
    answer: Option<Answer>,
    n_left: usize,
    last_progress: Time,
    /// A task with too many attempts.
    endless: Option<TaskId>,
    n_instants: u64,
    n_events: u64,
    trace: Trace,
    n_policy_failures: u64,
    first_policy_failure: Option<(Time, Incident)>,
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
    pub fn new<'a>(workload: &'a Workload, options: &'a Options) -> World<'a> {
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
            running: FxHashMap::default(),
            n_completions: 0,
            places: FxHashMap::default(),
            ids: vec![Vec::new(); workload.jobs.len()],
            runs: workload
                .jobs
                .iter()
                .map(|job| vec![unstarted.clone(); job.spec.tasks.len()])
                .collect(),
            workers: BTreeMap::new(),
            machines: Machines::of(options),
            started: BTreeMap::new(),
            answer: None,
            n_left: workload.n_tasks(),
            last_progress: Time::ZERO,
            endless: None,
            n_instants: 0,
            n_events: 0,
            trace: Trace::new(),
            n_policy_failures: 0,
            first_policy_failure: None,
            effects,
        }
    }

    /// To the end of all tasks.
    pub fn play(mut self, policies: &mut dyn TimedPolicies) -> Result<Run, SimulateError> {
        self.register_workers();
        while self.n_left > 0 {
            let Some(now) = self.next_instant(policies.wake_in()) else { return Err(self.stuck()) };
            self.now = now;
            self.n_instants += 1;
            self.complete();
            self.turn_machines();
            self.submit_arrivals()?;
            self.plan(policies)?;
            if let Some(task) = self.endless {
                return Err(self.never_ends(task));
            }
            if self.is_idle_for_too_long() {
                return Err(self.stuck());
            }
            if self.options.check_invariants {
                self.check_invariants()?;
            }
        }
        self.check_invariants()?;
        Ok(self.into_run())
    }

    fn register_workers(&mut self) {
        for position in 0..self.options.cluster.workers.len() {
            self.register(position);
        }
    }

    /// A new life of the worker at that position, which holds nothing.
    fn register(&mut self, position: usize) {
        let mut token_hash = [0; 32];
        token_hash[..8].copy_from_slice(&(position as u64).to_le_bytes());
        let registration = Registration {
            name: format!("worker-{}", position + 1),
            token_hash,
            life: self.machines.life(position),
            n: 1,
            capacity: self.options.cluster.workers[position],
            labels: BTreeMap::new(),
            held: Vec::new(),
            finished: Vec::new(),
        };
        match self.ask(|request| Event::Register { request, registration }) {
            Answer::Registered { worker, .. } => {
                self.workers.insert(worker, position);
            }
            other => unreachable!("a worker under its own name registers: {other:?}"),
        }
    }

    /// When something happens next; None: never.
    fn next_instant(&self, wake_in: Option<Duration>) -> Option<Time> {
        // Not at once, or time would stand still.
        let wake = wake_in.map(|wait| self.now.after(wait.max(WAKE_MIN)));
        let completion = self.completions.peek().map(|Reverse(completion)| completion.at);
        let arrival = self.arrivals.last().map(|job| self.workload.jobs[*job].arrives);
        let deadline = self.scheduler.next_deadline();
        let machines = self.machines.next_at();
        let next = [completion, arrival, deadline, wake, machines].into_iter().flatten().min()?;
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
                    return Err(SimulateError::Refused {
                        job: spec.name.clone(),
                        source: Box::new(source),
                    });
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
    fn plan(&mut self, policies: &mut dyn TimedPolicies) -> Result<(), SimulateError> {
        policies.set_time(self.now.since(Time::ZERO));
        let mut n_idle = 0;
        loop {
            let report = self.scheduler.plan(self.now, policies, &mut self.effects);
            self.apply();
            self.note_incidents(policies.take_incidents());
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

    fn note_incidents(&mut self, incidents: Vec<Incident>) {
        for incident in incidents {
            self.scheduler.handle(self.now, incident.event(), &mut self.effects);
            self.apply();
            match incident.kind {
                IncidentKind::Failed { .. } => {
                    self.n_policy_failures += 1;
                    self.first_policy_failure.get_or_insert((self.now, incident));
                }
                IncidentKind::Quarantined | IncidentKind::Waiting | IncidentKind::Serving => {}
            }
        }
    }

    fn sync(&mut self, worker: WorkerId, started: Vec<AttemptRef>, finished: Vec<FinishedAttempt>) {
        let report = SyncReport {
            worker,
            life: self.machines.life(self.workers[&worker]),
            measurements: None,
            started,
            finished,
            feedback: Vec::new(),
        };
        match self.ask(|request| Event::Sync { request, report }) {
            Answer::Synced { .. } => {}
            other => unreachable!("a worker that was not away for long can report: {other:?}"),
        }
    }

    fn ask(&mut self, event: impl FnOnce(RequestId) -> Event) -> Answer {
        self.n_events += 1;
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
        if run.n_attempts >= ATTEMPTS_MAX {
            self.endless.get_or_insert(id);
        }
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
        if self.machines.is_down(self.workers[&start.worker]) {
            // Nobody is there to hear it.
            self.machines.n_unheard += 1;
            return;
        }
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
        let (job, task) = waiting.map(|id| self.names(id)).unwrap_or_default();
        SimulateError::Stuck {
            at_s: crate::seconds::format_millis(self.now.0),
            n_left: self.n_left,
            job,
            task,
            reason: waiting.and_then(|id| self.scheduler.reason(id)).map(Box::new),
        }
    }

    fn never_ends(&self, id: TaskId) -> SimulateError {
        let (job, task) = self.names(id);
        SimulateError::Endless { job, task, n_attempts: ATTEMPTS_MAX }
    }

    /// Of the job and of the task.
    fn names(&self, id: TaskId) -> (String, String) {
        let (job, position) = self.places[&id];
        let spec = &self.workload.jobs[job].spec;
        (spec.name.clone(), spec.tasks[position].name.clone())
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
        Run {
            jobs: self.runs,
            n_instants: self.n_instants,
            n_events: self.n_events,
            n_outages: self.machines.n_outages,
            n_interrupted: self.machines.n_interrupted,
            n_unheard: self.machines.n_unheard,
            trace_hash: self.trace.hash(),
            n_policy_failures: self.n_policy_failures,
            first_policy_failure: self.first_policy_failure,
        }
    }
}

/// The settings in force: nobody's silence counts where nobody is ever silent, and every queue named by a task exists.
fn settings(workload: &Workload, options: &Options) -> Settings {
    let mut settings = options.settings.clone();
    if options.outages.is_empty() {
        settings.heartbeat = Heartbeat {
            suspect_after: Duration::MAX,
            lost_after: Duration::MAX,
            interval: settings.heartbeat.interval,
        };
    }
    for task in workload.jobs.iter().flat_map(|job| &job.spec.tasks) {
        if !settings.queues.contains_key(&*task.queue) {
            let queue = QueueSettings { reserve_after: None, ..QueueSettings::default() };
            settings.queues.insert(task.queue.to_string(), queue);
        }
    }
    for queue in settings.queues.values_mut() {
        queue.limit = None;
    }
    settings
}
