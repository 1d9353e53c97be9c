//! Queues of ready tasks, in rank order, grouped into fit classes.
//!
//! Tasks alike for fitting (request rounded up to a grid, required labels, queue) form a class. A
//! planning round looks at the best candidate of each open class; a class none of whose tasks fits
//! anywhere is blocked, with its reason, until a worker changes in a way that could help it.
//! Where the policy groups tasks, a class holds those of one group, and the group's best candidate
//! stands for all of them; see [`crate::groups`].

use crate::explain::Reason;
use crate::groups::{GroupId, GroupKey, Groups};
use crate::ids::TaskId;
use crate::resources::Request;
use crate::settings::QueueSettings;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueueIdx(pub u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClassIdx(pub u32);

/// A task's place in the order: rank, then submit order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RankKey {
    rank: u64,
    pub task: TaskId,
}

impl RankKey {
    /// Before whatever a policy ranks.
    pub fn first(task: TaskId) -> RankKey {
        RankKey { rank: 0, task }
    }

    /// `rank` is finite; −0.0 equals 0.0.
    pub fn new(rank: f64, task: TaskId) -> RankKey {
        let bits = (rank + 0.0).to_bits();
        let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
        RankKey { rank: ordered, task }
    }
}

/// The best candidate of a class.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub key: RankKey,
    pub class: ClassIdx,
    /// Its place among all candidates: its key, or its group's live rank.
    pub order: RankKey,
}

#[derive(Debug)]
pub(crate) struct Queue {
    pub name: String,
    pub settings: QueueSettings,
    pub paused: bool,
    /// Tasks of this queue that have not ended.
    pub n_open: u64,
    /// A head that does not fit blocks the whole queue (strict) until something could help it.
    pub blocked_by: Option<RankKey>,
    pub classes: BTreeSet<ClassIdx>,
}

/// What makes tasks alike for fitting.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClassKey {
    pub queue: QueueIdx,
    /// Rounded up to the grid.
    grid: Request,
    pub requires: Arc<BTreeMap<String, String>>,
    /// None: ranks alone decide.
    pub group: Option<GroupKey>,
}

#[derive(Debug)]
pub(crate) struct Class {
    pub key: ClassKey,
    pub tasks: BTreeSet<RankKey>,
    /// The same, in submit order.
    pub by_age: BTreeSet<TaskId>,
    /// The candidate: members before it did not fit when they were tried.
    pub candidate: Option<RankKey>,
    /// Requests of members that did not fit since the last reset, smallest ones only.
    pub failed: Vec<Request>,
    /// No member asks for less than this, amount by amount.
    pub least: Request,
    /// Why members before the candidate (or all, without one) were not placed when last tried.
    pub reason: Option<Reason>,
    /// Some member was passed over for a reservation: any freed capacity reopens the class.
    pub is_held_back: bool,
    /// Members passed over since it was last reopened.
    n_passed_over: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub all: Vec<Queue>,
    by_name: FxHashMap<String, QueueIdx>,
    pub classes: Vec<Class>,
    class_by_key: FxHashMap<ClassKey, ClassIdx>,
    /// Classes of groups are given up when they are empty; these can be used again.
    unused: Vec<ClassIdx>,
    /// The candidates of all open classes of all open queues; of a group's classes only the best,
    /// under its live rank.
    pub(crate) candidates: BTreeSet<(RankKey, ClassIdx)>,
    pub(crate) groups: Groups,
    /// Classes with members that were tried in vain since they were last reopened.
    pub waiting: BTreeSet<ClassIdx>,
    pub n_queued: usize,
}

/// Three significant bits: classes are at most 1/8 wide.
fn round_up(amount: u64) -> u64 {
    let n_dropped = (64 - amount.leading_zeros()).saturating_sub(4);
    let mask = (1u64 << n_dropped) - 1;
    amount.checked_add(mask).map_or(u64::MAX, |sum| sum & !mask)
}

impl Queue {
    pub fn is_open(&self) -> bool {
        !self.paused && self.blocked_by.is_none()
    }
}

