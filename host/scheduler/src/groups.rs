//! Groups of queued tasks, where the queue policy asks for them (by tenant or job).
//!
//! Within a group the tasks' own ranks order them. Groups are ordered by the live ranks of their
//! heads, the best candidate of all their classes: only the head of each group stands among the
//! candidates of the queues. A head is ranked anew when it is another one than before, and when what
//! its rank was computed from has changed; [`crate::ranking`] asks.

use crate::policies::GroupBy;
use crate::queue::{ClassIdx, QueueIdx, Queues, RankKey};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// What a group has in common: the value of the grouping column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    by: GroupBy,
    bits: u64,
}

impl GroupKey {
    pub fn new(by: GroupBy, value: f64) -> GroupKey {
        GroupKey { by, bits: value.to_bits() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupId {
    pub queue: QueueIdx,
    pub key: GroupKey,
}

/// The tenant a head's rank depends on: the name's number, and the share that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SeenShare {
    pub tenant: u64,
    pub share: u64,
}

impl SeenShare {
    pub fn new(tenant: f64, share: f64) -> SeenShare {
        SeenShare { tenant: tenant.to_bits(), share: share.to_bits() }
    }
}

/// A head's rank among the groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live {
    /// The head, by its key within the group.
    pub head: RankKey,
    pub key: RankKey,
    /// None: the rank depends on no share.
    pub seen: Option<SeenShare>,
}

#[derive(Debug, Default)]
pub(crate) struct Group {
    n_classes: usize,
    /// The candidates of its classes, in the order within the group.
    candidates: BTreeSet<(RankKey, ClassIdx)>,
    /// None: nobody was asked since something changed.
    live: Option<Live>,
    /// Its entry among the candidates of all queues.
    seat: Option<(RankKey, ClassIdx)>,
}

/// Every group that has a class.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    all: FxHashMap<GroupId, Group>,
    /// Groups of open queues whose head waits for its live rank.
    stale: BTreeSet<GroupId>,
    /// Groups by the tenant whose share their head's rank depends on.
    by_tenant: BTreeSet<(u64, GroupId)>,
}

impl Groups {
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn add_class(&mut self, id: GroupId) {
        self.all.entry(id).or_default().n_classes += 1;
    }

    pub fn remove_class(&mut self, id: GroupId) {
        let group = self.all.get_mut(&id).expect("a class of a group counts there");
        group.n_classes -= 1;
        if group.n_classes == 0 {
            self.forget_live(id);
            self.all.remove(&id);
        }
    }

    pub fn replace_candidate(
        &mut self,
        id: GroupId,
        class: ClassIdx,
        old: Option<RankKey>,
        new: Option<RankKey>,
    ) {
        let group = self.all.get_mut(&id).expect("a class of a group counts there");
        if let Some(old) = old {
            group.candidates.remove(&(old, class));
        }
        if let Some(new) = new {
            group.candidates.insert((new, class));
        }
    }

    pub fn is_head(&self, id: GroupId, key: RankKey) -> bool {
        let head = self.all.get(&id).and_then(|group| group.candidates.first());
        head.is_some_and(|(head, _)| *head == key)
    }

    pub fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Up to `max` heads that wait for their live rank.
    pub fn stale_heads(&self, max: usize) -> Vec<(GroupId, RankKey)> {
        let head = |id: &GroupId| self.all[id].candidates.first().map(|(key, _)| (*id, *key));
        self.stale.iter().take(max).filter_map(head).collect()
    }

    /// Groups whose head's rank depends on this tenant's share.
    fn of_tenant(&self, tenant: f64) -> Vec<GroupId> {
        let tenant = tenant.to_bits();
        let least = GroupKey { by: GroupBy::Tenant, bits: 0 };
        let from = (tenant, GroupId { queue: QueueIdx(0), key: least });
        let of_tenant = self.by_tenant.range(from..).take_while(|(it, _)| *it == tenant);
        of_tenant.map(|(_, id)| *id).collect()
    }

    fn forget_live(&mut self, id: GroupId) {
        let live = self.all.get_mut(&id).and_then(|group| group.live.take());
        if let Some(seen) = live.and_then(|live| live.seen) {
            self.by_tenant.remove(&(seen.tenant, id));
        }
    }
}

