//! The worker protocol as bytes: readable, small, and the same after a round trip.

use pointsman_protocol::worker::*;
use pointsman_scheduler::event::{FinishedAttempt, Measurements};
use pointsman_scheduler::ids::{AttemptRef, JobId, TaskId, Term, WorkerId};
use pointsman_scheduler::record::Failure;
use pointsman_scheduler::resources::Devices;
use pointsman_scheduler::spec::TaskSpec;
use pointsman_scheduler::{Start, Stop, StopReason};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

#[track_caller]
fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, json: &str) {
    assert_eq!(serde_json::to_string(value).unwrap(), json);
    assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value);
}

const ATTEMPT: AttemptRef = AttemptRef { task: TaskId(12), attempt: 2, term: Term(3) };

#[test]
fn commands_are_small_and_come_back_whole() {
    let mut spec = TaskSpec::new("build", "make");
    spec.timeout = Some(Duration::from_secs(90));
    let start = Start {
        worker: WorkerId(4),
        attempt: ATTEMPT,
        job: JobId(7),
        spec: Arc::new(spec),
        devices: Devices { indexes: vec![1], milli_each: 500 },
    };
    check(
        &Command::start(5, &start),
        r#"{"n":5,"do":{"start":{"attempt":[12,2,3],"job":"j7","name":"build","script":"make","timeout_ms":90000,"devices":[1],"cpu_milli":1000,"memory":100000000}}}"#,
    );
    let stop = Stop { worker: WorkerId(4), attempt: ATTEMPT, why: StopReason::Migrated };
    check(
        &Command::stop(6, &stop),
        r#"{"n":6,"do":{"stop":{"attempt":[12,2,3],"why":"migrated"}}}"#,
    );
}

#[test]
fn every_failure_keeps_its_class_on_the_wire() {
    let failures = [
        (Failure::ExitCode(137), r#"{"kind":"exit_code","code":137}"#),
        (Failure::Signal(9), r#"{"kind":"signal","code":9}"#),
        (Failure::Timeout, r#"{"kind":"timeout"}"#),
        (Failure::OutOfMemory, r#"{"kind":"out_of_memory"}"#),
        (Failure::WorkerLost, r#"{"kind":"worker_lost"}"#),
        (
            Failure::StartFailed("no shell".into()),
            r#"{"kind":"start_failed","message":"no shell"}"#,
        ),
        (Failure::Migrated, r#"{"kind":"migrated"}"#),
        (Failure::Preempted, r#"{"kind":"preempted"}"#),
        (Failure::Cancelled, r#"{"kind":"cancelled"}"#),
    ];
    for (failure, json) in failures {
        let wire = WireFailure::from(&failure);
        check(&wire, json);
        assert_eq!(Failure::from(wire), failure);
    }
}

#[test]
fn an_exit_code_of_zero_is_never_a_failure() {
    let wire: WireFinished =
        serde_json::from_str(r#"{"attempt":[1,1,1],"failure":{"kind":"exit_code","code":0}}"#)
            .unwrap();
    assert_eq!(FinishedAttempt::from(wire).failure, None);
}

#[test]
fn a_sync_takes_what_is_missing_as_empty_and_cuts_values_out_of_range() {
    let json = r#"{"seq":9,"life":18446744073709551615,
        "measurements":{"cpu_used":1.7,"rtt_ms":-3.0,"future_key":1},
        "finished":[{"attempt":[12,2,3],"ran_ms":40}],
        "feedback":[{"attempt":[12,2,3],"phase":"a\nb","progress":-1,"duration_ms":5}]}"#;
    let request: SyncRequest = serde_json::from_str(json).unwrap();
    assert_eq!(request.acked_command, 0);
    let report = request.into_report(WorkerId(4));
    assert_eq!(report.life, u64::MAX);
    let measured = Measurements { cpu_used: Some(1.0), rtt_ms: Some(0.0), ..Default::default() };
    assert_eq!(report.measurements, Some(measured));
    let ran = Some(Duration::from_millis(40));
    assert_eq!(report.finished, [FinishedAttempt { attempt: ATTEMPT, failure: None, ran }]);
    assert_eq!(report.feedback[0].1.phase.as_deref(), Some("ab"));
    assert_eq!(report.feedback[0].1.progress, Some(0.0));
}

fn register(change: impl FnOnce(&mut RegisterRequest)) -> Result<(), String> {
    let json = r#"{"protocol":1,"name":"rack-1","token":"00ff","life":7,"n":1,
        "capacity":{"cpu_milli":4000,"memory":8000000000},"held":[{"attempt":[1,1,1],"running":true}]}"#;
    let mut request: RegisterRequest = serde_json::from_str(json).unwrap();
    change(&mut request);
    request.into_registration([7; 32]).map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_registration_that_cannot_be_taken_says_which_field() {
    assert_eq!(register(|_| ()), Ok(()));
    let check = |change: fn(&mut RegisterRequest), expect: &str| {
        let error = register(change).unwrap_err();
        assert!(error.starts_with(expect), "{error}");
    };
    check(|it| it.protocol = 9, "protocol: the worker speaks version 9");
    check(|it| it.name = "a/b".into(), "name: \"a/b\" contains '/'");
    check(
        |it| it.capacity = WireCapacity { cpu_milli: 0, memory: 0, gpus: 0 },
        "capacity: is zero altogether",
    );
    check(|it| it.capacity.memory = u64::MAX, "capacity: is too large");
    check(
        |it| it.labels = [("zone".to_owned(), "a\0".to_owned())].into(),
        "labels.zone: \"zone\" = \"a\\0\" contains a control",
    );
}
