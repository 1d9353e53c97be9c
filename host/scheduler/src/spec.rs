//! What was submitted: tasks and jobs as the scheduler takes them, already parsed and range-checked
//! field by field by the protocol layer. Relations between tasks are checked in [`crate::graph`].

use crate::resources::Request;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Names with their values.
pub type Pairs = BTreeMap<String, String>;

/// One task as submitted. Immutable; shared by state, records, read model and commands. What is often equal
/// in many tasks is behind an `Arc`; see [`TaskSpec::share_with`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSpec {
    /// 1 to 200 characters, NFC, unique within its job (in the job `default`: among live tasks).
    pub name: String,
    /// Run by `/bin/sh -c`.
    pub script: Arc<str>,
    pub request: Request,
    /// The resources as the submitter wrote them (JSON text), for showing them again; empty if omitted.
    pub resources_text: Arc<str>,
    /// Names of tasks of the same job; repeats removed.
    pub dependencies: Vec<String>,
    pub queue: Arc<str>,
    pub tenant: Arc<str>,
    /// Higher is more urgent.
    pub priority: i32,
    /// From process start.
    pub timeout: Option<Duration>,
    /// None: the configured default.
    pub max_retries: Option<u32>,
    /// None: the configured default.
    pub max_worker_losses: Option<u32>,
    /// Expected run time; None: the median of the last successes of that name, else unknown.
    pub expected: Option<Duration>,
    pub labels: Arc<Pairs>,
    /// Worker labels that must match exactly.
    pub requires: Arc<Pairs>,
    pub env: Arc<Pairs>,
    pub workdir: Option<Box<str>>,
    pub on_disconnect: OnDisconnect,
    /// To whose trace it belongs; nothing here depends on it.
    pub trace: Option<Arc<TraceContext>>,
}

/// Where a submission stands in a distributed trace (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// Not 0.
    pub trace_id: u128,
    /// The submitter's span; 0: the trace begins here.
    pub parent: u64,
    /// Whether spans are recorded.
    pub is_sampled: bool,
}

/// What happens to a running script while host and worker cannot see each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDisconnect {
    /// Keep it running: at least once.
    #[default]
    Keep,
    /// The worker stops it when its lease ends.
    Stop,
}

/// A submission of a whole job, accepted whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSpec {
    pub name: String,
    /// In the order of the submission.
    pub tasks: Vec<Arc<TaskSpec>>,
}

impl TaskSpec {
    /// A task with every field at its default.
    pub fn new(name: impl Into<String>, script: impl Into<Arc<str>>) -> TaskSpec {
        static DEFAULTS: LazyLock<(Arc<str>, Arc<str>, Arc<Pairs>)> =
            LazyLock::new(|| (Arc::from(""), Arc::from(DEFAULT), Arc::default()));
        let (empty, default, none) = &*DEFAULTS;
        TaskSpec {
            name: name.into(),
            script: script.into(),
            request: Request { cpu_milli: 1000, memory: 100_000_000, gpu_milli: 0 },
            resources_text: Arc::clone(empty),
            dependencies: Vec::new(),
            queue: Arc::clone(default),
            tenant: Arc::clone(default),
            priority: 0,
            timeout: None,
            max_retries: None,
            max_worker_losses: None,
            expected: None,
            labels: Arc::clone(none),
            requires: Arc::clone(none),
            env: Arc::clone(none),
            workdir: None,
            on_disconnect: OnDisconnect::Keep,
            trace: None,
        }
    }

    /// Keeps what is equal in both once. Tasks of one submission mostly differ by their names alone, and
    /// a host may hold a million of them.
    pub fn share_with(&mut self, other: &TaskSpec) {
        fn share<T: ?Sized + PartialEq>(own: &mut Arc<T>, other: &Arc<T>) {
            if own == other {
                own.clone_from(other);
            }
        }
        share(&mut self.script, &other.script);
        share(&mut self.resources_text, &other.resources_text);
        share(&mut self.queue, &other.queue);
        share(&mut self.tenant, &other.tenant);
        share(&mut self.labels, &other.labels);
        share(&mut self.requires, &other.requires);
        share(&mut self.env, &other.env);
        if self.trace == other.trace {
            self.trace.clone_from(&other.trace);
        }
    }
}

/// The name of the queue, the tenant and the always-open job that are used when none is named.
pub const DEFAULT: &str = "default";
