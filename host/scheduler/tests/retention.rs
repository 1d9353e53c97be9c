//! Finished work is forgotten by age: on time, also after a restart, and never while others need it.

mod world;

use pointsman_scheduler::record::TaskState;
use pointsman_scheduler::*;
use std::time::Duration;
use world::*;

/// Short, so that workers are heard between.
const STEP: Duration = Duration::from_secs(10);

fn world() -> World {
    let settings = Settings { retention_finished_for: Some(7 * STEP), ..Settings::default() };
    let mut world = World::with(settings);
    world.worker("w", 8);
    world
}

fn submit_open(world: &mut World, spec: pointsman_scheduler::spec::TaskSpec) -> TaskId {
    match world.submit_one(spec) {
        Answer::Submitted { tasks, .. } => tasks[0],
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_has_ended_is_forgotten_when_it_is_old_enough_and_no_sooner() {
    let mut world = world();
    let old = world.submit(vec![task("a"), task("b")]);
    let waiting = world.submit(vec![task("c"), after("d", &["c"])]);
    world.finish(old[0], None);
    world.finish(old[1], None);
    world.finish(waiting[0], None);
    world.pass_synced(6 * STEP);
    assert!(world.added.contains_key(&old[0]));
    // A job of which a task runs has not ended, however old the others are.
    world.pass_synced(2 * STEP);
    assert!(old.iter().all(|id| !world.added.contains_key(id)), "by its own deadline");
    assert!(waiting.iter().all(|id| world.added.contains_key(id)));
    assert_eq!(world.jobs.len(), 1);
    world.finish(waiting[1], None);
    world.pass_synced(8 * STEP);
    assert!(world.added.is_empty() && world.jobs.is_empty());
}

#[test]
fn ages_are_counted_over_restarts() {
    let mut world = world();
    let old = world.submit(vec![task("a")]);
    world.finish(old[0], None);
    world.restart(6 * STEP);
    assert_eq!(world.state(old[0]), TaskState::Succeeded);
    world.restart(2 * STEP);
    assert!(world.added.is_empty() && world.jobs.is_empty());
}

#[test]
fn a_task_that_others_wait_for_is_kept_and_costs_no_wakes() {
    let mut world = world();
    let first = submit_open(&mut world, task("first"));
    world.finish(first, None);
    let second = submit_open(&mut world, after("second", &["first"]));
    world.pass_synced(20 * STEP);
    assert!(world.added.contains_key(&first));
    let deadline = world.scheduler.next_deadline().expect("there are timers");
    assert!(deadline > world.now, "woken at once, again and again");
    world.finish(second, None);
    world.pass_synced(8 * STEP);
    assert!(!world.added.contains_key(&first) && !world.added.contains_key(&second));
}
