//! What clients submit: a job, a bare list of tasks, or one task. Each field is checked here, and an
//! error names it; how tasks relate to each other is checked by the core.
//!
//! The keys of a job are [`JOB_KEYS`], those of a task [`TASK_KEYS`], those of `resources`
//! [`RESOURCE_KEYS`]. Unknown and duplicate keys are refused.

mod keys;
mod task;
mod toml;

pub use keys::{JOB_KEYS, RESOURCE_KEYS, TASK_KEYS};

use crate::field::{FieldError, Flaw};
use crate::json::{BODY, read_json};
use crate::name::parse_name;
use crate::value::Value;
use pointsman_scheduler::spec::{JobSpec, TaskSpec, TraceContext};
use std::sync::Arc;

/// Tasks of one job at most.
pub const TASKS_MAX: usize = 100_000;

/// Dependencies of one task at most, counted as written.
pub const DEPENDENCIES_MAX: usize = 10_000;

/// Dependencies of all tasks of one job at most, counted as written.
pub const EDGES_MAX: usize = 1_000_000;

/// Bytes of a script at most.
pub const SCRIPT_BYTES_MAX: usize = 1024 * 1024;

/// `max_retries` and `max_worker_losses` at most.
pub const RETRIES_MAX: u32 = 100;

/// Variables of `env` at most.
pub const ENV_MAX: usize = 1000;

/// Bytes of one value of `env` at most: systems take little more.
pub const ENV_VALUE_BYTES_MAX: usize = 100_000;

/// Bytes of all names and values of `env` together at most.
pub const ENV_BYTES_MAX: usize = 1_000_000;

/// Bytes of `workdir` at most.
pub const WORKDIR_BYTES_MAX: usize = 4000;

#[derive(Debug, Clone, PartialEq)]
pub enum Submission {
    /// A job whole, with at least one task.
    Job(JobSpec),
    /// One task for the job `default`, which is always open.
    Task(Arc<TaskSpec>),
}

impl Submission {
    /// Reads an object with `tasks`, a bare list of tasks, or one task.
    ///
    /// # Errors
    /// The first field that cannot be taken.
    pub fn from_json(json: &[u8]) -> Result<Submission, FieldError> {
        Submission::from_value(read_json(json)?)
    }

    /// All of its tasks belong to this trace.
    #[must_use]
    pub fn in_trace(mut self, trace: TraceContext) -> Submission {
        let trace = Some(Arc::new(trace));
        let tasks = match &mut self {
            Submission::Job(job) => job.tasks.as_mut_slice(),
            Submission::Task(task) => std::slice::from_mut(task),
        };
        for task in tasks {
            Arc::make_mut(task).trace.clone_from(&trace);
        }
        self
    }

    /// The same as a TOML file: `name = "…"` with `[[tasks]]`, or the keys of one task.
    ///
    /// # Errors
    /// The first field that cannot be taken.
    pub fn from_toml(text: &str) -> Result<Submission, FieldError> {
        toml::read_toml(text, Submission::from_value)
    }

    fn from_value(value: Value<'_>) -> Result<Submission, FieldError> {
        match value {
            Value::List(tasks) => job_from_tasks(None, tasks, "").map(Submission::Job),
            Value::Map(entries) if entries.iter().any(|(key, _)| key == "tasks") => {
                job_from_entries(entries).map(Submission::Job)
            }
            Value::Map(entries) if entries.iter().any(|(key, _)| key == "task_name") => {
                let (task, _) = task::from_entries(entries)?;
                Ok(Submission::Task(Arc::new(task)))
            }
            Value::Map(entries) => Err(neither_job_nor_task(entries)),
            other => {
                let remedy = "write a job {\"name\", \"tasks\": [...]}, a list of tasks, or a task";
                Err(other.mistyped(remedy).at(BODY))
            }
        }
    }
}

/// Neither of the two keys that tell them apart is there: the nearest wrong key may say why.
fn neither_job_nor_task(entries: Vec<(std::borrow::Cow<'_, str>, Value<'_>)>) -> FieldError {
    let unknown = entries
        .iter()
        .find(|(key, _)| !TASK_KEYS.contains(&key.as_ref()) && !JOB_KEYS.contains(&key.as_ref()));
    match unknown {
        Some((key, _)) => keys::unknown(key, &TASK_KEYS),
        None => Flaw::new(
            "has neither \"tasks\" nor \"task_name\"",
            "give a job its \"tasks\", or a single task its \"task_name\" and \"script\"",
        )
        .at(BODY),
    }
}

fn job_from_entries(
    entries: Vec<(std::borrow::Cow<'_, str>, Value<'_>)>,
) -> Result<JobSpec, FieldError> {
    let mut name = None;
    let mut tasks = None;
    for (key, value) in entries {
        match key.as_ref() {
            "name" => {
                let text = value.into_text("name")?;
                name = Some(parse_name(&text).map_err(|flaw| flaw.at("name"))?);
            }
            "tasks" => tasks = Some(value.into_list("tasks")?),
            other => return Err(keys::unknown(other, &JOB_KEYS)),
        }
    }
    job_from_tasks(name, tasks.unwrap_or_default(), "tasks")
}

/// `field` is the path of the list. A job without a name is called like its first task.
fn job_from_tasks(
    name: Option<String>,
    values: Vec<Value<'_>>,
    field: &str,
) -> Result<JobSpec, FieldError> {
    let list_field = if field.is_empty() { BODY } else { field };
    if values.is_empty() {
        return Err(Flaw::new("is empty", "give the job at least one task").at(list_field));
    }
    if values.len() > TASKS_MAX {
        let problem = format!("has {} tasks", values.len());
        let remedy = format!("give a job at most {TASKS_MAX}; submit several jobs");
        return Err(Flaw::new(problem, remedy).at(list_field));
    }
    let mut tasks: Vec<Arc<TaskSpec>> = Vec::with_capacity(values.len());
    let mut n_edges = 0;
    for (position, value) in values.into_iter().enumerate() {
        let (mut task, n_dependencies) = task_at(value, || format!("{field}[{position}]"))?;
        n_edges += n_dependencies;
        if n_edges > EDGES_MAX {
            let problem = format!("has more than {EDGES_MAX} dependencies altogether");
            return Err(Flaw::new(problem, "split the job").at(list_field));
        }
        if let Some(neighbour) = tasks.last() {
            task.share_with(neighbour);
        }
        tasks.push(Arc::new(task));
    }
    let name = name.unwrap_or_else(|| tasks[0].name.clone());
    Ok(JobSpec { name, tasks })
}

/// A task with the number of its dependencies as written.
fn task_at(value: Value<'_>, path: impl Fn() -> String) -> Result<(TaskSpec, usize), FieldError> {
    match value {
        Value::Map(entries) => task::from_entries(entries).map_err(|error| {
            let field = match error.field.as_str() {
                BODY => path(),
                field => format!("{}.{field}", path()),
            };
            FieldError { field, ..error }
        }),
        other => {
            let remedy = "write a task {\"task_name\", \"script\", ...}";
            Err(other.mistyped(remedy).at(path()))
        }
    }
}
