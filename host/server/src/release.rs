//! What happens once a batch is durable: the read model and the event stream take it in, commands go
//! to the workers' outboxes, requests are answered. Runs on the store's thread, in order.

use crate::events::{EventLog, LoggedEvent};
use crate::logs::Logs;
use crate::outbox::Outboxes;
use crate::read_model::{ReadModel, SharedReadModel};
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
    ForgetCommands(WorkerId),
    Answer(oneshot::Sender<Answer>, Answer),
}

/// Where releases go.
#[derive(Clone)]
pub struct Releaser {
    pub model: SharedReadModel,
    pub events: Arc<EventLog>,
    pub outboxes: Arc<Outboxes>,
    pub logs: Arc<Logs>,
}

impl Releaser {
    /// Takes in batches that are durable now.
    pub fn release(&self, batches: Vec<Batch<Release>>) {
        let mut answers = Vec::new();
        {
            let mut model = self.model.write();
            let mut events = self.events.append();
            for batch in batches {
                let at = batch.payload.at;
                for record in batch.records {
                    self.take_record(&mut model, &record);
                    events.push(at, LoggedEvent::Record(record));
                }
                for item in batch.payload.items {
                    match item {
                        Item::Notice(notice) => {
                            model.apply_notice(at, &notice);
                            events.push(at, LoggedEvent::Notice(notice));
                        }
                        Item::Start(start) => self.outboxes.push_start(start),
                        Item::Stop(stop) => self.outboxes.push_stop(stop),
                        Item::ForgetCommands(worker) => self.outboxes.forget(worker),
                        Item::Answer(sender, answer) => answers.push((sender, answer)),
                    }
                }
            }
        }
        self.outboxes.wake();
        self.events.wake();
        for (sender, answer) in answers {
            // Whoever asked may have gone.
            let _ = sender.send(answer);
        }
    }

    fn take_record(&self, model: &mut ReadModel, record: &Record) {
        if let Record::TaskForgotten(task) = record {
            self.logs.forget(*task);
        }
        model.apply(record);
    }
}
