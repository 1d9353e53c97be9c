//! What the API shows: views of jobs, tasks, workers, queues and policies, read and written as JSON.
//! They are made from the core's records by plain functions; what a record does not hold (names of
//! workers, states of dependencies) comes from a [`Lookup`].

mod critical_path;
mod bottlenecks;
mod explanation;
mod history;
mod job;
mod policy;
mod queue;
mod reason;
mod resources;
mod response;
mod state;
mod status;
mod task;
mod worker;

pub use bottlenecks::{
    AlertKind, BottlenecksView, BusyWorkerView, NamedTask, SlowTaskView, SlowWorkerView, Stage,
    StageView,
};
pub use critical_path::{CriticalPathView, PathTaskView};
pub use explanation::{
    ExplanationView, PlacedView, SecondView, StandingView, StandingsView, VerdictView,
};
pub use history::{FeedbackRow, MeasurementRow};
pub use job::{Counts, JobView};
pub use policy::{
    AvailablePolicy, FailedPolicy, ForecastColumnView, ForecastsView, LookedAtPolicy, PoliciesView,
    PolicyView, ProvenanceView, RefusedPolicy, StampView, SwapView,
};
pub use queue::QueueView;
pub use reason::{EndReasonView, OutcomeView, ReasonView};
pub use resources::{AmountsView, Written};
pub use response::{
    CancelJobResponse, CancelTaskResponse, Page, RetryResponse, SubmitResponse, SubmittedTask,
};
pub use state::{
    UnknownValue, WireDiscipline, WireJobState, WireSlot, WireTaskState, WireWorkerState,
};
pub use status::{
    ConfigProblem, ConfigRefusal, ConfigStatus, ConfigView, SetAsideView, StatusRow, StatusView,
};
pub use task::{
    AttemptView, DecisionView, DependencyView, FeedbackView, ROW_DEPENDENCIES_MAX, SecondChoice,
    TaskExtras, TaskView,
};
pub use worker::{ForecastView, PredictedView, WorkerExtras, WorkerView};

use pointsman_scheduler::ids::{TaskId, WorkerId};
use pointsman_scheduler::record::TaskState;

/// What a view shows of other rows than its own.
pub trait Lookup {
    fn worker_name(&self, worker: WorkerId) -> Option<String>;
    fn task_name(&self, task: TaskId) -> Option<String>;
    fn task_state(&self, task: TaskId) -> Option<TaskState>;
}

/// Knows no other rows: their names and states are left out.
#[derive(Debug, Clone, Copy)]
pub struct NoLookup;

impl Lookup for NoLookup {
    fn worker_name(&self, _: WorkerId) -> Option<String> {
        None
    }

    fn task_name(&self, _: TaskId) -> Option<String> {
        None
    }

    fn task_state(&self, _: TaskId) -> Option<TaskState> {
        None
    }
}
