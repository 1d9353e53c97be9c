//! What the scheduler asks of policies, and in which form. Who answers (WebAssembly, native code, a
//! simulator) is not its business.

use crate::columns::{TaskColumn, WorkerColumn};
use crate::record::PolicyStamp;
use crate::settings::Discipline;
use std::sync::Arc;
use std::time::Duration;

/// A place that a policy can be bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Slot {
    Scoring,
    Queue,
    Rescheduling,
    /// Asked beside the scheduler, which is told the answers as an event.
    Forecasting,
}

impl Slot {
    pub const ALL: [Slot; 4] = [Slot::Scoring, Slot::Queue, Slot::Rescheduling, Slot::Forecasting];

    pub fn name(self) -> &'static str {
        match self {
            Slot::Scoring => "scoring",
            Slot::Queue => "queue",
            Slot::Rescheduling => "rescheduling",
            Slot::Forecasting => "forecasting",
        }
    }

    pub fn find(name: &str) -> Option<Slot> {
        Slot::ALL.into_iter().find(|slot| slot.name() == name)
    }
}

/// The policy that serves `scoring` now.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoringProfile {
    pub stamp: PolicyStamp,
    pub name: String,
    /// In the order in which they are to be sent.
    pub needs_worker: Vec<WorkerColumn>,
    pub needs_task: Vec<TaskColumn>,
    pub node_local: bool,
    pub banded: bool,
}

/// The policy that serves `queue` now.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueProfile {
    pub stamp: PolicyStamp,
    pub name: String,
    pub needs_task: Vec<TaskColumn>,
    /// Ranks change with time: refresh them this often.
    pub refresh: Option<Duration>,
    pub discipline: Option<Discipline>,
    /// Ranks order tasks within their group; groups are ordered by their heads' live ranks.
    pub group_by: Option<GroupBy>,
}

/// By which column the tasks of a queue are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupBy {
    Tenant,
    Job,
}

impl GroupBy {
    pub const ALL: [GroupBy; 2] = [GroupBy::Tenant, GroupBy::Job];

    pub fn column(self) -> TaskColumn {
        match self {
            GroupBy::Tenant => TaskColumn::Tenant,
            GroupBy::Job => TaskColumn::Job,
        }
    }

    /// By the name of its column.
    pub fn find(name: &str) -> Option<GroupBy> {
        GroupBy::ALL.into_iter().find(|it| it.column().info().name == name)
    }
}

/// The policy that serves `rescheduling` now.
#[derive(Debug, Clone, PartialEq)]
pub struct ReschedulingProfile {
    pub stamp: PolicyStamp,
    pub name: String,
    pub needs_task: Vec<TaskColumn>,
    pub needs_worker: Vec<WorkerColumn>,
    pub interval: Duration,
}

/// One proposal of a rescheduling policy, already checked to name a row of the batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    pub row: usize,
    pub action: Action,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Migrate,
    Requeue,
    Cancel,
    RaisePriority(i32),
}

/// The row in `on_worker` of a waiting task.
pub const NO_WORKER: u32 = u32::MAX;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallError {
    /// The call failed and another policy serves the slot now: read its profile and ask again with
    /// the columns it needs. Happens at most a few times in a row, since the native default, the
    /// last rung, does not fail.
    NextRung,
    /// The slot is configured to do nothing until its policy works again.
    Held,
}

/// The policies in force. Synchronous and bounded in time; every answer is already checked for
/// length, range and NaN. Batches are columnar: `columns[c][r]`, in the order of the profile.
///
/// Between two `begin_round` calls a profile changes only by a call that returns
/// [`CallError::NextRung`], so that a decision is wholly by one generation.
pub trait Policies {
    /// A planning round begins: swaps that are ready take effect now.
    fn begin_round(&mut self);

    fn scoring(&self) -> Arc<ScoringProfile>;
    fn queue(&self) -> Arc<QueueProfile>;
    /// None: nothing is bound to the slot.
    fn rescheduling(&self) -> Option<Arc<ReschedulingProfile>>;

    /// Writes one score in [0, 1] per row of `workers` to `scores` (cleared first).
    fn score(
        &mut self,
        task: &[f64],
        workers: &[Vec<f64>],
        n_rows: usize,
        scores: &mut Vec<f64>,
    ) -> Result<(), CallError>;

    /// Writes one finite rank per row to `ranks` (cleared first). At most 10,000 rows.
    fn rank(
        &mut self,
        now_ms: f64,
        tasks: &[Vec<f64>],
        n_rows: usize,
        ranks: &mut Vec<f64>,
    ) -> Result<(), CallError>;

    /// `on_worker[r]` is the row in `workers` that runs task row r, or [`NO_WORKER`].
    fn review(
        &mut self,
        now_ms: f64,
        tasks: &[Vec<f64>],
        on_worker: &[u32],
        workers: &[Vec<f64>],
    ) -> Result<Vec<Proposal>, CallError>;
}

/// Rows in one `rank` or `review` call at most.
pub const MAX_ROWS: usize = 10_000;
