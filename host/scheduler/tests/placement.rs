//! Which task goes where, and what waits why.

mod world;

use pointsman_scheduler::event::{Measurements, Registration};
use pointsman_scheduler::explain::{Reason, Verdict};
use pointsman_scheduler::record::TaskState;
use pointsman_scheduler::resources::{Capacity, Request};
use pointsman_scheduler::settings::Discipline;
use pointsman_scheduler::spec::TaskSpec;
use pointsman_scheduler::*;
use std::collections::BTreeMap;
use std::time::Duration;
use world::*;

fn many(n: usize, spec: impl Fn(String) -> TaskSpec) -> Vec<TaskSpec> {
    (0..n).map(|index| spec(format!("t{index}"))).collect()
}

fn placed_on(world: &World, ids: &[TaskId]) -> BTreeMap<WorkerId, usize> {
    let mut counts = BTreeMap::new();
    for id in ids {
        if let Some(attempt) = world.status[id].current() {
            *counts.entry(attempt.worker).or_default() += 1;
        }
    }
    counts
}

#[test]
fn forty_tenths_fill_four_cores_exactly_again_and_again() {
    let mut world = World::new();
    world.worker("w", 4);
    for _ in 0..50 {
        let ids = world.submit(many(41, |name| cpus(&name, 100)));
        let n_placed = ids.iter().filter(|id| world.state(**id) == TaskState::Assigned).count();
        assert_eq!(n_placed, 40);
        for id in &ids {
            world.finish(*id, None);
        }
        assert!(ids.iter().all(|id| world.state(*id) == TaskState::Succeeded));
    }
}

#[test]
fn equal_scores_do_not_pile_up_on_the_first_worker() {
    for node_local in [true, false] {
        let mut world = World::new();
        world.policies.score = Some(1.0);
        world.policies.node_local = node_local;
        let (large, small) = (world.worker("w1", 24), world.worker("w2", 10));
        let ids = world.submit(many(8, |name| task(&name)));
        let counts = placed_on(&world, &ids);
        // The least loaded by share, counting those of the same round.
        assert_eq!((counts[&large], counts[&small]), (5, 3), "node-local: {node_local}");

        let mut world = World::new();
        world.policies.score = Some(1.0);
        world.policies.node_local = node_local;
        let (large, small) = (world.worker("w1", 24), world.worker("w2", 10));
        let one = |index: usize| world.submit(vec![task(&format!("single-{index}"))])[0];
        let ids: Vec<TaskId> = (0..8).map(one).collect();
        let counts = placed_on(&world, &ids);
        assert_eq!((counts[&large], counts[&small]), (5, 3), "one by one: {node_local}");
    }
}

/// Four cores and so many bytes.
fn one_worker_with(memory: u64) -> World {
    let mut world = World::new();
    let capacity = Capacity { cpu_milli: 4_000, memory, gpus: 0 };
    let registration = Registration { capacity, ..world.registration("w", 4) };
    world.register(registration);
    world
}

#[test]
fn a_unit_of_memory_is_never_taken_for_another() {
    let mut world = one_worker_with(8_000_000_000);
    let of = |name: &str, memory: u64| {
        let request = Request { cpu_milli: 1_000, memory, gpu_milli: 0 };
        TaskSpec { request, ..task(name) }
    };
    let binary = world.submit(vec![of("binary", 8 << 30)])[0];
    let decimal = world.submit(vec![of("decimal", 8_000_000_000)])[0];
    assert_eq!(world.state(decimal), TaskState::Assigned);
    let reason = world.scheduler.reason(binary);
    let Some(Reason::NoWorkerCanEverFit { asked, largest }) = reason else { panic!("{reason:?}") };
    assert_eq!((asked.memory, largest.memory), (8 << 30, 8_000_000_000));
}

#[test]
fn a_task_that_asks_for_no_core_never_gets_past_the_other_resources() {
    let mut world = one_worker_with(1_000_000_000);
    let request = |cpu_milli, memory| Request { cpu_milli, memory, gpu_milli: 0 };
    world.submit(vec![TaskSpec { request: request(4_000, 0), ..task("all-cores") }]);
    let light = |name: String| TaskSpec { request: request(0, 100_000_000), ..task(&name) };
    let ids = world.submit(many(20, light));
    let states = world.states(&ids);
    let n_placed = states.iter().filter(|state| **state == TaskState::Assigned).count();
    assert_eq!(n_placed, 10, "{states:?}");
}

