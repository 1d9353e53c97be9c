//! Retries, losses, cancelling, fencing, restarts.

mod world;

use pointsman_scheduler::event::{FinishedAttempt, HeldAttempt, Registration};
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::policies::{Action, Proposal};
use pointsman_scheduler::record::{EndReason, Failure, JobState, Outcome, TaskState, WorkerState};
use pointsman_scheduler::spec::TaskSpec;
use pointsman_scheduler::*;
use std::time::Duration;
use world::*;

const LONG: Duration = Duration::from_secs(61);

#[test]
fn a_failing_task_runs_exactly_four_times_also_across_restarts() {
    let mut world = World::new();
    world.worker("w", 4);
    let id = world.submit(vec![task("a")])[0];
    world.finish(id, exit(1));
    assert!(matches!(world.scheduler.reason(id), Some(Reason::Backoff { .. })));
    world.pass_synced(LONG);
    world.finish(id, exit(1));
    let until = world.status[&id].not_before;
    world.restart(Duration::ZERO);
    assert_eq!(world.status[&id].not_before, until, "backoff survives");
    world.register_again("w", 4, vec![], vec![]);
    world.pass_synced(LONG);
    world.finish(id, exit(1));
    world.pass_synced(LONG);
    world.finish(id, exit(7));
    assert_eq!(world.state(id), TaskState::Failed);
    let status = &world.status[&id];
    let numbers: Vec<u32> = status.attempts.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let failure = Failure::ExitCode(7);
    assert_eq!(status.end_reason.as_deref(), Some(&EndReason::Failed { failure, attempts: 4 }));
}

#[test]
fn a_retry_prefers_another_worker() {
    let mut world = World::new();
    world.worker("w1", 4);
    world.worker("w2", 4);
    let id = world.submit(vec![task("a")])[0];
    let (first, _) = world.attempt(id);
    world.finish(id, exit(1));
    world.pass_synced(LONG);
    assert_ne!(world.attempt(id).0, first);
}

#[test]
fn no_running_task_stays_on_a_lost_worker() {
    let mut world = World::new();
    let worker = world.worker("w", 4);
    let id = world.submit(vec![task("a")])[0];
    for round in 0..4 {
        world.begin(id);
        assert_eq!(world.state(id), TaskState::Running);
        world.pass(Duration::from_secs(11));
        let suspect = Notice::WorkerState { worker, state: WorkerState::Suspect };
        assert!(world.notices.contains(&suspect));
        assert_eq!(world.state(id), TaskState::Running);
        world.pass(Duration::from_secs(4));
        let expected = if round < 3 { TaskState::Pending } else { TaskState::Failed };
        assert_eq!(world.state(id), expected);
        let registration = Registration { life: round + 2, ..world.registration("w", 4) };
        if round < 3 {
            world.register(registration);
        }
        // Reports below are of the newest life.
        assert_eq!(world.workers.len(), 1);
        if round < 3 {
            world.register_again("w", 4, held(&world, id), vec![]);
        }
    }
    let losses = EndReason::WorkerLossesUsedUp { losses: 4 };
    assert_eq!(world.status[&id].end_reason.as_deref(), Some(&losses));
}

fn held(world: &World, id: TaskId) -> Vec<HeldAttempt> {
    match world.status[&id].current() {
        Some(attempt) => vec![HeldAttempt { attempt: attempt.reference(id), running: false }],
        None => vec![],
    }
}

#[test]
fn a_loss_before_the_start_is_not_charged() {
    let mut world = World::new();
    world.worker("w1", 4);
    let id = world.submit(vec![task("a")])[0];
    world.pass(Duration::from_secs(16));
    assert_eq!(world.state(id), TaskState::Pending);
    assert_eq!(world.status[&id].losses_used, 0);
}

