//! What happens when: one list in order of time, and one source of chance.

use super::client::ClientDue;
use super::disaster::Disaster;
use super::host::{HostDue, Request};
use super::kind::{FaultKind, Strikes};
use super::plan::{Plan, Rates};
use super::sabotage::Sabotage;
use super::worker::{Answered, WorkerDue};
use pointsman_scheduler::{Answer, Time};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

/// Something that will happen.
#[derive(Debug, Clone)]
pub(super) enum What {
    Host {
        life: u64,
        due: HostDue,
    },
    /// Arrives at whichever life of the host is there.
    ToHost(Box<Request>),
    ToWorker {
        worker: usize,
        life: u64,
        call: u64,
        answer: Box<Answered>,
    },
    Worker {
        worker: usize,
        life: u64,
        due: WorkerDue,
    },
    /// None: refused for now, or the connection broke.
    ToClient {
        operation: usize,
        answer: Option<Box<Answer>>,
    },
    Client(ClientDue),
    Disaster(Disaster),
}

#[derive(Debug)]
struct Entry {
    at: Time,
    n: u64,
    what: What,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.n == other.n
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.n).cmp(&(other.at, other.n))
    }
}

/// Which way is cut.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cut {
    pub to_host: bool,
    pub to_worker: bool,
}

pub(super) struct Agenda {
    /// Since the run's start; no participant's clock.
    pub now: Time,
    pub rng: fastrand::Rng,
    entries: BinaryHeap<Reverse<Entry>>,
    n_entries: u64,
    pub rates: Rates,
    pub strikes: Strikes,
    pub cuts: BTreeMap<usize, Cut>,
}

impl Agenda {
    pub fn new(plan: &Plan, sabotage: Option<Sabotage>) -> Agenda {
        Agenda {
            now: Time::ZERO,
            rng: match sabotage {
                Some(Sabotage::ChanceDecides) => fastrand::Rng::new(),
                _ => fastrand::Rng::with_seed(plan.seed),
            },
            entries: BinaryHeap::new(),
            n_entries: 0,
            rates: plan.rates,
            strikes: Strikes::default(),
            cuts: BTreeMap::new(),
        }
    }

    pub fn at(&mut self, at: Time, what: What) {
        self.n_entries += 1;
        let entry = Entry { at: at.max(self.now), n: self.n_entries, what };
        self.entries.push(Reverse(entry));
    }

    pub fn after(&mut self, wait: Duration, what: What) {
        self.at(self.now.after(wait), what);
    }

    /// The next that happens, with time moved on to it.
    pub fn next(&mut self) -> Option<What> {
        let Reverse(entry) = self.entries.pop()?;
        self.now = entry.at;
        Some(entry.what)
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.rng.f64() < probability
    }

    /// Uniform in [from, to].
    pub fn between(&mut self, from: Duration, to: Duration) -> Duration {
        from + to.saturating_sub(from).mul_f64(self.rng.f64())
    }

    /// Exponentially distributed.
    pub fn around(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.rng.f64()).ln())
    }

    /// Mostly below a millisecond, sometimes seconds.
    fn transit(&mut self) -> Duration {
        let is_slow = self.strikes_now(FaultKind::Delay, self.rates.delay);
        let mean = if is_slow { Duration::from_secs(2) } else { Duration::from_micros(300) };
        self.around(mean)
    }

    /// True, and counted, with this probability.
    fn strikes_now(&mut self, kind: FaultKind, probability: f64) -> bool {
        let strikes = self.chance(probability);
        if strikes {
            self.strikes.add(kind);
        }
        strikes
    }

    fn is_lost(&mut self) -> bool {
        self.strikes_now(FaultKind::Loss, self.rates.loss)
    }

    /// Sends a worker's request; it may be lost, late, or arrive twice.
    pub fn send_to_host(&mut self, worker: Option<usize>, request: Request) {
        let is_cut = worker.and_then(|it| self.cuts.get(&it)).is_some_and(|cut| cut.to_host);
        if is_cut || self.is_lost() {
            return;
        }
        if self.strikes_now(FaultKind::Duplication, self.rates.duplication) {
            let wait = self.transit();
            self.after(wait, What::ToHost(Box::new(request.clone())));
        }
        let wait = self.transit();
        self.after(wait, What::ToHost(Box::new(request)));
    }

    pub fn send_to_worker(&mut self, worker: usize, life: u64, call: u64, answer: Answered) {
        let is_cut = self.cuts.get(&worker).is_some_and(|cut| cut.to_worker);
        if is_cut || self.is_lost() {
            return;
        }
        let wait = self.transit();
        self.after(wait, What::ToWorker { worker, life, call, answer: Box::new(answer) });
    }

    pub fn send_to_client(&mut self, operation: usize, answer: Option<Answer>) {
        if self.is_lost() {
            return;
        }
        let wait = self.transit();
        self.after(wait, What::ToClient { operation, answer: answer.map(Box::new) });
    }
}