impl Queues {
    /// Puts the group's head where its rank and its queue's state want it.
    pub(crate) fn settle(&mut self, id: GroupId) {
        let is_open = self.get(id.queue).is_open();
        let Some(group) = self.groups.all.get_mut(&id) else { return };
        let head = group.candidates.first().copied().filter(|_| is_open);
        let seat = head.and_then(|(key, class)| {
            let live = group.live.filter(|live| live.head == key)?;
            Some((live.key, class))
        });
        if head.is_some() && seat.is_none() {
            self.groups.stale.insert(id);
        } else {
            self.groups.stale.remove(&id);
        }
        if seat != group.seat {
            if let Some(old) = group.seat.take() {
                self.candidates.remove(&old);
            }
            group.seat = seat;
            self.candidates.extend(seat);
        }
    }

    /// The answer for a head that waited for it. What changed meanwhile waits on.
    pub(crate) fn set_live(&mut self, id: GroupId, live: Live) {
        self.groups.forget_live(id);
        let Some(group) = self.groups.all.get_mut(&id) else { return };
        group.live = Some(live);
        if let Some(seen) = live.seen {
            self.groups.by_tenant.insert((seen.tenant, id));
        }
        self.settle(id);
    }

    /// What the group's live rank was computed from has changed.
    fn forget_live_rank(&mut self, id: GroupId) {
        self.groups.forget_live(id);
        self.settle(id);
        // Another group may come before the head that blocks the queue now.
        if self.get(id.queue).blocked_by.is_some() {
            self.open_queue(id.queue);
        }
    }

    /// The tenant's share has changed.
    pub(crate) fn note_share_change(&mut self, tenant: f64) {
        for id in self.groups.of_tenant(tenant) {
            self.forget_live_rank(id);
        }
    }

    /// Whatever live ranks were computed from may have changed.
    pub(crate) fn forget_live_ranks(&mut self) {
        let mut ids: Vec<GroupId> = self.groups.all.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.forget_live_rank(id);
        }
    }

    /// Every violated rule of groups, in words. `share_now` answers a tenant's share by the task.
    pub(crate) fn group_violations(
        &self,
        share_now: impl Fn(crate::ids::TaskId) -> f64,
    ) -> Vec<String> {
        let mut found = Vec::new();
        let n_classes: usize = self.groups.all.values().map(|group| group.n_classes).sum();
        let n_kept = self.all.iter().flat_map(|queue| &queue.classes);
        let n_kept = n_kept.filter(|idx| self.class(**idx).key.group.is_some()).count();
        if n_kept != n_classes {
            found.push(format!("{n_kept} classes of groups, counted {n_classes}"));
        }
        for (id, group) in &self.groups.all {
            let classes = self.get(id.queue).classes.iter();
            let of_group = classes.filter(|idx| self.class(**idx).key.group_id() == Some(*id));
            let candidates: BTreeSet<(RankKey, ClassIdx)> =
                of_group.filter_map(|idx| Some((self.class(*idx).candidate?, *idx))).collect();
            if candidates != group.candidates {
                found.push(format!("{id:?} keeps candidates that its classes do not have"));
            }
            let is_waiting = self.get(id.queue).is_open() && !candidates.is_empty();
            let is_stale = self.groups.stale.contains(id);
            if is_waiting != (group.seat.is_some() || is_stale) || group.seat.is_some() && is_stale
            {
                found.push(format!("{id:?} is neither listed nor waits for a rank, or both"));
            }
            if group.seat.is_some_and(|seat| !self.candidates.contains(&seat)) {
                found.push(format!("the head of {id:?} is not among the candidates"));
            }
            let Some(Live { head, seen: Some(seen), .. }) = group.live else { continue };
            let is_head = candidates.first().is_some_and(|(key, _)| *key == head);
            if is_head && share_now(head.task).to_bits() != seen.share {
                found.push(format!("the head of {id:?} is ranked by a share of the past"));
            }
        }
        let n_seated = self.groups.all.values().filter(|group| group.seat.is_some()).count();
        let of_groups = |(_, idx): &&(RankKey, ClassIdx)| self.class(*idx).key.group.is_some();
        if self.candidates.iter().filter(of_groups).count() != n_seated {
            found.push("a candidate stands for no group".to_owned());
        }
        found
    }
}
