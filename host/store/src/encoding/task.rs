//! The unchanging part of a task.

use super::{Stored, read, write};
use crate::store::StoreError;
use pointsman_scheduler::record::TaskAdded;
use pointsman_scheduler::resources::Request;
use pointsman_scheduler::spec::{OnDisconnect, TaskSpec, TraceContext};
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

/// Behind it since version 2.
#[derive(Serialize, Deserialize)]
struct Trace {
    trace_id: u128,
    parent: u64,
    is_sampled: bool,
}

/// The form without a trace.
const UNTRACED: u8 = 1;

/// The id is the row's key, not part of the body.
impl Stored for TaskAdded {
    const VERSION: u8 = 2;

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
        // Without a trace as it was before there were any, for earlier builds.
        match spec.trace.as_deref() {
            None => write(&stored, UNTRACED, out),
            Some(TraceContext { trace_id, parent, is_sampled }) => {
                let (trace_id, parent, is_sampled) = (*trace_id, *parent, *is_sampled);
                write(&(stored, Trace { trace_id, parent, is_sampled }), Self::VERSION, out);
            }
        }
    }

    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError> {
        let (stored, trace): (Spec, Option<Trace>) = match bytes.first() {
            Some(&Self::VERSION) => {
                read(bytes, Self::VERSION, what).map(|(stored, trace)| (stored, Some(trace)))?
            }
            _ => (read(bytes, Self::VERSION, what)?, None),
        };
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
            trace: trace.map(|Trace { trace_id, parent, is_sampled }| {
                Arc::new(TraceContext { trace_id, parent, is_sampled })
            }),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What an earlier build wrote is read, and it refuses by its number what it cannot know.
    #[test]
    fn only_a_task_of_a_trace_is_ever_written_in_the_newer_form() {
        let trace = TraceContext { trace_id: u128::MAX - 1, parent: 7, is_sampled: true };
        let written = [None, Some(Arc::new(trace))].map(|trace| {
            let spec = Arc::new(TaskSpec { trace, ..TaskSpec::new("a", "true") });
            let (id, job, dependencies) = (TaskId(0), JobId(3), vec![TaskId(9)]);
            let added = TaskAdded { id, job, submitted: Time(5), spec, dependencies };
            let mut bytes = Vec::new();
            added.encode(&mut bytes);
            assert_eq!(TaskAdded::decode(&bytes, String::new).unwrap(), added);
            bytes
        });
        let [without, with] = written;
        assert_eq!((without[0], with[0]), (1, 2));
        assert_eq!(
            without[1..],
            with[1..without.len()],
            "the rest is as it was, the trace behind it"
        );
        let newer = [&[3], &with[1..]].concat();
        let refused = TaskAdded::decode(&newer, String::new).unwrap_err();
        assert!(matches!(refused, StoreError::NewerFormat { found: 3, known: 2, .. }), "{refused}");
    }
}
