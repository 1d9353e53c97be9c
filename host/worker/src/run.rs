//! A worker from start to end: its options, its thread.

use crate::executor::{ExecutorError, LimitOptions};
use crate::identity::IdentityError;
use crate::session::Session;
use pointsman_protocol::worker::WireCapacity;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::oneshot;

/// How a worker runs.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Like `http://127.0.0.1:7400`.
    pub host: String,
    pub name: String,
    /// None: what the machine has.
    pub capacity: Option<WireCapacity>,
    pub labels: BTreeMap<String, String>,
    /// Identity, working folders, captured output; of this worker alone.
    pub data_dir: PathBuf,
    /// Sent as bearer token.
    pub token: Option<String>,
    /// From TERM to KILL.
    pub kill_grace: Duration,
    /// Bytes kept per output stream of an attempt.
    pub output_cap: u64,
    pub limits: LimitOptions,
    /// A JSON file with fields of `WireMeasurements`, read with each heartbeat: its values take the
    /// place of what is measured.
    pub measurements: Option<PathBuf>,
    /// Acknowledge starts as succeeded without running anything: for measuring the host.
    pub no_execution: bool,
}

impl WorkerOptions {
    pub fn new(host: &str, name: &str, data_dir: PathBuf) -> WorkerOptions {
        WorkerOptions {
            host: host.to_owned(),
            name: name.to_owned(),
            capacity: None,
            labels: BTreeMap::new(),
            data_dir,
            token: None,
            kill_grace: Duration::from_secs(10),
            output_cap: 8 << 20,
            limits: LimitOptions::default(),
            measurements: None,
            no_execution: false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Executor(#[from] ExecutorError),
    #[error("failed to set up the worker: {0}")]
    Setup(String),
    /// Trying again would not help.
    #[error("the host refuses this worker: {0}")]
    Refused(String),
}

/// Runs a worker until `shutdown` is done, then ends its attempts and tells the host. The agent has
/// a thread of its own, so that nothing else delays the heartbeat; the executor has another.
///
/// # Errors
/// If it cannot start, or the host refuses it for good.
pub async fn run(
    options: WorkerOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<(), WorkerError> {
    let (stop, stopped) = oneshot::channel();
    let (done, outcome) = oneshot::channel();
    let thread = std::thread::Builder::new().name("agent".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outcome = match runtime {
            Ok(runtime) => runtime.block_on(async { Session::open(options)?.run(stopped).await }),
            Err(error) => Err(WorkerError::Setup(error.to_string())),
        };
        // Whoever waited may have gone.
        let _ = done.send(outcome);
    });
    thread.map_err(|error| WorkerError::Setup(error.to_string()))?;
    let mut outcome = outcome;
    let ended = tokio::select! {
        ended = &mut outcome => ended,
        () = shutdown => {
            // It may be ending at this moment.
            let _ = stop.send(());
            outcome.await
        }
    };
    ended.unwrap_or_else(|_| Err(WorkerError::Setup("the agent's thread panicked".to_owned())))
}