#[test]
fn impossible_tasks_block_nobody_in_any_discipline() {
    for discipline in [Discipline::Greedy, Discipline::Strict, Discipline::Backfill] {
        let mut world = World::new();
        world.policies.discipline = discipline;
        world.worker("w", 4);
        let huge = world.submit(many(50, |name| TaskSpec { priority: 100, ..cpus(&name, 64_000) }));
        let small = world.submit(vec![TaskSpec { priority: 1, ..task("small") }])[0];
        assert_eq!(world.state(small), TaskState::Assigned, "{discipline:?}");
        let reason = world.scheduler.reason(huge[49]).unwrap();
        assert_eq!(reason.code(), "no_worker_can_ever_fit");
        let Reason::NoWorkerCanEverFit { asked, largest } = reason else { panic!() };
        assert_eq!((asked.cpu_milli, largest.cpu_milli), (64_000, 4000));
        world.worker("big", 64);
        assert_eq!(world.state(huge[0]), TaskState::Assigned, "{discipline:?}");
    }
}

#[test]
fn strict_never_overtakes_a_blocked_head_and_greedy_does() {
    for (discipline, expected) in
        [(Discipline::Strict, TaskState::Pending), (Discipline::Greedy, TaskState::Assigned)]
    {
        let mut world = World::new();
        world.policies.discipline = discipline;
        world.worker("w", 4);
        let first = world.submit(vec![cpus("first", 3000)])[0];
        let head = world.submit(vec![cpus("head", 4000)])[0];
        let small = world.submit(vec![task("small")])[0];
        assert_eq!(world.state(head), TaskState::Pending);
        assert_eq!(world.state(small), expected, "{discipline:?}");
        assert!(matches!(world.scheduler.reason(head), Some(Reason::NoCapacityNow { .. })));
        if discipline == Discipline::Strict {
            assert_eq!(world.scheduler.reason(small), Some(Reason::BlockedByHead { task: head }));
            world.finish(first, None);
            assert_eq!(world.state(head), TaskState::Assigned);
            world.finish(head, None);
            assert_eq!(world.state(small), TaskState::Assigned);
        }
    }
}

fn lasting(name: &str, cpu_milli: u64, seconds: u64) -> TaskSpec {
    TaskSpec { expected: Some(Duration::from_secs(seconds)), ..cpus(name, cpu_milli) }
}

/// What fits again comes before a larger task that waits behind it, however long it lasts.
#[test]
fn no_task_is_held_back_for_the_sake_of_one_behind_it() {
    let mut world = World::new();
    world.policies.discipline = Discipline::Backfill;
    world.worker("w", 4);
    let short = world.submit(vec![lasting("short", 2000, 10)])[0];
    world.submit(vec![lasting("long", 2000, 100)]);
    let head = world.submit(vec![lasting("head", 2000, 1000)])[0];
    let large = world.submit(vec![lasting("large", 4000, 10)])[0];
    use TaskState::*;
    assert_eq!(world.states(&[head, large]), [Pending, Pending]);
    world.finish(short, None);
    assert_eq!(world.states(&[head, large]), [Assigned, Pending]);
}

#[test]
fn nothing_waits_for_a_reservation_that_is_gone() {
    let mut world = World::new();
    world.policies.discipline = Discipline::Backfill;
    world.worker("w", 4);
    world.submit(vec![lasting("running", 2000, 100)]);
    let head = world.submit(vec![lasting("head", 4000, 10)])[0];
    let late = world.submit(vec![lasting("late", 1000, 1000)])[0];
    assert_eq!(world.scheduler.reason(late), Some(Reason::ReservedFor { task: head }));
    let request = world.request();
    world.event(Event::CancelTask { request, task: head });
    world.plan();
    assert_eq!(world.states(&[head, late]), [TaskState::Cancelled, TaskState::Assigned]);
}

/// Running work that lasts longer than expected delays the reserved start: what ends by then may go.
#[test]
fn a_reservation_that_moved_holds_back_no_more_than_it_must() {
    let mut world = World::new();
    world.policies.discipline = Discipline::Backfill;
    world.worker("w", 4);
    world.submit(vec![lasting("first", 1000, 10)]);
    world.submit(vec![lasting("second", 2000, 20)]);
    world.submit(vec![lasting("head", 2000, 10)]);
    let late = world.submit(vec![lasting("late", 1000, 15)])[0];
    assert_eq!(world.state(late), TaskState::Pending);
    // Now both are late, so that the head will find twice as much as it needs.
    world.pass_synced(Duration::from_secs(21));
    world.submit(vec![cpus("another", 1000)]);
    assert_eq!(world.state(late), TaskState::Assigned);
}

