//! The relations between the tasks of one submission: names, dependencies, cycles, order. Linear and
//! iterative: a chain of 50,000 tasks is fine on any stack.

use crate::spec::TaskSpec;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// A checked DAG over task positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Per task, the positions it depends on, in the order written.
    pub dependencies: Vec<Vec<u32>>,
    /// Per task, the positions that depend on it, ascending.
    pub dependents: Vec<Vec<u32>>,
    /// Every task after its dependencies.
    pub order: Vec<u32>,
}

/// Why a set of tasks is not a job. Positions count from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    #[error("a job needs at least one task")]
    Empty,
    #[error(
        "tasks[{first}] and tasks[{second}] are both named {name:?}: names are unique within a job"
    )]
    DuplicateName { name: String, first: usize, second: usize },
    #[error(
        "tasks[{position}].dependencies: task {name:?} depends on {missing:?}, which is not a task of this job{}",
        nearest.as_ref().map(|near| format!(" (did you mean {near:?}?)")).unwrap_or_default()
    )]
    UnknownDependency { position: usize, name: String, missing: String, nearest: Option<String> },
    #[error("the dependencies form a cycle: {}", show_cycle(names))]
    Cycle { names: Vec<String> },
}

/// Cycles longer than this are shown shortened.
const CYCLE_NAMES_SHOWN: usize = 20;

fn show_cycle(names: &[String]) -> String {
    let mut shown: Vec<&str> = names.iter().take(CYCLE_NAMES_SHOWN).map(String::as_str).collect();
    let n_hidden = names.len() - shown.len();
    let hidden = format!("… {n_hidden} more …");
    if n_hidden > 0 {
        shown.push(&hidden);
    }
    shown.extend(names.first().map(String::as_str));
    shown.join(" → ")
}

impl Graph {
    /// Checks names, dependencies and acyclicity.
    ///
    /// # Errors
    /// The first problem found, in the order of [`GraphError`].
    pub fn check(tasks: &[Arc<TaskSpec>]) -> Result<Graph, GraphError> {
        if tasks.is_empty() {
            return Err(GraphError::Empty);
        }
        let positions = positions_by_name(tasks)?;
        let dependencies = resolve(tasks, &positions)?;
        let mut dependents = vec![Vec::new(); tasks.len()];
        for (position, needed) in dependencies.iter().enumerate() {
            for &dependency in needed {
                dependents[dependency as usize].push(position as u32);
            }
        }
        let order = topological_order(&dependencies, &dependents);
        if order.len() < tasks.len() {
            let cycle = find_cycle(&dependencies, &order);
            let names = cycle.into_iter().map(|position| tasks[position as usize].name.clone());
            return Err(GraphError::Cycle { names: names.collect() });
        }
        Ok(Graph { dependencies, dependents, order })
    }
}

fn positions_by_name(tasks: &[Arc<TaskSpec>]) -> Result<FxHashMap<&str, u32>, GraphError> {
    let mut positions = FxHashMap::default();
    positions.reserve(tasks.len());
    for (position, task) in tasks.iter().enumerate() {
        if let Some(first) = positions.insert(task.name.as_str(), position as u32) {
            return Err(GraphError::DuplicateName {
                name: task.name.clone(),
                first: first as usize,
                second: position,
            });
        }
    }
    Ok(positions)
}

fn resolve(
    tasks: &[Arc<TaskSpec>],
    positions: &FxHashMap<&str, u32>,
) -> Result<Vec<Vec<u32>>, GraphError> {
    let mut resolved = Vec::with_capacity(tasks.len());
    for (position, task) in tasks.iter().enumerate() {
        let mut needed = Vec::with_capacity(task.dependencies.len());
        for name in &task.dependencies {
            let Some(&dependency) = positions.get(name.as_str()) else {
                return Err(GraphError::UnknownDependency {
                    position,
                    name: task.name.clone(),
                    missing: name.clone(),
                    nearest: nearest(name, tasks),
                });
            };
            needed.push(dependency);
        }
        resolved.push(needed);
    }
    Ok(resolved)
}

/// Kahn's algorithm; shorter than the number of tasks if there is a cycle.
pub(crate) fn topological_order(dependencies: &[Vec<u32>], dependents: &[Vec<u32>]) -> Vec<u32> {
    let mut n_left: Vec<usize> = dependencies.iter().map(Vec::len).collect();
    let mut order: Vec<u32> =
        (0..dependencies.len() as u32).filter(|position| n_left[*position as usize] == 0).collect();
    let mut next = 0;
    while let Some(&position) = order.get(next) {
        next += 1;
        for &dependent in &dependents[position as usize] {
            n_left[dependent as usize] -= 1;
            if n_left[dependent as usize] == 0 {
                order.push(dependent);
            }
        }
    }
    order
}

/// Every task outside `order` has a dependency outside it, so walking along those must repeat one.
/// Listed in the order of execution: each depends on the one before, the first on the last.
fn find_cycle(dependencies: &[Vec<u32>], order: &[u32]) -> Vec<u32> {
    let mut is_ordered = vec![false; dependencies.len()];
    for &position in order {
        is_ordered[position as usize] = true;
    }
    let mut seen_at = vec![usize::MAX; dependencies.len()];
    let mut path = Vec::new();
    let mut position =
        is_ordered.iter().position(|ordered| !ordered).expect("some task is not ordered") as u32;
    while seen_at[position as usize] == usize::MAX {
        seen_at[position as usize] = path.len();
        path.push(position);
        position = *dependencies[position as usize]
            .iter()
            .find(|dependency| !is_ordered[**dependency as usize])
            .expect("a task that is not ordered waits for one that is not ordered");
    }
    let mut cycle = path.split_off(seen_at[position as usize]);
    cycle.reverse();
    let first = cycle.iter().enumerate().min_by_key(|(_, position)| **position);
    let start = first.map_or(0, |(index, _)| index);
    cycle.rotate_left(start);
    cycle
}

/// The name most like `wanted`, if one is close; only looked for among a bounded number.
fn nearest(wanted: &str, tasks: &[Arc<TaskSpec>]) -> Option<String> {
    const MAX_COMPARED: usize = 2000;
    let limit = 1 + wanted.chars().count() / 4;
    tasks
        .iter()
        .take(MAX_COMPARED)
        .map(|task| (edit_distance(wanted, &task.name), &task.name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name.clone())
}

/// Levenshtein distance in characters.
pub fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
