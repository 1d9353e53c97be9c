//! The HTTP API, one file per resource. Reads come from the read model; what changes something goes
//! through the driver and is answered when it is durable.

#![expect(clippy::result_large_err, reason = "a problem is made once in a request that is refused")]

pub mod guard;
mod answer;
mod body;
pub(crate) mod listen;
mod query;
mod jobs;
mod tasks;
mod log;
mod workers;
mod queues;
mod policies;
mod status;
mod metrics;
mod panel;
mod stream;

use crate::clock::Clock;
use crate::config::Config;
use crate::driver::Handle;
use crate::events::EventLog;
use crate::figures::Figures;
use crate::logs::Logs;
use crate::outbox::Outboxes;
use crate::policy_desk::PolicyDesk;
use crate::read_model::SharedReadModel;
use crate::traces::Tracer;
use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};
use guard::Guard;
use pointsman_protocol::api::ConfigStatus;
use pointsman_protocol::problem::Problem;
use pointsman_scheduler::Term;
use pointsman_store::{Health, SetAside};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// What every route can reach.
#[derive(Clone)]
pub struct App {
    pub driver: Handle,
    pub model: SharedReadModel,
    pub events: Arc<EventLog>,
    pub outboxes: Arc<Outboxes>,
    pub logs: Arc<Logs>,
    pub policies: PolicyDesk,
    pub config: Arc<ArcSwap<Config>>,
    /// What became of the file's newest content.
    pub config_status: Arc<ArcSwap<ConfigStatus>>,
    pub store: Arc<Health>,
    pub figures: Arc<Figures>,
    /// None: tracing is off.
    pub tracer: Option<Tracer>,
    /// Records that could not be read when the host started, or earlier.
    pub set_aside: Arc<[SetAside]>,
    pub clock: Clock,
    pub term: Term,
    /// Whatever is held for news ends when this is true.
    pub stopped: watch::Receiver<bool>,
    /// Room for readers of the event stream.
    pub readers: Arc<Semaphore>,
}

const EVENTS_PATH: &str = "/v1/events";

/// Readers of the event stream at most.
pub const MAX_READERS: usize = 256;

/// Bytes of a submission's body at most.
pub const SUBMISSION_MAX: usize = 64 << 20;
/// Bytes of a policy that is handed over at most.
pub const POLICY_MAX: usize = pointsman_policy::MAX_FILE;
/// Bytes of any other body at most.
pub const BODY_MAX: usize = 16 << 20;

/// All routes behind the guard.
pub fn router(app: App, guard: Guard) -> Router {
    let submissions = Router::new()
        .route("/v1/jobs", get(jobs::list).post(jobs::submit))
        .route("/v1/tasks", get(tasks::list).post(jobs::submit))
        .layer(DefaultBodyLimit::max(SUBMISSION_MAX));
    let uploads = Router::new()
        .route("/v1/policies/{slot}", put(policies::bind))
        .layer(DefaultBodyLimit::max(POLICY_MAX));
    let others = Router::new()
        .route("/v1/jobs/{id}", get(jobs::show))
        .route("/v1/jobs/{id}/critical-path", get(jobs::critical_path))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/tasks/{id}", get(tasks::show))
        .route("/v1/tasks/{id}/explain", get(tasks::explain))
        .route("/v1/tasks/{id}/cancel", post(tasks::cancel))
        .route("/v1/tasks/{id}/retry", post(tasks::retry))
        .route("/v1/tasks/{id}/log", get(log::read))
        .route("/v1/workers", get(workers::list).post(workers::register))
        .route("/v1/workers/{id}/sync", post(workers::sync))
        .route("/v1/workers/{id}/commands", get(workers::commands))
        .route("/v1/workers/{id}/log", post(log::write))
        .route("/v1/workers/{id}/drain", post(workers::drain))
        .route("/v1/workers/{id}/resume", post(workers::resume))
        .route("/v1/scores", get(workers::scores))
        .route("/v1/queues", get(queues::list))
        .route("/v1/queues/{name}/pause", post(queues::pause))
        .route("/v1/queues/{name}/resume", post(queues::resume))
        .route("/v1/policies", get(policies::list))
        .route("/v1/policies/reload", post(policies::reload))
        .route("/v1/policies/{slot}/rollback", post(policies::roll_back))
        .route(EVENTS_PATH, get(stream::events))
        .route("/v1/activity", get(status::activity))
        .route("/v1/bottlenecks", get(status::bottlenecks))
        .route("/v1/status", get(status::show))
        .route("/v1/config", get(status::config))
        .route("/metrics", get(metrics::show))
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .layer(DefaultBodyLimit::max(BODY_MAX));
    submissions
        .merge(uploads)
        .merge(others)
        .merge(panel::routes())
        .fallback(async || {
            answer::Failure(Problem::new(404, "unknown_route", "there is no such route"))
        })
        .method_not_allowed_fallback(async || {
            let detail = "this route does not take this method";
            answer::Failure(Problem::new(405, "method_not_allowed", detail))
        })
        .layer(axum::middleware::from_fn_with_state(Arc::new(guard), guard::check))
        .with_state(app)
}

/// Waits until the host is to stop.
pub(crate) async fn stopping(stopped: &mut watch::Receiver<bool>) {
    // It fails if the sender is gone, and then the host is gone too.
    let _ = stopped.wait_for(|stop| *stop).await;
}
