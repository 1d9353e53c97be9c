//! Everybody, and one thing after the other.

use super::agenda::{Agenda, What};
use super::checker::Checker;
use super::client::Client;
use super::disaster::Disaster;
use super::host::Host;
use super::invariant::Invariant;
use super::plan::Plan;
use super::sabotage::Sabotage;
use super::worker::{Around, SimWorker};
use pointsman_scheduler::{Settings, Time};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

pub(super) struct World {
    pub plan: Plan,
    pub sabotage: Option<Sabotage>,
    pub agenda: Agenda,
    pub host: Host,
    pub workers: Vec<SimWorker>,
    pub client: Client,
    pub checker: Checker,
    pub is_healed: bool,
    pub n_steps: u64,
    /// What happened last, in words.
    pub tail: VecDeque<String>,
}

const TAIL: usize = 60;
/// Long enough for every retry, loss and backoff of what is left when the faults end.
const PATIENCE: Duration = Duration::from_secs(3600);

impl World {
    pub fn new(plan: Plan, sabotage: Option<Sabotage>) -> World {
        let mut agenda = Agenda::new(&plan, sabotage);
        let epoch = Instant::now();
        let workers = plan.workers.iter().enumerate();
        let workers = workers.map(|(index, it)| SimWorker::new(index, it, epoch)).collect();
        let client = Client::new(&mut agenda, &plan);
        let at = |ms: u64| Time::ZERO.after(Duration::from_millis(ms));
        for (index, fault) in plan.faults.iter().enumerate() {
            agenda.at(at(fault.at_ms), What::Disaster(Disaster::Begin(index)));
        }
        agenda.at(at(plan.active_ms), What::Disaster(Disaster::Heal));
        let mut world = World {
            host: Host::new(plan.seed, Settings::default()),
            checker: Checker::new(&plan),
            plan,
            sabotage,
            agenda,
            workers,
            client,
            is_healed: false,
            n_steps: 0,
            tail: VecDeque::new(),
        };
        world.start_host();
        for worker in &mut world.workers {
            worker.start(&mut world.agenda);
        }
        world
    }

    /// To the end, to the first thing that does not hold, or for so many steps.
    pub fn play(&mut self, max_steps: u64) {
        let deadline = Time::ZERO.after(Duration::from_millis(self.plan.active_ms) + PATIENCE);
        while self.checker.broken.is_empty() && self.n_steps < max_steps {
            if self.is_over() {
                self.checker.check_rest();
                return;
            }
            let Some(what) = self.agenda.next().filter(|_| self.agenda.now < deadline) else {
                self.complain_of_waiting();
                return;
            };
            self.n_steps += 1;
            self.checker.now = self.agenda.now;
            self.note(&what);
            self.happen(what);
        }
    }

    fn note(&mut self, what: &What) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        let mut text = format!("{:>10.3} ms {what:?}", self.agenda.now.0 as f64 / 1e6);
        text.truncate(text.floor_char_boundary(400));
        self.tail.push_back(text);
    }

    fn happen(&mut self, what: What) {
        let World { agenda, checker, host, workers, client, sabotage, .. } = self;
        let mut around = Around { agenda, checker, sabotage: *sabotage };
        match what {
            What::Host { life, due } => host.handle_due(&mut around, life, due),
            What::ToHost(request) => host.handle_request(&mut around, *request),
            What::ToWorker { worker, life, call, answer } => {
                workers[worker].handle_answer(&mut around, life, call, *answer);
            }
            What::Worker { worker, life, due } => {
                workers[worker].handle_due(&mut around, life, due);
            }
            What::ToClient { operation, answer } => {
                client.handle_answer(around.checker, operation, answer.map(|it| *it));
            }
            What::Client(due) => client.handle_due(around.agenda, around.checker, due),
            What::Disaster(disaster) => self.strike(disaster),
        }
    }

    pub fn start_host(&mut self) {
        let World { agenda, checker, host, sabotage, .. } = self;
        if host.is_down() {
            host.start(&mut Around { agenda, checker, sabotage: *sabotage });
        }
    }

    /// What came to the host while it was paused, in order.
    pub fn resume_host(&mut self) {
        self.host.is_paused = false;
        let now = self.agenda.now;
        for what in self.host.take_deferred() {
            self.agenda.at(now, what);
        }
    }

    pub fn resume_worker(&mut self, worker: usize) {
        let now = self.agenda.now;
        for what in self.workers[worker].resume(now) {
            self.agenda.at(now, what);
        }
    }

    fn is_over(&self) -> bool {
        self.is_healed
            && self.client.is_done()
            && self.checker.unfinished().is_empty()
            && self.workers.iter().all(|worker| worker.unrest().is_none())
            && self.host.unrest().is_empty()
    }

    fn complain_of_waiting(&mut self) {
        let World { checker, host, workers, client, .. } = self;
        let mut waits = |text: String| checker.complain(Invariant::EverythingEnds, text);
        workers.iter().filter_map(SimWorker::unrest).for_each(&mut waits);
        if !client.is_done() {
            waits("a client never gets its answer".to_owned());
        }
        for task in checker.unfinished() {
            let text = format!("{task} never ends: {}", host.reason(task));
            checker.complain(Invariant::EverythingEnds, text);
        }
        checker.broken.extend(host.unrest());
    }
}
