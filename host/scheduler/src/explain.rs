//! Why a task waits: one primary reason from a closed, ordered set, with its numbers; and per worker
//! why not, or the score.

use crate::basis::Basis;
use crate::ids::{TaskId, WorkerId};
use crate::record::{Attempt, PolicyStamp, TaskState};
use crate::resources::{FreeBound, Request};
use crate::time::Time;

/// The primary reason of a task that is not running and not ended. The order of the variants is
/// the order of precedence.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    Dependencies {
        left: u32,
    },
    Backoff {
        until: Time,
    },
    Paused,
    Quota,
    /// No registered worker is large enough, even when empty.
    NoWorkerCanEverFit {
        asked: Request,
        largest: FreeBound,
    },
    /// Workers are large enough, but none has the labels it requires.
    NoConstraintMatch,
    NoCapacityNow {
        asked: Request,
        best_free: FreeBound,
    },
    /// Only workers in the lowest band fit, and each has had its start for this interval.
    Restricted {
        until: Time,
    },
    /// It has waited too long: a worker is kept free until it fits there.
    WorkerKeptFree {
        worker: WorkerId,
        /// By expected run times; NEVER: nobody can tell.
        until: Time,
    },
    ReservedFor {
        task: TaskId,
    },
    BlockedByHead {
        task: TaskId,
    },
    /// It will be considered in the next planning round.
    NextRound,
}

impl Reason {
    /// The stable code shown in API, CLI and panel.
    pub fn code(&self) -> &'static str {
        match self {
            Reason::Dependencies { .. } => "dependencies",
            Reason::Backoff { .. } => "backoff",
            Reason::Paused => "paused",
            Reason::Quota => "quota",
            Reason::NoWorkerCanEverFit { .. } => "no_worker_can_ever_fit",
            Reason::NoConstraintMatch => "no_constraint_match",
            Reason::NoCapacityNow { .. } => "no_capacity_now",
            Reason::Restricted { .. } => "restricted",
            Reason::WorkerKeptFree { .. } => "worker_kept_free",
            Reason::ReservedFor { .. } => "reserved_for",
            Reason::BlockedByHead { .. } => "blocked_by_head",
            Reason::NextRound => "next_round",
        }
    }
}

/// The answer to "why does this task wait", or "why is it there".
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub task: TaskId,
    pub state: TaskState,
    /// For a waiting task.
    pub reason: Option<Reason>,
    /// Place in its queue, 1 is next; within its group if the queue policy groups. None unless
    /// ready. Counted up to 10,000.
    pub queue_position: Option<u32>,
    pub queue_policy: PolicyStamp,
    pub scoring_policy: PolicyStamp,
    /// Up to 1,000 workers, in id order.
    pub workers: Vec<WorkerVerdict>,
    /// Unfinished dependencies, up to 100.
    pub waits_for: Vec<TaskId>,
    /// Its last attempt: why it is or was there.
    pub placed: Option<Placed>,
}

/// A placement, with what the policy was shown for it if that is still remembered.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    pub attempt: Attempt,
    pub basis: Option<Basis>,
}

/// How the scoring policy sees each worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Standings {
    pub policy: PolicyStamp,
    /// It declares scores below 0.5 as restricted, from 0.8 as preferred.
    pub is_banded: bool,
    /// The task whose columns the policy was shown, which is the one placed last; None: there is none yet.
    pub task: Option<TaskId>,
    /// Up to 1,000 workers, in id order; full ones too.
    pub workers: Vec<WorkerVerdict>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct WorkerVerdict {
    pub worker: WorkerId,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It would fit now. The columns are those the scoring policy was shown, so that its
    /// `explanation` can be asked for terms.
    Fits {
        score: f64,
        task_columns: Vec<f64>,
        worker_columns: Vec<f64>,
    },
    NotLive,
    Draining,
    /// Set aside after failing one attempt after the other.
    Quarantined {
        until: Time,
    },
    MissingLabels {
        missing: Vec<(String, String)>,
    },
    TooSmall {
        capacity: FreeBound,
    },
    NoCapacityNow {
        free: FreeBound,
    },
}