impl ClassKey {
    pub fn new(
        queue: QueueIdx,
        request: &Request,
        requires: &BTreeMap<String, String>,
    ) -> ClassKey {
        let grid = Request {
            cpu_milli: round_up(request.cpu_milli),
            memory: round_up(request.memory),
            gpu_milli: request.gpu_milli,
        };
        ClassKey { queue, grid, requires: Arc::new(requires.clone()), group: None }
    }

    pub fn group_id(&self) -> Option<GroupId> {
        self.group.map(|key| GroupId { queue: self.queue, key })
    }
}

impl Queues {
    pub fn find(&self, name: &str) -> Option<QueueIdx> {
        self.by_name.get(name).copied()
    }

    pub fn get(&self, idx: QueueIdx) -> &Queue {
        &self.all[idx.0 as usize]
    }

    pub fn get_mut(&mut self, idx: QueueIdx) -> &mut Queue {
        &mut self.all[idx.0 as usize]
    }

    pub fn class(&self, idx: ClassIdx) -> &Class {
        &self.classes[idx.0 as usize]
    }

    pub fn class_mut(&mut self, idx: ClassIdx) -> &mut Class {
        &mut self.classes[idx.0 as usize]
    }

    /// The queue of that name, made if there is none.
    pub fn ensure(&mut self, name: &str, settings: &QueueSettings) -> QueueIdx {
        if let Some(idx) = self.find(name) {
            self.get_mut(idx).settings = settings.clone();
            return idx;
        }
        let idx = QueueIdx(self.all.len() as u32);
        self.all.push(Queue {
            name: name.to_owned(),
            settings: settings.clone(),
            paused: false,
            n_open: 0,
            blocked_by: None,
            classes: BTreeSet::new(),
        });
        self.by_name.insert(name.to_owned(), idx);
        idx
    }

    pub fn class_of(&mut self, key: ClassKey) -> ClassIdx {
        if let Some(idx) = self.class_by_key.get(&key) {
            return *idx;
        }
        let idx = self.unused.pop().unwrap_or(ClassIdx(self.classes.len() as u32));
        self.get_mut(key.queue).classes.insert(idx);
        self.class_by_key.insert(key.clone(), idx);
        if let Some(group) = key.group_id() {
            self.groups.add_class(group);
        }
        let class = Class {
            key,
            tasks: BTreeSet::new(),
            by_age: BTreeSet::new(),
            candidate: None,
            failed: Vec::new(),
            least: MOST,
            reason: None,
            is_held_back: false,
            n_passed_over: 0,
        };
        match self.classes.get_mut(idx.0 as usize) {
            Some(unused) => *unused = class,
            None => self.classes.push(class),
        }
        idx
    }

    /// The class like `base` in a group, made if there is none.
    pub fn class_in_group(&mut self, base: ClassIdx, group: GroupKey) -> ClassIdx {
        self.class_of(ClassKey { group: Some(group), ..self.class(base).key.clone() })
    }

    /// Gives up a class of a group. It is empty.
    fn forget_class(&mut self, idx: ClassIdx, group: GroupId) {
        let key = self.class(idx).key.clone();
        self.class_by_key.remove(&key);
        self.get_mut(key.queue).classes.remove(&idx);
        self.groups.remove_class(group);
        self.class_mut(idx).key.group = None;
        self.unused.push(idx);
    }

    /// Adds a ready, ranked task. A class or queue that was blocked by less opens.
    pub fn insert(&mut self, class_idx: ClassIdx, key: RankKey, request: &Request) {
        self.n_queued += 1;
        let class = self.class_mut(class_idx);
        class.tasks.insert(key);
        class.by_age.insert(key.task);
        let is_hopeless = class.failed.iter().any(|failed| request.covers(failed));
        let is_later = class.candidate.is_some_and(|candidate| candidate < key);
        class.least = Request {
            cpu_milli: class.least.cpu_milli.min(request.cpu_milli),
            memory: class.least.memory.min(request.memory),
            gpu_milli: class.least.gpu_milli.min(request.gpu_milli),
        };
        let (queue_idx, group) = (class.key.queue, class.key.group_id());
        let is_candidate = !is_hopeless && !is_later;
        if is_candidate {
            self.set_candidate(class_idx, Some(key));
        }
        let Some(head) = self.get(queue_idx).blocked_by else { return };
        let is_better = match group {
            None => key < head,
            // Ranks of different groups do not compare; a new head may come before all others.
            Some(group) => is_candidate && self.groups.is_head(group, key),
        };
        if is_better {
            self.open_queue(queue_idx);
        }
    }

