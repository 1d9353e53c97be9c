//! Runs scripts as processes: starts, supervises, captures and ends them, and says how they ended.
//!
//! One thread with its own event loop serves all attempts of an agent, so that neither load nor
//! output delays the heartbeat. It decides nothing about tasks: what to run and what to stop comes
//! in as commands, what happened goes out as events.

mod supervise;
mod process;
mod spawn;
mod simple_command;
mod environment;
mod capture;
mod output;
mod feedback;
mod cgroup;
mod groups;
mod strays;
mod out_of_memory;
mod proc_scan;

pub(crate) mod leftovers;

pub use cgroup::{CpuLimit, LimitOptions};
pub use feedback::Feedback;
pub use output::{Output, OutputChunk, Stream};

use crate::attempt::{AttemptKey, End, Outcome, StopReason};
use cgroup::Cgroups;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How scripts are run.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// Holds the working folders and captured output of the attempts; owned by one agent alone.
    pub data_dir: PathBuf,
    /// From TERM to KILL.
    pub kill_grace: Duration,
    /// Bytes kept per stream, at least 2; beyond, head and tail are kept.
    pub output_cap: u64,
    /// How often running attempts are measured.
    pub sample_every: Duration,
    /// A name of the data folder, of letters and digits, in each script's environment, by which a
    /// later life of the agent finds what this one left behind. Not a secret.
    pub marker: String,
    /// Random number of this life of the agent.
    pub life: u64,
    pub limits: LimitOptions,
    /// Whether an attempt without devices sees no device at all (on machines that have some).
    pub hides_devices: bool,
}

impl ExecutorOptions {
    /// Carried by every process of this life.
    fn life_marker(&self) -> String {
        format!("{}-{:016x}", self.marker, self.life)
    }
}

/// One script to run.
#[derive(Debug, Clone)]
pub struct Execution {
    pub key: AttemptKey,
    pub task_name: String,
    /// The job's id, `j3`.
    pub job: String,
    /// Run by `/bin/sh -c`; without the shell if it is one program with plain arguments.
    pub script: String,
    pub env: BTreeMap<String, String>,
    /// Absolute; `None`: a fresh folder, removed after the end.
    pub workdir: Option<String>,
    /// From process start.
    pub timeout: Option<Duration>,
    /// What it asked for: thousandths of a core, and bytes, of which 0 is no limit.
    pub cpu_milli: u64,
    pub memory: u64,
    /// Indexes of the devices it holds.
    pub devices: Vec<u16>,
    /// What it goes on with if it traces.
    pub traceparent: Option<String>,
}

/// What happened to attempts.
#[derive(Debug)]
pub enum ExecutorEvent {
    Started {
        key: AttemptKey,
        /// Grows while the script runs.
        output: Arc<Output>,
    },
    Ended {
        key: AttemptKey,
        end: End,
        /// Complete now; `None` if no process started.
        output: Option<Arc<Output>>,
    },
    /// Of all running attempts, once per interval.
    Feedback(Vec<(AttemptKey, Feedback)>),
}

#[derive(Debug, thiserror::Error)]
#[error("failed to start the executor in {data_dir}")]
pub struct ExecutorError {
    data_dir: PathBuf,
    #[source]
    source: io::Error,
}

/// A handle to the executor's thread. Dropping it kills whatever still runs.
#[derive(Debug)]
pub struct Executor {
    commands: Option<mpsc::UnboundedSender<Command>>,
    thread: Option<std::thread::JoinHandle<()>>,
    limits: String,
}

#[derive(Debug)]
enum Command {
    Run(Box<Execution>),
    Stop(AttemptKey, StopReason),
}

impl Executor {
    /// Starts the thread. Events go to `events`; their number is bounded by the commands given.
    pub fn start(
        options: ExecutorOptions,
        events: mpsc::UnboundedSender<ExecutorEvent>,
    ) -> Result<Executor, ExecutorError> {
        let failed = |source| ExecutorError { data_dir: options.data_dir.clone(), source };
        std::fs::create_dir_all(options.data_dir.join(process::ATTEMPTS)).map_err(failed)?;
        spawn::keep_descriptors_to_ourselves();
        let (cgroups, limits) = Cgroups::open(&options.limits, &options.marker, options.life);
        let bases = cgroups.iter().flat_map(Cgroups::bases).map(Path::to_owned).collect();
        let groups = groups::Groups::open(&options, bases).map_err(failed)?;
        if cgroups.is_none() {
            strays::adopt_orphans();
        }
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (commands, inbox) = mpsc::unbounded_channel();
        let data_dir = options.data_dir.clone();
        let thread = std::thread::Builder::new().name("executor".to_owned()).spawn(move || {
            let shared = Rc::new(Shared::new(options, groups, cgroups, events));
            tokio::task::LocalSet::new().block_on(&runtime, serve(&shared, inbox));
            runtime.shutdown_background();
        });
        let thread = thread.map_err(|source| ExecutorError { data_dir, source })?;
        Ok(Executor { commands: Some(commands), thread: Some(thread), limits })
    }

    /// In words, which limits of tasks are enforced and by what, or why not.
    pub fn limits(&self) -> &str {
        &self.limits
    }

