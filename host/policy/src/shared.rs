//! What passes between the driver thread and the library: changes one way, who serves the other.

use crate::generation::Generation;
use crate::incident::Failed;
use crate::ladder::{Change, OnFailure, Runner};
use pointsman_scheduler::Slot;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Who serves a slot, as last published by the driver.
#[derive(Clone)]
pub(crate) struct SlotView {
    pub serving: Arc<Generation>,
    pub native: Arc<Generation>,
    pub active: Option<Arc<Generation>>,
    pub last_good: Option<Arc<Generation>>,
    pub is_held: bool,
    pub on_failure: OnFailure,
    pub last_failure: Option<Failed>,
}

#[derive(Default)]
pub(crate) struct Handover {
    /// Whether `changes` holds something; read once a round.
    is_waiting: AtomicBool,
    changes: Mutex<Vec<(Slot, Change)>>,
    views: Mutex<[Option<SlotView>; 3]>,
    /// Given up by the driver and not yet seen by the library.
    quarantined: Mutex<Vec<Arc<Generation>>>,
    /// Replaced by the driver and not yet freed by the library.
    retired: Mutex<Vec<Runner>>,
}

impl Handover {
    pub fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Acquire)
    }

    pub fn push(&self, slot: Slot, change: Change) {
        let overtaken = {
            let mut changes = lock(&self.changes);
            let overtaken = overtaken(&changes, slot, &change);
            let overtaken = overtaken.map(|index| changes.remove(index));
            changes.push((slot, change));
            self.is_waiting.store(true, Ordering::Release);
            overtaken
        };
        // Freed on this thread, not while the driver waits.
        drop(overtaken);
    }

    pub fn take(&self) -> Vec<(Slot, Change)> {
        let mut changes = lock(&self.changes);
        self.is_waiting.store(false, Ordering::Release);
        std::mem::take(&mut changes)
    }

    pub fn publish(&self, slot: Slot, view: SlotView, quarantined: Vec<Arc<Generation>>) {
        lock(&self.views)[index(slot)] = Some(view);
        if !quarantined.is_empty() {
            lock(&self.quarantined).extend(quarantined);
        }
    }

    /// None before the first round.
    pub fn view(&self, slot: Slot) -> Option<SlotView> {
        lock(&self.views)[index(slot)].clone()
    }

    pub fn retire(&self, runners: Vec<Runner>) {
        lock(&self.retired).extend(runners);
    }

    /// Frees what has been replaced, on the calling thread.
    pub fn free_retired(&self) {
        let retired = std::mem::take(&mut *lock(&self.retired));
        drop(retired);
    }

    pub fn take_quarantined(&self) -> Vec<Arc<Generation>> {
        std::mem::take(&mut lock(&self.quarantined))
    }
}

/// Of two generations that no round came between, the earlier one never serves.
fn overtaken(changes: &[(Slot, Change)], slot: Slot, change: &Change) -> Option<usize> {
    let is_settled =
        |(of, before): &(Slot, Change)| *of == slot && !matches!(before, Change::OnFailure(_));
    let index = changes.iter().rposition(is_settled)?;
    let are_both =
        matches!((&changes[index].1, change), (Change::Activate(..), Change::Activate(..)));
    are_both.then_some(index)
}

/// The place of `slot` in tables of all slots.
pub(crate) fn index(slot: Slot) -> usize {
    match slot {
        Slot::Scoring => 0,
        Slot::Queue => 1,
        Slot::Rescheduling => 2,
    }
}

/// A panic elsewhere leaves nothing half done under these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
