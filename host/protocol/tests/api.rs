//! What the API shows, as bytes: stable codes, exact amounts, and the same after a round trip.

use pointsman_protocol::api::*;
use pointsman_protocol::events::{EventBody, PublicEvent, Views};
use pointsman_protocol::problem::Problem;
use pointsman_protocol::submission::Submission;
use pointsman_protocol::timestamp::Timestamp;
use pointsman_scheduler::effect::{Notice, Refusal};
use pointsman_scheduler::event::{Feedback, Measurements};
use pointsman_scheduler::explain::{
    Explanation, Placed, Reason, Standings, Verdict, WorkerVerdict,
};
use pointsman_scheduler::graph::GraphError;
use pointsman_scheduler::ids::{AttemptRef, JobId, TaskId, Term, WorkerId};
use pointsman_scheduler::record::*;
use pointsman_scheduler::resources::{Capacity, Devices, Free, FreeBound, Request};
use pointsman_scheduler::{Slot, Time};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::sync::Arc;

struct Model;

impl Lookup for Model {
    fn worker_name(&self, worker: WorkerId) -> Option<String> {
        (worker.0 == 3).then(|| "rack-3".to_owned())
    }

    fn task_name(&self, task: TaskId) -> Option<String> {
        Some(format!("name of {task}"))
    }

    fn task_state(&self, task: TaskId) -> Option<TaskState> {
        (task.0 == 4).then_some(TaskState::Succeeded)
    }
}

impl Views for Model {
    fn task(&self, _: TaskId) -> Option<TaskView> {
        let (added, status) = running_task();
        Some(TaskView::row(&added, &status, TaskExtras::default(), self))
    }

    fn job(&self, _: JobId) -> Option<JobView> {
        None
    }

    fn worker(&self, _: WorkerId) -> Option<WorkerView> {
        None
    }

    fn queue(&self, queue: &str) -> Option<QueueView> {
        let name = queue.to_owned();
        Some(QueueView { name, paused: true, pending: 1, placed: 0, limit: None, discipline: None })
    }
}

fn seconds(seconds: u64) -> Time {
    Time(seconds * 1_000_000_000)
}

fn running_task() -> (TaskAdded, TaskStatus) {
    let json = r#"{"task_name":"train","script":"python train.py","env":{"A":"b"},
        "resources":{"cpu": 0.10, "memory":"8 GB"},"dependencies":["clean","load"],"timeout":90}"#;
    let spec = match Submission::from_json(json.as_bytes()).unwrap() {
        Submission::Task(spec) => spec,
        Submission::Job(job) => panic!("{job:?}"),
    };
    let dependencies = vec![TaskId(4), TaskId(5)];
    let added =
        TaskAdded { id: TaskId(7), job: JobId(2), submitted: seconds(1), spec, dependencies };
    let attempt = |number, outcome: Option<Outcome>| Attempt {
        number,
        term: Term(1),
        worker: WorkerId(3),
        devices: Devices::default(),
        assigned: seconds(2),
        started: Some(seconds(3)),
        ended: outcome.as_ref().map(|_| seconds(4)),
        outcome,
        decision: Decision {
            scoring: PolicyStamp { generation: 2, digest: 0xabc },
            queue: PolicyStamp::default(),
            score: 0.75,
            second: Some((WorkerId(4), 0.5)),
        },
    };
    let failed = Outcome::Failed(Failure::Signal(9));
    let status = TaskStatus {
        state: TaskState::Running,
        attempts: vec![attempt(1, Some(failed)), attempt(2, None)],
        next_attempt: 3,
        retries_used: 1,
        ..TaskStatus::default()
    };
    (added, status)
}

#[track_caller]
fn check_round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(view: &T) -> Value {
    let json = serde_json::to_string(view).unwrap();
    // Numbers that were written unusually may come back in their usual form, but never changed.
    let read: T = serde_json::from_str(&json).unwrap();
    let written_again = serde_json::to_value(&read).unwrap();
    assert_eq!(written_again, serde_json::from_str::<Value>(&json).unwrap());
    written_again
}

