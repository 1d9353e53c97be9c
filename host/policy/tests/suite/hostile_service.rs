//! Hostile policies in service for a while: what they must not do to the driver, to later calls and to
//! the host's memory.

use crate::forecasting::Forecaster;
use crate::guests::Guest;
use pointsman_fixtures::{Fault, SIGNAL, config, hostile};
use pointsman_policy::{
    Binding, FixedPolicies, ForecastHost, Incident, IncidentKind, LibrarySettings, Limits,
    OnFailure, PolicyHost, PolicyLibrary, Source,
};
use pointsman_scheduler::Slot;
use pointsman_scheduler::policies::{CallError, Policies};
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(120);
const CALM: f64 = 5.0;

/// The hostile scoring policy with `fault`, under real limits.
fn scoring(fault: Fault) -> PolicyHost {
    let source = Source::Wasm {
        name: "hostile".to_owned(),
        bytes: Arc::from(hostile("scoring").bytes),
        config: config("scoring.score", fault),
    };
    PolicyHost::fixed(FixedPolicies {
        scoring: source,
        queue: Source::Native("fifo".to_owned()),
        rescheduling: None,
        limits: Limits::compiled(),
        on_failure: OnFailure::LastGood,
    })
    .unwrap()
}

/// The name of whoever scores a task of this priority, in a round of its own.
fn ask(host: &mut PolicyHost, priority: f64) -> String {
    host.begin_round();
    let mut scores = Vec::new();
    for _ in 0..4 {
        let profile = host.scoring();
        let task = vec![priority; profile.needs_task.len()];
        let workers = vec![vec![0.25]; profile.needs_worker.len()];
        match host.score(&task, &workers, 1, &mut scores) {
            Ok(()) => return profile.name.clone(),
            Err(CallError::NextRung) => {}
            // The policies' time of this second is used up.
            Err(CallError::Held) => {
                // The host tells when to come again, as it tells the driver.
                std::thread::sleep(host.wake_in().unwrap());
                host.begin_round();
            }
        }
    }
    panic!("no rung answered");
}

fn n_failed(incidents: &[Incident]) -> usize {
    incidents.iter().filter(|it| matches!(it.kind, IncidentKind::Failed { .. })).count()
}

#[test]
fn a_call_that_panics_makes_no_later_call_fail() {
    for fault in [Fault::Panic, Fault::Recurse, Fault::Grow, Fault::Endless] {
        let mut host = scoring(fault);
        let signal = f64::from(SIGNAL);
        let tasks = (1..=100).map(|number| if number == 2 { signal } else { CALM });
        let names: Vec<String> = tasks.map(|priority| ask(&mut host, priority)).collect();
        assert_eq!(names[1], "weighted-score", "{fault:?}");
        let others = names.iter().enumerate().filter(|(at, _)| *at != 1);
        for (at, name) in others {
            assert_eq!(name, "hostile-scoring", "{fault:?}: call {}", at + 1);
        }
        assert_eq!(n_failed(&host.take_incidents()), 1, "{fault:?}");
    }
}

/// Resident memory of this process.
fn resident_mib() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells it");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it is told");
    let kib: usize = line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).unwrap();
    kib / 1024
}

#[test]
fn ten_thousand_calls_that_leak_a_mebibyte_each_neither_fail_nor_fill_memory() {
    let mut host = scoring(Fault::Leak);
    ask(&mut host, f64::from(SIGNAL));
    let before = resident_mib();
    for _ in 0..10_000 {
        assert_eq!(ask(&mut host, f64::from(SIGNAL)), "hostile-scoring");
    }
    let grown = resident_mib().saturating_sub(before);
    // Two instances at their limit, and what the allocator keeps.
    assert!(grown < 64, "{grown} MiB");
    assert_eq!(n_failed(&host.take_incidents()), 0);
}

#[test]
fn ten_thousand_calls_that_grow_until_refused_leave_memory_flat() {
    let mut host = scoring(Fault::GrowAndGoOn);
    ask(&mut host, f64::from(SIGNAL));
    let before = resident_mib();
    for _ in 0..10_000 {
        assert_eq!(ask(&mut host, f64::from(SIGNAL)), "hostile-scoring");
    }
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < 32, "{grown} MiB");
    assert_eq!(n_failed(&host.take_incidents()), 0);
}

fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec that outlives the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A scoring policy whose `configure` counts for a while, and that traps on [`SIGNAL`].
fn slow_to_configure() -> Vec<u8> {
    let guest = Guest {
        properties: crate::guests::pairs(&[
            ("needs-task", "priority"),
            ("needs-worker", "cpu-load"),
        ]),
        extra: "(global $n (mut i32) (i32.const 0))".to_owned(),
        on_configure: "(loop $l (global.set $n (i32.add (global.get $n) (i32.const 1))) \
            (br_if $l (i32.lt_u (global.get $n) (i32.const 200000000))))"
            .to_owned(),
        on_call: format!(
            "(if (f64.eq (f64.const {SIGNAL}) (f64.load (local.get $task))) (then unreachable))"
        ),
        ..Guest::scoring("slow-to-configure")
    };
    guest.build()
}

#[test]
fn a_slow_configure_never_runs_on_the_thread_that_plans() {
    let mut host = PolicyHost::fixed(FixedPolicies {
        scoring: Source::Wasm {
            name: "slow".to_owned(),
            bytes: Arc::from(slow_to_configure()),
            config: "{}".to_owned(),
        },
        queue: Source::Native("fifo".to_owned()),
        rescheduling: None,
        limits: Limits::compiled(),
        on_failure: OnFailure::LastGood,
    })
    .unwrap();
    assert_eq!(ask(&mut host, CALM), "slow-to-configure");
    let before = thread_cpu();
    assert_eq!(ask(&mut host, f64::from(SIGNAL)), "weighted-score");
    assert_eq!(ask(&mut host, CALM), "weighted-score", "its instance is being made");
    let deadline = Instant::now() + PATIENCE;
    while ask(&mut host, CALM) != "slow-to-configure" {
        assert!(Instant::now() < deadline);
        host.idle();
        // Nothing tells that the instance is there: the driver looks again too.
        std::thread::sleep(Duration::from_millis(5));
    }
    let used = thread_cpu() - before;
    assert!(used < Duration::from_millis(100), "{used:?}");
}

/// A slot with a policy that works and then a hostile one, in a folder.
struct Setup {
    host: PolicyHost,
    forecasts: ForecastHost,
    library: PolicyLibrary,
    slot: Slot,
    on_failure: OnFailure,
    root: TempDir,
}

impl Setup {
    fn new(slot: Slot, on_failure: OnFailure) -> Setup {
        let root = TempDir::new().unwrap();
        let directory = Some(root.path().to_owned());
        let settings = LibrarySettings { directory, ..LibrarySettings::default() };
        let (host, library) = PolicyHost::start(settings).unwrap();
        let forecasts = library.take_forecasts().unwrap();
        Setup { host, forecasts, library, slot, on_failure, root }
    }

    fn drop_in(&mut self, bytes: &[u8], config: &str) {
        fs::write(self.root.path().join("p.wasm"), bytes).unwrap();
        let binding =
            Binding { config: config.to_owned(), on_failure: self.on_failure, ..Binding::to("p") };
        self.library.bind(self.slot, Some(binding));
        self.library.rescan();
        assert!(self.library.settle(PATIENCE));
        self.begin_round();
    }

    fn begin_round(&mut self) {
        self.host.begin_round();
        self.forecasts.begin_round();
    }

    /// Who answers about a task of this priority; None: nobody, the slot is held.
    fn ask(&mut self, priority: f64) -> Option<String> {
        let held = |error| assert_eq!(error, CallError::Held);
        self.begin_round();
        for _ in 0..4 {
            let (name, answer) = match self.slot {
                Slot::Scoring => {
                    let profile = self.host.scoring();
                    let task = vec![priority; profile.needs_task.len()];
                    let workers = vec![vec![0.25]; profile.needs_worker.len()];
                    let mut scores = Vec::new();
                    (profile.name.clone(), self.host.score(&task, &workers, 1, &mut scores))
                }
                Slot::Queue => {
                    let profile = self.host.queue();
                    let tasks = vec![vec![priority]; profile.needs_task.len()];
                    let mut ranks = Vec::new();
                    (profile.name.clone(), self.host.rank(0.0, &tasks, 1, &mut ranks))
                }
                Slot::Rescheduling => {
                    let Some(profile) = self.host.rescheduling() else {
                        return Some("none".to_owned());
                    };
                    let tasks = vec![vec![priority]; profile.needs_task.len()];
                    let workers = vec![vec![0.25]; profile.needs_worker.len()];
                    let answer = self.host.review(0.0, &tasks, &[0], &workers);
                    (profile.name.clone(), answer.map(|_| ()))
                }
                Slot::Forecasting => {
                    let Some((_, profile)) = self.forecasts.serving() else {
                        return Some("none".to_owned());
                    };
                    let workers = vec![vec![priority]; profile.n_lists()];
                    let answer = self.forecasts.forecast(&profile, &workers, 1);
                    (profile.name.clone(), answer.map(|_| ()))
                }
            };
            match answer {
                Ok(()) => return Some(name),
                Err(CallError::NextRung) => {}
                Err(error @ CallError::Held) => {
                    held(error);
                    return None;
                }
            }
        }
        panic!("no rung answered");
    }
}

