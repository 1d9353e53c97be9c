//! Something for each task, by id. Ids are given in order, so neighbours lie side by side in pages: looking
//! one up costs one miss of the cache, and the table of a million tasks grows without being copied.

use crate::ids::TaskId;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::ops::Index;

#[derive(Debug)]
pub struct TaskTable<T> {
    /// By id / [`PAGE`]; each holds at least one.
    pages: FxHashMap<u64, Page<T>>,
    /// The numbers of the pages, in order.
    numbers: BTreeSet<u64>,
    len: usize,
}

#[derive(Debug)]
struct Page<T> {
    n_used: usize,
    slots: Box<[Option<T>]>,
}

/// Some of all tasks.
pub type TaskSet = TaskTable<()>;

const PAGE: u64 = 64;

fn place(id: TaskId) -> (u64, usize) {
    (id.0 / PAGE, (id.0 % PAGE) as usize)
}

impl<T> Default for TaskTable<T> {
    fn default() -> TaskTable<T> {
        TaskTable { pages: FxHashMap::default(), numbers: BTreeSet::new(), len: 0 }
    }
}

impl<T> TaskTable<T> {
    #[inline]
    pub fn get(&self, id: &TaskId) -> Option<&T> {
        let (page, at) = place(*id);
        self.pages.get(&page)?.slots[at].as_ref()
    }

    #[inline]
    pub fn get_mut(&mut self, id: &TaskId) -> Option<&mut T> {
        let (page, at) = place(*id);
        self.pages.get_mut(&page)?.slots[at].as_mut()
    }

    pub fn contains_key(&self, id: &TaskId) -> bool {
        self.get(id).is_some()
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Replaces what was there.
    pub fn insert(&mut self, id: TaskId, value: T) {
        let (number, at) = place(id);
        let page = self.pages.entry(number).or_insert_with(|| {
            self.numbers.insert(number);
            Page { n_used: 0, slots: (0..PAGE).map(|_| None).collect() }
        });
        let is_new = page.slots[at].replace(value).is_none();
        page.n_used += usize::from(is_new);
        self.len += usize::from(is_new);
    }

    pub fn remove(&mut self, id: &TaskId) -> Option<T> {
        let (number, at) = place(*id);
        let page = self.pages.get_mut(&number)?;
        let removed = page.slots[at].take()?;
        page.n_used -= 1;
        self.len -= 1;
        if page.n_used == 0 {
            self.pages.remove(&number);
            self.numbers.remove(&number);
        }
        Some(removed)
    }

    /// In no particular order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.pages.values().flat_map(|page| page.slots.iter().flatten())
    }

    /// From this id on, in the order of ids.
    pub fn range(&self, from: TaskId) -> impl DoubleEndedIterator<Item = (TaskId, &T)> {
        let numbers = self.numbers.range(place(from).0..);
        let all = numbers.flat_map(|&number| {
            let slots = self.pages[&number].slots.iter().enumerate();
            slots.filter_map(move |(at, slot)| {
                Some((TaskId(number * PAGE + at as u64), slot.as_ref()?))
            })
        });
        all.filter(move |(id, _)| *id >= from)
    }
}

impl<T> Index<&TaskId> for TaskTable<T> {
    type Output = T;

    fn index(&self, id: &TaskId) -> &T {
        self.get(id).expect("ids inside the state name tasks of the state")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back_in_order_however_they_came_and_went() {
        let mut table = TaskTable::default();
        for id in [500, 3, 64, 63, 1_000_000, 65] {
            table.insert(TaskId(id), id);
        }
        table.insert(TaskId(64), 64);
        assert_eq!(table.remove(&TaskId(63)), Some(63));
        assert_eq!(table.remove(&TaskId(63)), None);
        assert_eq!(table.len(), 5);
        let from = |from| table.range(TaskId(from)).map(|(id, it)| (id.0, *it)).collect::<Vec<_>>();
        assert_eq!(from(0), [3, 64, 65, 500, 1_000_000].map(|it| (it, it)));
        assert_eq!(from(65), [65, 500, 1_000_000].map(|it| (it, it)));
        assert_eq!(from(1_000_001), []);
        let backwards = table.range(TaskId(0)).rev().map(|(id, _)| id.0).collect::<Vec<_>>();
        assert_eq!(backwards, [1_000_000, 500, 65, 64, 3]);
        for id in [500, 3, 64, 1_000_000, 65] {
            assert_eq!(table.remove(&TaskId(id)), Some(id));
        }
        assert!(table.is_empty() && table.pages.is_empty() && table.numbers.is_empty());
    }
}
