//! Puts a host together and runs it: store, recovery, policies, driver, HTTP, what is watched.

use crate::bottlenecks;
use crate::clock::Clock;
use crate::config::{Config, LoadError, StoreBackend};
use crate::driver::{Driver, Started};
use crate::events::EventLog;
use crate::figures::{Figures, TimedStore};
use crate::forecasts::{Around, ForecastDesk};
use crate::history::HistoryDesk;
use crate::http::guard::{Guard, TokenError};
use crate::http::{App, MAX_READERS, listen, router, stopping};
use crate::logs::Logs;
use crate::outbox::Outboxes;
use crate::policy_desk::{PolicyDesk, library_settings};
use crate::read_model::{ReadModel, SharedReadModel};
use crate::release::Releaser;
use crate::reload::{ConfigReloader, as_written};
use crate::traces::{Sources, TraceError, Tracer};
use crate::watch::Watch;
use arc_swap::ArcSwap;
use pointsman_policy::{LibraryError, PolicyHost};
use pointsman_protocol::events::{EventBody, PolicyChange};
use pointsman_scheduler::record::{Attempt, Snapshot};
use pointsman_scheduler::{Scheduler, Term, Time};
use pointsman_store::{MemoryStore, SqliteStore, Store, StoreError};
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    pub config: Config,
    /// The file it was read from: watched, and applied again when it changes.
    pub config_path: Option<PathBuf>,
}

