//! What happens once a batch is durable: the read model, the event stream and the history take it in,
//! commands go to the workers' outboxes, requests are answered. Runs on the store's thread, in order; each of
//! the four is locked once for all batches of a commit.

use crate::events::{EventLog, LoggedEvent};
use crate::forecasts::ForecastDesk;
use crate::history::{Gathered, HistoryDesk};
use crate::logs::Logs;
use crate::outbox::{self, Outboxes};
use crate::policy_desk::PolicyDesk;
use crate::read_model::{ReadModel, SharedReadModel};
use crate::traces::Tracer;
use pointsman_scheduler::record::WorkerState;
use pointsman_scheduler::{Answer, Notice, Record, Start, Stop, Time, WorkerId};
use pointsman_store::Batch;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What is released with a batch.
#[derive(Debug)]
pub struct Release {
    pub at: Time,
    pub items: Vec<Item>,
}

#[derive(Debug)]
pub enum Item {
    Notice(Notice),
    Start(Start),
    Stop(Stop),
    /// The worker begins with an empty list of commands; those before were for what it was.
    Registered {
        worker: WorkerId,
        life: u64,
    },
    /// A sign of life.
    Heard(WorkerId),
    Answer(oneshot::Sender<Answer>, Answer),
}

/// Where releases go.
#[derive(Clone)]
pub struct Releaser {
    pub model: SharedReadModel,
    pub events: Arc<EventLog>,
    pub outboxes: Arc<Outboxes>,
    pub logs: Arc<Logs>,
    pub policies: PolicyDesk,
    /// None: tracing is off.
    pub tracer: Option<Tracer>,
    /// None: no history is kept.
    pub history: Option<HistoryDesk>,
    pub forecasts: ForecastDesk,
}

impl Releaser {
    /// Takes in batches that are durable now.
    pub fn release(&self, batches: Vec<Batch<Release>>) {
        let mut answers = Vec::new();
        let mut swaps = Vec::new();
        let mut gathered = Gathered::default();
        let newest;
        {
            let mut model = self.model.write();
            let mut events = self.events.append();
            newest = events.newest();
            let mut outboxes = self.outboxes.lock();
            for batch in batches {
                let at = batch.payload.at;
                for record in batch.records {
                    if let Some(tracer) = &self.tracer {
                        tracer.note_record(&model, &record);
                    }
                    self.take_record(&mut model, &mut outboxes, &record);
                    events.push(at, LoggedEvent::Record(record), &model);
                }
                for item in batch.payload.items {
                    match item {
                        Item::Notice(notice) => {
                            model.apply_notice(&notice);
                            self.forecasts.note(at, &notice);
                            if self.history.is_some() {
                                gathered.note(&model, at, &notice);
                            }
                            if let Notice::WorkerState { worker, state: WorkerState::Lost } = notice
                            {
                                outboxes.lose(worker);
                            }
                            if let Notice::PolicySwapped(slot) = notice {
                                swaps.push((at, slot));
                            }
                            events.push(at, LoggedEvent::Notice(notice), &model);
                        }
                        Item::Start(start) => outboxes.start(start),
                        Item::Stop(stop) => outboxes.stop(stop),
                        Item::Registered { worker, life } => outboxes.register(worker, life),
                        Item::Heard(worker) => model.note_heard(worker, at),
                        Item::Answer(sender, answer) => answers.push((sender, answer)),
                    }
                }
            }
        }
        if let Some(desk) = &self.history {
            gathered.append_to(desk.history());
        }
        if !swaps.is_empty() {
            self.events.show_policies(newest, &self.policies.note_swaps(&swaps));
        }
        self.events.wake();
        for (sender, answer) in answers {
            // Whoever asked may have gone.
            let _ = sender.send(answer);
        }
    }

    fn take_record(
        &self,
        model: &mut ReadModel,
        outboxes: &mut outbox::Locked<'_>,
        record: &Record,
    ) {
        match record {
            Record::TaskForgotten(task) => self.logs.forget(*task),
            Record::WorkerForgotten(worker) => outboxes.forget(*worker),
            Record::Job(_)
            | Record::TaskAdded(_)
            | Record::Task(..)
            | Record::Worker(_)
            | Record::Queue(_)
            | Record::Key(_)
            | Record::KeyForgotten(_)
            | Record::JobForgotten(_) => {}
        }
        model.apply(record);
    }
}
