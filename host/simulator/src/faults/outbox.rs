//! Commands on their way to workers, by the rules of the production host: numbered per worker above
//! those of any earlier term, kept until acknowledged, for the life that is registered now.

use pointsman_protocol::worker::Command;
use pointsman_scheduler::{Start, Stop, Term, WorkerId};
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
pub(super) struct Outboxes {
    first_n: u64,
    by_worker: BTreeMap<WorkerId, Outbox>,
}

#[derive(Debug)]
struct Outbox {
    life: Option<u64>,
    next_n: u64,
    commands: VecDeque<Command>,
}

impl Outboxes {
    pub fn new(term: Term) -> Outboxes {
        Outboxes { first_n: term.0 << 32 | 1, by_worker: BTreeMap::new() }
    }

    fn of(&mut self, worker: WorkerId) -> &mut Outbox {
        let next_n = self.first_n;
        self.by_worker.entry(worker).or_insert_with(|| Outbox {
            life: None,
            next_n,
            commands: VecDeque::new(),
        })
    }

    pub fn start(&mut self, start: &Start) {
        let outbox = self.of(start.worker);
        outbox.commands.push_back(Command::start(outbox.next_n, start));
        outbox.next_n += 1;
    }

    pub fn stop(&mut self, stop: &Stop) {
        let outbox = self.of(stop.worker);
        outbox.commands.push_back(Command::stop(outbox.next_n, stop));
        outbox.next_n += 1;
    }

    pub fn register(&mut self, worker: WorkerId, life: u64) {
        let outbox = self.of(worker);
        outbox.commands.clear();
        outbox.life = Some(life);
    }

    pub fn lose(&mut self, worker: WorkerId) {
        let outbox = self.of(worker);
        outbox.commands.clear();
        outbox.life = None;
    }

    pub fn acknowledge(&mut self, worker: WorkerId, n: u64) {
        let outbox = self.of(worker);
        while outbox.commands.front().is_some_and(|command| command.n <= n) {
            outbox.commands.pop_front();
        }
    }

    pub fn life(&self, worker: WorkerId) -> Option<u64> {
        self.by_worker.get(&worker)?.life
    }

    /// None: it has to register first, or another life has.
    pub fn after(&self, worker: WorkerId, life: u64, after: u64) -> Option<Vec<Command>> {
        let outbox = self.by_worker.get(&worker)?;
        if outbox.life != Some(life) {
            return None;
        }
        Some(outbox.commands.iter().filter(|command| command.n > after).cloned().collect())
    }
}
