//! What is asked of a simulation and what comes of it. The event loop is in [`crate::world`].

use crate::cluster::Cluster;
use crate::contender::TimedPolicies;
use crate::outage::Outage;
use crate::workload::Workload;
use crate::world::World;
use pointsman_policy::Incident;
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::record::TaskState;
use pointsman_scheduler::settings::{Discipline, QueueSettings};
use pointsman_scheduler::{Refusal, Settings, Time};
use std::time::Duration;

/// How a workload is played.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub cluster: Cluster,
    /// The scheduler's settings; the limits of `queues` are replaced, and without outages the windows of
    /// `heartbeat`.
    pub settings: Settings,
    /// Which workers are away when. With any, workers that are up sync every interval of `heartbeat`.
    pub outages: Vec<Outage>,
    /// Seed of the scheduler's random generator.
    pub seed: u64,
    /// Check the scheduler's invariants at every instant: slow, since each check walks all tasks.
    pub check_invariants: bool,
}

impl Options {
    /// Order and discipline decide alone: no task goes first for having waited long.
    pub fn on(cluster: Cluster) -> Options {
        let mut settings = Settings::default();
        settings.queues.values_mut().for_each(|queue| queue.reserve_after = None);
        Options { cluster, settings, outages: Vec::new(), seed: 0, check_invariants: false }
    }

    /// The same discipline for all queues that the workload names.
    pub fn set_discipline(&mut self, workload: &Workload, discipline: Discipline) {
        self.for_queues_of(workload, |queue| queue.discipline = Some(discipline));
    }

    /// When a task that others overtake goes first, in all queues that the workload names; None: never.
    pub fn set_reserve_after(&mut self, workload: &Workload, after: Option<Duration>) {
        self.for_queues_of(workload, |queue| queue.reserve_after = after);
    }

    fn for_queues_of(&mut self, workload: &Workload, set: impl Fn(&mut QueueSettings)) {
        for task in workload.jobs.iter().flat_map(|job| &job.spec.tasks) {
            if !self.settings.queues.contains_key(&*task.queue) {
                let queue = QueueSettings { reserve_after: None, ..QueueSettings::default() };
                self.settings.queues.insert(task.queue.to_string(), queue);
            }
        }
        self.settings.queues.values_mut().for_each(set);
    }
}

/// What happened, task by task.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// By job and position, as in the workload.
    pub jobs: Vec<Vec<TaskRun>>,
    /// Instants at which something happened.
    pub n_instants: u64,
    /// Events that the scheduler handled: registrations, submissions and what workers report.
    pub n_events: u64,
    /// Outages that began before the last task ended.
    pub n_outages: u64,
    /// Attempts that ended with their machine.
    pub n_interrupted: u64,
    /// Starts on a worker that was away and not yet given up.
    pub n_unheard: u64,
    /// Equal for equal runs: a hash over all effects with their times.
    pub trace_hash: u64,
    /// Calls that a policy failed; others decided in its place.
    pub n_policy_failures: u64,
    pub first_policy_failure: Option<(Time, Incident)>,
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
    Refused { job: String, source: Box<Refusal> },
    #[error(
        "at {at_s} s nothing runs, nothing arrives, and {n_left} tasks wait for ever; the first is \
         {task:?} of job {job:?}: {reason:?}"
    )]
    Stuck { at_s: String, n_left: usize, job: String, task: String, reason: Option<Box<Reason>> },
    #[error(
        "task {task:?} of job {job:?} was started {n_attempts} times and never ended; a \
         rescheduling policy moves it again and again"
    )]
    Endless { job: String, task: String, n_attempts: u32 },
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
    policies: &mut dyn TimedPolicies,
) -> Result<Run, SimulateError> {
    if options.cluster.workers.is_empty() {
        return Err(SimulateError::NoWorkers);
    }
    if workload.n_tasks() == 0 {
        return Err(SimulateError::NoTasks);
    }
    World::new(workload, options).play(policies)
}
