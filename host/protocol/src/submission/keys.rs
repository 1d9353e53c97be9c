//! Which keys there are, and which one was probably meant.

use crate::field::{FieldError, Flaw, quote};
use crate::labels::show_key;
use pointsman_scheduler::graph::edit_distance;

pub const JOB_KEYS: [&str; 2] = ["name", "tasks"];

pub const TASK_KEYS: [&str; 17] = [
    "task_name",
    "script",
    "resources",
    "dependencies",
    "queue",
    "tenant",
    "priority",
    "timeout",
    "max_retries",
    "max_worker_losses",
    "expected",
    "labels",
    "requires",
    "env",
    "workdir",
    "on_disconnect",
    "job",
];

pub const RESOURCE_KEYS: [&str; 3] = ["cpu", "memory", "gpu"];

/// Keys of other systems, and what they are called here.
const FOREIGN: [(&str, &str); 16] = [
    ("name", "task_name"),
    ("id", "task_name"),
    ("command", "script"),
    ("cmd", "script"),
    ("run", "script"),
    ("depends_on", "dependencies"),
    ("deps", "dependencies"),
    ("needs", "dependencies"),
    ("retries", "max_retries"),
    ("environment", "env"),
    ("cwd", "workdir"),
    ("working_dir", "workdir"),
    ("cpus", "cpu"),
    ("cores", "cpu"),
    ("mem", "memory"),
    ("gpus", "gpu"),
];

/// Longer keys are not compared with the known ones.
const COMPARED_MAX: usize = 40;

/// That there is no such key, with the one that was probably meant.
pub(super) fn unknown(key: &str, known: &[&str]) -> FieldError {
    let remedy = match nearest(key, known) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("the keys here are {}", known.join(", ")),
    };
    Flaw::new(format!("there is no key {}", quote(key)), remedy).at(show_key(key))
}

fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    if key.len() > COMPARED_MAX {
        return None;
    }
    let lower = key.to_lowercase().replace('-', "_");
    let foreign = FOREIGN.iter().find(|(foreign, _)| *foreign == lower);
    if let Some(ours) = foreign.and_then(|(_, ours)| known.iter().find(|it| *it == ours)) {
        return Some(ours);
    }
    let distances = known.iter().map(|it| (edit_distance(&lower, it), *it));
    let (distance, near) = distances.min()?;
    (distance <= near.len().max(3) / 3).then_some(near)
}
