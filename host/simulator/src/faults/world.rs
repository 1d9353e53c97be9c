//! Everybody, and one thing after the other.

use super::agenda::{Agenda, What};
use super::checker::Checker;
use super::client::Client;
use super::disaster;
use super::host::Host;
use super::profile::Profile;
use super::sabotage::Sabotage;
use super::worker::{Around, SimWorker};
use pointsman_scheduler::{Settings, Time};
use std::collections::VecDeque;
use std::time::Instant;

pub(super) struct World {
    pub profile: Profile,
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

impl World {
    pub fn new(seed: u64, profile: Profile, sabotage: Option<Sabotage>) -> World {
        let mut agenda = Agenda::new(seed, &profile);
        let epoch = Instant::now();
        let cpus = |agenda: &mut Agenda| agenda.rng.u64(2..=4);
        let workers = (0..profile.n_workers)
            .map(|index| SimWorker::new(index, cpus(&mut agenda), epoch))
            .collect();
        let client = Client::new(&mut agenda, &profile);
        disaster::begin(&mut agenda, &profile);
        let mut world = World {
            host: Host::new(seed, Settings::default(), profile.policy_faults),
            profile,
            sabotage,
            agenda,
            workers,
            client,
            checker: Checker::new(),
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

    /// To the end, to the first violation, or for so many steps.
    pub fn play(&mut self, max_steps: u64) {
        let deadline = Time::ZERO.after(self.profile.active).after(self.profile.patience());
        while self.checker.violations.is_empty() && self.n_steps < max_steps {
            if self.is_over() {
                self.check_rest();
                return;
            }
            let Some(what) = self.agenda.next().filter(|_| self.agenda.now < deadline) else {
                self.complain_of_waiting();
                return;
            };
            self.n_steps += 1;
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
            What::Client(due) => client.handle_due(around.agenda, due),
            What::Disaster(disaster) => self.strike(disaster),
        }
    }

    pub fn start_host(&mut self) {
        if !self.host.is_down() {
            return;
        }
        let most = self.profile.clock_step.as_nanos() as i64;
        let step = if most > 0 { self.agenda.rng.i64(-most..=most) } else { 0 };
        let World { agenda, checker, host, sabotage, .. } = self;
        host.start(&mut Around { agenda, checker, sabotage: *sabotage }, step);
    }

    /// What came to the host while it was paused, in order.
    pub fn replay_of_host(&mut self) {
        let now = self.agenda.now;
        for what in self.host.take_deferred() {
            self.agenda.at(now, what);
        }
    }

    pub fn resume_worker(&mut self, worker: usize) {
        let now = self.agenda.now;
        for what in self.workers[worker].resume() {
            self.agenda.at(now, what);
        }
    }

    fn is_over(&self) -> bool {
        self.is_healed
            && self.client.is_done()
            && self.checker.unfinished().is_empty()
            && self.host.unrest().is_empty()
            && self.workers.iter().all(|worker| worker.unrest().is_none())
    }

    fn check_rest(&mut self) {
        let found = self.checker.unrest();
        self.checker.violations.extend(found);
    }

    fn complain_of_waiting(&mut self) {
        for task in self.checker.unfinished() {
            let reason = self.host.reason(task);
            self.checker.complain(format!("{task} never ends: {reason}"));
        }
        let of_workers = self.workers.iter().filter_map(SimWorker::unrest);
        self.checker.violations.extend(of_workers);
        self.checker.violations.extend(self.host.unrest());
        if !self.client.is_done() {
            self.checker.complain("a client never gets its answer".to_owned());
        }
    }
}
