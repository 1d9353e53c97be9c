//! Workers that fall silent together, workers that fail whatever they get, and scripts that must not
//! overlap.

mod world;

use pointsman_scheduler::explain::{Reason, Verdict};
use pointsman_scheduler::record::{Failure, TaskState, WorkerState};
use pointsman_scheduler::spec::{OnDisconnect, TaskSpec};
use pointsman_scheduler::*;
use std::collections::BTreeSet;
use std::time::Duration;
use world::*;

const SECOND: Duration = Duration::from_secs(1);

/// A world of `n` workers with one CPU each, a task running on each of them.
fn busy(n: usize) -> (World, Vec<WorkerId>, Vec<TaskId>) {
    let mut world = World::new();
    let workers = (0..n).map(|index| world.worker(&format!("w{index}"), 1)).collect();
    let tasks = world.submit((0..n).map(|index| task(&format!("t{index}"))).collect());
    tasks.iter().for_each(|task| world.begin(*task));
    (world, workers, tasks)
}

fn lost(world: &World) -> BTreeSet<WorkerId> {
    let is_lost = |notice: &Notice| match notice {
        Notice::WorkerState { worker, state: WorkerState::Lost } => Some(*worker),
        _ => None,
    };
    world.notices.iter().filter_map(is_lost).collect()
}

fn n_holds(world: &World) -> usize {
    world.notices.iter().filter(|it| matches!(it, Notice::LossesHeld { .. })).count()
}

/// Lets time pass while these workers, and no others, report every 5 s.
fn pass_with(world: &mut World, alive: &[WorkerId], span: Duration) {
    let end = world.now.after(span);
    while world.now < end {
        world.pass((5 * SECOND).min(end.since(world.now)));
        alive.iter().for_each(|worker| drop(world.sync(*worker)));
    }
}

#[test]
fn a_break_between_host_and_most_workers_moves_no_task_if_it_heals_within_a_window() {
    let (mut world, workers, tasks) = busy(5);
    pass_with(&mut world, &workers[..2], 25 * SECOND);
    assert_eq!((lost(&world), n_holds(&world)), (BTreeSet::new(), 1));
    workers.iter().for_each(|worker| drop(world.sync(*worker)));
    pass_with(&mut world, &workers, 60 * SECOND);
    assert_eq!(lost(&world), BTreeSet::new());
    assert!(tasks.iter().all(|task| world.status[task].next_attempt == 2));
}

#[test]
fn most_workers_are_given_up_after_one_more_window_and_not_later() {
    let (mut world, workers, tasks) = busy(5);
    pass_with(&mut world, &workers[..2], 29 * SECOND);
    assert_eq!(lost(&world), BTreeSet::new());
    let told = Notice::LossesHeld { n_silent: 3, n_workers: 5, until: world.now.after(SECOND) };
    assert!(world.notices.contains(&told), "{:?}", world.notices);
    pass_with(&mut world, &workers[..2], SECOND);
    assert_eq!(lost(&world), workers[2..].iter().copied().collect());
    assert_eq!(n_holds(&world), 1);
    assert_eq!(world.states(&tasks[2..]), [TaskState::Pending; 3]);
}

#[test]
fn few_losses_are_not_held_back() {
    for (n_workers, n_silent) in [(2, 2), (6, 3), (1, 1)] {
        let (mut world, workers, _) = busy(n_workers);
        pass_with(&mut world, &workers[n_silent..], 15 * SECOND);
        let expected = workers[..n_silent].iter().copied().collect::<BTreeSet<_>>();
        assert_eq!((lost(&world), n_holds(&world)), (expected, 0), "{n_silent} of {n_workers}");
    }
}

#[test]
fn workers_that_fall_silent_one_after_the_other_are_a_mass_too() {
    let (mut world, workers, _) = busy(4);
    // Each is last heard of 4 s after the one before.
    for alive in [1, 2, 3] {
        world.pass(4 * SECOND);
        workers[alive..].iter().for_each(|worker| drop(world.sync(*worker)));
    }
    pass_with(&mut world, &[], 14 * SECOND);
    assert_eq!(n_holds(&world), 1, "one was lost, the next are too many");
    assert_eq!(lost(&world).len(), 1);
}

