//! What passes between the driver thread and the library: changes one way, who serves the other.

use crate::generation::Generation;
use crate::incident::Failed;
use crate::ladder::{Change, Ladder, OnFailure, Rung};
use crate::runner::Runner;
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
    /// Why the active one does not serve though it works.
    pub waits_for: Option<String>,
}

/// Changes for one thread.
#[derive(Default)]
struct Changes {
    /// Whether `list` holds something; read once a round.
    is_waiting: AtomicBool,
    list: Mutex<Vec<(Slot, Change)>>,
}

#[derive(Default)]
pub(crate) struct Handover {
    for_driver: Changes,
    for_forecasts: Changes,
    views: Mutex<[Option<SlotView>; N_SLOTS]>,
    /// Given up by the driver and not yet seen by the library.
    quarantined: Mutex<Vec<Arc<Generation>>>,
    /// Replaced by the driver and not yet freed by the library.
    retired: Mutex<Vec<Runner>>,
}

impl Handover {
    /// Of the thread that runs the policies of `slot`.
    fn changes(&self, slot: Slot) -> &Changes {
        match slot {
            Slot::Scoring | Slot::Queue | Slot::Rescheduling => &self.for_driver,
            Slot::Forecasting => &self.for_forecasts,
        }
    }

    /// Whether anything waits for the thread that runs the policies of `slot`.
    pub fn is_waiting(&self, slot: Slot) -> bool {
        self.changes(slot).is_waiting.load(Ordering::Acquire)
    }

    pub fn push(&self, slot: Slot, change: Change) {
        let changes = self.changes(slot);
        let overtaken = {
            let mut list = lock(&changes.list);
            let overtaken = overtaken(&list, slot, &change);
            let overtaken = overtaken.map(|index| list.remove(index));
            list.push((slot, change));
            changes.is_waiting.store(true, Ordering::Release);
            overtaken
        };
        // Freed on this thread, not while the driver waits.
        drop(overtaken);
    }

    /// All that waits for the thread that runs the policies of `slot`.
    pub fn take(&self, slot: Slot) -> Vec<(Slot, Change)> {
        let changes = self.changes(slot);
        let mut list = lock(&changes.list);
        changes.is_waiting.store(false, Ordering::Release);
        std::mem::take(&mut list)
    }

    /// Shows readers who serves `slot`, if that changed.
    pub fn publish(&self, ladder: &mut Ladder, slot: Slot) {
        if !std::mem::take(&mut ladder.is_changed) {
            return;
        }
        lock(&self.views)[index(slot)] = Some(SlotView {
            serving: ladder.serving().clone(),
            native: ladder.native.clone(),
            active: ladder.active.as_ref().map(|it| it.generation.clone()),
            last_good: ladder.last_good.as_ref().map(|it| it.generation.clone()),
            is_held: ladder.rung == Rung::Held,
            on_failure: ladder.on_failure,
            last_failure: ladder.last_failure.clone(),
            waits_for: ladder.waits_for.clone(),
        });
        lock(&self.quarantined).append(&mut ladder.quarantined);
        lock(&self.retired).append(&mut ladder.retired);
    }

    /// None before the first round.
    pub fn view(&self, slot: Slot) -> Option<SlotView> {
        lock(&self.views)[index(slot)].clone()
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
    let is_settled = |(of, before): &(Slot, Change)| {
        *of == slot && !matches!(before, Change::OnFailure(_) | Change::Predicted(_))
    };
    let index = changes.iter().rposition(is_settled)?;
    let are_both =
        matches!((&changes[index].1, change), (Change::Activate(..), Change::Activate(..)));
    are_both.then_some(index)
}

pub(crate) const N_SLOTS: usize = Slot::ALL.len();

/// The place of `slot` in tables of all slots.
pub(crate) fn index(slot: Slot) -> usize {
    match slot {
        Slot::Scoring => 0,
        Slot::Queue => 1,
        Slot::Rescheduling => 2,
        Slot::Forecasting => 3,
    }
}

/// A panic elsewhere leaves nothing half done under these locks.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
