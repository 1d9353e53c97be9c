//! What is played: jobs with the run times that their tasks will turn out to have.

use pointsman_scheduler::Time;
use pointsman_scheduler::graph::{Graph, GraphError};
use pointsman_scheduler::spec::JobSpec;
use pointsman_scheduler::time::nanos;

/// Jobs in the order of the file; they need not be in order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    pub name: String,
    pub jobs: Vec<WorkJob>,
}

/// One job, when it is submitted, and how long each of its tasks runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkJob {
    pub spec: JobSpec,
    /// Virtual time of its submission.
    pub arrives: Time,
    /// Nanoseconds, by position in `spec.tasks`: what the scheduler is not told beforehand, unless
    /// the task's `expected` says the same.
    pub run_times: Vec<u64>,
}

/// Why a job cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    #[error(
        "tasks[{position}].expected is missing: the simulator runs task {name:?} for its expected \
         time; give it one, such as \"10s\""
    )]
    NoRunTime { position: usize, name: String },
}

impl Workload {
    pub fn of_one(job: WorkJob) -> Workload {
        Workload { name: job.spec.name.clone(), jobs: vec![job] }
    }

    pub fn n_tasks(&self) -> usize {
        self.jobs.iter().map(|job| job.spec.tasks.len()).sum()
    }
}

impl WorkJob {
    /// A job as submitted; every task runs exactly as long as expected.
    ///
    /// # Errors
    /// If a task does not say how long it is expected to run.
    pub fn as_expected(spec: JobSpec) -> Result<WorkJob, WorkloadError> {
        let run_time = |(position, task): (usize, &std::sync::Arc<_>)| {
            let task: &pointsman_scheduler::spec::TaskSpec = task;
            let missing = || WorkloadError::NoRunTime { position, name: task.name.clone() };
            task.expected.map(nanos).ok_or_else(missing)
        };
        let run_times = spec.tasks.iter().enumerate().map(run_time).collect::<Result<_, _>>()?;
        Ok(WorkJob { spec, arrives: Time::ZERO, run_times })
    }

    /// The job's checked DAG.
    ///
    /// # Errors
    /// As the scheduler refuses it; a cycle is listed.
    pub fn graph(&self) -> Result<Graph, GraphError> {
        Graph::check(&self.spec.tasks)
    }
}
