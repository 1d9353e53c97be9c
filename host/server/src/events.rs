//! The event log: the newest events in a ring, numbered without gaps. Readers pull from it at their
//! own pace, so that a stalled one costs nothing; one that falls out of the ring is told so. What
//! readers are shown is made when they read: without readers nothing is made.

use crate::read_model::ReadModel;
use pointsman_protocol::api::PolicyView;
use pointsman_protocol::events::{EventBody, PublicEvent, Views};
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::record::WorkerState;
use pointsman_scheduler::{Notice, Record, TaskId, Term, Time};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use tokio::sync::watch;

/// Events kept for readers that resume.
pub const KEPT: usize = 65_536;
/// Changes kept for operators who look back.
const ACTIVITY_KEPT: usize = 1000;

#[derive(Debug)]
pub enum LoggedEvent {
    Record(Record),
    Notice(Notice),
    /// Made by the server itself: configuration and policy news.
    Public(EventBody),
}

#[derive(Debug)]
pub struct EventLog {
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
}

#[derive(Debug)]
pub struct Ring {
    events: VecDeque<(Time, LoggedEvent)>,
    /// What changed apart from tasks, as it was then.
    activity: VecDeque<PublicEvent>,
    /// Number of the newest event.
    newest: u64,
}

/// Why events cannot be had from where a reader wants to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfRing;

impl Ring {
    /// `model`: with the event taken in.
    pub fn push(&mut self, at: Time, event: LoggedEvent, model: &ReadModel) {
        if event.is_activity() {
            let body = event.body(&Shown(model, at));
            self.remember(at, body);
        }
        self.push_only(at, event);
    }

    /// As the event that comes next.
    fn remember(&mut self, at: Time, body: Option<EventBody>) {
        let Some(body) = body else { return };
        if self.activity.len() == ACTIVITY_KEPT {
            self.activity.pop_front();
        }
        self.activity.push_back(PublicEvent { n: self.newest + 1, at: Timestamp(at), body });
    }

    /// Number of the newest event.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    fn push_only(&mut self, at: Time, event: LoggedEvent) {
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back((at, event));
        self.newest += 1;
    }
}

impl EventLog {
    /// Numbers begin above those of any earlier term, so that a reader of an earlier host is
    /// noticed instead of being shown other events under the numbers it knows.
    pub fn new(term: Term) -> EventLog {
        let newest = term.0 << 32;
        let ring = Ring { events: VecDeque::new(), activity: VecDeque::new(), newest };
        EventLog { ring: Mutex::new(ring), newest: watch::Sender::new(newest) }
    }

    /// For a batch: readers are woken by `wake` afterwards.
    pub fn append(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().expect("nobody panics while holding the ring")
    }

    pub fn wake(&self) {
        let newest = self.append().newest;
        self.newest.send_replace(newest);
    }

    /// One event of the server's own.
    pub fn publish(&self, at: Time, body: EventBody) {
        {
            let mut ring = self.append();
            ring.remember(at, Some(body.clone()));
            ring.push_only(at, LoggedEvent::Public(body));
        }
        self.wake();
    }

    /// What changed lately apart from tasks, newest first.
    pub fn activity(&self, limit: usize) -> Vec<PublicEvent> {
        self.append().activity.iter().rev().take(limit).cloned().collect()
    }

    /// Which policies the swaps brought that happened since `after`.
    pub fn show_policies(&self, after: u64, slots: &[PolicyView]) {
        let mut ring = self.append();
        let newest_first = ring.activity.iter_mut().rev();
        for event in newest_first.take_while(|event| event.n > after) {
            if let EventBody::Policy { slot, policy, .. } = &mut event.body
                && policy.is_none()
            {
                *policy = slots.iter().find(|it| Some(it.slot) == *slot).cloned().map(Box::new);
            }
        }
    }

    pub fn newest(&self) -> u64 {
        self.append().newest
    }

    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// At most `max` events after number `after`, as they are shown, and the number reached.
    ///
    /// # Errors
    /// If the reader is too far behind.
    pub fn read(
        &self,
        model: &ReadModel,
        after: u64,
        max: usize,
    ) -> Result<(Vec<PublicEvent>, u64), OutOfRing> {
        let ring = self.append();
        let oldest = ring.newest - ring.events.len() as u64;
        if after < oldest || after > ring.newest {
            return Err(OutOfRing);
        }
        let slice = ring.events.range((after - oldest) as usize..).take(max);
        let newest_of: FxHashMap<TaskId, u64> = (after + 1..)
            .zip(slice.clone())
            .filter_map(|(n, (_, event))| Some((event.changed_task()?, n)))
            .collect();
        let mut events = Vec::new();
        let mut reached = after;
        for (at, event) in slice {
            reached += 1;
            // All show the row as it is now: the last of those read together is enough.
            if event.changed_task().is_some_and(|task| newest_of[&task] != reached) {
                continue;
            }
            if let Some(body) = event.body(&Shown(model, *at)) {
                events.push(PublicEvent { n: reached, at: Timestamp(*at), body });
            }
        }
        Ok((events, reached))
    }
}

impl LoggedEvent {
    fn body(&self, views: &impl Views) -> Option<EventBody> {
        match self {
            LoggedEvent::Record(record) => EventBody::from_record(record, views),
            LoggedEvent::Notice(notice) => Some(EventBody::from(notice)),
            LoggedEvent::Public(body) => Some(body.clone()),
        }
    }

    /// What operators look back on: changes of the system rather than of its work.
    fn is_activity(&self) -> bool {
        match self {
            LoggedEvent::Record(record) => {
                matches!(record, Record::Worker(_) | Record::WorkerForgotten(_) | Record::Queue(_))
            }
            LoggedEvent::Notice(notice) => match notice {
                Notice::WorkerMeasured { .. }
                | Notice::Forecast(_)
                | Notice::Feedback { .. }
                | Notice::StaleReport { .. } => false,
                // Comes with the record of the worker.
                Notice::WorkerState { state, .. } => {
                    matches!(state, WorkerState::Live | WorkerState::Suspect)
                }
                Notice::LossesHeld { .. }
                | Notice::WorkerQuarantined { .. }
                | Notice::PolicySwapped(_)
                | Notice::PolicyFailed { .. }
                | Notice::Rescheduling { .. } => true,
            },
            LoggedEvent::Public(_) => true,
        }
    }

    fn changed_task(&self) -> Option<TaskId> {
        match self {
            LoggedEvent::Record(Record::Task(id, _)) => Some(*id),
            LoggedEvent::Record(_) | LoggedEvent::Notice(_) | LoggedEvent::Public(_) => None,
        }
    }
}

/// The model as the source of views: an event shows its row as it is when the event is read, which
/// is the event's state or a later one.
struct Shown<'a>(&'a ReadModel, Time);

impl Views for Shown<'_> {
    fn task(&self, task: pointsman_scheduler::TaskId) -> Option<pointsman_protocol::api::TaskView> {
        self.0.task_row(task, None)
    }

    fn job(&self, job: pointsman_scheduler::JobId) -> Option<pointsman_protocol::api::JobView> {
        self.0.job_view(job)
    }

    fn worker(
        &self,
        worker: pointsman_scheduler::WorkerId,
    ) -> Option<pointsman_protocol::api::WorkerView> {
        self.0.worker_view(worker, self.1)
    }

    fn queue(&self, queue: &str) -> Option<pointsman_protocol::api::QueueView> {
        self.0.queue_view(queue)
    }
}