#[test]
fn a_stale_report_changes_nothing() {
    let mut world = World::new();
    let lost = world.worker("w1", 4);
    let id = world.submit(vec![task("a")])[0];
    let (_, stale) = world.attempt(id);
    world.begin(id);
    world.pass(Duration::from_secs(8));
    let other = world.worker("w2", 4);
    world.pass(Duration::from_secs(8));
    assert_eq!(world.attempt(id).0, other, "attempt 2 runs elsewhere");
    // The first worker wakes up and says that it is done.
    let finished = vec![FinishedAttempt { attempt: stale, failure: exit(9), ran: None }];
    let answer = world.register_again("w1", 4, vec![], finished);
    assert_eq!(answer, Answer::Registered { worker: lost, stale: vec![stale] });
    assert_eq!(world.state(id), TaskState::Assigned);
    world.finish(id, None);
    assert_eq!(world.state(id), TaskState::Succeeded);
    let n_outcomes = world.status[&id].attempts.iter().filter(|it| it.outcome.is_some()).count();
    assert_eq!(n_outcomes, 2);
    // A result delivered twice counts once.
    let again = world.finish(id, exit(1));
    assert!(matches!(again, Answer::Synced { stale } if stale.len() == 1));
    assert_eq!(world.state(id), TaskState::Succeeded);
}

#[test]
fn a_restarted_host_adopts_what_runs_and_starts_nothing_twice() {
    let mut world = World::new();
    world.worker("w", 4);
    let ids = world.submit(vec![task("runs"), task("ended"), task("never-arrived")]);
    world.begin(ids[0]);
    world.begin(ids[1]);
    let (runs, ended) = (world.attempt(ids[0]).1, world.attempt(ids[1]).1);
    let n_started = world.started.len();
    world.restart(Duration::from_secs(40));
    assert_eq!(world.states(&ids[..2]), [TaskState::Running, TaskState::Running]);
    assert_eq!(world.scheduler.check_invariants(), Vec::<String>::new());
    let worker = world.workers.keys().copied().next().unwrap();
    let refused = world.sync(worker);
    assert_eq!(refused, Answer::Refused(Refusal::UnknownWorker(worker)), "it has to register");
    let ran = Some(Duration::from_secs(3));
    world.register_again(
        "w",
        4,
        vec![HeldAttempt { attempt: runs, running: true }],
        vec![FinishedAttempt { attempt: ended, failure: None, ran }],
    );
    assert_eq!(world.states(&ids[..2]), [TaskState::Running, TaskState::Succeeded]);
    assert_eq!(world.status[&ids[0]].attempts.len(), 1);
    let new: Vec<_> = world.started[n_started..].iter().map(|start| start.attempt).collect();
    assert_eq!(new.len(), 1, "only the one whose command was lost starts again");
    assert_eq!((new[0].task, new[0].attempt, new[0].term), (ids[2], 2, Term(2)));
    assert_eq!(world.status[&ids[2]].losses_used, 0);
}

#[test]
fn a_paused_host_loses_nobody() {
    let mut world = World::new();
    let worker = world.worker("w", 4);
    let id = world.submit(vec![task("a")])[0];
    world.begin(id);
    // The host did not run at all for 40 s: no timer fired in between.
    world.now = world.now.after(Duration::from_secs(40));
    world.plan();
    assert_eq!(world.state(id), TaskState::Running);
    world.sync(worker);
    world.pass(Duration::from_secs(9));
    assert_eq!(world.state(id), TaskState::Running);
}

#[test]
fn a_cancelled_task_never_runs_again() {
    let mut world = World::new();
    world.worker("w", 1);
    let ids = world.submit(vec![task("runs"), task("waits")]);
    world.begin(ids[0]);
    let cancel = |world: &mut World, id: TaskId| {
        let request = world.request();
        world.event(Event::CancelTask { request, task: id }).unwrap()
    };
    let waiting = cancel(&mut world, ids[1]);
    assert_eq!(waiting, Answer::Cancelled { state: TaskState::Cancelled, stopping: false });
    let running = cancel(&mut world, ids[0]);
    assert_eq!(running, Answer::Cancelled { state: TaskState::Running, stopping: true });
    assert_eq!(cancel(&mut world, ids[0]), running, "a second cancel is a no-op");
    assert_eq!(world.stopped.len(), 1);
    // Its worker goes away before it can confirm.
    world.pass(Duration::from_secs(16));
    assert_eq!(world.states(&ids), [TaskState::Cancelled, TaskState::Cancelled]);
    world.register_again("w", 1, vec![], vec![]);
    world.pass_synced(LONG);
    assert_eq!(world.started.len(), 1);
    assert_eq!(world.jobs.values().next().unwrap().state, JobState::Cancelled);
}