#[test]
fn a_second_break_soon_after_is_not_held_again() {
    let (mut world, workers, _) = busy(4);
    pass_with(&mut world, &[], 30 * SECOND);
    assert_eq!((lost(&world).len(), n_holds(&world)), (4, 1));
    for index in 0..4 {
        world.register_again(&format!("w{index}"), 1, vec![], vec![]);
    }
    world.notices.clear();
    pass_with(&mut world, &[], 14 * SECOND);
    assert_eq!(lost(&world), BTreeSet::new());
    pass_with(&mut world, &[], 16 * SECOND);
    assert_eq!((lost(&world).len(), n_holds(&world)), (workers.len(), 1));
}

fn quarantined(world: &World, worker: WorkerId) -> bool {
    let of_it = |notice: &&Notice| matches!(notice, Notice::WorkerQuarantined { worker: it, .. } if *it == worker);
    match world.notices.iter().rfind(of_it) {
        Some(Notice::WorkerQuarantined { until, .. }) => until.is_some(),
        _ => false,
    }
}

/// Where a task that fits anywhere runs now.
fn place_of(world: &World, task: TaskId) -> WorkerId {
    world.attempt(task).0
}

/// Two workers of one CPU; everything that starts on the first fails at once, on the second it
/// succeeds. Returns with the first quarantined.
fn black_hole(world: &mut World, n_tasks: usize) -> (WorkerId, WorkerId, Vec<TaskId>) {
    let (bad, good) = (world.worker("bad", 1), world.worker("good", 1));
    let tasks = world.submit((0..n_tasks).map(|n| task(&format!("t{n}"))).collect());
    while !quarantined(world, bad) {
        let on_bad = tasks.iter().copied().find(|id| is_on(world, *id, bad));
        match on_bad {
            Some(id) => drop(world.finish(id, exit(1))),
            None => world.pass(SECOND / 100),
        }
    }
    (bad, good, tasks)
}

fn is_on(world: &World, task: TaskId, worker: WorkerId) -> bool {
    world.status[&task].current().is_some_and(|attempt| attempt.worker == worker)
}

#[test]
fn a_worker_that_fails_at_once_swallows_no_more_than_five_attempts() {
    let mut world = World::new();
    let (bad, good, tasks) = black_hole(&mut world, 100);
    let failed = |id: &&TaskId| world.status[*id].retries_used > 0;
    assert_eq!(tasks.iter().filter(failed).count(), 5);
    assert!(!tasks.iter().any(|id| is_on(&world, *id, bad)));
    let waiting = *tasks.last().unwrap();
    let now = world.now;
    let explanation = world.scheduler.explain(now, waiting, &mut world.policies).unwrap();
    let verdict = explanation.workers.iter().find(|it| it.worker == bad).unwrap();
    assert_eq!(verdict.verdict, Verdict::Quarantined { until: now.after(60 * SECOND) });
    assert!(matches!(explanation.reason, Some(Reason::NoCapacityNow { .. })));
    while let Some(id) = tasks.iter().copied().find(|id| is_on(&world, *id, good)) {
        world.finish(id, None);
        if !tasks.iter().any(|id| world.state(*id).is_placed()) {
            world.pass(SECOND);
        }
    }
    assert!(tasks.iter().all(|id| world.state(*id) == TaskState::Succeeded));
}

#[test]
fn a_quarantine_ends_by_time_and_comes_back_longer_with_the_next_quick_failure() {
    let mut world = World::new();
    let (bad, _, tasks) = black_hole(&mut world, 20);
    world.pass_synced(59 * SECOND);
    assert!(quarantined(&world, bad));
    world.pass_synced(SECOND);
    assert!(!quarantined(&world, bad));
    let id = tasks.iter().copied().find(|id| is_on(&world, *id, bad)).expect("it gets work again");
    world.finish(id, exit(1));
    assert!(quarantined(&world, bad));
    world.pass_synced(119 * SECOND);
    assert!(quarantined(&world, bad));
    world.pass_synced(SECOND);
    assert!(!quarantined(&world, bad));
    // One success, and nothing is held against it any more.
    for _ in 0..5 {
        let id = tasks.iter().copied().find(|id| is_on(&world, *id, bad)).unwrap();
        world.finish(id, if world.status[&id].attempts.len() > 1 { exit(1) } else { None });
    }
    assert!(!quarantined(&world, bad));
}

