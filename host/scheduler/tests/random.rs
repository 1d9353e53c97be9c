//! Random worlds: whatever happens in whatever order, the invariants hold after every event, and
//! once workers behave, everything ends.

mod world;

use pointsman_scheduler::event::{
    FinishedAttempt, HeldAttempt, Measurements, Registration, SyncReport,
};
use pointsman_scheduler::policies::{Action, GroupBy, Proposal};
use pointsman_scheduler::record::{Failure, TaskState};
use pointsman_scheduler::settings::Discipline;
use pointsman_scheduler::spec::TaskSpec;
use pointsman_scheduler::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use world::{PlainPolicies, World, task};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What a worker process has in hand: attempts, and whether each runs.
#[derive(Default)]
struct Hands {
    life: u64,
    held: BTreeMap<AttemptRef, bool>,
}

const N_WORKERS: u64 = 4;
const GROUPINGS: [Option<GroupBy>; 3] = [None, Some(GroupBy::Tenant), Some(GroupBy::Job)];

struct Storm {
    world: World,
    dice: Dice,
    hands: BTreeMap<u64, Hands>,
    ids: BTreeMap<u64, WorkerId>,
    n_delivered: usize,
    n_jobs: u64,
}

impl Storm {
    fn new(seed: u64) -> Storm {
        let mut dice = Dice(seed);
        let mut settings =
            Settings { retention_finished: 5 + dice.roll(50), ..Settings::default() };
        let default = settings.queues.get_mut("default").expect("it is always there");
        default.reserve_after =
            [None, Some(Duration::from_secs(5)), Some(Duration::from_secs(600))]
                [dice.roll(3) as usize];
        let mut world = World::with(settings);
        world.policies = PlainPolicies {
            discipline: [Discipline::Greedy, Discipline::Strict, Discipline::Backfill]
                [dice.roll(3) as usize],
            node_local: dice.roll(2) == 0,
            banded: dice.roll(2) == 0,
            group_by: GROUPINGS[dice.roll(3) as usize],
            falls_to_plain: dice.roll(2) == 0,
            newest_first: dice.roll(4) == 0,
            ..PlainPolicies::default()
        };
        let mut storm = Storm {
            world,
            dice,
            hands: BTreeMap::new(),
            ids: BTreeMap::new(),
            n_delivered: 0,
            n_jobs: 0,
        };
        for worker in 0..N_WORKERS {
            storm.register(worker, true);
        }
        storm
    }

    fn name(worker: u64) -> String {
        format!("worker-{worker}")
    }

    fn registration(&mut self, worker: u64) -> Registration {
        let cpus = 1 + worker + self.dice.roll(2);
        let hands = &self.hands[&worker];
        let held = hands
            .held
            .iter()
            .map(|(attempt, running)| HeldAttempt { attempt: *attempt, running: *running });
        Registration {
            life: hands.life,
            held: held.collect(),
            ..self.world.registration(&Storm::name(worker), cpus)
        }
    }

    fn register(&mut self, worker: u64, is_new_life: bool) {
        let hands = self.hands.entry(worker).or_default();
        if is_new_life {
            hands.life += 1;
            hands.held.clear();
        }
        let registration = self.registration(worker);
        let request = self.world.request();
        match self.world.event(Event::Register { request, registration }) {
            Some(Answer::Registered { worker: id, stale }) => {
                self.ids.insert(worker, id);
                let hands = self.hands.get_mut(&worker).unwrap();
                for attempt in stale {
                    hands.held.remove(&attempt);
                }
            }
            other => panic!("not registered: {other:?}"),
        }
        self.deliver();
    }

    /// Start commands reach the hands of live processes.
    fn deliver(&mut self) {
        while let Some(start) = self.world.started.get(self.n_delivered) {
            self.n_delivered += 1;
            let id = start.worker;
            if let Some((worker, _)) = self.ids.iter().find(|(_, it)| **it == id) {
                self.hands.get_mut(worker).unwrap().held.insert(start.attempt, false);
            }
        }
    }

    fn sync(&mut self, worker: u64, ends_badly: bool) {
        let Some(id) = self.ids.get(&worker).copied() else { return };
        self.deliver();
        let mut report = SyncReport { life: self.hands[&worker].life, ..self.world.report(id) };
        let attempts: Vec<AttemptRef> = self.hands[&worker].held.keys().copied().collect();
        for attempt in attempts {
            let hands = self.hands.get_mut(&worker).unwrap();
            match self.dice.roll(3) {
                0 => {
                    hands.held.insert(attempt, true);
                    report.started.push(attempt);
                }
                1 => {
                    hands.held.remove(&attempt);
                    let failure = match self.dice.roll(4) {
                        0 if ends_badly => Some(Failure::ExitCode(1)),
                        1 if ends_badly => Some(Failure::Timeout),
                        _ => None,
                    };
                    let stopped = self.world.stopped.iter().any(|stop| stop.attempt == attempt);
                    let failure = if stopped { Some(Failure::Cancelled) } else { failure };
                    let ran = Some(Duration::from_millis(self.dice.roll(3000)));
                    report.finished.push(FinishedAttempt { attempt, failure, ran });
                }
                _ => {}
            }
        }
        report.measurements = Some(Measurements {
            cpu_used: Some(self.dice.roll(100) as f64 / 100.0),
            ..Measurements::default()
        });
        match self.world.sync_with(report) {
            Answer::Synced { stale } => {
                let hands = self.hands.get_mut(&worker).unwrap();
                stale.iter().for_each(|attempt| {
                    hands.held.remove(attempt);
                });
            }
            Answer::Refused(_) => self.register(worker, false),
            other => panic!("unexpected answer {other:?}"),
        }
        self.deliver();
    }

