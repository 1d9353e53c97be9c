//! Asks the queue policy for ranks: of tasks that became ready, of those whose rank is out of date,
//! and of the heads of groups.
//!
//! Tasks of one group are ordered among themselves as if their tenants held nothing, so that the
//! order does not depend on when each was ranked. Their heads are ranked by what holds now.

use crate::columns::TaskColumn;
use crate::groups::{GroupId, GroupKey, Live, SeenShare};
use crate::ids::TaskId;
use crate::placement::MAX_RUNGS;
use crate::policies::{CallError, MAX_ROWS, Policies, QueueProfile};
use crate::queue::RankKey;
use crate::scheduler::Scheduler;
use crate::task::{Place, Ranked, TaskContext};
use crate::timers::Timer;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Ranked at most this many tasks in one round; the rest in the next ones.
const MAX_RANKED_PER_ROUND: usize = 2 * MAX_ROWS;

/// What a batch of ranks is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Among {
    /// The order of tasks, within their groups if the policy groups.
    Tasks,
    /// The order of groups, by their heads.
    Heads,
}

impl Scheduler {
    /// What a task's columns need beside the task.
    pub(crate) fn context(&self, id: TaskId, with_share: bool) -> TaskContext {
        let task = self.task(id);
        TaskContext {
            now: self.now,
            job_length: self.jobs[&task.job].length,
            tenant_share: if with_share {
                self.shares.dominant(&task.spec.tenant)
            } else {
                f64::NAN
            },
        }
    }

    /// Takes up what changed about workers before shares are told.
    pub(crate) fn follow_workers(&mut self) {
        if self.shares.follow(&self.workers) && !self.queues.groups.is_empty() {
            self.queues.forget_live_ranks();
        }
    }

    /// Ranks tasks that became ready, and those whose rank is out of date. True: there are more, and
    /// the next round can go on with them at once.
    pub(crate) fn rank_ready(&mut self, policies: &mut dyn Policies) -> bool {
        let profile = policies.queue();
        if profile.needs_task.contains(&TaskColumn::TenantShare) {
            self.follow_workers();
        }
        if profile.stamp != self.ranked_by {
            self.rank_all_again();
            self.ranked_by = profile.stamp;
            if let Some(refresh) = profile.refresh {
                self.timers.arm(self.now.after(refresh), Timer::RefreshRanks);
            }
        }
        let mut n_left = MAX_RANKED_PER_ROUND;
        while n_left > 0 && !self.to_rank.is_empty() {
            let n_batch = self.to_rank.len().min(MAX_ROWS).min(n_left);
            let batch: Vec<TaskId> = self.to_rank.drain(..n_batch).collect();
            let batch: Vec<TaskId> = batch.into_iter().filter(|id| self.wants_rank(*id)).collect();
            n_left -= n_batch;
            if !batch.is_empty() && !self.rank_batch(&batch, policies) {
                self.to_rank.extend(batch);
                return false;
            }
        }
        !self.to_rank.is_empty()
    }

    fn wants_rank(&self, id: TaskId) -> bool {
        let is_ready = |place| matches!(place, Place::Unranked | Place::Queued);
        self.tasks.get(&id).is_some_and(|task| is_ready(task.place))
    }

    pub(crate) fn rank_all_again(&mut self) {
        let mut queued: Vec<TaskId> = self
            .queues
            .classes
            .iter()
            .flat_map(|class| class.tasks.iter().map(|key| key.task))
            .collect();
        queued.sort_unstable();
        self.to_rank.extend(queued);
        self.queues.forget_live_ranks();
    }

    /// False: the slot is held, nothing was ranked.
    fn rank_batch(&mut self, batch: &[TaskId], policies: &mut dyn Policies) -> bool {
        let mut ranks = Vec::new();
        for _ in 0..MAX_RUNGS {
            match self.ask_ranks(batch, Among::Tasks, policies, &mut ranks) {
                Ok(profile) => {
                    for (id, rank) in batch.iter().zip(&ranks) {
                        self.queue_ranked(*id, *rank, &profile);
                    }
                    return true;
                }
                Err(CallError::NextRung) => {}
                Err(CallError::Held) => return false,
            }
        }
        false
    }

    /// Asks once; answers the profile that the columns were made for.
    fn ask_ranks(
        &self,
        batch: &[TaskId],
        among: Among,
        policies: &mut dyn Policies,
        ranks: &mut Vec<f64>,
    ) -> Result<Arc<QueueProfile>, CallError> {
        let profile = policies.queue();
        let with_share = profile.needs_task.contains(&TaskColumn::TenantShare);
        let is_shared = with_share && (among == Among::Heads || profile.group_by.is_none());
        let context = |id: &TaskId| {
            let context = self.context(*id, is_shared);
            if is_shared { context } else { TaskContext { tenant_share: 0.0, ..context } }
        };
        let contexts: Vec<TaskContext> = batch.iter().map(context).collect();
        let column = |column| {
            let rows = batch.iter().zip(&contexts);
            rows.map(|(id, context)| self.task(*id).column(column, context)).collect()
        };
        let columns: Vec<Vec<f64>> = profile.needs_task.iter().map(|it| column(*it)).collect();
        policies.rank(self.now.as_ms(), &columns, batch.len(), ranks)?;
        Ok(profile)
    }

