//! WfCommons workflow instances: WfFormat 1.5 JSON, of which names, edges, run times, memory and
//! cores are taken. The recorded commands are text and are never run; a task's script here only
//! sleeps as long as the recorded one ran.

use crate::decimal::Decimal;
use crate::import::names::{Names, label_value, sanitise};
use crate::import::{ReadError, read_text};
use crate::seconds::{BadNumber, format_exact, parse_seconds};
use crate::workload::WorkJob;
use pointsman_scheduler::Time;
use pointsman_scheduler::graph::GraphError;
use pointsman_scheduler::spec::{JobSpec, Pairs, TaskSpec};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The label that holds a task's name of its recording, where that differs from the id by which
/// tasks are told apart.
pub const NAME_LABEL: &str = "wfcommons.name";
/// The label that holds a task's id of its recording, where it is not a valid name here.
pub const ID_LABEL: &str = "wfcommons.id";

const VERSION: &str = "1.5";
const CORE_UNIT: &str = "thousandths of a core, at least one";

/// Why a file is not imported.
#[derive(Debug, thiserror::Error)]
pub enum WfCommonsError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("not a WfFormat 1.5 file")]
    Json(#[source] serde_json::Error),
    #[error("schemaVersion is {0:?}; only {VERSION:?} is read, convert the file with wfcommons")]
    Version(String),
    #[error("{list} names the id {id:?} twice; ids are unique")]
    DuplicateId { list: &'static str, id: String },
    #[error(
        "task {0:?} is in workflow.specification.tasks, but workflow.execution.tasks has no entry \
         for it, so that its run time is not known"
    )]
    NotExecuted(String),
    #[error(
        "workflow.execution.tasks has an entry for {0:?}, which is not in \
         workflow.specification.tasks"
    )]
    NotSpecified(String),
    #[error("task {task:?} names {other:?} in {field}, which is not a task of this workflow")]
    UnknownTask { task: String, field: &'static str, other: String },
    #[error(
        "task {parent:?} and task {child:?} disagree: {said_by:?} says that {child:?} waits for \
         {parent:?}, the other does not; parents and children must name each other"
    )]
    Disagree { parent: String, child: String, said_by: String },
    #[error("{field} of task {task:?} is {value}, which {problem}")]
    Number { task: String, field: &'static str, value: String, problem: BadNumber },
    #[error("{field} of task {task:?} is {value}; give a whole number of {unit}")]
    NotWhole { task: String, field: &'static str, value: String, unit: &'static str },
    #[error("the workflow cannot be run")]
    Graph(#[source] GraphError),
}

/// Reads a file, plain or gzipped.
///
/// # Errors
/// If it cannot be read, is not WfFormat 1.5 or contradicts itself.
pub fn read(path: &Path) -> Result<WorkJob, WfCommonsError> {
    parse(&read_text(path)?)
}

/// # Errors
/// If the text is not WfFormat 1.5 or contradicts itself.
pub fn parse(text: &str) -> Result<WorkJob, WfCommonsError> {
    let version: Version = serde_json::from_str(text).map_err(WfCommonsError::Json)?;
    if version.schema_version != VERSION {
        return Err(WfCommonsError::Version(version.schema_version));
    }
    let instance: Instance = serde_json::from_str(text).map_err(WfCommonsError::Json)?;
    let Workflow { specification, execution } = instance.workflow;
    let executed = index_executed(&execution.tasks)?;
    check_edges(&specification.tasks)?;
    check_specified(&specification.tasks, &execution.tasks)?;
    let mut names = Names::default();
    let names: HashMap<&str, String> =
        specification.tasks.iter().map(|task| (task.id.as_str(), names.take(&task.id))).collect();
    let mut tasks = Vec::with_capacity(specification.tasks.len());
    let mut run_times = Vec::with_capacity(specification.tasks.len());
    for specified in &specification.tasks {
        let executed = executed
            .get(specified.id.as_str())
            .ok_or_else(|| WfCommonsError::NotExecuted(specified.id.clone()))?;
        let run_time = number(executed, "runtimeInSeconds", &executed.run_time, parse_seconds)?;
        tasks.push(Arc::new(convert(specified, executed, run_time, &names)?));
        run_times.push(run_time);
    }
    let spec = JobSpec { name: sanitise(&instance.name), tasks };
    let job = WorkJob { spec, arrives: Time::ZERO, run_times };
    job.graph().map_err(WfCommonsError::Graph)?;
    Ok(job)
}

fn convert(
    specified: &SpecifiedTask,
    executed: &ExecutedTask,
    run_time: u64,
    names: &HashMap<&str, String>,
) -> Result<TaskSpec, WfCommonsError> {
    let name = names[specified.id.as_str()].clone();
    let mut task = TaskSpec::new(name, format!("sleep {}", format_exact(run_time)));
    let mut labels = Pairs::new();
    if task.name != specified.id {
        labels.insert(ID_LABEL.to_owned(), label_value(&specified.id));
    }
    if specified.name != specified.id {
        labels.insert(NAME_LABEL.to_owned(), label_value(&specified.name));
    }
    task.labels = labels.into();
    let mut seen = HashSet::new();
    let parents = specified.parents.iter().filter(|parent| seen.insert(*parent));
    task.dependencies = parents.map(|parent| names[parent.as_str()].clone()).collect();
    task.expected = Some(Duration::from_nanos(run_time));
    if let Some(memory) = &executed.memory {
        // Recordings write 0 for what was not measured.
        match whole(executed, "memoryInBytes", memory, 0, "bytes")? {
            0 => {}
            bytes => task.request.memory = bytes,
        }
    }
    if let Some(cores) = &executed.cores {
        let cpu_milli = whole(executed, "coreCount", cores, 3, CORE_UNIT)?;
        if cpu_milli == 0 {
            return Err(not_whole(executed, "coreCount", cores, CORE_UNIT));
        }
        task.request.cpu_milli = cpu_milli;
    }
    Ok(task)
}

fn index_executed(tasks: &[ExecutedTask]) -> Result<HashMap<&str, &ExecutedTask>, WfCommonsError> {
    let mut by_id = HashMap::with_capacity(tasks.len());
    for task in tasks {
        if by_id.insert(task.id.as_str(), task).is_some() {
            let list = "workflow.execution.tasks";
            return Err(WfCommonsError::DuplicateId { list, id: task.id.clone() });
        }
    }
    Ok(by_id)
}

fn check_specified(
    specified: &[SpecifiedTask],
    executed: &[ExecutedTask],
) -> Result<(), WfCommonsError> {
    let ids: HashSet<&str> = specified.iter().map(|task| task.id.as_str()).collect();
    match executed.iter().find(|task| !ids.contains(task.id.as_str())) {
        Some(task) => Err(WfCommonsError::NotSpecified(task.id.clone())),
        None => Ok(()),
    }
}

/// Ids are unique; parents and children exist and name each other.
fn check_edges(tasks: &[SpecifiedTask]) -> Result<(), WfCommonsError> {
    let mut ids = HashSet::with_capacity(tasks.len());
    for task in tasks {
        if !ids.insert(task.id.as_str()) {
            let list = "workflow.specification.tasks";
            return Err(WfCommonsError::DuplicateId { list, id: task.id.clone() });
        }
    }
    let mut by_parents = HashSet::new();
    let mut by_children = HashSet::new();
    for task in tasks {
        let unknown = |field, other: &String| WfCommonsError::UnknownTask {
            task: task.id.clone(),
            field,
            other: other.clone(),
        };
        for parent in &task.parents {
            if !ids.contains(parent.as_str()) {
                return Err(unknown("parents", parent));
            }
            by_parents.insert((parent.as_str(), task.id.as_str()));
        }
        for child in &task.children {
            if !ids.contains(child.as_str()) {
                return Err(unknown("children", child));
            }
            by_children.insert((task.id.as_str(), child.as_str()));
        }
    }
    // In the order of the file, so that the same file is always refused for the same reason.
    for task in tasks {
        let disagree = |parent: &str, child: &str| WfCommonsError::Disagree {
            parent: parent.to_owned(),
            child: child.to_owned(),
            said_by: task.id.clone(),
        };
        for parent in &task.parents {
            if !by_children.contains(&(parent.as_str(), task.id.as_str())) {
                return Err(disagree(parent, &task.id));
            }
        }
        for child in &task.children {
            if !by_parents.contains(&(task.id.as_str(), child.as_str())) {
                return Err(disagree(&task.id, child));
            }
        }
    }
    Ok(())
}

fn number<T>(
    task: &ExecutedTask,
    field: &'static str,
    raw: &RawValue,
    read: impl FnOnce(&str) -> Result<T, BadNumber>,
) -> Result<T, WfCommonsError> {
    read(raw.get()).map_err(|problem| WfCommonsError::Number {
        task: task.id.clone(),
        field,
        value: label_value(raw.get()),
        problem,
    })
}

/// `raw × 10^power`, which has to be whole.
fn whole(
    task: &ExecutedTask,
    field: &'static str,
    raw: &RawValue,
    power: i32,
    unit: &'static str,
) -> Result<u64, WfCommonsError> {
    let value = number(task, field, raw, Decimal::parse)?;
    let amount = number(task, field, raw, |_| value.times(1, power))?;
    if value.is_whole_times(power) { Ok(amount) } else { Err(not_whole(task, field, raw, unit)) }
}

fn not_whole(
    task: &ExecutedTask,
    field: &'static str,
    raw: &RawValue,
    unit: &'static str,
) -> WfCommonsError {
    let value = label_value(raw.get());
    WfCommonsError::NotWhole { task: task.id.clone(), field, value, unit }
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "schemaVersion")]
    schema_version: String,
}

#[derive(Deserialize)]
struct Instance {
    name: String,
    workflow: Workflow,
}

#[derive(Deserialize)]
struct Workflow {
    specification: Specification,
    execution: Execution,
}

#[derive(Deserialize)]
struct Specification {
    tasks: Vec<SpecifiedTask>,
}

#[derive(Deserialize)]
struct Execution {
    tasks: Vec<ExecutedTask>,
}

#[derive(Deserialize)]
struct SpecifiedTask {
    id: String,
    name: String,
    #[serde(default)]
    parents: Vec<String>,
    #[serde(default)]
    children: Vec<String>,
}

/// Numbers are kept as they are written, so that no digit is lost.
#[derive(Deserialize)]
struct ExecutedTask {
    id: String,
    #[serde(rename = "runtimeInSeconds")]
    run_time: Box<RawValue>,
    #[serde(rename = "coreCount")]
    cores: Option<Box<RawValue>>,
    #[serde(rename = "memoryInBytes")]
    memory: Option<Box<RawValue>>,
}
