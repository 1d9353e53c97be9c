//! Worlds in virtual time in which things go wrong: drawn from seeds, and as stories of what must not
//! happen.

use pointsman_scheduler::record::TaskState;
use pointsman_simulator::faults::plan::TaskPlan;
use pointsman_simulator::faults::{FaultOptions, FaultReport, History, Plan, run};

mod planted_bugs;
mod shrinking;
mod worlds;

mod attempts;
mod restarts;
mod workers;

const MAX_STEPS: u64 = 2_000_000;

/// Plays a story; whatever must always hold is checked on the way.
fn tell(plan: Plan) -> FaultReport {
    let options = FaultOptions { max_steps: MAX_STEPS, ..FaultOptions::new(plan) };
    run(&options).unwrap_or_else(|violation| panic!("{violation}"))
}

/// So many copies of a task.
fn times(n: usize, task: &TaskPlan) -> Vec<TaskPlan> {
    vec![task.clone(); n]
}

/// A task that takes about so long.
fn lasting(seconds: u64) -> TaskPlan {
    TaskPlan { ms: seconds * 1_000, ..TaskPlan::default() }
}

/// One that fails whenever it runs.
fn failing(max_retries: u32) -> TaskPlan {
    TaskPlan { ms: 100, fail_percent: 100, max_retries: Some(max_retries), ..TaskPlan::default() }
}

fn after(dependencies: &[usize], task: TaskPlan) -> TaskPlan {
    TaskPlan { dependencies: dependencies.to_vec(), ..task }
}

fn end_of(history: &History, job: usize, task: usize) -> (u64, TaskState) {
    *history.task(job, task).states.last().expect("a task of the plan has a state")
}

/// The state in which it was then.
fn state_at(history: &History, at_ms: u64, job: usize, task: usize) -> TaskState {
    let states = &history.task(job, task).states;
    let last = states.iter().rev().find(|(at, _)| *at <= at_ms);
    last.map_or(TaskState::Pending, |(_, state)| *state)
}
