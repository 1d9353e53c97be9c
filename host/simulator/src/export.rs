//! Jobs as files in the project's own job format, to be submitted for a real run.

use crate::seconds::{Scale, format_exact};
use crate::workload::WorkJob;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The job with every run time multiplied by `scale`: each script sleeps that long, and is expected to.
pub fn scaled(job: &WorkJob, scale: Scale) -> WorkJob {
    let run_times: Vec<u64> = job.run_times.iter().map(|ns| scale.apply(*ns)).collect();
    let rescale = |(task, ns): (&Arc<TaskSpec>, &u64)| {
        let mut task = TaskSpec::clone(task);
        task.script = format!("sleep {}", format_exact(*ns)).into();
        task.expected = Some(Duration::from_nanos(*ns));
        Arc::new(task)
    };
    let tasks = job.spec.tasks.iter().zip(&run_times).map(rescale).collect();
    WorkJob { spec: JobSpec { name: job.spec.name.clone(), tasks }, run_times, ..*job }
}

/// The job as pretty-printed JSON, as `pointsman submit` takes it. `expected` is in whole
/// milliseconds there, rounded up, and is left out for tasks that take no time.
pub fn to_job_json(job: &JobSpec) -> String {
    let file =
        JobFile { name: &job.name, tasks: job.tasks.iter().map(|it| TaskFile::of(it)).collect() };
    let mut text = serde_json::to_string_pretty(&file).expect("maps have text keys");
    text.push('\n');
    text
}

#[derive(Serialize)]
struct JobFile<'a> {
    name: &'a str,
    tasks: Vec<TaskFile<'a>>,
}

#[derive(Serialize)]
struct TaskFile<'a> {
    task_name: &'a str,
    script: &'a str,
    resources: ResourcesFile,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    dependencies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ResourcesFile {
    cpu: serde_json::Number,
    /// Bytes.
    memory: u64,
}

impl<'a> TaskFile<'a> {
    fn of(task: &'a TaskSpec) -> TaskFile<'a> {
        TaskFile {
            task_name: &task.name,
            script: &task.script,
            resources: ResourcesFile {
                cpu: cores(task.request.cpu_milli),
                memory: task.request.memory,
            },
            dependencies: &task.dependencies,
            expected: task.expected.and_then(expected_text),
            labels: &task.labels,
        }
    }
}

fn cores(cpu_milli: u64) -> serde_json::Number {
    if cpu_milli.is_multiple_of(1000) {
        return (cpu_milli / 1000).into();
    }
    let number = serde_json::Number::from_f64(cpu_milli as f64 / 1000.0);
    number.expect("a quotient of whole numbers is finite")
}

fn expected_text(expected: Duration) -> Option<String> {
    let ms = expected.as_nanos().div_ceil(1_000_000);
    (ms > 0).then(|| format!("{ms}ms"))
}
