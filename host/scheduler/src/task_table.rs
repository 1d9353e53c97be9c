//! All tasks of the state, by id. Ids are given in order, so tasks lie side by side in pages: looking one up
//! costs one miss of the cache, and the table of a million tasks grows without being copied.

use crate::ids::TaskId;
use crate::task::Task;
use rustc_hash::FxHashMap;
use std::ops::Index;

#[derive(Debug, Default)]
pub(crate) struct TaskTable {
    /// By id / [`PAGE`]; each holds at least one task.
    pages: FxHashMap<u64, Page>,
}

#[derive(Debug)]
struct Page {
    n_tasks: usize,
    tasks: Box<[Option<Task>]>,
}

const PAGE: u64 = 64;

fn place(id: TaskId) -> (u64, usize) {
    (id.0 / PAGE, (id.0 % PAGE) as usize)
}

impl TaskTable {
    #[inline]
    pub fn get(&self, id: &TaskId) -> Option<&Task> {
        let (page, at) = place(*id);
        self.pages.get(&page)?.tasks[at].as_ref()
    }

    #[inline]
    pub fn get_mut(&mut self, id: &TaskId) -> Option<&mut Task> {
        let (page, at) = place(*id);
        self.pages.get_mut(&page)?.tasks[at].as_mut()
    }

    pub fn contains_key(&self, id: &TaskId) -> bool {
        self.get(id).is_some()
    }

    /// Replaces what was there.
    pub fn insert(&mut self, id: TaskId, task: Task) {
        let (page, at) = place(id);
        let page = self.pages.entry(page).or_insert_with(Page::empty);
        page.n_tasks += usize::from(page.tasks[at].replace(task).is_none());
    }

    pub fn remove(&mut self, id: &TaskId) -> Option<Task> {
        let (number, at) = place(*id);
        let page = self.pages.get_mut(&number)?;
        let removed = page.tasks[at].take()?;
        page.n_tasks -= 1;
        if page.n_tasks == 0 {
            self.pages.remove(&number);
        }
        Some(removed)
    }

    /// In no particular order.
    pub fn values(&self) -> impl Iterator<Item = &Task> {
        self.pages.values().flat_map(|page| page.tasks.iter().flatten())
    }
}

impl Page {
    fn empty() -> Page {
        Page { n_tasks: 0, tasks: (0..PAGE).map(|_| None).collect() }
    }
}

impl Index<&TaskId> for TaskTable {
    type Output = Task;

    fn index(&self, id: &TaskId) -> &Task {
        self.get(id).expect("ids inside the state name tasks of the state")
    }
}
