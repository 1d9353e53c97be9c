//! The policy `trend` as the binary carries it, in the production scheduler: at which measurement of
//! a rising series it moves work, and that no flat or noisy one makes it.

use pointsman_policy::{FixedPolicies, Limits, OnFailure, PolicyHost, Source};
use pointsman_scheduler::event::{HeldAttempt, Measurements, Registration, SyncReport};
use pointsman_scheduler::record::Snapshot;
use pointsman_scheduler::resources::Capacity;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use pointsman_scheduler::{
    Answer, AttemptRef, Effect, Event, Notice, RequestId, Scheduler, Settings, StopReason, Term,
    Time, WorkerId,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const HEARTBEAT: Duration = Duration::from_secs(5);
/// Registered in this order.
const WATCHED: WorkerId = WorkerId(1);
const IDLE: WorkerId = WorkerId(2);

struct Site {
    scheduler: Scheduler,
    policies: PolicyHost,
    now: Time,
    effects: Vec<Effect>,
    /// What the watched worker runs.
    attempts: Vec<AttemptRef>,
    n_registrations: u64,
}

impl Site {
    /// Two tasks run on the watched worker, another one is idle.
    fn new(config: &str) -> Site {
        let trend = pointsman_bundle::find("trend").expect("a standard policy");
        let native = |name: &str| Source::Native(name.to_owned());
        let policies = PolicyHost::fixed(FixedPolicies {
            scoring: native("weighted-score"),
            queue: native("fifo"),
            rescheduling: Some(Source::Wasm {
                name: "trend".to_owned(),
                bytes: Arc::from(trend.bytes),
                config: config.to_owned(),
            }),
            limits: Limits::fuel(),
            on_failure: OnFailure::LastGood,
        });
        let policies = policies.expect("the host admits its own policies");
        let (settings, nothing) = (Settings::default(), Snapshot::default());
        let mut effects = Vec::new();
        let scheduler = Scheduler::recover(settings, 0, Term(1), Time::ZERO, nothing, &mut effects);
        let mut site = Site {
            scheduler,
            policies,
            now: Time::ZERO,
            effects,
            attempts: Vec::new(),
            n_registrations: 0,
        };
        site.register(WATCHED);
        let task = |name: &str| Arc::new(TaskSpec::new(name, "true"));
        let job = JobSpec { name: "job".to_owned(), tasks: ["a", "b"].map(task).to_vec() };
        site.handle(Event::SubmitJob { request: RequestId(0), key: None, job });
        let started = site.plan();
        assert_eq!(started.iter().filter(|it| matches!(it, Effect::Start(_))).count(), 2);
        let attempt = |effect: &Effect| match effect {
            Effect::Start(start) => Some(start.attempt),
            _ => None,
        };
        site.attempts = started.iter().filter_map(attempt).collect();
        site.sync(WATCHED, site.attempts.clone(), None);
        site.register(IDLE);
        site
    }

    fn handle(&mut self, event: Event) {
        self.scheduler.handle(self.now, event, &mut self.effects);
    }

    fn plan(&mut self) -> Vec<Effect> {
        self.scheduler.plan(self.now, &mut self.policies, &mut self.effects);
        assert!(self.policies.take_incidents().is_empty());
        std::mem::take(&mut self.effects)
    }

    /// A worker shows its token, with what it runs.
    fn register(&mut self, worker: WorkerId) {
        self.n_registrations += 1;
        let held = |attempt: &AttemptRef| HeldAttempt { attempt: *attempt, running: true };
        let held =
            if worker == WATCHED { self.attempts.iter().map(held).collect() } else { vec![] };
        let registration = Registration {
            name: format!("worker-{}", worker.0),
            token_hash: [worker.0 as u8; 32],
            life: 1,
            n: self.n_registrations,
            capacity: Capacity { cpu_milli: 8000, memory: 1 << 34, gpus: 0 },
            labels: BTreeMap::new(),
            held,
            finished: Vec::new(),
        };
        self.handle(Event::Register { request: RequestId(0), registration });
        let refused =
            |effect: &Effect| matches!(effect, Effect::Answer { answer: Answer::Refused(_), .. });
        assert!(!self.effects.iter().any(refused), "a registration was refused");
    }

    fn sync(&mut self, worker: WorkerId, started: Vec<AttemptRef>, cpu_used: Option<f64>) {
        let measured = |cpu_used| Measurements { cpu_used: Some(cpu_used), ..Default::default() };
        let report = SyncReport {
            worker,
            life: 1,
            measurements: cpu_used.map(measured),
            started,
            finished: Vec::new(),
            feedback: Vec::new(),
        };
        self.handle(Event::Sync { request: RequestId(0), report });
    }

    /// Measures the series, one value a heartbeat; answers after which value a task was first told
    /// to move, and why.
    fn first_move(&mut self, series: impl IntoIterator<Item = f64>) -> Option<(usize, String)> {
        for (at, cpu_used) in series.into_iter().enumerate() {
            self.now = self.now.after(HEARTBEAT);
            self.sync(WATCHED, Vec::new(), Some(cpu_used));
            self.sync(IDLE, Vec::new(), Some(0.1));
            let effects = self.plan();
            let proposed = effects.iter().find_map(|effect| match effect {
                Effect::Publish(Notice::Rescheduling { reason, verdict, .. }) => {
                    Some((reason, verdict))
                }
                _ => None,
            });
            let Some((reason, verdict)) = proposed else { continue };
            assert_eq!(verdict, "accepted");
            let stops = effects.iter().filter_map(|effect| match effect {
                Effect::Stop(stop) => Some((stop.worker, stop.why)),
                _ => None,
            });
            assert!(stops.eq([(WATCHED, StopReason::Migrated)]), "one at a time");
            return Some((at, reason.clone()));
        }
        None
    }
}

/// From `start`, `per_minute` more each minute.
fn rising(start: f64, per_minute: f64) -> impl Iterator<Item = f64> {
    (0..200).map(move |at| (start + per_minute / 12.0 * f64::from(at)).min(1.0))
}

/// Between -1 and 1, the same each time.
fn noise(at: usize) -> f64 {
    let mixed = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

#[test]
fn work_moves_at_the_first_measurement_from_which_the_line_crosses_in_time() {
    // 30 points a minute: 85 % is a minute away from 55 % on, which the eleventh value passes.
    let moved = Site::new("{}").first_move(rising(0.31, 0.3));
    let reason = "cpu of its worker rises and crosses 85 % in 58 s";
    assert_eq!(moved, Some((10, reason.to_owned())));
    // Further ahead, earlier: 100 s are 50 points, so that 35 % is enough; the line is there at the
    // eighth value only.
    let moved = Site::new(r#"{"horizon_s":100}"#).first_move(rising(0.31, 0.3));
    assert_eq!(moved.map(|(at, _)| at), Some(7));
    // Slower, later, and still in time: 6 points a minute, from 79 % on.
    let moved = Site::new("{}").first_move(rising(0.312, 0.06));
    assert_eq!(moved.map(|(at, _)| at), Some(96));
}

#[test]
fn no_flat_load_moves_work_however_high() {
    for level in [0.0, 0.3, 0.84, 0.85, 0.95, 1.0] {
        assert_eq!(Site::new("{}").first_move([level; 300]), None, "{level}");
    }
}

#[test]
fn no_noise_moves_work() {
    for (level, spread) in [(0.5, 0.1), (0.6, 0.1), (0.75, 0.02), (0.8, 0.01)] {
        let series = (0..1000).map(|at| level + spread * noise(at));
        assert_eq!(Site::new("{}").first_move(series), None, "{level} ± {spread}");
    }
    // Noise that all but reaches the limit by itself is told apart by asking for more certainty.
    let series = (0..1000).map(|at| 0.5 + 0.3 * noise(at));
    assert_eq!(Site::new(r#"{"certainty":6}"#).first_move(series), None);
}

#[test]
fn no_falling_load_moves_work() {
    let series = (0..100).map(|at| 1.0 - 0.01 * f64::from(at));
    assert_eq!(Site::new("{}").first_move(series), None);
}

#[test]
fn nothing_measured_before_a_worker_came_back_counts() {
    let mut site = Site::new("{}");
    let mut series = rising(0.31, 0.3);
    assert_eq!(site.first_move(series.by_ref().take(10)), None);
    site.register(WATCHED);
    // It takes eight values again until there is a line.
    assert_eq!(site.first_move(series).map(|(at, _)| at), Some(7));
}

#[test]
fn noise_does_not_hide_a_rise() {
    let series = rising(0.3, 0.12).enumerate().map(|(at, level)| level + 0.04 * noise(at));
    let (at, reason) = Site::new("{}").first_move(series).expect("it rises");
    // The level without noise reaches 73 % at the 43rd value and 85 % at the 55th.
    assert!((40..=54).contains(&at), "after value {at}: {reason}");
}
