//! Whatever a queue policy prefers, a task that is overtaken for too long gets its turn.

mod world;

use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::record::TaskState;
use pointsman_scheduler::settings::Discipline;
use pointsman_scheduler::*;
use std::collections::VecDeque;
use std::time::Duration;
use world::*;

const SECOND: Duration = Duration::from_secs(1);

fn reserving(after: Option<Duration>) -> World {
    let mut settings = Settings::default();
    settings.queues.get_mut("default").expect("it is there").reserve_after = after;
    World::with(settings)
}

/// Ends whatever runs, and lets a second pass.
fn turn(world: &mut World) {
    let running: Vec<TaskId> = world
        .status
        .iter()
        .filter(|(_, status)| status.state == TaskState::Assigned)
        .map(|(id, _)| *id)
        .collect();
    for id in running {
        world.finish(id, None);
    }
    world.pass_synced(SECOND);
}

/// For how many seconds the first task waits, at most `most`, while five a second come for a worker
/// that can run four of them.
fn seconds_of_waiting(world: &mut World, most: usize) -> Option<usize> {
    world.policies.newest_first = true;
    world.worker("w", 4);
    world.submit(vec![cpus("first", 4000)]);
    let old = world.submit(vec![cpus("old", 1000)])[0];
    for second in 0..most {
        world.pass_synced(SECOND);
        world.submit((0..5).map(|index| cpus(&format!("t{index}"), 1000)).collect());
        turn(world);
        if world.state(old) != TaskState::Pending {
            return Some(second);
        }
    }
    None
}

#[test]
fn no_task_waits_for_ever_behind_newer_ones() {
    let waited = seconds_of_waiting(&mut reserving(None), 200);
    assert_eq!(waited, None, "nothing but the bound starts it");
    let waited = seconds_of_waiting(&mut reserving(Some(30 * SECOND)), 200);
    assert!(waited.is_some_and(|seconds| (14..=17).contains(&seconds)), "{waited:?} × 2 s");
}

#[test]
fn no_backlog_of_starving_tasks_is_served_one_a_second() {
    let mut world = reserving(Some(30 * SECOND));
    world.policies.newest_first = true;
    world.worker("w", 50);
    world.submit(vec![cpus("first", 50_000)]);
    let old = world.submit((0..200).map(|at| cpus(&format!("o{at}"), 1000)).collect());
    for second in 0..40 {
        world.pass_synced(SECOND);
        world.submit((0..50).map(|at| cpus(&format!("t{second}-{at}"), 1000)).collect());
        turn(&mut world);
    }
    // Fifty a second are started: from the thirtieth on the old ones, then others in their order.
    assert!(
        old.iter().all(|id| world.state(*id) == TaskState::Succeeded),
        "{:?}",
        world.states(&old)
    );
}

/// Something small always runs, so that a task of the whole worker never fits by chance.
fn keep_busy(world: &mut World, n: usize) -> Vec<TaskId> {
    let mut small = world.submit((0..4).map(|i| cpus(&format!("s{i}"), 1000)).collect());
    let large = world.submit(vec![cpus("large", 4000)])[0];
    for at in 0..n {
        world.pass_synced(SECOND);
        small.extend(world.submit(vec![cpus(&format!("another{at}"), 1000)]));
        world.finish(small[at], None);
        if world.state(large) != TaskState::Pending {
            break;
        }
    }
    small.push(large);
    small
}

#[test]
fn a_large_task_has_a_worker_kept_free_though_nobody_knows_when_what_runs_there_ends() {
    let mut world = reserving(Some(30 * SECOND));
    let worker = world.worker("w", 4);
    let mut ids = keep_busy(&mut world, 32);
    let large = ids.pop().expect("the large one");
    assert_eq!(
        world.scheduler.reason(large),
        Some(Reason::WorkerKeptFree { worker, until: Time::NEVER })
    );
    let late = *ids.last().expect("submitted last");
    assert_eq!(world.scheduler.reason(late), Some(Reason::ReservedFor { task: large }));
    let running: Vec<TaskId> =
        ids.into_iter().filter(|id| world.state(*id) == TaskState::Assigned).collect();
    assert!(!running.is_empty(), "they go on running");
    for id in running {
        assert_eq!(world.state(large), TaskState::Pending);
        world.finish(id, None);
    }
    assert_eq!(world.states(&[large, late]), [TaskState::Assigned, TaskState::Pending]);
    world.finish(large, None);
    assert_eq!(world.state(late), TaskState::Assigned, "nothing stays reserved");
}

/// While a small task comes every second and runs for five.
#[test]
fn a_stream_of_small_tasks_never_keeps_a_large_one_out_beyond_the_bound() {
    for priority in [0, 10] {
        let mut world = reserving(Some(30 * SECOND));
        world.worker("w", 4);
        let mut running: VecDeque<TaskId> = VecDeque::new();
        let mut large = None;
        let mut waited = None;
        for second in 0..300 {
            let small = world.submit(vec![cpus(&format!("small-{second}"), 1000)])[0];
            running.push_back(small);
            if second == 10 {
                let spec = pointsman_scheduler::spec::TaskSpec { priority, ..cpus("large", 4000) };
                large = Some(world.submit(vec![spec])[0]);
            }
            world.pass_synced(SECOND);
            world.plan();
            if let Some(large) = large
                && world.state(large) != TaskState::Pending
            {
                waited = Some(second - 10);
                break;
            }
            while running.len() > 5 && world.state(running[0]) == TaskState::Assigned {
                let oldest = running.pop_front().expect("there are some");
                world.finish(oldest, None);
            }
        }
        let waited = waited.expect("the large one starts");
        assert!((1..=60).contains(&waited), "priority {priority}: after {waited} s");
    }
}

