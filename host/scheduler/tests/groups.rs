//! Groups: fair sharing between tenants and jobs, whatever else happens.

mod world;

use pointsman_scheduler::event::{FinishedAttempt, HeldAttempt, SyncReport};
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::policies::GroupBy;
use pointsman_scheduler::record::TaskState;
use pointsman_scheduler::settings::{Discipline, QueueSettings};
use pointsman_scheduler::spec::TaskSpec;
use pointsman_scheduler::*;
use std::collections::BTreeMap;
use std::time::Duration;
use world::*;

fn grouped(by: GroupBy) -> World {
    let mut world = World::new();
    world.policies.group_by = Some(by);
    world
}

fn of(tenant: &str, name: &str, cpu_milli: u64) -> TaskSpec {
    TaskSpec { tenant: tenant.into(), ..cpus(name, cpu_milli) }
}

fn flood(world: &mut World, tenant: &str, n: usize, cpu_milli: u64) -> Vec<TaskId> {
    let specs = (0..n).map(|index| of(tenant, &format!("{tenant}{index}"), cpu_milli));
    world.submit(specs.collect())
}

/// Tenants of all starts, in order.
fn starts(world: &World) -> String {
    world.started.iter().map(|start| &*start.spec.tenant).collect()
}

fn n_placed(world: &World, ids: &[TaskId]) -> usize {
    ids.iter().filter(|id| world.state(**id) == TaskState::Assigned).count()
}

#[test]
fn a_flood_never_keeps_another_tenant_from_its_share() {
    let mut world = grouped(GroupBy::Tenant);
    let many = flood(&mut world, "a", 100, 1000);
    let few = flood(&mut world, "b", 100, 1000);
    world.worker("w", 10);
    assert_eq!(starts(&world), "ababababab");
    // What ends is taken by whoever holds less.
    for id in &many[..3] {
        world.finish(*id, None);
    }
    assert_eq!(n_placed(&world, &many), 5);
    for id in &few[..2] {
        world.finish(*id, None);
    }
    assert_eq!((n_placed(&world, &many), n_placed(&world, &few)), (5, 5));
    // One who comes late is served first.
    let late = flood(&mut world, "c", 5, 1000);
    world.finish(many[3], None);
    world.finish(many[4], None);
    assert_eq!(n_placed(&world, &late), 2);
}

/// 9 cores and 18 GB; one tenant asks for 1 core and 4 GB a task, the other for 3 cores and 1 GB.
#[test]
fn dominant_shares_not_numbers_of_tasks_are_evened_out() {
    let mut world = grouped(GroupBy::Tenant);
    let mut large = of("a", "a", 1000);
    large.request.memory = 4_000_000_000;
    let mut wide = of("b", "b", 3000);
    wide.request.memory = 1_000_000_000;
    let copies = |spec: &TaskSpec| {
        let copy = |index| TaskSpec { name: format!("{}{index}", spec.name), ..spec.clone() };
        (0..50).map(copy).collect::<Vec<_>>()
    };
    let (a, b) = (world.submit(copies(&large)), world.submit(copies(&wide)));
    let mut registration = world.registration("w", 9);
    registration.capacity.memory = 18_000_000_000;
    world.register(registration);
    assert_eq!((n_placed(&world, &a), n_placed(&world, &b)), (3, 2));
}

#[test]
fn the_order_within_a_group_never_depends_on_when_tasks_were_ranked() {
    let mut world = grouped(GroupBy::Tenant);
    world.worker("w", 4);
    // The tenant holds nothing when these are ranked, and all when the urgent one comes.
    let held = flood(&mut world, "a", 6, 1000);
    let urgent = world.submit(vec![TaskSpec { priority: 5, ..of("a", "urgent", 1000) }])[0];
    world.finish(held[0], None);
    assert_eq!(world.state(urgent), TaskState::Assigned);
}

