//! Failures of a policy in force: each round is answered, and each failure has a next step.

use crate::guests::Guest;
use pointsman_policy::{
    FailureKind, FixedPolicies, Incident, IncidentKind, Limits, OnFailure, PolicyHost, Source,
};
use pointsman_scheduler::policies::{CallError, Policies};
use std::sync::Arc;
use std::time::Duration;

/// A worker whose load makes the guests of [`on_signal`] misbehave; no trial call has it.
const SIGNAL: f64 = 0.123_456;

/// A scoring policy that runs `statements` when it sees [`SIGNAL`].
fn on_signal(statements: &str) -> Guest {
    Guest {
        on_call: format!(
            "(if (local.get $n_rows) (then (if (f64.eq (f64.const {SIGNAL}) \
             (f64.load (i32.load (local.get $columns)))) (then {statements}))))"
        ),
        ..Guest::scoring("moody")
    }
}

fn fixed(guest: &Guest, limits: Limits, on_failure: OnFailure) -> PolicyHost {
    let bytes = Arc::from(guest.build());
    PolicyHost::fixed(FixedPolicies {
        scoring: Source::Wasm { name: guest.name.clone(), bytes, config: "{}".to_owned() },
        queue: Source::Native("fifo".to_owned()),
        rescheduling: None,
        limits,
        on_failure,
    })
    .unwrap()
}

/// Scores one worker of this load in a round at `ms`; asks again as the scheduler does.
fn ask(host: &mut PolicyHost, ms: u64, load: f64) -> Result<(String, f64), CallError> {
    host.set_time(Duration::from_millis(ms));
    host.begin_round();
    let mut scores = Vec::new();
    for _ in 0..4 {
        let profile = host.scoring();
        let columns = vec![vec![load]; profile.needs_worker.len()];
        match host.score(&[], &columns, 1, &mut scores) {
            Ok(()) => return Ok((profile.name.clone(), scores[0])),
            Err(CallError::NextRung) => assert_ne!(host.scoring().stamp, profile.stamp),
            Err(CallError::Held) => return Err(CallError::Held),
        }
    }
    panic!("no rung answered");
}

fn failures(incidents: &[Incident]) -> Vec<FailureKind> {
    let kind = |incident: &Incident| match incident.kind {
        IncidentKind::Failed { kind, .. } => Some(kind),
        IncidentKind::Quarantined | IncidentKind::Waiting | IncidentKind::Serving => None,
    };
    incidents.iter().filter_map(kind).collect()
}

#[test]
fn each_kind_of_failure_is_answered_by_the_native_policy_in_the_same_round() {
    let answer = |at: u32, length: u32| {
        format!(
            "(i32.store8 offset=16 (i32.const 0) (i32.const 0)) \
             (i32.store offset=20 (i32.const 0) (i32.const {at})) \
             (i32.store offset=24 (i32.const 0) (i32.const {length})) (return (i32.const 16))"
        )
    };
    let store = |value: &str| format!("(f64.store (i32.const 512) (f64.const {value}))");
    let cases = [
        ("unreachable".to_owned(), FailureKind::Trap),
        ("(loop $l (br $l))".to_owned(), FailureKind::FuelLimit),
        (answer(512, 2), FailureKind::WrongLength),
        (answer(512, 0), FailureKind::WrongLength),
        (store("nan") + &answer(512, 1), FailureKind::NotANumber),
        (store("inf") + &answer(512, 1), FailureKind::OutOfRange),
        (answer(0xffff_fff0, 1), FailureKind::Trap),
        (
            "(if (i32.eq (i32.const -1) (memory.grow (i32.const 9000))) (then unreachable))"
                .to_owned(),
            FailureKind::MemoryLimit,
        ),
    ];
    for (statements, kind) in cases {
        let mut host = fixed(&on_signal(&statements), Limits::fuel(), OnFailure::LastGood);
        assert_eq!(ask(&mut host, 0, 0.5).unwrap(), ("moody".to_owned(), 0.5));
        assert!(host.take_incidents().is_empty());
        let (name, score) = ask(&mut host, 10, SIGNAL).unwrap();
        assert_eq!(name, "weighted-score", "{statements}");
        assert!((0.0..=1.0).contains(&score));
        assert_eq!(failures(&host.take_incidents()), [kind], "{statements}");
    }
}

#[test]
fn an_endless_call_ends_by_cpu_time() {
    let guest = on_signal("(loop $l (br $l))");
    let mut host = fixed(&guest, Limits::compiled(), OnFailure::LastGood);
    assert_eq!(ask(&mut host, 0, SIGNAL).unwrap().0, "weighted-score");
    let incidents = host.take_incidents();
    // On a machine so busy that the backstop comes first, that is right as well.
    let kinds = failures(&incidents);
    assert!(matches!(kinds[..], [FailureKind::CpuLimit | FailureKind::WallLimit]), "{kinds:?}");
}

