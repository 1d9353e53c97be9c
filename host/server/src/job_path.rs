//! The critical path of a job, from what the read model knows of it.

use crate::read_model::{ReadModel, Task};
use pointsman_protocol::api::{CriticalPathView, PathTaskView};
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::critical_path::{CriticalPath, Leg, critical_path};
use pointsman_scheduler::record::TaskState;
use pointsman_scheduler::spec::DEFAULT;
use pointsman_scheduler::{JobId, TaskId, Time};
use std::collections::BTreeSet;
use std::time::Duration;

/// What is needed of a job, copied out of the model, so that nobody waits for the rest of the work.
#[derive(Debug)]
pub struct JobLegs {
    job: JobId,
    at: Time,
    /// The job of all tasks that are submitted one by one has no end.
    has_an_end: bool,
    n_unknown: u64,
    /// In the order of ids.
    tasks: Vec<(TaskId, TaskState)>,
    /// What all of them wait for, one after the other, and up to where it is that of each.
    needed: Vec<TaskId>,
    needed_up_to: Vec<usize>,
    legs: Vec<Leg>,
}

impl JobLegs {
    /// None: no such job.
    pub fn of(model: &ReadModel, id: JobId, at: Time) -> Option<JobLegs> {
        let job = model.jobs.get(&id)?;
        let n_tasks = job.tasks.len();
        let mut found = JobLegs {
            job: id,
            at,
            has_an_end: job.record.ended.is_none() && job.record.name != DEFAULT,
            n_unknown: 0,
            tasks: Vec::with_capacity(n_tasks),
            needed: Vec::new(),
            needed_up_to: Vec::with_capacity(n_tasks),
            legs: Vec::with_capacity(n_tasks),
        };
        for task in job.tasks.range(TaskId(0)).filter_map(|(id, ())| model.tasks.get(&id)) {
            let state = task.status.state;
            let expected =
                if state.is_terminal() { None } else { model.expected(&task.added.spec) };
            found.n_unknown += u64::from(expected.is_none() && !state.is_terminal());
            found.tasks.push((task.added.id, state));
            found.needed.extend(&task.added.dependencies);
            found.needed_up_to.push(found.needed.len());
            found.legs.push(leg(task, expected.unwrap_or_default(), at));
        }
        Some(found)
    }

    pub fn path(&self) -> CriticalPath {
        // What was forgotten is over, and was waited for.
        let position = |id: &TaskId| {
            let found = self.tasks.binary_search_by_key(id, |(id, _)| *id);
            found.ok().map(|position| position as u32)
        };
        let mut from = 0;
        let mut needed = |up_to: &usize| {
            let of_task = &self.needed[std::mem::replace(&mut from, *up_to)..*up_to];
            of_task.iter().filter_map(position).collect()
        };
        let dependencies: Vec<Vec<u32>> = self.needed_up_to.iter().map(&mut needed).collect();
        critical_path(&dependencies, &self.legs)
    }

    /// As many tasks as asked for, whose names are told by `name`.
    pub fn view(
        &self,
        found: &CriticalPath,
        limit: usize,
        name: impl Fn(TaskId) -> String,
    ) -> CriticalPathView {
        let on_path: BTreeSet<u32> = found.path.iter().copied().collect();
        let mut others: Vec<u32> =
            (0..self.tasks.len() as u32).filter(|it| !on_path.contains(it)).collect();
        others.sort_by_key(|it| found.slack[*it as usize]);
        let task = |position: u32| {
            let (id, state) = self.tasks[position as usize];
            let leg = self.legs[position as usize];
            PathTaskView {
                id,
                name: name(id),
                state: state.into(),
                spent_ms: ms(leg.spent),
                left_ms: ms(leg.left),
                slack_ms: ms(found.slack[position as usize]),
                is_on_path: on_path.contains(&position),
            }
        };
        CriticalPathView {
            job: self.job,
            at: Timestamp(self.at),
            length_ms: ms(found.length),
            left_ms: ms(found.left),
            projected_finish: self
                .has_an_end
                .then(|| Timestamp(self.at.after(Duration::from_nanos(found.left)))),
            n_unknown: self.n_unknown,
            n_on_path: found.path.len() as u64,
            tasks: found.path.iter().copied().chain(others).take(limit).map(task).collect(),
        }
    }
}

fn leg(task: &Task, expected: Duration, now: Time) -> Leg {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let status = &task.status;
    let last = status.attempts.last();
    let started = last.and_then(|attempt| attempt.started);
    match status.state {
        TaskState::Pending | TaskState::Assigned => Leg { spent: 0, left: nanos(expected) },
        TaskState::Running => {
            let spent = started.map(|started| now.since(started)).unwrap_or_default();
            Leg { spent: nanos(spent), left: nanos(expected.saturating_sub(spent)) }
        }
        TaskState::Succeeded | TaskState::Failed | TaskState::Skipped | TaskState::Cancelled => {
            let ended = last.and_then(|attempt| attempt.ended);
            let ran = started.zip(ended).map(|(started, ended)| ended.since(started));
            Leg { spent: nanos(ran.unwrap_or_default()), left: 0 }
        }
    }
}

fn ms(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}