#[test]
fn a_start_asks_about_one_head_and_not_about_all_tasks() {
    let mut world = grouped(GroupBy::Tenant);
    world.is_checked = false;
    for tenant in ["a", "b", "c", "d"] {
        flood(&mut world, tenant, 500, 100);
    }
    world.policies.rank_calls.clear();
    let mut registration = world.registration("w", 100);
    registration.capacity.memory = 1_000_000_000_000;
    world.register(registration);
    assert_eq!(world.started.len(), 1000);
    let n_rows: usize = world.policies.rank_calls.iter().sum();
    // All heads once, the worker's capacity being new; then the next of the tenant that started one.
    assert!(n_rows <= 4 + 1000, "asked about {n_rows} rows");
    world.policies.rank_calls.clear();
    let first = world.started[0].attempt.task;
    world.finish(first, None);
    let n_rows: usize = world.policies.rank_calls.iter().sum();
    assert!(n_rows <= 3, "asked about {n_rows} rows");
}

#[test]
fn a_policy_that_does_not_group_is_never_asked_about_heads() {
    let mut world = World::new();
    world.worker("w", 4);
    flood(&mut world, "a", 10, 1000);
    flood(&mut world, "b", 10, 1000);
    assert_eq!(world.policies.rank_calls, [10, 10]);
    assert_eq!(starts(&world), "aaaa");
}

#[test]
fn a_job_alternates_with_another_and_never_waits_for_the_whole_of_it() {
    let mut world = grouped(GroupBy::Job);
    world.is_checked = false;
    let first = flood(&mut world, "a", 20, 1000);
    let second = flood(&mut world, "b", 5, 1000);
    world.worker("w", 8);
    assert_eq!((n_placed(&world, &first), n_placed(&world, &second)), (4, 4));
}

/// Jobs of one tenant have one share: each of their heads counts what the others started.
#[test]
fn a_tenant_gains_nothing_by_splitting_its_work_over_jobs() {
    let mut world = grouped(GroupBy::Job);
    for index in 0..10 {
        world.submit(vec![of("a", &format!("x{index}"), 1000), of("a", "y", 1000)]);
    }
    let other = flood(&mut world, "b", 20, 1000);
    world.worker("w", 10);
    assert_eq!(n_placed(&world, &other), 5);
}

#[test]
fn a_tenant_of_two_queues_has_one_share() {
    let mut settings = Settings::default();
    settings.queues.insert("other".to_owned(), QueueSettings::default());
    let mut world = World::with(settings);
    world.policies.group_by = Some(GroupBy::Tenant);
    flood(&mut world, "a", 20, 1000);
    let elsewhere =
        |index| TaskSpec { queue: "other".into(), ..of("a", &format!("other{index}"), 1000) };
    world.submit((0..20).map(elsewhere).collect());
    let other = flood(&mut world, "b", 20, 1000);
    world.worker("w", 8);
    assert_eq!(n_placed(&world, &other), 4);
}

#[test]
fn a_group_whose_head_fits_nowhere_holds_up_no_other_unless_strict() {
    for (discipline, expected) in
        [(Discipline::Greedy, TaskState::Assigned), (Discipline::Strict, TaskState::Pending)]
    {
        let mut world = grouped(GroupBy::Tenant);
        world.policies.discipline = discipline;
        world.worker("w", 4);
        let held = world.submit(vec![of("b", "held", 1000)])[0];
        let head = world.submit(vec![of("a", "large", 4000)])[0];
        let small = world.submit(vec![of("b", "small", 1000)])[0];
        let late = world.submit(vec![of("c", "late", 1000)])[0];
        assert_eq!(world.states(&[small, late]), [expected; 2], "{discipline:?}");
        assert!(matches!(world.scheduler.reason(head), Some(Reason::NoCapacityNow { .. })));
        if discipline == Discipline::Strict {
            assert_eq!(world.scheduler.reason(small), Some(Reason::BlockedByHead { task: head }));
            world.finish(held, None);
            assert_eq!(world.state(head), TaskState::Assigned);
            world.finish(head, None);
            assert_eq!(world.states(&[small, late]), [TaskState::Assigned; 2]);
        }
    }
}

