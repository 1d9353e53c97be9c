//! Commands on their way to workers: numbered per worker, kept until acknowledged. Only the life of a
//! worker that is registered now gets them: one that was given up, or that lives on beside its
//! successor, must not start anything.

use pointsman_protocol::worker::Command;
use pointsman_scheduler::{Refusal, Start, Stop, Term, WorkerId};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// Commands in one answer at most.
pub const MAX_COMMANDS: usize = 2000;

#[derive(Debug)]
pub struct Outboxes {
    content: Mutex<Content>,
}

/// All outboxes, locked for a while. Polls are woken when this is dropped.
#[derive(Debug)]
pub struct Locked<'a> {
    content: MutexGuard<'a, Content>,
    to_wake: Vec<WorkerId>,
}

#[derive(Debug)]
struct Content {
    /// Numbers begin above those of any earlier term, so that an old "after" never hides new ones.
    first_n: u64,
    by_worker: FxHashMap<WorkerId, Outbox>,
}

#[derive(Debug)]
struct Outbox {
    /// None: it has to register first.
    life: Option<u64>,
    next_n: u64,
    commands: VecDeque<Numbered>,
    /// It is among those to be woken.
    has_news: bool,
    news: Arc<Notify>,
}

type Numbered = (u64, Pending);

#[derive(Debug, Clone)]
enum Pending {
    Start(Start),
    Stop(Stop),
}

impl Outboxes {
    pub fn new(term: Term) -> Outboxes {
        let first_n = term.0 << 32 | 1;
        Outboxes { content: Mutex::new(Content { first_n, by_worker: FxHashMap::default() }) }
    }

    pub fn lock(&self) -> Locked<'_> {
        Locked { content: self.content(), to_wake: Vec::new() }
    }

    /// Commands up to number `n` are the worker's now.
    pub fn acknowledge(&self, worker: WorkerId, n: u64) {
        let mut content = self.content();
        let Some(outbox) = content.by_worker.get_mut(&worker) else { return };
        while outbox.commands.front().is_some_and(|(first, _)| *first <= n) {
            outbox.commands.pop_front();
        }
    }

    /// Commands with numbers above `after`; waits for some, at most for `hold`.
    ///
    /// # Errors
    /// If the worker is not registered now, or in another life.
    pub async fn poll(
        &self,
        worker: WorkerId,
        life: u64,
        after: u64,
        hold: Duration,
    ) -> Result<Vec<Command>, Refusal> {
        let deadline = tokio::time::Instant::now() + hold;
        loop {
            let (commands, news) = self.after(worker, life, after)?;
            if !commands.is_empty() {
                let to_wire = |(n, command): &Numbered| match command {
                    Pending::Start(start) => Command::start(*n, start),
                    Pending::Stop(stop) => Command::stop(*n, stop),
                };
                return Ok(commands.iter().map(to_wire).collect());
            }
            if tokio::time::timeout_at(deadline, news.notified()).await.is_err() {
                return Ok(Vec::new());
            }
        }
    }

    fn after(
        &self,
        worker: WorkerId,
        life: u64,
        after: u64,
    ) -> Result<(Vec<Numbered>, Arc<Notify>), Refusal> {
        let content = self.content();
        let outbox = content.by_worker.get(&worker).ok_or(Refusal::UnknownWorker(worker))?;
        match outbox.life {
            None => return Err(Refusal::UnknownWorker(worker)),
            Some(current) if current != life => return Err(Refusal::OldLife),
            Some(_) => {}
        }
        let first = outbox.commands.partition_point(|(n, _)| *n <= after);
        let commands = outbox.commands.range(first..).take(MAX_COMMANDS);
        Ok((commands.cloned().collect(), outbox.news.clone()))
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("nobody panics while holding the outboxes")
    }
}

impl Locked<'_> {
    pub fn start(&mut self, start: Start) {
        self.push(start.worker, Pending::Start(start));
    }

    pub fn stop(&mut self, stop: Stop) {
        self.push(stop.worker, Pending::Stop(stop));
    }

    fn push(&mut self, worker: WorkerId, command: Pending) {
        let outbox = self.content.outbox(worker);
        outbox.commands.push_back((outbox.next_n, command));
        outbox.next_n += 1;
        self.note_news(worker);
    }

    /// The worker begins anew: what it did not take will not be told.
    pub fn register(&mut self, worker: WorkerId, life: u64) {
        let outbox = self.content.outbox(worker);
        outbox.commands.clear();
        outbox.life = Some(life);
        // A poll of the earlier life must not wait on.
        self.note_news(worker);
    }

    /// The worker was given up: its attempts have ended.
    pub fn lose(&mut self, worker: WorkerId) {
        let outbox = self.content.outbox(worker);
        outbox.commands.clear();
        outbox.life = None;
        self.note_news(worker);
    }

    pub fn forget(&mut self, worker: WorkerId) {
        self.content.by_worker.remove(&worker);
    }

    fn note_news(&mut self, worker: WorkerId) {
        let outbox = self.content.outbox(worker);
        if !std::mem::replace(&mut outbox.has_news, true) {
            self.to_wake.push(worker);
        }
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        for worker in &self.to_wake {
            let Some(outbox) = self.content.by_worker.get_mut(worker) else { continue };
            outbox.has_news = false;
            // A life that ended may poll beside its successor, or none may poll right now.
            outbox.news.notify_waiters();
            outbox.news.notify_one();
        }
    }
}

impl Content {
    fn outbox(&mut self, worker: WorkerId) -> &mut Outbox {
        let first_n = self.first_n;
        self.by_worker.entry(worker).or_insert_with(|| Outbox {
            life: None,
            next_n: first_n,
            commands: VecDeque::new(),
            has_news: false,
            news: Arc::new(Notify::new()),
        })
    }
}