#[test]
fn a_large_task_never_starts_among_small_ones_without_the_bound() {
    let mut world = reserving(None);
    world.worker("w", 4);
    let large = keep_busy(&mut world, 100).pop().expect("the large one");
    assert_eq!(world.state(large), TaskState::Pending);
}

#[test]
fn what_ends_in_time_or_fits_beside_may_use_what_is_kept_free() {
    let mut world = reserving(Some(30 * SECOND));
    world.worker("w", 4);
    let lasting = |name: &str, cpu_milli, seconds| pointsman_scheduler::spec::TaskSpec {
        expected: Some(seconds * SECOND),
        ..cpus(name, cpu_milli)
    };
    let long = world.submit(vec![lasting("long", 2000, 100)])[0];
    let large = world.submit(vec![lasting("large", 3000, 10)])[0];
    let other = world.submit(vec![lasting("other", 1000, 1000)])[0];
    assert_eq!(world.state(other), TaskState::Assigned, "it is overtaken");
    world.pass_synced(31 * SECOND);
    world.plan();
    let in_time = world.submit(vec![lasting("in-time", 1000, 60)])[0];
    assert_eq!(world.state(in_time), TaskState::Assigned);
    world.finish(in_time, None);
    let late = world.submit(vec![lasting("late", 1000, 80)])[0];
    assert_eq!(world.scheduler.reason(late), Some(Reason::ReservedFor { task: large }));
    world.finish(long, None);
    assert_eq!(world.states(&[large, late]), [TaskState::Assigned, TaskState::Pending]);
}

#[test]
fn at_most_a_twentieth_of_the_workers_is_kept_free() {
    let mut world = reserving(Some(30 * SECOND));
    for at in 0..40 {
        world.worker(&format!("w{at}"), 2);
    }
    let halves = world.submit((0..80).map(|i| cpus(&format!("h{i}"), 1000)).collect());
    let large = world.submit((0..10).map(|i| cpus(&format!("l{i}"), 2000)).collect());
    // The halves of each worker end in turn, so that none is ever free as a whole.
    let mut running = halves;
    for second in 0..60 {
        world.pass_synced(SECOND);
        let at = second % running.len();
        let ended = running[at];
        running[at] = world.submit(vec![cpus("half", 1000)])[0];
        world.finish(ended, None);
        let is_kept = |id: &&TaskId| {
            matches!(world.scheduler.reason(**id), Some(Reason::WorkerKeptFree { .. }))
        };
        assert!(large.iter().filter(is_kept).count() <= 2);
        running.retain(|id| world.state(*id) == TaskState::Assigned);
    }
    let is_kept =
        |id: &&TaskId| matches!(world.scheduler.reason(**id), Some(Reason::WorkerKeptFree { .. }));
    let n_started = large.iter().filter(|id| world.state(**id) != TaskState::Pending).count();
    assert!(n_started > 0, "the bound starts some");
    let kept: Vec<&TaskId> = large.iter().filter(is_kept).collect();
    let oldest: Vec<&TaskId> = large[n_started..].iter().take(2).collect();
    assert_eq!(kept, oldest, "one after the other, in submit order");
}

#[test]
fn a_worker_is_kept_free_no_longer_than_for_the_task() {
    for ends_by in ["cancel", "pause", "loss"] {
        let mut world = reserving(Some(30 * SECOND));
        let worker = world.worker("w", 4);
        let mut ids = keep_busy(&mut world, 32);
        let large = ids.pop().expect("the large one");
        let late = *ids.last().expect("submitted last");
        assert_eq!(world.state(late), TaskState::Pending, "{ends_by}");
        let request = world.request();
        match ends_by {
            "cancel" => {
                world.event(Event::CancelTask { request, task: large });
            }
            "pause" => {
                let queue = "default".to_owned();
                world.event(Event::PauseQueue { request, queue: queue.clone(), paused: true });
                assert_eq!(world.scheduler.reason(large), Some(Reason::Paused));
                world.event(Event::PauseQueue { request, queue, paused: false });
                continue;
            }
            _ => {
                // Another one takes its place, and the task starts there.
                world.pass(20 * SECOND);
                let other = world.worker("v", 4);
                world.pass(2 * SECOND);
                assert_ne!(other, worker);
                assert_eq!(world.attempt(large).0, other);
                continue;
            }
        }
        assert_eq!(world.state(late), TaskState::Assigned, "{ends_by}");
    }
}

#[test]
fn no_starving_task_breaks_the_order_of_a_strict_queue() {
    let mut world = reserving(Some(30 * SECOND));
    world.policies.discipline = Discipline::Strict;
    world.policies.newest_first = true;
    world.worker("w", 4);
    world.submit(vec![cpus("running", 2000)]);
    let old = world.submit(vec![cpus("old", 3000)])[0];
    world.pass_synced(SECOND);
    let head = world.submit(vec![cpus("head", 4000)])[0];
    world.pass_synced(60 * SECOND);
    assert_eq!(world.scheduler.reason(old), Some(Reason::BlockedByHead { task: head }));
}