#[test]
fn no_slot_falls_elsewhere_than_its_setting_says() {
    let native = |slot| match slot {
        Slot::Scoring => "weighted-score",
        Slot::Queue => "fifo",
        Slot::Rescheduling | Slot::Forecasting => "none",
    };
    let good = |slot| match slot {
        Slot::Scoring => Guest::scoring("good").build(),
        Slot::Queue => Guest::queue("good").build(),
        Slot::Rescheduling => Guest::rescheduling("good").build(),
        Slot::Forecasting => Forecaster::named("good").build(),
    };
    let function = |slot| match slot {
        Slot::Scoring => "scoring.score",
        Slot::Queue => "queue.rank",
        Slot::Rescheduling => "rescheduling.review",
        Slot::Forecasting => "forecasting.forecast",
    };
    for slot in Slot::ALL {
        for on_failure in [OnFailure::LastGood, OnFailure::Builtin, OnFailure::Hold] {
            let mut it = Setup::new(slot, on_failure);
            it.drop_in(&good(slot), "{}");
            assert_eq!(it.ask(CALM).as_deref(), Some("good"));
            it.drop_in(hostile(slot.name()).bytes, &config(function(slot), Fault::Panic));
            let expected = match on_failure {
                OnFailure::LastGood => Some("good"),
                OnFailure::Builtin => Some(native(slot)),
                OnFailure::Hold => None,
            };
            let answered = it.ask(f64::from(SIGNAL));
            assert_eq!(answered.as_deref(), expected, "{} {}", slot.name(), on_failure.name());
            let hostile = format!("hostile-{}", slot.name());
            let again = it.ask(CALM);
            let incidents = it.forecasts.take_incidents();
            assert_eq!(again, Some(hostile), "the next round is its own again: {incidents:?}");
        }
    }
}

#[test]
fn a_policy_that_keeps_failing_is_given_up_and_new_content_serves_at_once() {
    let mut it = Setup::new(Slot::Scoring, OnFailure::LastGood);
    it.drop_in(&Guest::constant("good", 0.5).build(), "{}");
    it.drop_in(hostile("scoring").bytes, &config("scoring.score", Fault::Above));
    let deadline = Instant::now() + PATIENCE;
    let mut incidents = Vec::new();
    while !incidents.iter().any(|it: &Incident| it.kind == IncidentKind::Quarantined) {
        assert!(Instant::now() < deadline, "{incidents:#?}");
        assert_eq!(it.ask(f64::from(SIGNAL)).as_deref(), Some("good"), "every round is answered");
        incidents.extend(it.host.take_incidents());
        // Between rounds; the back-off between two failures is real time.
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(n_failed(&incidents), 3);
    assert!(incidents.iter().any(|it| it.message.ends_with("good 0.5 is restored")
        || it.message.ends_with("good 1.0.0 is restored")));
    for _ in 0..3 {
        assert_eq!(it.ask(CALM).as_deref(), Some("good"));
    }
    // Another configuration is other content.
    it.drop_in(hostile("scoring").bytes, &config("scoring.score", Fault::Below));
    assert_eq!(it.ask(CALM).as_deref(), Some("hostile-scoring"));
}

#[test]
fn an_explanation_that_never_ends_is_asked_for_once_and_not_for_every_worker() {
    let mut it = Setup::new(Slot::Scoring, OnFailure::LastGood);
    it.drop_in(hostile("scoring").bytes, &config("explanation.explain", Fault::Endless));
    let stamp = it.host.scoring().stamp;
    let before = thread_cpu();
    let explained = it.library.explain_all(stamp, &[CALM], &[vec![0.5; 10_000]]).unwrap();
    assert!(explained.terms.is_empty());
    let why = explained.ended_by.unwrap();
    assert!(why.starts_with("hostile-scoring 6.6.6: explain "), "{why}");
    assert!(thread_cpu() - before < Duration::from_secs(1));
    assert_eq!(it.ask(CALM).as_deref(), Some("hostile-scoring"), "placing goes on");
}
