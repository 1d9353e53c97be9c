//! The unchanging part of a task.

use super::{Stored, read, write};
use crate::store::StoreError;
use pointsman_scheduler::record::TaskAdded;
use pointsman_scheduler::resources::Request;
use pointsman_scheduler::spec::{OnDisconnect, TaskSpec};
use pointsman_scheduler::{JobId, TaskId, Time};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

#[derive(Serialize, Deserialize)]
struct Spec<'a> {
    job: u64,
    submitted: u64,
    dependencies: Cow<'a, [u64]>,
    name: Cow<'a, str>,
    script: Cow<'a, str>,
    cpu_milli: u64,
    memory: u64,
    gpu_milli: u32,
    resources_text: Cow<'a, str>,
    dependency_names: Cow<'a, [String]>,
    queue: Cow<'a, str>,
    tenant: Cow<'a, str>,
    priority: i32,
    timeout: Option<Duration>,
    max_retries: Option<u32>,
    max_worker_losses: Option<u32>,
    expected: Option<Duration>,
    labels: Cow<'a, BTreeMap<String, String>>,
    requires: Cow<'a, BTreeMap<String, String>>,
    env: Cow<'a, BTreeMap<String, String>>,
    workdir: Option<Cow<'a, str>>,
    stop_on_disconnect: bool,
}

/// The id is the row's key, not part of the body.
impl Stored for TaskAdded {
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut Vec<u8>) {
        let spec = &self.spec;
        let stored = Spec {
            job: self.job.0,
            submitted: self.submitted.0,
            dependencies: self.dependencies.iter().map(|id| id.0).collect(),
            name: Cow::Borrowed(&spec.name),
            script: Cow::Borrowed(&spec.script),
            cpu_milli: spec.request.cpu_milli,
            memory: spec.request.memory,
            gpu_milli: spec.request.gpu_milli,
            resources_text: Cow::Borrowed(&spec.resources_text),
            dependency_names: Cow::Borrowed(&spec.dependencies),
            queue: Cow::Borrowed(&spec.queue),
            tenant: Cow::Borrowed(&spec.tenant),
            priority: spec.priority,
            timeout: spec.timeout,
            max_retries: spec.max_retries,
            max_worker_losses: spec.max_worker_losses,
            expected: spec.expected,
            labels: Cow::Borrowed(&spec.labels),
            requires: Cow::Borrowed(&spec.requires),
            env: Cow::Borrowed(&spec.env),
            workdir: spec.workdir.as_deref().map(Cow::Borrowed),
            stop_on_disconnect: spec.on_disconnect == OnDisconnect::Stop,
        };
        write(&stored, Self::VERSION, out);
    }

    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError> {
        let stored: Spec = read(bytes, Self::VERSION, what)?;
        let spec = TaskSpec {
            name: stored.name.into_owned(),
            script: stored.script.into(),
            request: Request {
                cpu_milli: stored.cpu_milli,
                memory: stored.memory,
                gpu_milli: stored.gpu_milli,
            },
            resources_text: stored.resources_text.into(),
            dependencies: stored.dependency_names.into_owned(),
            queue: stored.queue.into(),
            tenant: stored.tenant.into(),
            priority: stored.priority,
            timeout: stored.timeout,
            max_retries: stored.max_retries,
            max_worker_losses: stored.max_worker_losses,
            expected: stored.expected,
            labels: stored.labels.into_owned().into(),
            requires: stored.requires.into_owned().into(),
            env: stored.env.into_owned().into(),
            workdir: stored.workdir.map(Box::from),
            on_disconnect: match stored.stop_on_disconnect {
                true => OnDisconnect::Stop,
                false => OnDisconnect::Keep,
            },
        };
        Ok(TaskAdded {
            id: TaskId(0),
            job: JobId(stored.job),
            submitted: Time(stored.submitted),
            spec: Arc::new(spec),
            dependencies: stored.dependencies.iter().map(|id| TaskId(*id)).collect(),
        })
    }
}