/// A host that runs.
pub struct Host {
    address: SocketAddr,
    app: App,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Config(#[from] LoadError),
    #[error("failed to make the data folder {path}")]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error("failed to open the store: {0}")]
    Store(#[from] StoreError),
    #[error("failed to start the policy engine")]
    Policies(#[from] LibraryError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Traces(#[from] TraceError),
    #[error("failed to listen on {address}; is another host running there?")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("failed to start a thread")]
    Thread(#[source] std::io::Error),
    #[error("the host broke down; what was acknowledged is stored, start it again")]
    BrokenDown,
}

/// The first policies are waited for this long; native ones decide until then.
const POLICY_PATIENCE: Duration = Duration::from_secs(20);
/// Requests in flight at the end are waited for this long, and so is the last commit.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Runs a host until `shutdown` is done. `ready` is called with its address.
///
/// # Errors
/// What kept it from starting.
pub async fn serve(
    options: ServeOptions,
    ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let host = Host::start(options).await?;
    ready(host.address());
    let outcome = tokio::select! {
        () = shutdown => Ok(()),
        () = host.app.driver.ended() => Err(ServeError::BrokenDown),
    };
    host.stop().await;
    outcome
}

impl Host {
    /// Starts a host; it runs when this returns.
    ///
    /// # Errors
    /// What kept it from starting.
    pub async fn start(options: ServeOptions) -> Result<Host, ServeError> {
        make_data_dir(&options.config)?;
        let store = open_store(&options.config)?;
        Host::start_on(options, store).await
    }

    /// The same on a store that is open already.
    ///
    /// # Errors
    /// What kept it from starting.
    pub async fn start_on(
        options: ServeOptions,
        store: Box<dyn Store>,
    ) -> Result<Host, ServeError> {
        let config = options.config;
        let file = options.config_path.map(|path| (as_written(&path, &config), path));
        let guard = Guard::load(&config.auth)?;
        make_data_dir(&config)?;
        let data_dir = config.server.data_dir.clone();
        let figures = Arc::new(Figures::default());
        let mut store: Box<dyn Store> = Box::new(TimedStore { store, figures: figures.clone() });
        let term = store.begin_term()?;
        let snapshot = store.load()?;
        let set_aside = store.set_aside().into();
        let clock = Clock::starting_after(newest_time(&snapshot));
        let settings = library_settings(&config.policies, Some(&data_dir));
        let (policies, library) = PolicyHost::start(settings)?;
        let forecasts = ForecastDesk::default();
        let desk = PolicyDesk::new(library.clone(), forecasts.clone(), clock);
        let events = Arc::new(EventLog::new(term));
        tell_refusals(&desk, events.clone(), clock);
        desk.bind_all(&config.policies).await;
        let waiting = library.clone();
        // A panic there has been told by its own thread.
        let _ = tokio::task::spawn_blocking(move || waiting.settle(POLICY_PATIENCE)).await;
        let logs = Logs::open(data_dir.join("logs"))
            .map_err(|source| ServeError::DataDir { path: data_dir.join("logs"), source })?;
        let mut model = ReadModel::from_snapshot(&snapshot);
        model.set_queues(&config.settings.queues);
        let (tracer, notes) = Tracer::new(&config.telemetry)?.unzip();
        let releaser = Releaser {
            model: SharedReadModel::new(model),
            events,
            outboxes: Arc::new(Outboxes::new(term)),
            logs: Arc::new(logs),
            policies: desk.clone(),
            tracer: tracer.clone(),
            history: HistoryDesk::open(&config),
            forecasts: forecasts.clone(),
        };
        let history = releaser.history.clone();
        let mut first = Vec::new();
        let settings = config.settings.clone();
        let now = clock.now();
        let scheduler = Scheduler::recover(settings, seed(term), term, now, snapshot, &mut first);
        figures.last_round.store(now.0, Ordering::Relaxed);
        let driver = Driver { scheduler, policies, clock, first, figures: figures.clone() };
        let Started { handle, store, .. } =
            driver.spawn(store, term, releaser.clone()).map_err(ServeError::Thread)?;
        let around = Around {
            driver: handle.clone(),
            library: library.clone(),
            history: history.clone(),
            clock,
        };
        forecasts.start(around).map_err(ServeError::Thread)?;
        let (nudge, nudge_beside) = (handle.clone(), forecasts.clone());
        library.set_waker(move || {
            nudge.nudge();
            nudge_beside.nudge();
        });
        // What was bound before anybody could be woken.
        forecasts.nudge();
        let (stop, stopped) = watch::channel(false);
        let app = App {
            driver: handle,
            model: releaser.model,
            events: releaser.events,
            outboxes: releaser.outboxes,
            logs: releaser.logs,
            policies: desk,
            config: Arc::new(ArcSwap::from_pointee(config)),
            config_status: Arc::default(),
            store,
            figures,
            tracer,
            history,
            forecasts,
            set_aside,
            clock,
            term,
            stopped,
            readers: Arc::new(Semaphore::new(MAX_READERS)),
        };
        if let Some(notes) = notes {
            let (driver, model) = (app.driver.clone(), app.model.clone());
            tokio::spawn(notes.run(Sources { driver, model, policies: app.policies.clone() }));
        }
        Host::listen(app, guard, file, stop).await
    }

    async fn listen(
        app: App,
        guard: Guard,
        file: Option<(Config, PathBuf)>,
        stop: watch::Sender<bool>,
    ) -> Result<Host, ServeError> {
        let (listen, policy_folder, poll) = {
            let config = app.config.load();
            let policies = &config.policies;
            (config.server.listen, policies.directory.clone(), policies.poll)
        };
        let failed = |source| ServeError::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stopped = app.stopped.clone();
        let routes = router(app.clone(), guard.listening_on(address));
        let mut tasks = vec![tokio::spawn(listen::serve(listener, routes, stopped.clone()))];
        let desk = app.policies.clone();
        tasks.push(until_stopped(stopped.clone(), bottlenecks::watch(app.clone())));
        tasks.push(until_stopped(stopped.clone(), async move {
            let mut watch = Watch::polling(&policy_folder, poll);
            loop {
                watch.changed().await;
                desk.look_again();
            }
        }));
        if let Some((at_start, path)) = file {
            let reloader = ConfigReloader::new(app.clone(), path, at_start);
            tasks.push(until_stopped(stopped, reloader.run()));
        }
        tracing::info!(%address, term = app.term.0, "listening");
        Ok(Host { address, app, stop, tasks })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn app(&self) -> &App {
        &self.app
    }

    /// Ends the host: no new requests, then the driver, then the store's last commit. A store that
    /// fails to the end is given up; nothing that was answered is in what it did not take.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for mut task in self.tasks {
            // Clients that stay would hold it for ever.
            if tokio::time::timeout(STOP_PATIENCE, &mut task).await.is_err() {
                task.abort();
            }
        }
        self.app.forecasts.stop();
        self.app.driver.stop();
        if tokio::time::timeout(STOP_PATIENCE, self.app.driver.ended()).await.is_err() {
            tracing::error!("stopped without the store's last commit");
        }
        if let Some(tracer) = &self.app.tracer {
            tracer.stop().await;
        }
        if let Some(history) = &self.app.history {
            history.close().await;
        }
    }
}

/// Readers of the event stream learn of refused policies.
fn tell_refusals(desk: &PolicyDesk, events: Arc<EventLog>, clock: Clock) {
    desk.on_refusal(move |slot, refused| {
        let digest = refused.digest.map_or_else(String::new, |it| format!(" (sha256 {it})"));
        let reason = format!(
            "{}{digest} is refused at {}: {}",
            refused.component,
            refused.stage.code(),
            refused.reason
        );
        let change = PolicyChange::Refused;
        let slot = slot.map(Into::into);
        let body = EventBody::Policy { slot, change, policy: None, reason: Some(reason) };
        events.publish(clock.now(), body);
    });
}

fn until_stopped(
    mut stopped: watch::Receiver<bool>,
    work: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        tokio::select! {
            () = work => {}
            () = stopping(&mut stopped) => {}
        }
    })
}

/// Readable by its owner only: it holds what tasks wrote.
fn make_data_dir(config: &Config) -> Result<(), ServeError> {
    use std::os::unix::fs::DirBuilderExt;
    let path = &config.server.data_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| ServeError::DataDir { path: path.clone(), source })
}

fn open_store(config: &Config) -> Result<Box<dyn Store>, StoreError> {
    Ok(match config.store {
        StoreBackend::Memory => Box::new(MemoryStore::new()),
        StoreBackend::Sqlite => {
            Box::new(SqliteStore::open(&config.server.data_dir.join("store.sqlite"))?)
        }
    })
}

/// Only jitter depends on it.
fn seed(term: Term) -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    pointsman_scheduler::time::nanos(since_epoch) ^ term.0.rotate_left(32)
}

/// The newest time in the store: the host's clock begins no earlier.
fn newest_time(snapshot: &Snapshot) -> Time {
    let of_tasks = snapshot.tasks.iter().map(|(added, status)| {
        let newest = |it: &Attempt| it.ended.or(it.started).unwrap_or(it.assigned);
        let attempts = status.attempts.iter().map(newest);
        let others = [Some(added.submitted), status.ended, status.ready_since];
        others.into_iter().flatten().chain(attempts).max().unwrap_or(Time::ZERO)
    });
    let of_jobs = snapshot.jobs.iter().map(|job| job.ended.unwrap_or(job.submitted));
    of_tasks.chain(of_jobs).max().unwrap_or(Time::ZERO)
}