    /// Runs a script. Its key must not be running.
    pub fn run(&self, execution: Execution) {
        self.send(Command::Run(Box::new(execution)));
    }

    /// TERM to all of its processes, KILL after the grace. Nothing happens if it ended already.
    pub fn stop(&self, key: AttemptKey, reason: StopReason) {
        self.send(Command::Stop(key, reason));
    }

    fn send(&self, command: Command) {
        let commands = self.commands.as_ref().expect("present until dropped");
        commands
            .send(command)
            .expect("the executor's thread ends only after this handle is dropped");
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        drop(self.commands.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by its own thread.
            let _ = thread.join();
        }
    }
}

/// What the attempts' tasks share on the executor's thread.
struct Shared {
    options: ExecutorOptions,
    base_environment: Vec<(String, std::ffi::OsString)>,
    /// Dropped first: its watchdog ends what still runs.
    groups: RefCell<groups::Groups>,
    /// None: they cannot be had, or nothing is to be limited.
    cgroups: RefCell<Option<Cgroups>>,
    /// Control groups of the agent itself.
    homes: Vec<PathBuf>,
    reaps_orphans: bool,
    running: RefCell<HashMap<AttemptKey, Running>>,
    out_of_memory: RefCell<out_of_memory::Kills>,
    events: mpsc::UnboundedSender<ExecutorEvent>,
    /// Borrowed between two awaits only: all pipes are read through it.
    read_buffer: RefCell<Vec<u8>>,
}

struct Running {
    /// Taken by the first stop.
    stop: Option<oneshot::Sender<StopReason>>,
    /// `None` until the process has started.
    sampled: Option<feedback::Sampled>,
}

impl Shared {
    fn new(
        options: ExecutorOptions,
        groups: groups::Groups,
        cgroups: Option<Cgroups>,
        events: mpsc::UnboundedSender<ExecutorEvent>,
    ) -> Shared {
        Shared {
            options,
            base_environment: environment::of_the_machine(),
            groups: RefCell::new(groups),
            homes: cgroups.as_ref().map(Cgroups::homes).unwrap_or_default(),
            // As the first process of a container it is the parent of all orphans.
            reaps_orphans: cgroups.is_none() || std::process::id() == 1,
            cgroups: RefCell::new(cgroups),
            running: RefCell::default(),
            out_of_memory: RefCell::new(out_of_memory::Kills::now()),
            events,
            read_buffer: RefCell::new(vec![0; 64 * 1024]),
        }
    }

    fn emit(&self, event: ExecutorEvent) {
        // The receiver goes when the agent ends; then nobody wants to know.
        let _ = self.events.send(event);
    }
}

async fn serve(shared: &Rc<Shared>, mut inbox: mpsc::UnboundedReceiver<Command>) {
    let mut tick = tokio::time::interval(shared.options.sample_every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            command = inbox.recv() => match command {
                Some(Command::Run(execution)) => begin(shared, execution),
                Some(Command::Stop(key, reason)) => stop(shared, key, reason),
                None => break,
            },
            _ = tick.tick() => sample(shared).await,
        }
    }
    // Leaving drops the attempts' tasks and then the groups' file, whose watchdog kills the rest.
}

fn begin(shared: &Rc<Shared>, execution: Box<Execution>) {
    let (stop, stopped) = oneshot::channel();
    let running = Running { stop: Some(stop), sampled: None };
    let replaced = shared.running.borrow_mut().insert(execution.key, running);
    assert!(replaced.is_none(), "the agent starts an attempt once");
    let shared = Rc::clone(shared);
    tokio::task::spawn_local(async move {
        let key = execution.key;
        let (end, output) = supervise::run(&shared, &execution, stopped).await;
        shared.running.borrow_mut().remove(&key);
        shared.emit(ExecutorEvent::Ended { key, end, output });
    });
}

fn stop(shared: &Shared, key: AttemptKey, reason: StopReason) {
    if let Some(running) = shared.running.borrow_mut().get_mut(&key)
        && let Some(stop) = running.stop.take()
    {
        // It may be ending at this moment.
        let _ = stop.send(reason);
    }
}

/// Measures all running attempts with one look at the process table.
async fn sample(shared: &Shared) {
    shared.out_of_memory.borrow_mut().refresh();
    if shared.reaps_orphans {
        strays::reap_orphans();
    }
    if shared.running.borrow().values().all(|running| running.sampled.is_none()) {
        return;
    }
    let scanned = tokio::task::spawn_blocking(proc_scan::group_usage).await;
    let usage = scanned.expect("a look at the process table does not panic");
    let now = Instant::now();
    let mut running = shared.running.borrow_mut();
    let sampled = running.iter_mut().filter_map(|(key, running)| {
        let sampled = running.sampled.as_mut()?;
        Some((*key, sampled.feedback(now, usage.get(&sampled.group).copied())))
    });
    let feedback: Vec<_> = sampled.collect();
    drop(running);
    shared.emit(ExecutorEvent::Feedback(feedback));
}

fn start_failed(reason: String) -> End {
    End { outcome: Outcome::StartFailed(reason), ran: None }
}