#[test]
fn a_task_comes_back_with_what_was_written_and_what_it_means() {
    let (added, status) = running_task();
    let feedback = Feedback { progress: Some(0.5), duration_ms: 10, ..Feedback::default() };
    let extras = TaskExtras { reason: None, feedback: Some(&feedback) };
    let whole = TaskView::whole(&added, &status, extras, &Model);
    let text = serde_json::to_string(&whole).unwrap();
    assert!(text.contains(r#""resources":{"cpu":0.10,"memory":"8 GB"}"#), "{text}");
    let json = check_round_trip(&whole);
    assert_eq!(json["amounts"], json!({"cpu": 0.1, "memory": 8_000_000_000u64, "gpu": 0.0}));
    assert_eq!(
        json["dependencies"],
        json!([{"id": "t4", "name": "clean", "state": "SUCCEEDED"}, {"id": "t5", "name": "load"}])
    );
    assert_eq!(json["state"], "RUNNING");
    assert_eq!(json["worker"], "w3");
    assert_eq!(json["worker_name"], "rack-3");
    assert_eq!(json["timeout"], "1m30s");
    assert_eq!(json["feedback"], json!({"progress": 0.5, "duration_ms": 10}));
    assert_eq!(
        json["attempts"][0],
        json!({
            "number": 1, "term": 1, "worker": "w3", "worker_name": "rack-3",
            "assigned": "1970-01-01T00:00:02.000Z", "started": "1970-01-01T00:00:03.000Z",
            "ended": "1970-01-01T00:00:04.000Z", "outcome": {"kind": "signal", "code": 9},
            "decision": {
                "scoring": {"generation": 2, "digest": "0000000000000abc"},
                "queue": {"generation": 0, "digest": "native"},
                "score": 0.75, "second": {"worker": "w4", "score": 0.5},
            },
        })
    );
    assert_eq!(json["script"], "python train.py");

    let row = check_round_trip(&TaskView::row(&added, &status, extras, &Model));
    assert_eq!(row.get("script"), None);
    assert_eq!(row.get("env"), None);
    assert_eq!(row["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(row["attempts"][0]["number"], 2);
}

#[test]
fn default_resources_are_shown_too() {
    let (mut added, status) = running_task();
    Arc::make_mut(&mut added.spec).resources_text = Arc::default();
    let row = TaskView::row(&added, &status, TaskExtras::default(), &NoLookup);
    assert_eq!(row.resources.as_json(), r#"{"cpu":0.1,"gpu":0,"memory":"8GB"}"#);
}

#[test]
fn every_reason_says_why_and_what_would_start_the_task() {
    let asked = Request { cpu_milli: 64_000, memory: 1_000_000_000, gpu_milli: 0 };
    let bound = FreeBound { cpu_milli: 4000, memory: 8_000_000_000, gpus_whole: 0, gpu_part: 0 };
    let fits_apart = Request { cpu_milli: 4000, memory: 8_000_000_000, gpu_milli: 0 };
    let until = seconds(60);
    let check = |reason: Reason, text: &str| {
        let view = ReasonView::new(&reason, &Model);
        assert_eq!(view.code, reason.code());
        assert_eq!(view.text, text);
        assert!(!view.starts_when.is_empty());
        check_round_trip(&view);
    };
    check(Reason::Dependencies { left: 1 }, "waits for 1 task");
    check(
        Reason::Backoff { until },
        "waits until 1970-01-01T00:01:00.000Z before it is tried again",
    );
    check(Reason::Paused, "its queue is paused");
    check(Reason::Quota, "its tenant holds as much as it may");
    check(
        Reason::NoWorkerCanEverFit { asked, largest: bound },
        "no worker is large enough: cpu 64 > largest worker 4",
    );
    check(
        Reason::NoCapacityNow { asked: fits_apart, best_free: bound },
        "no worker has room now: cpu 4, memory 8GB together on one worker",
    );
    check(Reason::NoConstraintMatch, "no worker that is large enough has the labels it requires");
    check(
        Reason::Restricted { until },
        "only workers with low scores fit, and each gets one start per interval until \
         1970-01-01T00:01:00.000Z",
    );
    check(
        Reason::WorkerKeptFree { worker: WorkerId(3), until },
        "others were started before it for too long: w3 (rack-3) is kept free for it",
    );
    check(
        Reason::ReservedFor { task: TaskId(4) },
        "the capacity it could use is reserved for t4 (name of t4)",
    );
    check(
        Reason::BlockedByHead { task: TaskId(4) },
        "t4 (name of t4) is before it in the queue and does not fit now",
    );
    check(Reason::NextRound, "is considered in the next planning round");
}

#[test]
fn every_end_names_its_cause() {
    let check = |reason: EndReason, code: &str, text: &str| {
        let view = EndReasonView::from(&reason);
        assert_eq!((view.code.as_ref(), view.text.as_str()), (code, text));
        check_round_trip(&view);
    };
    check(
        EndReason::Failed { failure: Failure::ExitCode(1), attempts: 4 },
        "failed",
        "exit code 1 after 4 attempts, no retry left",
    );
    check(
        EndReason::WorkerLossesUsedUp { losses: 4 },
        "worker_losses_used_up",
        "worker lost 4 times while it ran, budget used up: suspected of killing workers",
    );
    check(
        EndReason::Upstream { root: TaskId(1), root_name: "a".into() },
        "upstream",
        "t1 (a), which it depends on, did not succeed",
    );
    check(EndReason::CancelledByRequest, "cancelled_by_request", "cancelled on request");
    check(
        EndReason::CancelledByPolicy { reason: "too slow".into() },
        "cancelled_by_policy",
        "cancelled by the rescheduling policy: too slow",
    );
}

#[test]
fn an_explanation_shows_both_numbers_of_what_does_not_fit() {
    let bound = FreeBound { cpu_milli: 500, memory: 8_000_000_000, gpus_whole: 0, gpu_part: 250 };
    let fits = Verdict::Fits { score: 0.5, task_columns: vec![], worker_columns: vec![1.0] };
    let verdicts = [
        fits,
        Verdict::NotLive,
        Verdict::Draining,
        Verdict::Quarantined { until: seconds(60) },
        Verdict::MissingLabels { missing: vec![("zone".into(), "a".into())] },
        Verdict::TooSmall { capacity: bound },
        Verdict::NoCapacityNow { free: bound },
    ];
    let workers = verdicts.into_iter().enumerate();
    let workers = workers.map(|(n, verdict)| WorkerVerdict { worker: WorkerId(n as u32), verdict });
    let explanation = Explanation {
        task: TaskId(7),
        state: TaskState::Pending,
        reason: Some(Reason::Paused),
        queue_position: Some(1),
        queue_policy: PolicyStamp::default(),
        scoring_policy: PolicyStamp::default(),
        workers: workers.collect(),
        waits_for: vec![TaskId(4)],
        placed: None,
    };
    let terms = |verdict: &WorkerVerdict| match &verdict.verdict {
        Verdict::Fits { worker_columns, .. } => vec![("cpu".to_owned(), worker_columns[0])],
        _ => Vec::new(),
    };
    let json = check_round_trip(&ExplanationView::new(&explanation, &Model, terms));
    assert_eq!(json["waits_for"], json!(["t4"]));
    assert_eq!(json["workers"][0]["terms"], json!([["cpu", 1.0]]));
    let texts: Vec<&str> =
        json["workers"].as_array().unwrap().iter().map(|it| it["text"].as_str().unwrap()).collect();
    assert_eq!(
        texts,
        [
            "it would fit, with score 0.500",
            "the worker does not answer",
            "the worker takes no new work",
            "the worker failed one attempt after the other and gets no work until 1970-01-01T00:01:00.000Z",
            "the worker lacks zone=a",
            "even empty, the worker has only cpu 0.5, memory 8GB, gpu 0.25",
            "only cpu 0.5, memory 8GB, gpu 0.25 is free now",
        ]
    );
}

#[test]
fn a_placement_tells_who_came_second_and_why_the_better_one_was_passed_by() {
    let text = |score: f64, second: Option<(WorkerId, f64)>| {
        let mut attempt = running_task().1.attempts.pop().unwrap();
        attempt.decision = Decision { score, second, ..Decision::default() };
        let view = PlacedView::new(&Placed { attempt, basis: None }, &Model);
        check_round_trip(&view)["text"].as_str().unwrap().to_owned()
    };
    let first = "attempt 2 went to rack-3, which scored 0.750";
    assert_eq!(text(0.75, None), format!("{first}; no other worker could take it"));
    let lower = Some((WorkerId(2), 0.5));
    assert_eq!(text(0.75, lower), format!("{first}; second came w2 with 0.500"));
    let higher = Some((WorkerId(2), 0.875));
    let why = "w2 scored 0.875, but the attempt before failed there";
    assert_eq!(text(0.75, higher), format!("{first}; {why}"));
}

#[test]
fn standings_have_bands_only_if_the_policy_has_them() {
    let fits = |score| Verdict::Fits { score, task_columns: vec![], worker_columns: vec![] };
    let verdicts = [fits(0.8), fits(0.79), fits(0.5), fits(0.49), Verdict::Draining];
    let workers = verdicts.into_iter().enumerate();
    let workers = workers.map(|(n, verdict)| WorkerVerdict { worker: WorkerId(n as u32), verdict });
    let policy = PolicyStamp::default();
    let mut standings =
        Standings { policy, is_banded: true, task: Some(TaskId(7)), workers: workers.collect() };
    let bands = |standings: &Standings| -> Vec<Value> {
        let at = Timestamp(seconds(1));
        let json = check_round_trip(&StandingsView::new(at, standings, &Model, |_| Vec::new()));
        json["workers"].as_array().unwrap().iter().map(|it| it["band"].clone()).collect()
    };
    let expected = ["preferred", "normal", "normal", "restricted"];
    let expected = expected.map(Value::from).into_iter().chain([Value::Null]);
    assert_eq!(bands(&standings), expected.collect::<Vec<Value>>());
    standings.is_banded = false;
    assert_eq!(bands(&standings), [const { Value::Null }; 5]);
}

#[test]
fn workers_and_jobs_come_back_whole() {
    let capacity = Capacity { cpu_milli: 4000, memory: 8 << 30, gpus: 2 };
    let record = WorkerRecord {
        id: WorkerId(3),
        name: "rack-3".into(),
        token_hash: [0; 32],
        incarnation: 2,
        capacity,
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        state: WorkerState::Live,
        is_drained: false,
    };
    let mut free = Free::all_of(&capacity);
    free.take(&Request { cpu_milli: 100, memory: 1, gpu_milli: 250 });
    let extras = WorkerExtras {
        state: Some(WorkerState::Suspect),
        free: Some(&free),
        silent_for: Some(std::time::Duration::from_millis(11_500)),
        ..WorkerExtras::default()
    };
    let json = check_round_trip(&WorkerView::new(&record, extras));
    assert_eq!(json["state"], "suspect");
    assert_eq!(json["free"], json!({"cpu": 3.9, "memory": (8u64 << 30) - 1, "gpu": 1.75}));
    assert_eq!(json["last_heartbeat_ms_ago"], 11_500);
    assert!(!json.to_string().contains("token"));

    let mut counts = Counts::default();
    TaskState::ALL.into_iter().for_each(|state| counts.add(state));
    counts.remove(TaskState::Running);
    assert_eq!((counts.total(), counts.of(TaskState::Running)), (6, 0));
    let record = JobRecord {
        id: JobId(2),
        name: "nightly".into(),
        submitted: seconds(1),
        n_tasks: 7,
        state: JobState::Running,
        ended: None,
    };
    let json = check_round_trip(&JobView::new(&record, counts));
    assert_eq!(json["counts"]["running"], 0);
    check_round_trip(&Page { items: vec![JobView::new(&record, counts)], next_cursor: None });
}

#[test]
fn every_refusal_has_a_status_a_code_and_its_field() {
    let check = |refusal: Refusal, status: u16, code: &str, field: Option<&str>| {
        let problem = Problem::submission_refused(&refusal);
        assert_eq!((problem.status, problem.code.as_ref()), (status, code));
        assert_eq!(problem.field.as_deref(), field);
        assert!(!problem.detail.is_empty() && problem.title != "Error");
        check_round_trip(&problem);
    };
    let cycle = GraphError::Cycle { names: ["a", "b"].map(str::to_owned).to_vec() };
    assert!(Problem::from(&cycle).detail.contains("a → b → a"));
    let duplicate = GraphError::DuplicateName { name: "t".into(), first: 0, second: 1 };
    let missing = GraphError::UnknownDependency {
        position: 3,
        name: "b".into(),
        missing: "nope".into(),
        nearest: None,
    };
    check(Refusal::Graph(cycle), 422, "dependency_cycle", Some("tasks"));
    check(Refusal::Graph(duplicate), 422, "duplicate_name", Some("tasks[1].task_name"));
    check(Refusal::Graph(missing), 422, "unknown_dependency", Some("tasks[3].dependencies"));
    check(Refusal::Graph(GraphError::Empty), 422, "empty_job", Some("tasks"));
    let name = || "a".to_owned();
    let task = TaskId(1);
    check(Refusal::NameInUse { name: name(), task }, 409, "name_in_use", Some("task_name"));
    check(Refusal::UnknownTask(task), 404, "unknown_task", None);
    check(Refusal::UnknownJob(JobId(1)), 404, "unknown_job", None);
    check(Refusal::UnknownWorker(WorkerId(1)), 404, "unknown_worker", None);
    check(Refusal::UnknownQueue(name()), 422, "unknown_queue", Some("queue"));
    let state = TaskState::Running;
    check(Refusal::NotRetryable { task, state }, 409, "not_retryable", None);
    let upstream = TaskId(2);
    check(Refusal::UpstreamEnded { task, upstream, state }, 409, "upstream_ended", None);
    check(Refusal::QueueFull { queue: name(), limit: 1 }, 429, "queue_full", Some("queue"));
    let field = Some("Idempotency-Key");
    check(Refusal::KeyReused { key: name() }, 409, "idempotency_key_reused", field);
    check(Refusal::WorkerNameTaken { name: name() }, 409, "worker_name_taken", Some("name"));
    check(Refusal::OldLife, 409, "old_life", None);
    check(Refusal::OldRegistration, 409, "old_registration", None);
    assert_eq!(Problem::from(&Refusal::UnknownQueue(name())).status, 404);
}

#[test]
fn a_field_error_keeps_field_and_remedy_apart() {
    let error = Submission::from_json(br#"{"task_name":"a","scrpt":"x"}"#).unwrap_err();
    let json = check_round_trip(&Problem::from(error));
    assert_eq!(
        json,
        json!({
            "type": "about:blank", "title": "Unprocessable Content", "status": 422,
            "code": "invalid_field", "detail": "scrpt: there is no key \"scrpt\"",
            "field": "scrpt", "remedy": "did you mean \"script\"?",
        })
    );
}

#[test]
fn every_event_is_flat_and_says_its_kind() {
    let check = |body: EventBody, expect: Value| {
        let event = PublicEvent { n: 5, at: Timestamp(seconds(9)), body };
        let mut json = check_round_trip(&event);
        let json = json.as_object_mut().unwrap();
        assert_eq!(json.remove("n"), Some(json!(5)));
        assert_eq!(json.remove("at"), Some(json!("1970-01-01T00:00:09.000Z")));
        assert_eq!(Value::Object(json.clone()), expect);
    };
    let attempt = AttemptRef { task: TaskId(7), attempt: 2, term: Term(1) };
    let worker = WorkerId(3);
    let measurements = Measurements { cpu_used: Some(0.5), ..Measurements::default() };
    let notices = [
        (
            Notice::WorkerMeasured { worker, measurements },
            json!({"kind": "measured", "worker": "w3", "measurements": {"cpu_used": 0.5}}),
        ),
        (
            Notice::WorkerState { worker, state: WorkerState::Live },
            json!({"kind": "worker_state", "worker": "w3", "state": "live"}),
        ),
        (
            Notice::Feedback { attempt, feedback: Feedback::default() },
            json!({"kind": "feedback", "task": "t7", "attempt": 2, "term": 1,
                "feedback": {"duration_ms": 0}}),
        ),
        (
            Notice::StaleReport { worker, attempt },
            json!({"kind": "stale_report", "worker": "w3", "task": "t7", "attempt": 2, "term": 1}),
        ),
        (
            Notice::PolicySwapped(Slot::Queue),
            json!({"kind": "policy", "slot": "queue", "change": "swapped"}),
        ),
        (
            Notice::PolicyFailed { slot: Slot::Scoring, call: 8, kind: "trap".into() },
            json!({"kind": "policy", "slot": "scoring", "change": "failed",
                "reason": "call 8: trap"}),
        ),
        (
            Notice::Rescheduling {
                task: TaskId(7),
                action: "migrate".into(),
                reason: "slow".into(),
                verdict: "accepted".into(),
            },
            json!({"kind": "rescheduling", "task": "t7", "action": "migrate", "reason": "slow",
                "verdict": "accepted"}),
        ),
    ];
    for (notice, expect) in notices {
        check(EventBody::from(&notice), expect);
    }
    check(
        EventBody::from_record(&Record::TaskForgotten(TaskId(7)), &Model).unwrap(),
        json!({"kind": "task_forgotten", "task": "t7"}),
    );
    let queue = QueueRecord { name: "q".into(), paused: true };
    check(
        EventBody::from_record(&Record::Queue(queue), &Model).unwrap(),
        json!({"kind": "queue",
            "queue": {"name": "q", "paused": true, "pending": 1, "placed": 0}}),
    );
    let (added, status) = running_task();
    let task = EventBody::from_record(&Record::Task(TaskId(7), status), &Model).unwrap();
    let event = PublicEvent { n: 1, at: Timestamp(Time::ZERO), body: task };
    assert_eq!(check_round_trip(&event)["task"]["name"], "train");
    assert_eq!(EventBody::from_record(&Record::TaskAdded(added), &Model), None);
}

#[test]
fn an_unknown_state_in_a_parameter_names_the_allowed_ones() {
    assert_eq!("running".parse(), Ok(WireTaskState::Running));
    let error = "DONE".parse::<WireTaskState>().unwrap_err().to_string();
    assert_eq!(
        error,
        "\"DONE\" is not one of PENDING, ASSIGNED, RUNNING, SUCCEEDED, FAILED, SKIPPED, CANCELLED"
    );
}
