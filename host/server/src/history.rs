//! The history on the host's side: which file it is, what of a release goes into it, and reading it beside
//! everything else. What a row is and how long it stays is the store crate's matter.

use crate::config::{Config, HistorySection, StoreBackend};
use crate::read_model::ReadModel;
use pointsman_protocol::api::Lookup;
use pointsman_scheduler::{Notice, Time};
use pointsman_store::history::{Bounds, Fed, History, HistoryError, Measured};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// A cheap handle.
#[derive(Debug, Clone)]
pub struct HistoryDesk {
    history: History,
    reads: Arc<Semaphore>,
}

const FILE: &str = "history.sqlite";

/// Reads at once: they may have to look through millions of rows, and other work needs threads too.
const READS_MAX: usize = 4;
/// A read waits this long for what was released before it to be written, and goes on without.
const WRITE_PATIENCE: Duration = Duration::from_secs(2);

const NANOS_PER_MS: u64 = 1_000_000;

impl HistorySection {
    pub fn bounds(&self) -> Bounds {
        Bounds { keep: self.keep, rows: self.rows }
    }
}

impl HistoryDesk {
    /// None: it is turned off, or there cannot even be one in memory. A host starts without.
    pub fn open(config: &Config) -> Option<HistoryDesk> {
        let section = &config.history;
        if !section.enabled {
            return None;
        }
        let path = config.server.data_dir.join(FILE);
        let opened = match config.store {
            StoreBackend::Memory => History::in_memory(section.bounds()),
            StoreBackend::Sqlite => History::open(&path, section.bounds()).or_else(|error| {
                tracing::error!(%error, "the history is kept in memory only, until the next start");
                History::in_memory(section.bounds())
            }),
        };
        let history = opened
            .inspect_err(
                |error| tracing::error!(%error, "there is no history until the next start"),
            )
            .ok()?;
        Some(HistoryDesk { history, reads: Arc::new(Semaphore::new(READS_MAX)) })
    }

    pub fn history(&self) -> &History {
        &self.history
    }

    /// Asks for what was released before. None: the question panicked, or the process ends.
    pub async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&History) -> Result<T, HistoryError> + Send + 'static,
    ) -> Option<Result<T, HistoryError>> {
        let permit = self.reads.clone().acquire_owned().await.ok()?;
        let history = self.history.clone();
        let asked = tokio::task::spawn_blocking(move || {
            history.flush(WRITE_PATIENCE);
            let answer = ask(&history);
            drop(permit);
            answer
        });
        asked.await.ok()
    }

    /// Writes what waits; nothing is taken in any more.
    pub async fn close(&self) {
        let history = self.history.clone();
        // It fails only when the process ends.
        let _ = tokio::task::spawn_blocking(move || history.close()).await;
    }
}

/// What of a release goes into the history.
#[derive(Debug, Default)]
pub struct Gathered {
    measured: Vec<Measured>,
    fed: Vec<Fed>,
}

impl Gathered {
    /// `model` has taken in all that was released before.
    pub fn note(&mut self, model: &ReadModel, at: Time, notice: &Notice) {
        let at_ms = ms(at);
        match notice {
            Notice::WorkerMeasured { worker, measurements } => {
                let Some(worker_name) = model.worker_name(*worker) else { return };
                let (worker, measurements) = (*worker, *measurements);
                self.measured.push(Measured { at_ms, worker, worker_name, measurements });
            }
            Notice::Feedback { attempt, feedback } => {
                let Some(task) = model.tasks.get(&attempt.task) else { return };
                let attempts = task.status.attempts.iter();
                let ran = attempts.rev().find(|it| it.number == attempt.attempt);
                let worker = ran.map(|it| it.worker);
                self.fed.push(Fed {
                    at_ms,
                    task: attempt.task,
                    task_name: task.added.spec.name.clone(),
                    attempt: attempt.attempt,
                    worker: worker.and_then(|id| Some((id, model.worker_name(id)?))),
                    feedback: feedback.clone(),
                });
            }
            Notice::WorkerState { .. }
            | Notice::LossesHeld { .. }
            | Notice::WorkerQuarantined { .. }
            | Notice::StaleReport { .. }
            | Notice::Forecast(_)
            | Notice::PolicySwapped(_)
            | Notice::PolicyFailed { .. }
            | Notice::Rescheduling { .. } => {}
        }
    }

    pub fn append_to(self, history: &History) {
        if !self.measured.is_empty() || !self.fed.is_empty() {
            history.append(self.measured, self.fed);
        }
    }
}

/// Milliseconds since the Unix epoch, in which this time lies.
pub fn ms(time: Time) -> u64 {
    time.0 / NANOS_PER_MS
}

/// The first whole millisecond that is not before this time.
pub fn ms_from(time: Time) -> u64 {
    time.0.div_ceil(NANOS_PER_MS)
}

/// Nanoseconds, saturating.
pub fn time_of(ms: u64) -> Time {
    Time(ms.saturating_mul(NANOS_PER_MS))
}