    fn submit(&mut self) {
        self.n_jobs += 1;
        let n_tasks = 1 + self.dice.roll(8);
        let mut tasks: Vec<TaskSpec> = Vec::new();
        for index in 0..n_tasks {
            let mut spec = task(&format!("t{index}"));
            spec.request.cpu_milli = 250 * (1 + self.dice.roll(12));
            spec.priority = self.dice.roll(5) as i32;
            spec.tenant = format!("tenant-{}", self.dice.roll(4)).into();
            spec.max_retries = Some(self.dice.roll(3) as u32);
            spec.max_worker_losses = Some(self.dice.roll(3) as u32);
            if self.dice.roll(2) == 0 {
                spec.expected = Some(Duration::from_secs(self.dice.roll(20)));
            }
            for dependency in 0..index {
                if self.dice.roll(4) == 0 {
                    spec.dependencies.push(format!("t{dependency}"));
                }
            }
            tasks.push(spec);
        }
        if self.dice.roll(3) == 0 {
            let mut single = tasks.remove(0);
            single.name = format!("single-{}", self.dice.roll(20));
            if self.dice.roll(2) == 0 {
                single.dependencies = vec![format!("single-{}", self.dice.roll(20))];
            }
            self.world.submit_one(single);
        } else {
            self.world.submit(tasks);
        }
        self.deliver();
    }

    fn some_task(&mut self) -> Option<TaskId> {
        let n_tasks = self.world.status.len() as u64;
        if n_tasks == 0 {
            return None;
        }
        let index = self.dice.roll(n_tasks) as usize;
        self.world.status.keys().nth(index).copied()
    }

    fn step(&mut self) {
        let worker = self.dice.roll(N_WORKERS);
        match self.dice.roll(20) {
            0..=3 => self.submit(),
            4..=10 => self.sync(worker, true),
            11 => self.world.pass(Duration::from_millis(self.dice.roll(4000))),
            12 => self.world.pass(Duration::from_secs(self.dice.roll(20))),
            13 => self.register(worker, true),
            14 => self.register(worker, false),
            15 => {
                if let Some(task) = self.some_task() {
                    let request = self.world.request();
                    self.world.event(Event::CancelTask { request, task });
                }
            }
            16 => {
                if let Some(task) = self.some_task() {
                    let request = self.world.request();
                    self.world.event(Event::RetryTask { request, task });
                }
            }
            17 => {
                let request = self.world.request();
                let paused = self.dice.roll(2) == 0;
                self.world.event(Event::PauseQueue { request, queue: "default".into(), paused });
                let action =
                    [Action::Migrate, Action::Requeue, Action::Cancel, Action::RaisePriority(9)]
                        [self.dice.roll(4) as usize];
                let reason = "chance".to_owned();
                self.world.policies.proposals.push(Proposal { row: 0, action, reason });
            }
            18 if self.dice.roll(3) == 0 => {
                self.world.policies.group_by = GROUPINGS[self.dice.roll(3) as usize];
                self.world.policies.generation += 1;
            }
            18 => {
                self.world.policies.fail_calls = self.dice.roll(3) as u32;
                self.world.policies.holds_ranks = self.dice.roll(4) == 0;
            }
            _ => {
                if let Some(job) = self.world.jobs.keys().next_back().copied()
                    && self.dice.roll(3) == 0
                {
                    let request = self.world.request();
                    self.world.event(Event::CancelJob { request, job });
                } else if self.dice.roll(2) == 0 {
                    self.world.restart(Duration::from_secs(self.dice.roll(5)));
                }
            }
        }
        self.deliver();
    }

    /// Everybody behaves from now on: all work ends, all capacity is free.
    fn settle(&mut self) {
        self.world.policies.holds_ranks = false;
        let request = self.world.request();
        self.world.event(Event::PauseQueue { request, queue: "default".into(), paused: false });
        for round in 0..2000 {
            for worker in 0..N_WORKERS {
                self.sync(worker, false);
            }
            self.world.pass(Duration::from_secs(1));
            let is_open = |state: TaskState| !state.is_terminal();
            let open: Vec<TaskId> = self
                .world
                .status
                .iter()
                .filter(|(_, status)| is_open(status.state))
                .map(|(id, _)| *id)
                .collect();
            let can_run: BTreeSet<TaskId> = open
                .iter()
                .copied()
                .filter(|id| self.world.added[id].spec.request.cpu_milli <= 4000)
                .collect();
            if can_run.is_empty() {
                return;
            }
            assert!(
                round < 1999,
                "never end: {:?}",
                can_run
                    .iter()
                    .map(|id| (id, self.world.scheduler.reason(*id), self.world.state(*id)))
                    .collect::<Vec<_>>()
            );
        }
    }
}

#[test]
fn no_invariant_breaks_and_nothing_waits_for_ever() {
    for seed in 0..150 {
        let mut storm = Storm::new(seed);
        for _ in 0..120 {
            storm.step();
        }
        storm.settle();
    }
}

/// Equal events and equal policy answers give equal effects.
#[test]
fn the_same_seed_gives_the_same_story() {
    let story = |seed| {
        let mut storm = Storm::new(seed);
        for _ in 0..200 {
            storm.step();
        }
        (storm.world.started, storm.world.stopped, storm.world.answers, storm.world.status)
    };
    for seed in 0..5 {
        assert_eq!(story(seed), story(seed));
    }
}
