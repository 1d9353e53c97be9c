//! How long tasks took lately, stage by stage of their lives.

use pointsman_protocol::api::Stage;
use pointsman_scheduler::record::{Attempt, TaskStatus};
use pointsman_scheduler::{TaskId, Time, WorkerId};
use std::collections::VecDeque;
use std::time::Duration;

/// Of each stage, the newest.
const KEPT: usize = 4096;

/// One attempt's way through one stage.
#[derive(Debug, Clone, Copy)]
pub struct Passage {
    /// When it was through.
    pub at: Time,
    pub took: Duration,
    pub task: TaskId,
    pub worker: WorkerId,
}

/// Since the host was started.
#[derive(Debug, Default)]
pub struct Stages {
    queue_wait: VecDeque<Passage>,
    dispatch: VecDeque<Passage>,
    run: VecDeque<Passage>,
}

impl Stages {
    /// A task's status changed.
    pub fn note(&mut self, task: TaskId, old: &TaskStatus, new: &TaskStatus) {
        let Some(attempt) = new.attempts.last() else { return };
        let before = old.attempts.last().filter(|it| it.number == attempt.number);
        let worker = attempt.worker;
        let mut passed = |stage: Stage, from: Option<Time>, at: Option<Time>| {
            if let (Some(from), Some(at)) = (from, at) {
                keep(self.of_mut(stage), Passage { at, took: at.since(from), task, worker });
            }
        };
        if before.is_none() {
            passed(Stage::QueueWait, new.ready_since, Some(attempt.assigned));
        }
        let had = |what: fn(&Attempt) -> Option<Time>| before.is_some_and(|it| what(it).is_some());
        if !had(|it| it.started) {
            passed(Stage::Dispatch, Some(attempt.assigned), attempt.started);
        }
        if !had(|it| it.ended) {
            passed(Stage::Run, attempt.started, attempt.ended);
        }
    }

    /// Newest first.
    pub fn of(&self, stage: Stage) -> impl Iterator<Item = &Passage> {
        let kept = match stage {
            Stage::QueueWait => &self.queue_wait,
            Stage::Dispatch => &self.dispatch,
            Stage::Run => &self.run,
        };
        kept.iter().rev()
    }

    fn of_mut(&mut self, stage: Stage) -> &mut VecDeque<Passage> {
        match stage {
            Stage::QueueWait => &mut self.queue_wait,
            Stage::Dispatch => &mut self.dispatch,
            Stage::Run => &mut self.run,
        }
    }
}

fn keep(kept: &mut VecDeque<Passage>, passage: Passage) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(passage);
}