    /// Takes a task out. If it was its class's candidate the next one takes its place.
    pub fn remove(&mut self, class_idx: ClassIdx, key: RankKey) {
        let class = self.class_mut(class_idx);
        if !class.tasks.remove(&key) {
            return;
        }
        class.by_age.remove(&key.task);
        let was_candidate = class.candidate == Some(key);
        let (queue_idx, group) = (class.key.queue, class.key.group_id());
        self.n_queued -= 1;
        if self.class(class_idx).tasks.is_empty() {
            self.reopen(class_idx);
            self.class_mut(class_idx).least = MOST;
            if let Some(group) = group {
                self.forget_class(class_idx, group);
            }
        } else if was_candidate {
            match self.next_candidate(class_idx, key) {
                Some(next) => self.set_candidate(class_idx, Some(next)),
                None => self.block(class_idx),
            }
        }
        // What comes next in its group may come before the head of another.
        let blocked_by = self.get(queue_idx).blocked_by;
        if blocked_by == Some(key) || (was_candidate && group.is_some() && blocked_by.is_some()) {
            self.open_queue(queue_idx);
        }
    }

    /// The best candidate of all.
    pub fn first(&self) -> Option<Candidate> {
        let (order, class) = *self.candidates.first()?;
        let key = self.class(class).candidate;
        Some(Candidate { key: key.expect("what is listed is its class's candidate"), class, order })
    }

    /// No class has a candidate that could be tried, nor one that waits for another task's sake.
    pub fn is_nothing_to_try(&self) -> bool {
        let is_held_back = |idx: &ClassIdx| self.class(*idx).is_held_back;
        self.candidates.is_empty()
            && !self.groups.has_stale()
            && !self.waiting.iter().any(is_held_back)
    }

    /// For whose sake classes were held back has changed: try them again.
    pub fn reopen_held_back(&mut self) {
        let is_held_back = |idx: &ClassIdx| self.class(*idx).is_held_back;
        let held_back: Vec<ClassIdx> = self.waiting.iter().copied().filter(is_held_back).collect();
        for class in held_back {
            self.reopen(class);
        }
    }