    fn queue_ranked(&mut self, id: TaskId, rank: f64, profile: &QueueProfile) {
        let key = RankKey::new(rank, id);
        let task = self.task(id);
        let (base, request, old) = (task.class, task.spec.request, task.ranked);
        let group = profile.group_by.map(|by| {
            let context = TaskContext { now: self.now, job_length: 0, tenant_share: 0.0 };
            GroupKey::new(by, task.column(by.column(), &context))
        });
        let is_kept = old
            .is_some_and(|old| old.key == key && self.queues.class(old.class).key.group == group);
        if let Some(old) = old.filter(|_| !is_kept) {
            self.queues.remove(old.class, old.key);
        }
        let class = match (group, old) {
            (_, Some(old)) if is_kept => old.class,
            (Some(group), _) => self.queues.class_in_group(base, group),
            (None, _) => base,
        };
        let task = self.task_mut(id);
        task.ranked = Some(Ranked { key, class, stamp: profile.stamp });
        task.place = Place::Queued;
        if !is_kept {
            self.queues.insert(class, key, &request);
        }
    }

    /// Ranks the heads of groups that wait for it: after each start those of the groups it concerns.
    /// False: the slot is held.
    pub(crate) fn rank_heads(&mut self, policies: &mut dyn Policies) -> bool {
        let mut ranks = Vec::new();
        let mut n_failed = 0;
        while self.queues.groups.has_stale() {
            let heads = self.queues.groups.stale_heads(MAX_ROWS);
            let tasks: Vec<TaskId> = heads.iter().map(|(_, key)| key.task).collect();
            match self.ask_ranks(&tasks, Among::Heads, policies, &mut ranks) {
                Ok(profile) => {
                    for ((group, head), rank) in heads.into_iter().zip(&ranks) {
                        self.set_live(group, head, *rank, &profile);
                    }
                }
                // Ranks of two policies do not compare: all are asked of the one that serves now.
                Err(CallError::NextRung) if n_failed < MAX_RUNGS => {
                    n_failed += 1;
                    self.rank_ready(policies);
                }
                Err(CallError::NextRung | CallError::Held) => return false,
            }
        }
        true
    }

    fn set_live(&mut self, group: GroupId, head: RankKey, rank: f64, profile: &QueueProfile) {
        let with_share = profile.needs_task.contains(&TaskColumn::TenantShare);
        let seen = with_share.then(|| {
            let context = self.context(head.task, true);
            let tenant = self.task(head.task).column(TaskColumn::Tenant, &context);
            SeenShare::new(tenant, context.tenant_share)
        });
        let key = RankKey::new(rank, head.task);
        self.queues.set_live(group, Live { head, key, seen });
    }

    /// The best of these, by live ranks where they are heads of groups. They are not among the
    /// candidates, so nobody has asked about them since what they are ranked by has changed.
    pub(crate) fn best_head(
        &self,
        heads: Vec<(RankKey, Option<GroupId>)>,
        policies: &mut dyn Policies,
    ) -> Option<RankKey> {
        let mut alone = Vec::new();
        let mut of_groups: BTreeMap<GroupId, RankKey> = BTreeMap::new();
        for (key, group) in heads {
            match group {
                None => alone.push(key),
                Some(group) => {
                    let best = of_groups.entry(group).or_insert(key);
                    *best = key.min(*best);
                }
            }
        }
        let heads: Vec<RankKey> = of_groups.into_values().take(MAX_ROWS).collect();
        let tasks: Vec<TaskId> = heads.iter().map(|key| key.task).collect();
        let mut ranks = Vec::new();
        let is_answered =
            !tasks.is_empty() && self.ask_ranks(&tasks, Among::Heads, policies, &mut ranks).is_ok();
        let live = |(key, rank): (&RankKey, &f64)| RankKey::new(*rank, key.task);
        if is_answered {
            alone.extend(heads.iter().zip(&ranks).map(live));
        } else {
            alone.extend(heads);
        }
        alone.into_iter().min()
    }

    /// Keeps what a tenant's current attempts hold: one more.
    pub(crate) fn charge_tenant(&mut self, id: TaskId) {
        let spec = self.task(id).spec.clone();
        self.shares.take(&spec.tenant, &spec.request);
        self.note_share_change(&spec.tenant);
    }

    /// Keeps what a tenant's current attempts hold: one less.
    pub(crate) fn discharge_tenant(&mut self, id: TaskId) {
        let spec = self.task(id).spec.clone();
        self.shares.give_back(&spec.tenant, &spec.request);
        self.note_share_change(&spec.tenant);
    }

    fn note_share_change(&mut self, tenant: &str) {
        if !self.queues.groups.is_empty() {
            self.queues.note_share_change(crate::columns::name_number(tenant));
        }
    }
}