#[test]
fn cancelling_a_job_skips_none_of_its_tasks() {
    let mut world = World::new();
    world.worker("w", 1);
    let ids = world.submit(vec![task("a"), after("b", &["a"]), after("c", &["b"])]);
    world.begin(ids[0]);
    let job = *world.jobs.keys().next().unwrap();
    let request = world.request();
    let answer = world.event(Event::CancelJob { request, job });
    assert_eq!(answer, Some(Answer::JobCancelled { n_cancelled: 2, n_stopping: 1 }));
    world.finish(ids[0], Some(Failure::Cancelled));
    assert!(world.states(&ids).iter().all(|state| *state == TaskState::Cancelled));
}

#[test]
fn a_migration_charges_nothing_and_moves_the_task() {
    let mut world = World::new();
    world.worker("w1", 1);
    let id = world.submit(vec![task("a")])[0];
    world.begin(id);
    let propose = |world: &mut World| {
        let reason = "too slow".to_owned();
        world.policies.proposals = vec![Proposal { row: 0, action: Action::Migrate, reason }];
        world.pass_synced(Duration::from_secs(6));
    };
    let verdict = |world: &World| {
        world.notices.iter().rev().find_map(|notice| match notice {
            Notice::Rescheduling { verdict, .. } => Some(verdict.clone()),
            _ => None,
        })
    };
    propose(&mut world);
    assert_eq!(verdict(&world).as_deref(), Some("refused: no other worker fits it now"));
    let second = world.worker("w2", 1);
    propose(&mut world);
    assert_eq!(verdict(&world).as_deref(), Some("accepted"));
    assert_eq!(world.stopped.last().unwrap().why, StopReason::Migrated);
    world.finish(id, Some(Failure::Migrated));
    assert_eq!(world.attempt(id).0, second);
    let status = &world.status[&id];
    assert_eq!((status.retries_used, status.losses_used), (0, 0));
    world.begin(id);
    propose(&mut world);
    let refused = Some("refused: it was rescheduled a short time ago (cool-down)");
    assert_eq!(verdict(&world).as_deref(), refused);
}

#[test]
fn a_worker_that_comes_back_smaller_never_holds_more_than_it_has() {
    let mut world = World::new();
    world.worker("w", 4);
    let ids = world.submit(vec![cpus("a", 2000), cpus("b", 2000)]);
    let held: Vec<HeldAttempt> =
        ids.iter().map(|id| HeldAttempt { attempt: world.attempt(*id).1, running: true }).collect();
    world.register_again("w", 3, held, vec![]);
    assert_eq!(world.states(&ids), [TaskState::Running, TaskState::Pending]);
    assert_eq!(world.stopped.last().unwrap().why, StopReason::Preempted);
}

#[test]
fn a_name_is_not_taken_from_a_live_worker() {
    let mut world = World::new();
    world.worker("w", 4);
    let impostor = Registration { token_hash: [9; 32], ..world.registration("w", 4) };
    let request = world.request();
    let answer = world.event(Event::Register { request, registration: impostor.clone() });
    let name = "w".to_owned();
    assert_eq!(answer, Some(Answer::Refused(Refusal::WorkerNameTaken { name })));
    world.pass(Duration::from_secs(16));
    world.register(impostor);
    assert_eq!(world.workers.len(), 2);
}

#[test]
fn a_drained_worker_finishes_what_it_has_and_gets_nothing_new() {
    let mut world = World::new();
    let worker = world.worker("w", 4);
    let first = world.submit(vec![task("a")])[0];
    let request = world.request();
    world.event(Event::DrainWorker { request, worker, draining: true });
    let second = world.submit(vec![task("b")])[0];
    world.finish(first, None);
    assert_eq!(world.state(first), TaskState::Succeeded);
    assert_eq!(world.state(second), TaskState::Pending);
    let request = world.request();
    world.event(Event::DrainWorker { request, worker, draining: false });
    assert_eq!(world.state(second), TaskState::Assigned);
}

#[test]
fn a_drained_machine_that_was_off_never_takes_work_when_it_is_back() {
    let mut world = World::new();
    let worker = world.worker("w", 4);
    let drain = |world: &mut World, draining| {
        let request = world.request();
        world.event(Event::DrainWorker { request, worker, draining });
    };
    let away_and_back = |world: &mut World| {
        world.pass(Duration::from_secs(16));
        world.restart(Duration::from_secs(1));
        world.register_again("w", 4, vec![], vec![]);
    };
    drain(&mut world, true);
    let id = world.submit(vec![task("a")])[0];
    away_and_back(&mut world);
    assert_eq!(world.state(id), TaskState::Pending);
    drain(&mut world, false);
    assert_eq!(world.state(id), TaskState::Assigned);
    // Nor if it was off when it was taken out of service, or put back into it.
    world.pass(Duration::from_secs(16));
    drain(&mut world, true);
    away_and_back(&mut world);
    assert_eq!(world.state(id), TaskState::Pending);
    world.pass(Duration::from_secs(16));
    drain(&mut world, false);
    away_and_back(&mut world);
    assert_eq!(world.state(id), TaskState::Assigned);
}