    fn next_candidate(&self, class_idx: ClassIdx, after: RankKey) -> Option<RankKey> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.class(class_idx).tasks.range((Excluded(after), Unbounded)).next().copied()
    }

    fn set_candidate(&mut self, class_idx: ClassIdx, candidate: Option<RankKey>) {
        let class = &mut self.classes[class_idx.0 as usize];
        if let Some(group) = class.key.group_id() {
            let old = std::mem::replace(&mut class.candidate, candidate);
            self.groups.replace_candidate(group, class_idx, old, candidate);
            self.settle(group);
            return;
        }
        if let Some(old) = class.candidate.take() {
            self.candidates.remove(&(old, class_idx));
        }
        class.candidate = candidate;
        let queue = &self.all[class.key.queue.0 as usize];
        if let Some(key) = candidate
            && queue.is_open()
        {
            self.candidates.insert((key, class_idx));
        }
    }

    /// The candidate was passed over for another task's sake: try the members behind it, so many at
    /// most.
    pub fn pass_over(&mut self, class_idx: ClassIdx, key: RankKey, reason: Reason, most: usize) {
        self.waiting.insert(class_idx);
        let class = self.class_mut(class_idx);
        class.is_held_back = true;
        class.reason = Some(reason);
        class.n_passed_over += 1;
        let goes_on = class.n_passed_over < most;
        match self.next_candidate(class_idx, key).filter(|_| goes_on) {
            Some(next) => self.set_candidate(class_idx, Some(next)),
            None => self.block(class_idx),
        }
    }

    /// The candidate's request fits nowhere: try members behind it that ask for less.
    /// `request_of` answers a queued task's request.
    pub fn fail(
        &mut self,
        class_idx: ClassIdx,
        key: RankKey,
        reason: Reason,
        request_of: impl Fn(TaskId) -> Request,
    ) {
        use std::ops::Bound::{Excluded, Unbounded};
        self.waiting.insert(class_idx);
        let class = self.class_mut(class_idx);
        let request = request_of(key.task);
        class.reason = Some(reason);
        class.failed.retain(|failed| !failed.covers(&request));
        class.failed.push(request);
        let is_uniform = request == class.least || class.failed.len() >= MAX_FAILED;
        let mut behind = class.tasks.range((Excluded(key), Unbounded)).take(MAX_LOOKED_AT);
        let next = if is_uniform {
            None
        } else {
            behind.find(|key| {
                let request = request_of(key.task);
                !class.failed.iter().any(|failed| request.covers(failed))
            })
        };
        match next.copied() {
            Some(next) => self.set_candidate(class_idx, Some(next)),
            None => self.block(class_idx),
        }
    }

    fn block(&mut self, class_idx: ClassIdx) {
        self.set_candidate(class_idx, None);
    }

    /// The head of a strict queue does not fit: nothing of the queue is looked at.
    pub fn block_queue(&mut self, queue_idx: QueueIdx, head: RankKey) {
        self.get_mut(queue_idx).blocked_by = Some(head);
        self.refresh_queue(queue_idx);
    }

    pub fn open_queue(&mut self, queue_idx: QueueIdx) {
        self.get_mut(queue_idx).blocked_by = None;
        self.refresh_queue(queue_idx);
    }

    pub fn pause(&mut self, queue_idx: QueueIdx, paused: bool) {
        self.get_mut(queue_idx).paused = paused;
        self.refresh_queue(queue_idx);
    }

    /// Puts the candidates of a queue's classes where its state wants them.
    fn refresh_queue(&mut self, queue_idx: QueueIdx) {
        let queue = &self.all[queue_idx.0 as usize];
        let is_open = queue.is_open();
        let mut groups = Vec::new();
        for &class_idx in &queue.classes {
            let class = &self.classes[class_idx.0 as usize];
            if let Some(group) = class.key.group_id() {
                groups.push(group);
            } else if let Some(key) = class.candidate {
                if is_open {
                    self.candidates.insert((key, class_idx));
                } else {
                    self.candidates.remove(&(key, class_idx));
                }
            }
        }
        for group in groups {
            self.settle(group);
        }
    }

    /// Something may help the class now: start again from its first task.
    pub fn reopen(&mut self, class_idx: ClassIdx) {
        let class = self.class_mut(class_idx);
        class.failed.clear();
        class.is_held_back = false;
        class.n_passed_over = 0;
        class.reason = None;
        let first = class.tasks.first().copied();
        self.waiting.remove(&class_idx);
        self.set_candidate(class_idx, first);
    }

    pub fn reopen_all(&mut self) {
        for queue in 0..self.all.len() as u32 {
            self.open_queue(QueueIdx(queue));
        }
        for class in 0..self.classes.len() as u32 {
            self.reopen(ClassIdx(class));
        }
    }
}

/// Members that ask for different amounts are tried one by one, up to this many a round.
const MAX_FAILED: usize = 64;
/// Members looked at to find one that asks for less.
const MAX_LOOKED_AT: usize = 1000;

const MOST: Request = Request { cpu_milli: u64::MAX, memory: u64::MAX, gpu_milli: u32::MAX };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_order_like_numbers() {
        let ranks = [f64::MIN, -2.0, -0.5, 0.0, 1e-300, 1.0, f64::MAX];
        let keys: Vec<RankKey> = ranks.iter().map(|rank| RankKey::new(*rank, TaskId(1))).collect();
        assert!(keys.is_sorted());
        assert_eq!(RankKey::new(-0.0, TaskId(1)), RankKey::new(0.0, TaskId(1)));
    }

    #[test]
    fn grid_rounds_up_by_less_than_an_eighth() {
        for amount in (1..5000).chain([u64::MAX - 1, u64::MAX]) {
            let rounded = round_up(amount);
            assert!(rounded >= amount);
            assert!((rounded - amount) as u128 * 8 <= amount as u128, "{amount} → {rounded}");
        }
        assert_eq!(round_up(round_up(1234)), round_up(1234));
    }
}