/// The head that blocks a strict queue is overtaken by a group that comes before it since then.
#[test]
fn a_strict_queue_never_stays_blocked_by_a_head_that_is_not_first_any_more() {
    let mut world = grouped(GroupBy::Tenant);
    world.policies.discipline = Discipline::Strict;
    world.worker("w", 4);
    world.submit(vec![of("c", "c", 1000)]);
    let blocking = world.submit(vec![of("b", "b", 4000)])[0];
    assert_eq!(world.state(blocking), TaskState::Pending);
    let urgent = TaskSpec { priority: 9, ..of("a", "urgent", 1000) };
    let urgent = world.submit(vec![urgent])[0];
    assert_eq!(world.state(urgent), TaskState::Assigned);
    let next = world.submit(vec![of("a", "next", 1000)])[0];
    assert_eq!(world.state(next), TaskState::Pending);
}

/// The reservation is for the tenant that holds least now, not for the one that was ranked first.
#[test]
fn backfill_reserves_for_the_head_of_the_group_that_comes_first() {
    let mut world = grouped(GroupBy::Tenant);
    world.policies.discipline = Discipline::Backfill;
    world.worker("w", 4);
    let lasting = |tenant: &str, name: &str, cpu_milli, seconds| TaskSpec {
        expected: Some(Duration::from_secs(seconds)),
        ..of(tenant, name, cpu_milli)
    };
    world.submit(vec![lasting("a", "running", 2000, 100)]);
    let of_a = world.submit(vec![lasting("a", "a", 4000, 10)])[0];
    let of_b = world.submit(vec![lasting("b", "b", 4000, 10)])[0];
    let late = world.submit(vec![lasting("c", "late", 1000, 101)])[0];
    assert_eq!(world.scheduler.reason(late), Some(Reason::ReservedFor { task: of_b }));
    let short = world.submit(vec![lasting("c", "short", 1000, 50)])[0];
    use TaskState::*;
    assert_eq!(world.states(&[of_a, of_b, late, short]), [Pending, Pending, Pending, Assigned]);
}

#[test]
fn a_paused_queue_starts_nothing_and_goes_on_fairly() {
    let mut world = grouped(GroupBy::Tenant);
    world.worker("w", 4);
    let pause = |world: &mut World, paused| {
        let request = world.request();
        world.event(Event::PauseQueue { request, queue: "default".into(), paused });
    };
    pause(&mut world, true);
    let a = flood(&mut world, "a", 5, 1000);
    let b = flood(&mut world, "b", 5, 1000);
    assert_eq!(world.started.len(), 0);
    assert_eq!(world.scheduler.reason(a[0]), Some(Reason::Paused));
    pause(&mut world, false);
    assert_eq!((n_placed(&world, &a), n_placed(&world, &b)), (2, 2));
}

#[test]
fn a_swap_of_the_policy_takes_effect_on_tasks_that_wait_already() {
    let mut world = World::new();
    flood(&mut world, "a", 20, 1000);
    flood(&mut world, "b", 20, 1000);
    let worker = world.worker("w", 4);
    assert_eq!(starts(&world), "aaaa");
    // All that runs ends at once, right after the swap.
    let mut swap = |group_by| {
        world.policies.group_by = group_by;
        world.policies.generation += 1;
        let ended = std::mem::take(&mut world.started).into_iter().map(|start| FinishedAttempt {
            attempt: start.attempt,
            failure: None,
            ran: Some(Duration::from_secs(1)),
        });
        let report = SyncReport { finished: ended.collect(), ..world.report(worker) };
        world.sync_with(report);
        starts(&world)
    };
    assert_eq!(swap(Some(GroupBy::Tenant)), "abab");
    assert_eq!(swap(Some(GroupBy::Job)), "abab");
    assert_eq!(swap(None), "aaaa");
}

