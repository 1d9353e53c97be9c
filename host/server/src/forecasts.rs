//! Asks the forecasting policy, on a thread of its own beside dispatch: keeps the samples that it needs of
//! what workers measure, judges what it foretold, and tells the driver what can be relied on. What a
//! forecast leads to is the scheduler's and the other policies' matter.

mod asking;
mod judge;
mod samples;

use crate::clock::Clock;
use crate::driver::Handle;
use crate::history::HistoryDesk;
use asking::Asking;
use pointsman_forecast::gate::Verdict;
use pointsman_policy::PolicyLibrary;
use pointsman_protocol::api::{ForecastColumnView, ForecastsView};
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::columns::WorkerColumn;
use pointsman_scheduler::event::Measurements;
use pointsman_scheduler::record::PolicyStamp;
use pointsman_scheduler::{Notice, Time, WorkerId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::watch;

/// A cheap handle.
#[derive(Clone, Default)]
pub struct ForecastDesk(Arc<Desk>);

struct Desk {
    /// How often the thread has looked for swaps; gone: it has ended, or never began.
    rounds: watch::Sender<u64>,
    /// Whether a policy asks for what is measured.
    is_wanted: AtomicBool,
    content: Mutex<Content>,
    news: Condvar,
}

impl Default for Desk {
    fn default() -> Desk {
        Desk {
            rounds: watch::Sender::new(0),
            is_wanted: AtomicBool::new(false),
            content: Mutex::default(),
            news: Condvar::new(),
        }
    }
}

#[derive(Default)]
struct Content {
    has_begun: bool,
    measured: Vec<Measured>,
    is_nudged: bool,
    is_stopping: bool,
    status: Option<ForecastStatus>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Time,
    worker: WorkerId,
    measurements: Measurements,
}

/// How the policy that serves the slot forecasting fares.
#[derive(Debug, Clone)]
pub struct ForecastStatus {
    pub policy: PolicyStamp,
    pub horizon: Duration,
    /// How often it is asked.
    pub interval: Duration,
    /// When it last answered; None: not yet.
    pub asked: Option<Time>,
    /// Workers of which it foretold something then, and how long that took.
    pub n_workers: usize,
    pub took: Duration,
    /// The columns that are measured, with what is thought of their forecasts.
    pub columns: Vec<(WorkerColumn, Verdict)>,
}

impl ForecastStatus {
    pub fn view(&self) -> ForecastsView {
        let column = |(column, verdict): &(WorkerColumn, Verdict)| ForecastColumnView {
            column: format!("predicted:{}", column.info().name),
            fit: verdict.is_fit,
            compared: verdict.n_matured as u64,
            error: verdict.mae,
            persistence_error: verdict.persistence_mae,
            seasonal_error: verdict.seasonal_mae,
            ratio: verdict.ratio,
        };
        ForecastsView {
            horizon_ms: self.horizon.as_millis() as u64,
            interval_ms: self.interval.as_millis() as u64,
            asked: self.asked.map(Timestamp),
            workers: self.n_workers as u64,
            took_us: self.took.as_secs_f64() * 1e6,
            columns: self.columns.iter().map(column).collect(),
        }
    }
}

/// Measurements that wait to be taken in at most; more are dropped.
const MAX_WAITING: usize = 200_000;

/// The thread is looked after this often while somebody waits for it.
const PATIENCE: Duration = Duration::from_millis(200);

/// What the thread is to do now.
struct Work {
    measured: Vec<Measured>,
    is_stopping: bool,
}

/// What the thread reaches.
pub struct Around {
    pub driver: Handle,
    pub library: PolicyLibrary,
    pub history: Option<HistoryDesk>,
    pub clock: Clock,
}

/// Nobody waits any more for a thread that has ended, however that happened.
struct Ending(ForecastDesk);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.lock().has_begun = false;
    }
}

impl ForecastDesk {
    /// Starts the thread, once.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn start(&self, around: Around) -> std::io::Result<()> {
        let Some(forecasts) = around.library.take_forecasts() else { return Ok(()) };
        let asking =
            Asking::new(self.clone(), forecasts, around, tokio::runtime::Handle::current());
        // Policies run on this stack.
        let thread = std::thread::Builder::new().name("forecasts".to_owned()).stack_size(8 << 20);
        self.lock().has_begun = true;
        let ending = Ending(self.clone());
        thread.spawn(move || {
            asking.run();
            drop(ending);
        })?;
        Ok(())
    }

    /// Takes in what a worker measured. Never waits for a forecast.
    pub fn note(&self, at: Time, notice: &Notice) {
        let Notice::WorkerMeasured { worker, measurements } = notice else { return };
        if !self.0.is_wanted.load(Ordering::Relaxed) {
            return;
        }
        let mut content = self.lock();
        if content.measured.len() < MAX_WAITING {
            let (worker, measurements) = (*worker, *measurements);
            content.measured.push(Measured { at, worker, measurements });
        }
    }

    /// Makes the thread look at its policy now.
    pub fn nudge(&self) {
        self.lock().is_nudged = true;
        self.0.news.notify_one();
    }

    /// Waits until swaps that were ready are in force.
    pub async fn after_round(&self) {
        let mut rounds = self.0.rounds.subscribe();
        // One may have been under way.
        let wanted = *rounds.borrow() + 2;
        while *rounds.borrow() < wanted && self.is_running() {
            self.nudge();
            // The thread may end meanwhile.
            let _ = tokio::time::timeout(PATIENCE, rounds.changed()).await;
        }
    }

    fn is_running(&self) -> bool {
        let content = self.lock();
        content.has_begun && !content.is_stopping
    }

    pub fn stop(&self) {
        self.lock().is_stopping = true;
        self.0.news.notify_one();
    }

    /// None: no forecasting policy serves.
    pub fn status(&self) -> Option<ForecastStatus> {
        self.lock().status.clone()
    }

    /// Waits for news, at most for `wait`.
    fn take(&self, wait: Duration) -> Work {
        let content = self.lock();
        let is_quiet = |it: &mut Content| !it.is_nudged && !it.is_stopping;
        let waited = self.0.news.wait_timeout_while(content, wait, is_quiet);
        let mut content = waited.expect("nobody panics while holding it").0;
        content.is_nudged = false;
        let measured = std::mem::take(&mut content.measured);
        Work { measured, is_stopping: content.is_stopping }
    }

    fn note_round(&self) {
        self.0.rounds.send_modify(|n| *n += 1);
    }

    fn show(&self, status: Option<ForecastStatus>) {
        self.0.is_wanted.store(status.is_some(), Ordering::Relaxed);
        self.lock().status = status;
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.content.lock().expect("nobody panics while holding it")
    }
}
