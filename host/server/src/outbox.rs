//! Commands on their way to workers: numbered per worker, kept until acknowledged.

use pointsman_protocol::worker::Command;
use pointsman_scheduler::{Start, Stop, Term, WorkerId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;

/// Commands in one answer at most.
const MAX_COMMANDS: usize = 2000;

#[derive(Debug)]
pub struct Outboxes {
    /// Numbers begin above those of any earlier term, so that an old "after" never hides new ones.
    first_n: u64,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    by_worker: FxHashMap<WorkerId, Outbox>,
    /// Those that got something since the last `wake`.
    to_wake: FxHashSet<WorkerId>,
}

#[derive(Debug)]
struct Outbox {
    next_n: u64,
    commands: VecDeque<(u64, Pending)>,
    news: Arc<Notify>,
}

#[derive(Debug)]
enum Pending {
    Start(Start),
    Stop(Stop),
}

impl Outboxes {
    pub fn new(term: Term) -> Outboxes {
        Outboxes { first_n: term.0 << 32 | 1, content: Mutex::default() }
    }

    pub fn push_start(&self, start: Start) {
        self.push(start.worker, Pending::Start(start));
    }

    pub fn push_stop(&self, stop: Stop) {
        self.push(stop.worker, Pending::Stop(stop));
    }

    fn push(&self, worker: WorkerId, command: Pending) {
        let mut content = self.lock();
        content.to_wake.insert(worker);
        let outbox = content.outbox(worker, self.first_n);
        outbox.commands.push_back((outbox.next_n, command));
        outbox.next_n += 1;
    }

    /// The worker begins anew: what it did not take will not be told.
    pub fn forget(&self, worker: WorkerId) {
        self.lock().outbox(worker, self.first_n).commands.clear();
    }

    /// Wakes the polls of all workers that got commands.
    pub fn wake(&self) {
        let mut content = self.lock();
        for worker in std::mem::take(&mut content.to_wake) {
            content.outbox(worker, self.first_n).news.notify_one();
        }
    }

    pub fn acknowledge(&self, worker: WorkerId, n: u64) {
        let mut content = self.lock();
        let outbox = content.outbox(worker, self.first_n);
        while outbox.commands.front().is_some_and(|(first, _)| *first <= n) {
            outbox.commands.pop_front();
        }
    }

    /// Commands with numbers above `after`; waits for some, at most for `hold`.
    pub async fn poll(&self, worker: WorkerId, after: u64, hold: Duration) -> Vec<Command> {
        let deadline = tokio::time::Instant::now() + hold;
        loop {
            let (commands, news) = self.take(worker, after);
            if !commands.is_empty() {
                return commands;
            }
            if tokio::time::timeout_at(deadline, news.notified()).await.is_err() {
                return Vec::new();
            }
        }
    }

    fn take(&self, worker: WorkerId, after: u64) -> (Vec<Command>, Arc<Notify>) {
        let mut content = self.lock();
        let outbox = content.outbox(worker, self.first_n);
        let news = outbox.news.clone();
        let first = outbox.commands.partition_point(|(n, _)| *n <= after);
        let commands = outbox.commands.range(first..).take(MAX_COMMANDS);
        let to_wire = |(n, command): &(u64, Pending)| match command {
            Pending::Start(start) => Command::start(*n, start),
            Pending::Stop(stop) => Command::stop(*n, stop),
        };
        (commands.map(to_wire).collect(), news)
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().expect("nobody panics while holding the outboxes")
    }
}

impl Content {
    fn outbox(&mut self, worker: WorkerId, first_n: u64) -> &mut Outbox {
        self.by_worker.entry(worker).or_insert_with(|| Outbox {
            next_n: first_n,
            commands: VecDeque::new(),
            news: Arc::new(Notify::new()),
        })
    }
}
