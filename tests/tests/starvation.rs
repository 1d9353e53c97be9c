//! The bound on waiting, against a queue policy in WebAssembly that serves the newest first while more
//! arrives than can run.

use pointsman_policy::{FixedPolicies, Limits, OnFailure, Source};
use pointsman_scheduler::Time;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use pointsman_simulator::cluster::Cluster;
use pointsman_simulator::contender::Contender;
use pointsman_simulator::simulate::{Options, Run, simulate};
use pointsman_simulator::workload::{WorkJob, Workload};
use pointsman_tests::guests::{Guest, column};
use std::sync::Arc;
use std::time::Duration;

const N_SLOTS: usize = 4;
const N_TASKS: u64 = 1440;
const RUN_S: u64 = 60;
/// Six in the time in which four are done.
const BETWEEN_S: u64 = 10;
const BOUND: Duration = Duration::from_secs(600);

fn overload() -> Workload {
    let job = |index: u64| WorkJob {
        spec: JobSpec {
            name: format!("j{index}"),
            tasks: vec![Arc::new(TaskSpec::new("t", "true"))],
        },
        arrives: Time(index * BETWEEN_S * 1_000_000_000),
        run_times: vec![RUN_S * 1_000_000_000],
    };
    Workload { name: "overload".to_owned(), jobs: (0..N_TASKS).map(job).collect() }
}

fn source(guest: Guest) -> Source {
    let bytes = guest.component().into();
    Source::Wasm { name: guest.name, bytes, config: "{}".to_owned() }
}

/// Of all tasks, how long they waited, longest first, in s.
fn waits(rank: &str, reserve_after: Option<Duration>) -> Vec<u64> {
    let queue = Guest { value: rank.to_owned(), ..Guest::queue("by-age") };
    let policies = FixedPolicies {
        scoring: source(Guest::constant("alike", 0.5)),
        queue: source(queue),
        rescheduling: None,
        limits: Limits::fuel(),
        on_failure: OnFailure::Builtin,
    };
    let mut contender = Contender::fixed("by-age", policies).expect("the guests are admitted");
    let workload = overload();
    let mut options = Options::on(Cluster::slots(N_SLOTS));
    options.set_reserve_after(&workload, reserve_after);
    let run = simulate(&workload, &options, contender.policies.as_mut());
    let run: Run = run.expect("it comes to its end");
    assert_eq!(run.n_policy_failures, 0);
    let tasks = run.jobs.iter().flatten();
    let wait = |task: &pointsman_simulator::simulate::TaskRun| {
        let started = task.started.expect("every task ran");
        started.since(task.ready).as_secs()
    };
    let mut waits: Vec<u64> = tasks.map(wait).collect();
    waits.sort_unstable_by(|a, b| b.cmp(a));
    waits
}

#[test]
fn no_policy_makes_a_task_wait_much_longer_than_in_order_of_arrival() {
    let in_order = waits(&column(0), None)[0];
    let newest_first = format!("(f64.neg {})", column(0));
    let unbounded = waits(&newest_first, None)[0];
    let bounded = waits(&newest_first, Some(BOUND))[0];
    println!(
        "longest wait: {in_order} s in order of arrival; newest first {unbounded} s, with the bound \
         {bounded} s"
    );
    assert!(unbounded > 2 * in_order, "{unbounded} s against {in_order} s");
    assert!(bounded <= in_order + BOUND.as_secs(), "{bounded} s against {in_order} s");
}