/// One worker of 4 cores runs 2 for 100 s. The head wants 4. Short work and work that leaves the
/// head its start may go first, long work may not.
#[test]
fn backfill_never_delays_the_reserved_head() {
    let mut world = World::new();
    world.policies.discipline = Discipline::Backfill;
    world.worker("w", 4);
    let running = world.submit(vec![lasting("running", 2000, 100)])[0];
    let head = world.submit(vec![lasting("head", 4000, 10)])[0];
    let late = world.submit(vec![lasting("late", 1000, 101)])[0];
    let unknown = world.submit(vec![cpus("unknown", 1000)])[0];
    let short = world.submit(vec![lasting("short", 1000, 100)])[0];
    use TaskState::*;
    assert_eq!(world.states(&[head, late, unknown, short]), [Pending, Pending, Pending, Assigned]);
    assert_eq!(world.scheduler.reason(late), Some(Reason::ReservedFor { task: head }));
    world.finish(short, None);
    world.finish(running, None);
    assert_eq!(world.states(&[head, late, unknown]), [Assigned, Pending, Pending]);
    world.finish(head, None);
    assert_eq!(world.states(&[late, unknown]), [Assigned, Assigned]);
}

#[test]
fn an_urgent_dependent_lifts_what_it_waits_for() {
    let mut world = World::new();
    world.worker("w", 4);
    let bulk = world.submit(many(20, |name| TaskSpec { priority: 50, ..cpus(&name, 4000) }));
    let urgent = TaskSpec { priority: 100, ..after("b", &["a"]) };
    let ids = world.submit(vec![TaskSpec { priority: 1, ..task("a") }, urgent]);
    world.finish(bulk[0], None);
    assert_eq!(world.state(ids[0]), TaskState::Assigned);
    // It is queued before the capacity of what it waited for is given away.
    world.finish(ids[0], None);
    assert_eq!(world.state(ids[1]), TaskState::Assigned);
}

#[test]
fn members_of_a_class_that_ask_for_less_are_not_blocked_by_those_that_ask_for_more() {
    let mut world = World::new();
    world.worker("w", 4);
    world.submit(vec![cpus("filler", 2000)]);
    // All in one class of the grid: 2001 to 2200 milli.
    let ids =
        world.submit(vec![cpus("a", 2100), cpus("b", 2050), cpus("c", 2000), cpus("d", 2200)]);
    use TaskState::*;
    assert_eq!(world.states(&ids), [Pending, Pending, Assigned, Pending]);
    assert!(
        ids.iter()
            .filter(|id| world.state(**id) == Pending)
            .all(|id| matches!(world.scheduler.reason(*id), Some(Reason::NoCapacityNow { .. })))
    );
}

#[test]
fn a_restricted_worker_takes_one_start_per_interval() {
    let mut world = World::new();
    world.policies.banded = true;
    world.policies.score = Some(0.3);
    let worker = world.worker("w", 4);
    let ids = world.submit(many(4, |name| task(&name)));
    let n_placed =
        |world: &World| ids.iter().filter(|id| world.state(**id) != TaskState::Pending).count();
    assert_eq!(n_placed(&world), 1);
    assert!(matches!(world.scheduler.reason(ids[3]), Some(Reason::Restricted { .. })));
    world.pass(Duration::from_secs(4));
    world.sync(worker);
    assert_eq!(n_placed(&world), 1);
    world.pass(Duration::from_secs(1));
    assert_eq!(n_placed(&world), 2);
}

#[test]
fn restricted_workers_are_left_alone_while_another_fits() {
    let mut world = World::new();
    world.policies.banded = true;
    let busy = world.worker("busy", 4);
    let free = world.worker("free", 4);
    let cpu_used = Some(0.9);
    world.measure(busy, Measurements { cpu_used, ..Measurements::default() });
    let ids = world.submit(many(2, |name| task(&name)));
    assert_eq!(placed_on(&world, &ids), BTreeMap::from([(free, 2)]));
}

#[test]
fn labels_are_required_exactly() {
    let mut world = World::new();
    world.worker("plain", 4);
    let labels = BTreeMap::from([("disk".to_owned(), "ssd".to_owned())]);
    let picky = TaskSpec { requires: labels.clone().into(), ..task("picky") };
    let id = world.submit(vec![picky])[0];
    assert_eq!(world.scheduler.reason(id), Some(Reason::NoConstraintMatch));
    let registration = Registration { labels, ..world.registration("ssd", 4) };
    let worker = world.register(registration);
    assert_eq!(world.attempt(id).0, worker);
}