#[test]
fn a_policy_that_fails_about_a_head_loses_no_task_and_mixes_no_ranks() {
    for falls_to_plain in [false, true] {
        let mut world = grouped(GroupBy::Tenant);
        world.policies.falls_to_plain = falls_to_plain;
        let a = flood(&mut world, "a", 10, 1000);
        let b = flood(&mut world, "b", 10, 1000);
        world.policies.fail_calls = 1;
        world.worker("w", 4);
        let expected = if falls_to_plain { "aaaa" } else { "abab" };
        assert_eq!(starts(&world), expected);
        let stamps = world.started.iter().map(|start| {
            let attempt = &world.status[&start.attempt.task].attempts[0];
            attempt.decision.queue.generation
        });
        let generation = world.policies.generation;
        assert_eq!(stamps.collect::<Vec<_>>(), [generation; 4]);
        for id in a.iter().chain(&b) {
            if world.state(*id) == TaskState::Pending {
                assert!(world.scheduler.reason(*id).is_some());
            }
        }
    }
}

#[test]
fn heads_wait_while_the_slot_is_held_and_go_on_after() {
    let mut world = grouped(GroupBy::Tenant);
    flood(&mut world, "a", 10, 1000);
    flood(&mut world, "b", 10, 1000);
    world.policies.holds_ranks = true;
    world.worker("w", 4);
    // Ranks are asked for again when something happens, not at once and for ever.
    flood(&mut world, "c", 1, 1000);
    assert_eq!(world.started.len(), 0);
    world.policies.holds_ranks = false;
    world.event(Event::Tick);
    assert_eq!(starts(&world), "abca");
}

#[test]
fn shares_are_right_after_a_restart() {
    let mut world = grouped(GroupBy::Tenant);
    let a = flood(&mut world, "a", 10, 1000);
    world.worker("w", 4);
    let b = flood(&mut world, "b", 10, 1000);
    assert_eq!((n_placed(&world, &a), n_placed(&world, &b)), (4, 0));
    world.restart(Duration::from_secs(1));
    let held =
        world.started.iter().map(|start| HeldAttempt { attempt: start.attempt, running: true });
    let held: Vec<_> = held.collect();
    world.register_again("w", 6, held, vec![]);
    assert_eq!(n_placed(&world, &b), 2);
    world.worker("w2", 3);
    let running = |ids: &[TaskId]| {
        let states = world.states(ids);
        states.into_iter().filter(|it| *it != TaskState::Pending).count()
    };
    assert_eq!((running(&a), running(&b)), (5, 4));
}

/// A lost worker's attempts are not held any more, and its capacity is not shared out.
#[test]
fn a_lost_worker_takes_what_was_held_there_out_of_the_shares() {
    let mut world = grouped(GroupBy::Tenant);
    let steady = world.worker("steady", 4);
    let a = flood(&mut world, "a", 12, 1000);
    let lost = world.worker("lost", 4);
    assert_eq!(n_placed(&world, &a), 8);
    let b = flood(&mut world, "b", 12, 1000);
    for _ in 0..4 {
        world.pass(Duration::from_secs(5));
        world.sync(steady);
    }
    assert!(world.workers[&lost].state == record::WorkerState::Lost);
    let on_steady: Vec<TaskId> =
        a.iter().copied().filter(|id| world.state(*id) != TaskState::Pending).collect();
    assert_eq!(on_steady.len(), 4);
    for id in &on_steady[..2] {
        world.finish(*id, None);
    }
    assert_eq!(n_placed(&world, &b), 2);
    let mut tenants: BTreeMap<&str, usize> = BTreeMap::new();
    for id in a.iter().chain(&b).filter(|id| world.status[id].current().is_some()) {
        *tenants.entry(&*world.added[id].spec.tenant).or_default() += 1;
    }
    assert_eq!(tenants, BTreeMap::from([("a", 2), ("b", 2)]));
}

#[test]
fn the_place_in_a_queue_is_counted_within_the_group() {
    let mut world = grouped(GroupBy::Tenant);
    flood(&mut world, "a", 50, 1000);
    let b = flood(&mut world, "b", 3, 1000);
    let explanation = world.scheduler.explain(world.now, b[2], &mut world.policies).unwrap();
    assert_eq!(explanation.queue_position, Some(3));
}