#[test]
fn a_failed_policy_serves_the_next_round_and_after_another_failure_waits_a_second() {
    let mut host = fixed(&on_signal("unreachable"), Limits::fuel(), OnFailure::LastGood);
    assert_eq!(ask(&mut host, 0, SIGNAL).unwrap().0, "weighted-score");
    assert_eq!(ask(&mut host, 0, 0.5).unwrap().0, "moody");
    assert_eq!(ask(&mut host, 10, SIGNAL).unwrap().0, "weighted-score");
    assert_eq!(ask(&mut host, 1_009, 0.5).unwrap().0, "weighted-score");
    assert_eq!(ask(&mut host, 1_010, 0.5).unwrap().0, "moody");
    let messages: Vec<String> = host.take_incidents().into_iter().map(|it| it.message).collect();
    assert_eq!(
        messages,
        [
            "moody 1.0.0 failed: score trapped: wasm `unreachable` instruction executed in call; \
             a fresh instance serves the next round",
            "weighted-score 0.1.0 serves the slot scoring",
            "moody 1.0.0 serves the slot scoring",
            "moody 1.0.0 failed: score trapped: wasm `unreachable` instruction executed in call; \
             tried again in 1 s",
            "weighted-score 0.1.0 serves the slot scoring",
            "moody 1.0.0 serves the slot scoring",
        ]
    );
}

#[test]
fn three_failures_in_a_minute_end_it_and_the_native_policy_stays() {
    let mut host = fixed(&on_signal("unreachable"), Limits::fuel(), OnFailure::LastGood);
    for ms in [0, 1_000, 3_000] {
        ask(&mut host, ms, SIGNAL).unwrap();
    }
    let incidents = host.take_incidents();
    assert_eq!(failures(&incidents).len(), 3);
    assert!(incidents.iter().any(|it| it.kind == IncidentKind::Quarantined));
    for minute in 1..10 {
        assert_eq!(ask(&mut host, minute * 60_000, 0.5).unwrap().0, "weighted-score");
    }
    assert_eq!(host.wake_in(), None);
}

#[test]
fn a_held_slot_decides_nothing_until_its_policy_may_try_again() {
    let mut host = fixed(&on_signal("unreachable"), Limits::fuel(), OnFailure::Hold);
    assert_eq!(ask(&mut host, 0, SIGNAL), Err(CallError::Held));
    assert_eq!(host.wake_in(), Some(Duration::ZERO));
    assert_eq!(ask(&mut host, 0, SIGNAL), Err(CallError::Held));
    assert_eq!(host.wake_in(), Some(Duration::from_secs(1)));
    assert_eq!(ask(&mut host, 500, 0.5), Err(CallError::Held));
    assert_eq!(ask(&mut host, 1_000, 0.5).unwrap().0, "moody");
    assert_eq!(host.wake_in(), None);
}

#[test]
fn an_instance_is_replaced_after_its_calls_and_answers_alike() {
    let limits = Limits { instance_calls: 3, ..Limits::fuel() };
    let mut host = fixed(&Guest::scoring("steady"), limits, OnFailure::LastGood);
    for i in 0..100 {
        if i % 2 == 0 {
            host.idle();
        }
        assert_eq!(ask(&mut host, i, 0.25).unwrap().1, 0.75);
    }
    assert!(host.take_incidents().is_empty());
}

#[test]
fn a_slow_policy_cannot_use_up_the_round() {
    let limits = Limits { round: Some(Duration::ZERO), ..Limits::compiled() };
    let mut host = fixed(&Guest::scoring("slow"), limits, OnFailure::LastGood);
    host.begin_round();
    let mut scores = Vec::new();
    assert_eq!(host.score(&[], &[vec![0.5]], 1, &mut scores), Ok(()));
    assert_eq!(host.score(&[], &[vec![0.5]], 1, &mut scores), Err(CallError::Held));
    assert_eq!(host.wake_in(), Some(Duration::ZERO), "the next round may follow at once");
    host.begin_round();
    assert_eq!(host.score(&[], &[vec![0.5]], 1, &mut scores), Ok(()));
    assert!(host.take_incidents().is_empty(), "slow is no failure");
}

#[test]
fn equal_runs_limited_by_fuel_fail_alike() {
    let run = || {
        let mut host = fixed(&on_signal("(loop $l (br $l))"), Limits::fuel(), OnFailure::LastGood);
        let loads = [0.1, SIGNAL, 0.2, SIGNAL, 0.3, SIGNAL, 0.4];
        let answers: Vec<_> =
            loads.iter().zip(0..).map(|(load, i)| ask(&mut host, i * 700, *load)).collect();
        (answers, host.take_incidents())
    };
    assert_eq!(run(), run());
}