#[test]
fn a_task_whose_workers_die_before_they_tell_of_a_start_is_never_tried_for_ever() {
    let mut world = World::new();
    world.worker("w", 4);
    let id = world.submit(vec![TaskSpec { max_worker_losses: Some(1), ..task("a") }])[0];
    let mut n_attempts = 0;
    while world.state(id) == TaskState::Assigned {
        n_attempts += 1;
        assert!(n_attempts <= 5, "it goes on and on");
        assert_eq!(world.status[&id].losses_used, u32::from(n_attempts > 4));
        // The process is another one, and holds nothing.
        let life = 1 + n_attempts;
        let registration = Registration { life, ..world.registration("w", 4) };
        world.register(registration);
    }
    assert_eq!((world.state(id), n_attempts), (TaskState::Failed, 5));
    let reason = world.status[&id].end_reason.as_deref();
    assert!(matches!(reason, Some(EndReason::WorkerLossesUsedUp { losses: 2 })), "{reason:?}");
}

#[test]
fn no_way_to_fail_goes_without_a_retry_or_ends_as_a_success() {
    let failures = [
        Failure::Signal(9),
        Failure::Signal(11),
        Failure::ExitCode(137),
        Failure::OutOfMemory,
        Failure::Timeout,
        Failure::StartFailed("no such folder".to_owned()),
    ];
    for failure in failures {
        let mut world = World::new();
        world.worker("w", 1);
        let id = world.submit(vec![task("a")])[0];
        for used in 1..=3 {
            world.finish(id, Some(failure.clone()));
            let status = &world.status[&id];
            assert_eq!(
                (status.state, status.retries_used),
                (TaskState::Pending, used),
                "{failure:?}"
            );
            world.pass_synced(Duration::from_secs(61));
            world.plan();
            assert_eq!(world.state(id), TaskState::Assigned, "{failure:?}");
        }
        world.finish(id, Some(failure.clone()));
        let status = &world.status[&id];
        assert_eq!(status.state, TaskState::Failed, "{failure:?}");
        let last = status.attempts.last().and_then(|attempt| attempt.outcome.clone());
        assert_eq!(last, Some(Outcome::Failed(failure)));
    }
}

#[test]
fn expected_run_time_is_learnt_from_successes() {
    let mut world = World::new();
    world.worker("w", 1);
    let Answer::Submitted { tasks, .. } = world.submit_one(task("a")) else { panic!() };
    world.finish(tasks[0], None);
    // The next of that name expects the 1 s that the first one took: backfill may rely on it.
    world.policies.discipline = pointsman_scheduler::settings::Discipline::Backfill;
    let long = TaskSpec { expected: Some(Duration::from_secs(100)), ..cpus("long", 500) };
    world.submit(vec![long]);
    let head = world.submit(vec![cpus("head", 1000)])[0];
    let Answer::Submitted { tasks, .. } = world.submit_one(cpus("a", 500)) else { panic!() };
    assert_eq!(world.state(head), TaskState::Pending);
    assert_eq!(world.state(tasks[0]), TaskState::Assigned);
}

#[test]
fn a_registration_that_was_late_takes_nothing_from_a_later_one() {
    let mut world = World::new();
    let late = world.registration("w", 4);
    let worker = world.worker("w", 4);
    let id = world.submit(vec![task("a")])[0];
    world.begin(id);
    let request = world.request();
    let answer = world.event(Event::Register { request, registration: late.clone() });
    assert_eq!(answer, Some(Answer::Refused(Refusal::OldRegistration)));
    assert_eq!(world.state(id), TaskState::Running);
    world.pass(Duration::from_secs(15));
    assert_eq!(world.workers[&worker].state, WorkerState::Lost);
    let request = world.request();
    let answer = world.event(Event::Register { request, registration: late });
    assert_eq!(answer, Some(Answer::Refused(Refusal::OldRegistration)), "also once it is lost");
}
