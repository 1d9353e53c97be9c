//! The public event stream: a snapshot, then numbered events. Events of one key replace what was
//! known of it, so that a reader that missed some and takes a new snapshot is right again.

use crate::api::{
    AlertKind, Counts, FeedbackView, ForecastView, JobView, PoliciesView, PolicyView, QueueView,
    TaskView, WireSlot, WireWorkerState, WorkerView,
};
use crate::text;
use crate::timestamp::Timestamp;
use crate::worker::WireMeasurements;
use pointsman_scheduler::ids::{JobId, TaskId, WorkerId};
use pointsman_scheduler::{Notice, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublicEvent {
    /// Counted up without gaps within one term of the host.
    pub n: u64,
    pub at: Timestamp,
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened: `kind` says which of the others are there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventBody {
    Task {
        task: Box<TaskView>,
    },
    TaskForgotten {
        #[serde(with = "text")]
        #[schemars(with = "crate::schema::TaskIdText")]
        task: TaskId,
    },
    Job {
        job: JobView,
    },
    JobForgotten {
        #[serde(with = "text")]
        #[schemars(with = "crate::schema::JobIdText")]
        job: JobId,
    },
    Worker {
        worker: Box<WorkerView>,
    },
    WorkerForgotten {
        #[serde(with = "text")]
        #[schemars(with = "crate::schema::WorkerIdText")]
        worker: WorkerId,
    },
    /// Also the sign of a heartbeat.
    WorkerState {
        #[serde(with = "text")]
        #[schemars(with = "crate::schema::WorkerIdText")]
        worker: WorkerId,
        state: WireWorkerState,
    },
    /// A worker that failed one attempt after the other gets no work until then; without `until` it
    /// gets work again.
    WorkerQuarantined {
        #[serde(with = "text")]
        #[schemars(with = "crate::schema::WorkerIdText")]
        worker: WorkerId,
        n_failures: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// So many workers fell silent at once that none is given up before then.
    LossesHeld {
        n_silent: u32,
        n_workers: u32,
        until: Timestamp,
    },
    Queue {
        queue: QueueView,
    },
    Measured {
        #[serde(with = "text")]
        #[schemars(with = "crate::schema::WorkerIdText")]
        worker: WorkerId,
        measurements: WireMeasurements,
    },
    /// What is foretold of workers from now on; of others nothing is.
    Forecast {
        workers: Vec<ForecastView>,
    },
    Feedback {
        #[serde(with = "text")]
        #[schemars(with = "crate::schema::TaskIdText")]
        task: TaskId,
        attempt: u32,
        term: u64,
        feedback: FeedbackView,
    },
    /// A report for an attempt that is not current: it changed nothing.
    StaleReport {
        #[serde(with = "text")]
        #[schemars(with = "crate::schema::WorkerIdText")]
        worker: WorkerId,
        #[serde(with = "text")]
        #[schemars(with = "crate::schema::TaskIdText")]
        task: TaskId,
        attempt: u32,
        term: u64,
    },
    Policy {
        /// Of a refused file that no slot asks for: what it is made for, if that can be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<WireSlot>,
        change: PolicyChange,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        policy: Option<Box<PolicyView>>,
        /// `failed`, `refused`: what went wrong.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Config {
        /// False: it was refused, and the configuration in force stays.
        accepted: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Something rose above its threshold, or is below it again.
    Alert {
        alert: AlertKind,
        raised: bool,
        /// `worker_cpu`
        #[serde(default, skip_serializing_if = "Option::is_none", with = "text::option")]
        #[schemars(with = "Option<crate::schema::WorkerIdText>")]
        worker: Option<WorkerId>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worker_name: Option<String>,
        /// `worker_cpu`: in [0, 1], else the 99th percentile in milliseconds; when it was above last.
        value: f64,
        threshold: f64,
        text: String,
    },
    /// A proposal of the rescheduling policy, and what became of it.
    Rescheduling {
        #[serde(with = "text")]
        #[schemars(with = "crate::schema::TaskIdText")]
        task: TaskId,
        action: String,
        reason: String,
        verdict: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyChange {
    /// Another policy, or another generation, serves the slot.
    Swapped,
    /// A call failed; the decision was made by the next policy in line.
    Failed,
    /// A candidate was refused; the policy in force stays.
    Refused,
}

/// All that is known at event `n`; the next event is `n + 1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    pub n: u64,
    pub at: Timestamp,
    pub term: u64,
    /// Of all tasks that are kept.
    pub counts: Counts,
    pub jobs: Vec<JobView>,
    pub tasks: Vec<TaskView>,
    /// There are more jobs or tasks than these: ask for them by list.
    pub truncated: bool,
    pub workers: Vec<WorkerView>,
    pub queues: Vec<QueueView>,
    pub policies: PoliciesView,
}

/// Where the views of an event come from: a model that has applied the record already.
pub trait Views {
    fn task(&self, task: TaskId) -> Option<TaskView>;
    fn job(&self, job: JobId) -> Option<JobView>;
    fn worker(&self, worker: WorkerId) -> Option<WorkerView>;
    fn queue(&self, queue: &str) -> Option<QueueView>;
}

impl EventBody {
    /// None: nothing public changed, or the row is gone again.
    pub fn from_record(record: &Record, views: &impl Views) -> Option<EventBody> {
        match record {
            Record::Job(job) => views.job(job.id).map(|job| EventBody::Job { job }),
            // Its first status follows in the same batch.
            Record::TaskAdded(_) => None,
            Record::Task(id, _) => {
                views.task(*id).map(|task| EventBody::Task { task: Box::new(task) })
            }
            Record::Worker(worker) => {
                let view = views.worker(worker.id);
                view.map(|worker| EventBody::Worker { worker: Box::new(worker) })
            }
            Record::WorkerForgotten(worker) => Some(EventBody::WorkerForgotten { worker: *worker }),
            Record::Queue(queue) => {
                views.queue(&queue.name).map(|queue| EventBody::Queue { queue })
            }
            Record::Key(_) | Record::KeyForgotten(_) => None,
            Record::TaskForgotten(task) => Some(EventBody::TaskForgotten { task: *task }),
            Record::JobForgotten(job) => Some(EventBody::JobForgotten { job: *job }),
        }
    }
}

impl From<&Notice> for EventBody {
    fn from(notice: &Notice) -> EventBody {
        match notice {
            Notice::WorkerMeasured { worker, measurements } => {
                EventBody::Measured { worker: *worker, measurements: (*measurements).into() }
            }
            Notice::WorkerState { worker, state } => {
                EventBody::WorkerState { worker: *worker, state: (*state).into() }
            }
            Notice::WorkerQuarantined { worker, n_failures, until } => {
                EventBody::WorkerQuarantined {
                    worker: *worker,
                    n_failures: *n_failures,
                    until: until.map(Timestamp),
                }
            }
            Notice::LossesHeld { n_silent, n_workers, until } => EventBody::LossesHeld {
                n_silent: *n_silent,
                n_workers: *n_workers,
                until: Timestamp(*until),
            },
            Notice::Feedback { attempt, feedback } => EventBody::Feedback {
                task: attempt.task,
                attempt: attempt.attempt,
                term: attempt.term.0,
                feedback: feedback.into(),
            },
            Notice::StaleReport { worker, attempt } => EventBody::StaleReport {
                worker: *worker,
                task: attempt.task,
                attempt: attempt.attempt,
                term: attempt.term.0,
            },
            Notice::Forecast(forecast) => {
                EventBody::Forecast { workers: ForecastView::of(forecast) }
            }
            Notice::PolicySwapped(slot) => EventBody::Policy {
                slot: Some((*slot).into()),
                change: PolicyChange::Swapped,
                policy: None,
                reason: None,
            },
            Notice::PolicyFailed { slot, call, kind } => EventBody::Policy {
                slot: Some((*slot).into()),
                change: PolicyChange::Failed,
                policy: None,
                reason: Some(format!("call {call}: {kind}")),
            },
            Notice::Rescheduling { task, action, reason, verdict } => EventBody::Rescheduling {
                task: *task,
                action: action.clone(),
                reason: reason.clone(),
                verdict: verdict.clone(),
            },
        }
    }
}
