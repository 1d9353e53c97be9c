//! What workers and clients say to the host.

use crate::faults::agenda::Agenda;
use crate::faults::worker::Answered;
use pointsman_scheduler::event::{Registration, SyncReport};
use pointsman_scheduler::{Event, RequestId, WorkerId};

/// A worker's call, or a client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::faults) enum Sender {
    Worker { worker: usize, life: u64, call: u64 },
    Client { operation: usize },
}

#[derive(Debug, Clone)]
pub(in crate::faults) struct Request {
    pub from: Sender,
    pub body: Body,
}

#[derive(Debug, Clone)]
pub(in crate::faults) enum Body {
    Register(Registration),
    Sync {
        seq: u64,
        acked: u64,
        report: SyncReport,
    },
    Poll {
        worker: WorkerId,
        life: u64,
        after: u64,
    },
    /// Its request id is the host's to give.
    Client(Event),
}

/// The connection is refused.
pub(super) fn refuse(agenda: &mut Agenda, from: Sender) {
    match from {
        Sender::Worker { worker, life, call } => {
            agenda.send_to_worker(worker, life, call, Answered::Failed);
        }
        Sender::Client { operation } => agenda.send_to_client(operation, None),
    }
}

pub(super) fn with_request(event: Event, request: RequestId) -> Event {
    match event {
        Event::SubmitJob { key, job, .. } => Event::SubmitJob { request, key, job },
        Event::SubmitTask { key, task, .. } => Event::SubmitTask { request, key, task },
        Event::CancelTask { task, .. } => Event::CancelTask { request, task },
        Event::CancelJob { job, .. } => Event::CancelJob { request, job },
        Event::RetryTask { task, .. } => Event::RetryTask { request, task },
        Event::PauseQueue { queue, paused, .. } => Event::PauseQueue { request, queue, paused },
        Event::DrainWorker { worker, draining, .. } => {
            Event::DrainWorker { request, worker, draining }
        }
        other => unreachable!("no client's: {other:?}"),
    }
}