#[test]
fn devices_are_counted_one_by_one() {
    let mut world = World::new();
    let capacity = Capacity { cpu_milli: 16_000, memory: 8_000_000_000, gpus: 2 };
    let registration = Registration { capacity, ..world.registration("gpus", 16) };
    world.register(registration);
    let gpu = |name: &str, gpu_milli| {
        let mut spec = task(name);
        spec.request.gpu_milli = gpu_milli;
        spec
    };
    let ids = world.submit(vec![gpu("a", 600), gpu("b", 600), gpu("c", 600), gpu("d", 400)]);
    use TaskState::*;
    // Two devices hold one share of 0.6 each; the third share fits neither, though 0.8 is free.
    assert_eq!(world.states(&ids), [Assigned, Assigned, Pending, Assigned]);
    let devices = |id: TaskId| world.status[&id].attempts[0].devices.indexes.clone();
    assert_eq!((devices(ids[0]), devices(ids[1]), devices(ids[3])), (vec![0], vec![1], vec![0]));
}

#[test]
fn a_policy_that_fails_in_a_round_never_mixes_generations_in_a_decision() {
    let mut world = World::new();
    world.worker("w1", 4);
    world.worker("w2", 4);
    world.policies.fail_calls = 1;
    let ids = world.submit(many(4, |name| task(&name)));
    let generations: Vec<u32> =
        ids.iter().map(|id| world.status[id].attempts[0].decision.scoring.generation).collect();
    assert!(generations.iter().all(|generation| *generation == world.policies.generation));
}

#[test]
fn explain_tells_per_worker_why_not() {
    let mut world = World::new();
    world.worker("small", 1);
    let busy = world.worker("busy", 4);
    world.submit(vec![cpus("filler", 4000)]);
    let id = world.submit(vec![cpus("a", 2000)])[0];
    let explanation = world.scheduler.explain(world.now, id, &mut world.policies).unwrap();
    assert_eq!(explanation.queue_position, Some(1));
    assert!(matches!(explanation.workers[0].verdict, Verdict::TooSmall { .. }));
    assert!(matches!(explanation.workers[1].verdict, Verdict::NoCapacityNow { .. }));
    assert_eq!(explanation.reason.map(|reason| reason.code()), Some("no_capacity_now"));
    let third = world.worker("third", 2);
    assert_eq!(world.attempt(id).0, third);
    let next = world.submit(vec![task("b")])[0];
    let explanation = world.scheduler.explain(world.now, next, &mut world.policies).unwrap();
    assert_eq!(explanation.reason, None);
    assert!(
        !explanation
            .workers
            .iter()
            .any(|it| { it.worker == busy && matches!(it.verdict, Verdict::Fits { .. }) })
    );
}

#[test]
fn a_paused_queue_starts_nothing_until_resumed() {
    let mut world = World::new();
    world.worker("w", 4);
    let pause = |world: &mut World, paused| {
        let request = world.request();
        world.event(Event::PauseQueue { request, queue: "default".into(), paused })
    };
    assert_eq!(pause(&mut world, true), Some(Answer::QueuePaused));
    let id = world.submit(vec![task("a")])[0];
    assert_eq!(world.scheduler.reason(id), Some(Reason::Paused));
    pause(&mut world, false);
    assert_eq!(world.state(id), TaskState::Assigned);
}

/// Indexes, and scores asked for ahead, never decide otherwise than asking about everybody does.
#[test]
fn the_index_places_as_a_scan_of_all_workers_does() {
    let placements = |node_local: bool, at_once: bool| {
        let mut world = World::new();
        world.is_checked = false;
        world.policies.node_local = node_local;
        for index in 0..40 {
            let worker = world.worker(&format!("w{index}"), 4 + index % 5);
            let cpu_used = Some((index * 37 % 100) as f64 / 120.0);
            world.measure(worker, Measurements { cpu_used, ..Measurements::default() });
        }
        let specs = many(150, |name| cpus(&name, if name.ends_with('7') { 1500 } else { 500 }));
        let ids = if at_once {
            world.submit(specs)
        } else {
            specs.into_iter().flat_map(|spec| world.submit(vec![spec])).collect()
        };
        ids.iter()
            .map(|id| {
                let attempt = world.status[id].current();
                attempt.map(|it| (it.worker, it.decision.score, it.decision.second))
            })
            .collect::<Vec<_>>()
    };
    let expected = placements(false, true);
    assert!(expected.iter().filter(|it| it.is_some()).count() > 100);
    assert_eq!(placements(true, true), expected);
    assert_eq!(placements(true, false), placements(false, false));
}
