//! EASY backfilling (Lifka, JSSPP 1995): the best-ranked blocked task gets a reservation on the
//! worker where it can start earliest; those behind it may start there only if they do not delay it.

use crate::ids::TaskId;
use crate::queue::RankKey;
use crate::resources::{Devices, Free, Request};
use crate::time::Time;
use crate::worker::{Worker, WorkerIdx};
use std::time::Duration;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub task: TaskId,
    /// The task's place in the order: those before it take what they like.
    order: RankKey,
    pub worker: WorkerIdx,
    /// When enough has ended there, by expected run times; NEVER: nobody can tell.
    pub shadow: Time,
    /// What is free at that moment beside the reserved amounts.
    extra: Free,
}

impl Reservation {
    /// When the request will fit beside the last of `running`: end, amounts and devices of each attempt
    /// there. None: something has to end there first that has no expected end.
    pub fn earliest(
        order: RankKey,
        request: &Request,
        worker_idx: WorkerIdx,
        worker: &Worker,
        running: Vec<(Time, Request, Devices)>,
    ) -> Option<Reservation> {
        let reservation = Reservation::whenever(order, request, worker_idx, worker, running);
        reservation.filter(|it| it.shadow != Time::NEVER)
    }

    /// The same, for as long as it takes.
    pub fn whenever(
        order: RankKey,
        request: &Request,
        worker_idx: WorkerIdx,
        worker: &Worker,
        mut running: Vec<(Time, Request, Devices)>,
    ) -> Option<Reservation> {
        running.sort_by_key(|(end, _, _)| *end);
        let mut free = worker.free.clone();
        let mut ends = running.into_iter().peekable();
        while let Some((end, held, devices)) = ends.next() {
            free.give_back(&held, &devices);
            let is_last_of_instant = ends.peek().is_none_or(|(next, _, _)| *next > end);
            if is_last_of_instant && free.fits(request) {
                free.take(request);
                let task = order.task;
                return Some(Reservation {
                    task,
                    order,
                    worker: worker_idx,
                    shadow: end,
                    extra: free,
                });
            }
        }
        None
    }

    /// Whether it counts for a task at that place in the order.
    pub fn binds(&self, order: RankKey) -> bool {
        self.order < order
    }

    /// Whether a start would leave the reserved task its start.
    pub fn allows(
        &self,
        now: Time,
        worker: WorkerIdx,
        request: &Request,
        expected: Option<Duration>,
    ) -> bool {
        worker != self.worker || self.ends_in_time(now, expected) || self.extra.fits(request)
    }

    /// A start on the reserved worker that lasts longer uses up what is free beside.
    pub fn note_start(
        &mut self,
        now: Time,
        worker: WorkerIdx,
        request: &Request,
        expected: Option<Duration>,
    ) {
        if worker == self.worker && !self.ends_in_time(now, expected) && self.extra.fits(request) {
            self.extra.take(request);
        }
    }

    fn ends_in_time(&self, now: Time, expected: Option<Duration>) -> bool {
        self.shadow != Time::NEVER
            && expected.is_some_and(|expected| now.after(expected) <= self.shadow)
    }
}
