//! What happened in a world, for whoever wants to look closer. Times are milliseconds since the
//! beginning; jobs and tasks go by their place in the plan.

use pointsman_scheduler::record::{TaskState, TaskStatus};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    pub tasks: BTreeMap<(usize, usize), TaskStory>,
    pub runs: Vec<Run>,
    /// Workers given up.
    pub losses: Vec<(u64, String)>,
    pub registrations: Vec<(u64, String)>,
    pub quarantines: Vec<(u64, String)>,
}

/// The course of one task, as far as it is durable.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaskStory {
    pub states: Vec<(u64, TaskState)>,
    pub last: TaskStatus,
}

/// A script that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub job: usize,
    pub task: usize,
    pub attempt: u32,
    pub worker: String,
    pub from_ms: u64,
    pub to_ms: Option<u64>,
}

impl TaskStory {
    /// When it entered the state the first time.
    pub fn first(&self, state: TaskState) -> Option<u64> {
        self.states.iter().find(|(_, it)| *it == state).map(|(at, _)| *at)
    }
}

impl History {
    /// # Panics
    /// If the task was never submitted.
    pub fn task(&self, job: usize, task: usize) -> &TaskStory {
        self.tasks.get(&(job, task)).expect("a task of the plan that was submitted")
    }

    pub fn runs_of(&self, job: usize, task: usize) -> Vec<&Run> {
        self.runs.iter().filter(|run| (run.job, run.task) == (job, task)).collect()
    }
}
