//! The critical path of a job, from what the read model knows of it.

use crate::read_model::{ReadModel, Task};
use pointsman_protocol::api::{CriticalPathView, PathTaskView};
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::critical_path::{CriticalPath, Leg, critical_path};
use pointsman_scheduler::record::TaskState;
use pointsman_scheduler::{JobId, TaskId, Time};
use std::collections::BTreeSet;
use std::time::Duration;

/// What is needed of a job, copied out of the model, so that nobody waits for the computation.
#[derive(Debug)]
pub struct JobLegs {
    job: JobId,
    at: Time,
    is_over: bool,
    n_unknown: u64,
    /// In the order of ids.
    tasks: Vec<(TaskId, TaskState)>,
    /// Positions among `tasks`; one that was forgotten is left out.
    dependencies: Vec<Vec<u32>>,
    legs: Vec<Leg>,
}

impl JobLegs {
    /// None: no such job.
    pub fn of(model: &ReadModel, id: JobId, at: Time) -> Option<JobLegs> {
        let job = model.jobs.get(&id)?;
        let of_job: Vec<&Task> =
            job.tasks.range(TaskId(0)).filter_map(|(id, ())| model.tasks.get(&id)).collect();
        let position = |id: &TaskId| {
            let found = of_job.binary_search_by_key(id, |task| task.added.id);
            found.ok().map(|position| position as u32)
        };
        let needed = |task: &&Task| task.added.dependencies.iter().filter_map(position).collect();
        let mut n_unknown = 0;
        let mut leg = |task: &&Task| {
            let expected = model.expected(&task.added.spec);
            n_unknown += u64::from(expected.is_none() && !task.status.state.is_terminal());
            leg(task, expected.unwrap_or_default(), at)
        };
        Some(JobLegs {
            job: id,
            at,
            is_over: job.record.ended.is_some(),
            dependencies: of_job.iter().map(needed).collect(),
            legs: of_job.iter().map(&mut leg).collect(),
            tasks: of_job.iter().map(|task| (task.added.id, task.status.state)).collect(),
            n_unknown,
        })
    }

    pub fn path(&self) -> CriticalPath {
        critical_path(&self.dependencies, &self.legs)
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
            projected_finish: (!self.is_over)
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