#[test]
fn a_quarantine_is_ended_by_hand_and_by_a_new_life() {
    for by_hand in [true, false] {
        let mut world = World::new();
        let (bad, _, tasks) = black_hole(&mut world, 20);
        if by_hand {
            let request = world.request();
            world.event(Event::DrainWorker { request, worker: bad, draining: false });
        } else {
            let registration = event::Registration { life: 77, ..world.registration("bad", 1) };
            world.register(registration);
        }
        assert!(!quarantined(&world, bad));
        assert!(tasks.iter().any(|id| is_on(&world, *id, bad)));
    }
}

#[test]
fn broken_work_never_costs_the_only_worker_nor_more_than_half_of_them() {
    for n_workers in [1, 2, 3, 4] {
        let mut world = World::new();
        let workers: Vec<WorkerId> =
            (0..n_workers).map(|n| world.worker(&format!("w{n}"), 1)).collect();
        let tasks = world.submit((0..200).map(|n| task(&format!("t{n}"))).collect());
        for _ in 0..100 {
            let placed = tasks.iter().copied().find(|id| world.state(*id).is_placed());
            let Some(id) = placed else { break };
            world.finish(id, exit(1));
        }
        let n_quarantined = workers.iter().filter(|it| quarantined(&world, **it)).count();
        assert_eq!(n_quarantined, n_workers / 2, "of {n_workers}");
    }
}

#[test]
fn slow_failures_cancelled_and_moved_attempts_are_not_held_against_a_worker() {
    let mut world = World::new();
    let (first, second) = (world.worker("w1", 4), world.worker("w2", 4));
    let tasks = world.submit((0..8).map(|n| task(&format!("t{n}"))).collect());
    for id in tasks.iter().copied().filter(|id| is_on(&world, *id, first)).collect::<Vec<_>>() {
        let request = world.request();
        world.event(Event::CancelTask { request, task: id });
        world.finish(id, Some(Failure::Signal(15)));
    }
    for id in tasks.iter().copied().filter(|id| is_on(&world, *id, second)).collect::<Vec<_>>() {
        let (worker, attempt) = world.attempt(id);
        let ran = Some(11 * SECOND);
        let finished = event::FinishedAttempt { attempt, failure: exit(1), ran };
        let report = world.report(worker);
        world.sync_with(event::SyncReport { finished: vec![finished], ..report });
    }
    for _ in 0..2 {
        let id = world.submit(vec![TaskSpec { max_retries: Some(0), ..task("x") }])[0];
        let worker = place_of(&world, id);
        world.finish(id, exit(1));
        assert!(!quarantined(&world, worker));
    }
}

#[test]
fn a_script_that_must_not_overlap_waits_until_its_lost_worker_has_killed_it() {
    let mut world = World::new();
    let first = world.worker("w1", 2);
    let stop = TaskSpec { on_disconnect: OnDisconnect::Stop, ..task("stop") };
    let ids = world.submit(vec![stop, task("keep")]);
    ids.iter().for_each(|id| world.begin(*id));
    let second = world.worker("w2", 2);
    pass_with(&mut world, &[second], 15 * SECOND);
    assert_eq!(lost(&world), BTreeSet::from([first]));
    assert_eq!(world.states(&ids), [TaskState::Pending, TaskState::Assigned]);
    let until = world.now.after(15 * SECOND);
    assert_eq!(world.scheduler.reason(ids[0]), Some(Reason::Backoff { until }));
    pass_with(&mut world, &[second], 14 * SECOND);
    assert_eq!(world.state(ids[0]), TaskState::Pending);
    pass_with(&mut world, &[second], SECOND);
    assert_eq!(world.state(ids[0]), TaskState::Assigned);
}
