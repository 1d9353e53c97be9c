//! What waits for the driver: reports of workers, other events, questions. Bounded; reports go first,
//! so that a crowd of submissions makes no worker look silent.

use pointsman_policy::PolicyHost;
use pointsman_scheduler::{Answer, Event, RequestId, Scheduler, Time};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot, watch};

/// Something that happened, and who waits for the answer.
pub(super) struct Told {
    pub event: Event,
    pub reply: Option<(RequestId, oneshot::Sender<Answer>)>,
}

pub(super) type Question = Box<dyn FnOnce(&mut Scheduler, &mut PolicyHost, Time) + Send>;

/// Events waiting at most.
const MAX_EVENTS: usize = 16_384;
/// Events waiting at most of the thread that asks for forecasts.
const MAX_BESIDE: usize = 1024;
/// Questions waiting at most.
const MAX_QUESTIONS: usize = 1024;
/// Events other than reports taken before a planning round.
const MAX_TAKEN: usize = 4096;
/// Batches that are not durable yet at most; with more the driver takes no events.
const MAX_UNDURABLE: usize = 4;

pub(super) struct Inbox {
    content: Mutex<Content>,
    news: Condvar,
    room_for_events: Semaphore,
    room_for_questions: Semaphore,
    has_ended: watch::Sender<bool>,
}

#[derive(Default)]
struct Content {
    reports: VecDeque<Told>,
    events: VecDeque<Told>,
    /// From the thread that asks for forecasts, with the newest forecast alone.
    beside: Vec<Event>,
    questions: Vec<Question>,
    /// To be told after the next round.
    rounds: Vec<oneshot::Sender<()>>,
    is_nudged: bool,
    is_stopping: bool,
    is_closed: bool,
    n_undurable: usize,
}

/// What the driver is to do now.
#[derive(Default)]
pub(super) struct Work {
    pub told: Vec<Told>,
    /// How many of them had to wait for room.
    n_permits: usize,
    pub questions: Vec<Question>,
    pub rounds: Vec<oneshot::Sender<()>>,
    /// Nothing comes after this.
    pub is_last: bool,
    /// Too much is not durable yet: only questions are answered.
    pub is_stuck: bool,
}

/// Why something cannot be put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    Full,
    Closed,
}

impl Inbox {
    pub fn new() -> Inbox {
        Inbox {
            content: Mutex::default(),
            news: Condvar::new(),
            room_for_events: Semaphore::new(MAX_EVENTS),
            room_for_questions: Semaphore::new(MAX_QUESTIONS),
            has_ended: watch::Sender::new(false),
        }
    }

    /// Waits for room, at most for `patience`.
    pub async fn tell(&self, told: Told, patience: Duration) -> Result<(), NoRoom> {
        wait_for_room(&self.room_for_events, patience).await?;
        self.put(|content| match &told.event {
            Event::Sync { .. } | Event::Register { .. } => content.reports.push_back(told),
            Event::SubmitJob { .. }
            | Event::SubmitTask { .. }
            | Event::CancelTask { .. }
            | Event::CancelJob { .. }
            | Event::RetryTask { .. }
            | Event::PauseQueue { .. }
            | Event::DrainWorker { .. }
            | Event::Configure(_)
            | Event::Forecast(_)
            | Event::PolicySwapped(_)
            | Event::PolicyFailed { .. }
            | Event::Tick => content.events.push_back(told),
        })
    }

    /// Waits for room, at most for `patience`.
    pub async fn ask(&self, question: Question, patience: Duration) -> Result<(), NoRoom> {
        wait_for_room(&self.room_for_questions, patience).await?;
        self.put(|content| content.questions.push(question))
    }

    /// From the thread that asks for forecasts, which waits for nothing. A newer forecast takes the place
    /// of one that still waits.
    pub fn tell_beside(&self, events: Vec<Event>) {
        // Closed: nobody is there to be told.
        let _ = self.put(|content| {
            if events.iter().any(|event| matches!(event, Event::Forecast(_))) {
                content.beside.retain(|event| !matches!(event, Event::Forecast(_)));
            }
            let n_room = MAX_BESIDE.saturating_sub(content.beside.len());
            content.beside.extend(events.into_iter().take(n_room));
        });
    }

