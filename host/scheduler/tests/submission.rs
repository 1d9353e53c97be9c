//! What is accepted, what is refused, and what follows from dependencies.

mod world;

use pointsman_scheduler::event::Key;
use pointsman_scheduler::graph::GraphError;
use pointsman_scheduler::record::{EndReason, JobState, TaskState};
use pointsman_scheduler::settings::QueueSettings;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use pointsman_scheduler::*;
use std::sync::Arc;
use std::time::Duration;
use world::*;

fn refusal(world: &mut World, tasks: Vec<TaskSpec>) -> Refusal {
    let request = world.request();
    let job = JobSpec { name: "job".into(), tasks: tasks.into_iter().map(Arc::new).collect() };
    match world.event(Event::SubmitJob { request, key: None, job }) {
        Some(Answer::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn a_cycle_is_never_stored_and_is_listed() {
    let mut world = World::new();
    let tasks = vec![
        after("a", &["d"]),
        after("b", &["a"]),
        after("c", &["b"]),
        after("d", &["c"]),
        after("z", &["a"]),
    ];
    let refused = refusal(&mut world, tasks);
    assert_eq!(refused.to_string(), "the dependencies form a cycle: a → b → c → d → a");
    assert!(world.added.is_empty() && world.jobs.is_empty());
    let refused = refusal(&mut world, vec![after("a", &["a"])]);
    assert_eq!(refused.to_string(), "the dependencies form a cycle: a → a");
    let refused = world.submit_one(after("a", &["a"]));
    assert!(matches!(refused, Answer::Refused(Refusal::Graph(GraphError::Cycle { .. }))));
}

#[test]
fn duplicate_names_and_unknown_dependencies_are_refused_by_name() {
    let mut world = World::new();
    let refused = refusal(&mut world, vec![task("t1"), task("t2"), task("t1")]);
    assert_eq!(
        refused.to_string(),
        r#"tasks[0] and tasks[2] are both named "t1": names are unique within a job"#
    );
    let refused = refusal(&mut world, vec![after("b", &["prepar"]), task("prepare")]);
    assert_eq!(
        refused.to_string(),
        r#"tasks[0].dependencies: task "b" depends on "prepar", which is not a task of this job (did you mean "prepare"?)"#
    );
    assert_eq!(refusal(&mut world, vec![]), Refusal::Graph(GraphError::Empty));
    let stray = TaskSpec { queue: "nope".into(), ..task("a") };
    assert_eq!(refusal(&mut world, vec![stray]), Refusal::UnknownQueue("nope".into()));
    assert!(world.added.is_empty());
}

#[test]
fn order_inside_a_job_does_not_matter() {
    let mut world = World::new();
    let ids = world.submit(vec![after("child", &["parent"]), task("parent")]);
    world.worker("w", 4);
    assert_eq!(world.states(&ids), [TaskState::Pending, TaskState::Assigned]);
    world.finish(ids[1], None);
    assert_eq!(world.states(&ids), [TaskState::Assigned, TaskState::Succeeded]);
    world.finish(ids[0], None);
    assert_eq!(world.jobs.values().next().unwrap().state, JobState::Succeeded);
}

#[test]
fn a_chain_of_fifty_thousand_tasks_overflows_nothing() {
    let mut world = World::new();
    world.is_checked = false;
    let name = |index: usize| format!("t{index}");
    let mut chain: Vec<TaskSpec> = vec![task("t0")];
    chain.extend((1..50_000).map(|index| after(&name(index), &[&name(index - 1)])));
    let ids = world.submit(chain.clone());
    let request = world.request();
    world.event(Event::CancelTask { request, task: ids[0] });
    assert_eq!(world.state(ids[0]), TaskState::Cancelled);
    assert!(ids[1..].iter().all(|id| world.state(*id) == TaskState::Skipped));
    let last = &world.status[&ids[49_999]];
    let root_name = "t0".to_owned();
    assert_eq!(last.end_reason.as_deref(), Some(&EndReason::Upstream { root: ids[0], root_name }));
    assert_eq!(world.scheduler.check_invariants(), Vec::<String>::new());

    chain[0].dependencies.push(name(49_999));
    let refused = refusal(&mut world, chain).to_string();
    assert!(refused.contains("… 49980 more …"), "{refused}");
}

#[test]
fn dependents_of_a_failure_never_wait_for_ever() {
    let mut world = World::new();
    world.worker("w", 4);
    let fails = TaskSpec { max_retries: Some(0), ..task("a") };
    let ids = world.submit(vec![fails, task("x"), after("b", &["a"]), after("c", &["b", "x"])]);
    world.finish(ids[1], None);
    world.finish(ids[0], exit(1));
    use TaskState::*;
    assert_eq!(world.states(&ids), [Failed, Succeeded, Skipped, Skipped]);
    let root_name = "a".to_owned();
    let upstream = Some(Box::new(EndReason::Upstream { root: ids[0], root_name }));
    assert_eq!(world.status[&ids[3]].end_reason, upstream);
    let job = world.jobs.values().next().unwrap();
    assert_eq!((job.state, job.ended.is_some()), (JobState::Failed, true));
}

#[test]
fn retry_by_hand_revives_what_was_skipped() {
    let mut world = World::new();
    world.worker("w", 4);
    let fails = |name| TaskSpec { max_retries: Some(0), ..task(name) };
    let ids =
        world.submit(vec![fails("a"), fails("x"), after("b", &["a"]), after("c", &["b", "x"])]);
    world.finish(ids[0], exit(1));
    world.finish(ids[1], exit(1));
    let request = world.request();
    let refused = world.event(Event::RetryTask { request, task: ids[2] });
    assert!(matches!(refused, Some(Answer::Refused(Refusal::UpstreamEnded { .. }))), "{refused:?}");
    let request = world.request();
    let answer = world.event(Event::RetryTask { request, task: ids[0] });
    // c still waits for x, which stays failed.
    assert_eq!(answer, Some(Answer::Retried { n_revived: 2 }));
    let request = world.request();
    let answer = world.event(Event::RetryTask { request, task: ids[1] });
    assert_eq!(answer, Some(Answer::Retried { n_revived: 2 }));
    for id in [ids[0], ids[1], ids[2], ids[3]] {
        world.finish(id, None);
    }
    assert!(world.states(&ids).iter().all(|state| *state == TaskState::Succeeded));
    let job = world.jobs.values().next().unwrap();
    assert_eq!(job.state, JobState::Succeeded);
    let request = world.request();
    let refused = world.event(Event::RetryTask { request, task: ids[0] });
    assert!(matches!(refused, Some(Answer::Refused(Refusal::NotRetryable { .. }))));
}

#[test]
fn a_live_name_in_the_open_job_is_not_taken_twice() {
    let mut world = World::new();
    world.worker("w", 4);
    let Answer::Submitted { tasks, .. } = world.submit_one(task("t1")) else { panic!() };
    let first = tasks[0];
    let refused = world.submit_one(task("t1"));
    assert_eq!(refused, Answer::Refused(Refusal::NameInUse { name: "t1".into(), task: first }));
    world.begin(first);
    let before = world.status[&first].clone();
    let refused = world.submit_one(task("t1"));
    assert_eq!(refused, Answer::Refused(Refusal::NameInUse { name: "t1".into(), task: first }));
    assert_eq!((before.state, &world.status[&first]), (TaskState::Running, &before));
    world.finish(first, None);
    let Answer::Submitted { tasks, .. } = world.submit_one(task("t1")) else { panic!() };
    assert_ne!(tasks[0], first, "the history of the first one is kept");
    assert_eq!(world.state(first), TaskState::Succeeded);
    // A dependency binds to the newest of that name.
    let Answer::Submitted { tasks: dependent, .. } = world.submit_one(after("b", &["t1"])) else {
        panic!()
    };
    assert_eq!(world.added[&dependent[0]].dependencies, tasks);
    let refused = world.submit_one(after("c", &["nope"]));
    assert!(matches!(
        refused,
        Answer::Refused(Refusal::Graph(GraphError::UnknownDependency { .. }))
    ));
}

#[test]
fn a_dependency_that_already_failed_skips_at_once() {
    let mut world = World::new();
    world.worker("w", 4);
    let fails = TaskSpec { max_retries: Some(0), ..task("a") };
    let Answer::Submitted { tasks, .. } = world.submit_one(fails) else { panic!() };
    world.finish(tasks[0], exit(1));
    let Answer::Submitted { tasks, .. } = world.submit_one(after("b", &["a"])) else { panic!() };
    assert_eq!(world.state(tasks[0]), TaskState::Skipped);
}

#[test]
fn the_same_idempotency_key_never_makes_a_second_job() {
    let mut world = World::new();
    let mut submit = |hash: u8, name: &str| {
        let request = world.request();
        let key = Some(Key { key: "k1".into(), body_hash: [hash; 32] });
        let job = JobSpec { name: "job".into(), tasks: vec![Arc::new(task(name))] };
        world.event(Event::SubmitJob { request, key, job }).unwrap()
    };
    let first = submit(1, "a");
    let Answer::Submitted { job, tasks, repeated: false } = first else { panic!("{first:?}") };
    assert_eq!(submit(1, "a"), Answer::Submitted { job, tasks, repeated: true });
    assert_eq!(submit(2, "b"), Answer::Refused(Refusal::KeyReused { key: "k1".into() }));
    world.pass(Duration::from_secs(25 * 3600));
    let request = world.request();
    let key = Some(Key { key: "k1".into(), body_hash: [2; 32] });
    let job = JobSpec { name: "job".into(), tasks: vec![Arc::new(task("b"))] };
    let later = world.event(Event::SubmitJob { request, key, job }).unwrap();
    assert!(matches!(later, Answer::Submitted { repeated: false, .. }), "{later:?}");
}

#[test]
fn a_full_queue_refuses_whole_jobs_and_takes_them_later() {
    let mut settings = Settings::default();
    settings
        .queues
        .insert("small".into(), QueueSettings { limit: Some(2), ..QueueSettings::default() });
    let mut world = World::with(settings);
    world.worker("w", 4);
    let small = |name: &str| TaskSpec { queue: "small".into(), ..task(name) };
    let refused = refusal(&mut world, vec![small("a"), small("b"), small("c")]);
    assert_eq!(refused, Refusal::QueueFull { queue: "small".into(), limit: 2 });
    let ids = world.submit(vec![small("a"), small("b")]);
    refusal(&mut world, vec![small("c")]);
    world.finish(ids[0], None);
    world.submit(vec![small("c")]);
}

#[test]
fn retention_forgets_the_oldest_finished_work_only() {
    let mut world = World::with(Settings { retention_finished: 3, ..Settings::default() });
    world.worker("w", 8);
    let old = world.submit(vec![task("a"), task("b")]);
    let new = world.submit(vec![task("a"), task("b")]);
    let open = world.submit(vec![task("c")]);
    for id in old.iter().chain(&new) {
        world.finish(*id, None);
    }
    assert!(old.iter().all(|id| !world.added.contains_key(id)));
    assert!(new.iter().chain(&open).all(|id| world.added.contains_key(id)));
    assert_eq!(world.jobs.len(), 2);
}
