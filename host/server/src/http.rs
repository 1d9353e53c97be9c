//! The HTTP API, one file per resource. Reads come from the read model; what changes something goes
//! through the driver and is answered when it is durable.

#![expect(clippy::result_large_err, reason = "a problem is made once in a request that is refused")]

pub mod guard;
mod operation;
mod routes;
mod known;
mod openapi;
mod answer;
mod body;
pub(crate) mod listen;
mod query;
mod jobs;
mod tasks;
mod log;
mod workers;
mod history;
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
use crate::forecasts::ForecastDesk;
use crate::history::HistoryDesk;
use crate::logs::Logs;
use crate::outbox::Outboxes;
use crate::policy_desk::PolicyDesk;
use crate::read_model::SharedReadModel;
use crate::traces::Tracer;
use arc_swap::ArcSwap;
use axum::Router;
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
    /// None: no history is kept.
    pub history: Option<HistoryDesk>,
    pub forecasts: ForecastDesk,
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
    let operations = routes::operations().into_iter().flat_map(|(_, operations)| operations);
    let router = operations
        .fold(Router::new(), |router, operation| router.route(operation.path, operation.served()))
        .merge(panel::routes())
        .fallback(async || {
            answer::Failure(Problem::new(404, "unknown_route", "there is no such route"))
        })
        .method_not_allowed_fallback(async || {
            let detail = "this route does not take this method";
            answer::Failure(Problem::new(405, "method_not_allowed", detail))
        })
        .layer(axum::middleware::from_fn_with_state(Arc::new(guard), guard::check))
        .with_state(app);
    if cfg!(debug_assertions) {
        router.layer(axum::middleware::from_fn(known::check_described))
    } else {
        router
    }
}

/// Waits until the host is to stop.
pub(crate) async fn stopping(stopped: &mut watch::Receiver<bool>) {
    // It fails if the sender is gone, and then the host is gone too.
    let _ = stopped.wait_for(|stop| *stop).await;
}
