//! From one durable state of a task to the next.

use crate::faults::invariant::Invariant;
use pointsman_scheduler::TaskId;
use pointsman_scheduler::record::{Attempt, Failure, Outcome, TaskState, TaskStatus};
use pointsman_scheduler::spec::TaskSpec;

/// What of the change must not be.
pub(super) fn differences(
    id: TaskId,
    old: &TaskStatus,
    new: &TaskStatus,
) -> Vec<(Invariant, String)> {
    let mut found = Vec::new();
    if !is_allowed(old.state, new.state) {
        let text = format!("{id} went from {:?} to {:?}", old.state, new.state);
        found.push((Invariant::StatesFollowTheTable, text));
    }
    let mut numbering = |text: String| found.push((Invariant::AttemptsAreNumbered, text));
    if new.next_attempt < old.next_attempt {
        numbering(format!("{id} counts attempts backwards"));
    }
    for before in old.attempts.iter().filter(|attempt| attempt.outcome.is_some()) {
        let now = new.attempts.iter().find(|it| it.number == before.number);
        if now.is_some_and(|now| now.outcome != before.outcome) {
            numbering(format!("attempt {} of {id} has two outcomes", before.number));
        }
    }
    let succeeded = |attempt: &&Attempt| attempt.outcome == Some(Outcome::Succeeded);
    if new.attempts.iter().filter(succeeded).count() > 1 {
        numbering(format!("{id} succeeded twice"));
    }
    found
}

fn is_allowed(from: TaskState, to: TaskState) -> bool {
    use TaskState::{Assigned, Cancelled, Failed, Pending, Running, Skipped, Succeeded};
    match (from, to) {
        (from, to) if from == to => true,
        (Pending, Assigned | Cancelled | Skipped)
        | (Assigned, Running | Succeeded | Failed | Cancelled | Pending)
        | (Running, Succeeded | Failed | Cancelled | Pending)
        | (Failed | Skipped | Cancelled, Pending) => true,
        (
            Pending | Assigned | Running | Succeeded | Failed | Skipped | Cancelled,
            Pending | Assigned | Running | Succeeded | Failed | Skipped | Cancelled,
        ) => false,
    }
}

/// The attempt that has an outcome now and had none.
pub(super) fn newly_ended<'a>(old: &TaskStatus, new: &'a TaskStatus) -> Option<&'a Attempt> {
    let had =
        |number: u32| old.attempts.iter().any(|it| it.number == number && it.outcome.is_some());
    new.attempts.iter().rev().find(|it| it.outcome.is_some() && !had(it.number))
}

/// What should have been charged by now.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    retries: u32,
    losses: u32,
}

const MAX_RETRIES: u32 = 3;
const MAX_LOSSES: u32 = 3;
const LOST_UNSEEN_MAX: usize = 3;

/// At the end of its attempts, those that never began for all that the host knows.
fn n_lost_unseen(status: &TaskStatus) -> usize {
    let n_attempts = status.attempts.len();
    let lost = Some(Outcome::Failed(Failure::WorkerLost));
    let other = status.attempts.iter().rposition(|it| it.started.is_some() || it.outcome != lost);
    other.map_or(n_attempts, |at| n_attempts - at - 1)
}

impl Budgets {
    pub fn follow(
        &mut self,
        id: TaskId,
        spec: &TaskSpec,
        old: &TaskStatus,
        new: &TaskStatus,
        ended: Option<&Attempt>,
    ) -> Vec<(Invariant, String)> {
        if old.state.is_terminal() && new.state == TaskState::Pending {
            (self.retries, self.losses) = (0, 0);
        }
        let mut is_used_up = false;
        let outcome = ended.and_then(|attempt| attempt.outcome.as_ref());
        if let Some(Outcome::Failed(failure)) = outcome
            && !old.cancel_requested
        {
            let (used, allowed) = match failure {
                Failure::Migrated | Failure::Preempted | Failure::Cancelled => (None, 0),
                Failure::WorkerLost
                    if old.state == TaskState::Assigned
                        && n_lost_unseen(new) <= LOST_UNSEEN_MAX =>
                {
                    (None, 0)
                }
                Failure::WorkerLost => {
                    (Some(&mut self.losses), spec.max_worker_losses.unwrap_or(MAX_LOSSES))
                }
                Failure::ExitCode(_)
                | Failure::Signal(_)
                | Failure::Timeout
                | Failure::OutOfMemory
                | Failure::StartFailed(_) => {
                    (Some(&mut self.retries), spec.max_retries.unwrap_or(MAX_RETRIES))
                }
            };
            if let Some(used) = used {
                is_used_up = *used >= allowed;
                *used += u32::from(!is_used_up);
            }
        }
        let mut found = Vec::new();
        let mut wrong = |text: String| found.push((Invariant::BudgetsAreKept, text));
        if (new.retries_used, new.losses_used) != (self.retries, self.losses) {
            wrong(format!(
                "{id} was charged {} retries and {} losses, right are {self:?}",
                new.retries_used, new.losses_used
            ));
        }
        if is_used_up && new.state != TaskState::Failed {
            wrong(format!("{id} is {:?} beyond its budget", new.state));
        }
        found
    }
}