    pub fn after_round(&self, sender: oneshot::Sender<()>) -> Result<(), NoRoom> {
        self.put(|content| content.rounds.push(sender))
    }

    pub fn nudge(&self) {
        // Closed: nobody is there to be woken.
        let _ = self.put(|content| content.is_nudged = true);
    }

    pub fn stop(&self) {
        // Closed: it has stopped already.
        let _ = self.put(|content| content.is_stopping = true);
    }

    fn put(&self, change: impl FnOnce(&mut Content)) -> Result<(), NoRoom> {
        let mut content = self.lock();
        if content.is_closed {
            return Err(NoRoom::Closed);
        }
        change(&mut content);
        drop(content);
        self.news.notify_one();
        Ok(())
    }

    pub fn note_submitted(&self) {
        self.lock().n_undurable += 1;
    }

    pub fn note_durable(&self, n_batches: usize) {
        self.lock().n_undurable -= n_batches;
        self.news.notify_one();
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Waits for something to do, at most for `wait`. While too many batches are not durable only
    /// questions count, however long that takes.
    pub fn take(&self, wait: Duration) -> Work {
        let deadline = Instant::now() + wait;
        let mut content = self.lock();
        loop {
            let is_stuck = content.n_undurable >= MAX_UNDURABLE;
            let has_work = if is_stuck { content.has_questions() } else { !content.is_empty() };
            let left = deadline.saturating_duration_since(Instant::now());
            if has_work || (!is_stuck && left.is_zero()) {
                let work = content.take(is_stuck);
                self.room_for_events.add_permits(work.n_permits);
                self.room_for_questions.add_permits(work.questions.len());
                return work;
            }
            content = if is_stuck {
                self.news.wait(content).expect("nobody panics while holding the inbox")
            } else {
                let waited = self.news.wait_timeout(content, left);
                waited.expect("nobody panics while holding the inbox").0
            };
        }
    }

    /// Whatever waits is dropped, and with it the senders of its answers.
    pub fn close(&self) {
        let dropped = {
            let mut content = self.lock();
            let n_undurable = content.n_undurable;
            std::mem::replace(
                &mut *content,
                Content { is_closed: true, n_undurable, ..Content::default() },
            )
        };
        drop(dropped);
        self.has_ended.send_replace(true);
    }

    pub fn ended(&self) -> watch::Receiver<bool> {
        self.has_ended.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("nobody panics while holding the inbox")
    }
}

impl Content {
    fn has_questions(&self) -> bool {
        !self.questions.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.reports.is_empty()
            && self.events.is_empty()
            && self.beside.is_empty()
            && self.questions.is_empty()
            && self.rounds.is_empty()
            && !self.is_nudged
            && !self.is_stopping
    }

    fn take(&mut self, is_stuck: bool) -> Work {
        let questions = std::mem::take(&mut self.questions);
        if is_stuck {
            return Work { questions, is_stuck, ..Work::default() };
        }
        let n_events = self.events.len().min(MAX_TAKEN);
        let mut told: Vec<Told> = self.reports.drain(..).collect();
        told.extend(self.events.drain(..n_events));
        let n_permits = told.len();
        told.extend(self.beside.drain(..).map(|event| Told { event, reply: None }));
        self.is_nudged = false;
        Work {
            told,
            n_permits,
            questions,
            rounds: std::mem::take(&mut self.rounds),
            is_last: self.is_stopping && self.events.is_empty(),
            is_stuck,
        }
    }
}

async fn wait_for_room(room: &Semaphore, patience: Duration) -> Result<(), NoRoom> {
    match tokio::time::timeout(patience, room.acquire()).await {
        Ok(Ok(permit)) => {
            // Given back when the driver takes what is put in now.
            permit.forget();
            Ok(())
        }
        Ok(Err(_)) => Err(NoRoom::Closed),
        Err(_) => Err(NoRoom::Full),
    }
}
