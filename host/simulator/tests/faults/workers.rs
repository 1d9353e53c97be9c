//! Stories of workers: asleep, with wrong clocks, broken, flapping.

use crate::{end_of, lasting, tell, times};
use pointsman_scheduler::record::TaskState;
use pointsman_simulator::faults::plan::TaskPlan;
use pointsman_simulator::faults::{FaultKind, Plan};

#[test]
fn a_worker_whose_clock_is_wrong_is_never_given_up() {
    let mut plan = Plan::quiet("clocks", &[2, 2, 2]).job(0, times(6, &lasting(120)));
    plan.workers[1].drift_ppm = 50_000;
    plan.workers[2].drift_ppm = -50_000;
    let plan = plan
        .step(10_000, FaultKind::WorkerClockStep, &[0], 0, 600_000)
        .step(30_000, FaultKind::WorkerClockStep, &[0, 1], 0, 7_200_000)
        .step(50_000, FaultKind::WorkerClockStep, &[0, 1, 2], 0, 36_000_000);
    let report = tell(plan);
    assert_eq!(report.n_lost, 0);
    for task in 0..6 {
        assert_eq!(report.history.runs_of(0, task).len(), 1);
        assert_eq!(end_of(&report.history, 0, task).1, TaskState::Succeeded);
    }
}

#[test]
fn a_worker_that_wakes_never_goes_on_with_what_was_replaced() {
    for kind in [FaultKind::WorkerPause, FaultKind::WorkerSleep] {
        // The other one is there only when the first has begun.
        let plan = Plan::quiet("asleep", &[1, 1])
            .job(20_000, vec![lasting(100)])
            .fault(0, FaultKind::WorkerCrash, &[1], 29_000)
            .fault(30_000, kind, &[0], 40_000);
        let history = tell(plan).history;
        let given_up = history.losses.iter().find(|(_, worker)| worker == "w0");
        let Some((given_up, _)) = given_up else { panic!("{kind:?}: {:?}", history.losses) };
        assert!((40_000..=45_500).contains(given_up), "{kind:?}: given up at {given_up} ms");
        let runs = history.runs_of(0, 0);
        let workers: Vec<&str> = runs.iter().map(|run| run.worker.as_str()).collect();
        assert_eq!(workers, ["w0", "w1"], "{kind:?}");
        let ended = runs[0].to_ms.expect("it ends");
        assert!((70_000..81_500).contains(&ended), "{kind:?}: the first ended at {ended} ms");
        let last = &history.task(0, 0).last;
        assert_eq!((last.state, last.attempts.len()), (TaskState::Succeeded, 2));
    }
}

/// Whose clock stood still cannot know that its lease is over: what it starts as it wakes is the one thing that
/// may run beside its successor, and is not taken for more.
#[test]
fn a_start_that_was_slept_over_is_never_taken_for_a_fault_of_the_host() {
    let script = "\
world name=slept-over seed=702 active=300000
rates loss=0 duplication=0 delay=0 policy-failures=0
worker cpu=3000 memory=8000 drift=0
worker cpu=4000 memory=8000 drift=0
job at=101864
  task ms=60000 cpu=1600 memory=378 retries=0 priority=-5
job at=105686
  task ms=60000 cpu=2000 memory=725 retries=0 priority=-5
  task ms=60000 cpu=400 memory=1210 fail=10 priority=5 stops=yes
fault at=103916 worker-sleep lasts=37997 workers=1
";
    let history = tell(script.parse().expect("a script")).history;
    let runs = history.runs_of(1, 1);
    let workers: Vec<&str> = runs.iter().map(|run| run.worker.as_str()).collect();
    assert_eq!(workers, ["w1", "w0"]);
    assert!(runs[0].from_ms >= 103_916 + 37_997, "as it woke, at {} ms", runs[0].from_ms);
    let last = &history.task(1, 1).last;
    assert_eq!(last.state, TaskState::Succeeded);
}

#[test]
fn a_broken_worker_never_swallows_what_others_could_do() {
    let n = 300;
    let plan = Plan::quiet("broken", &[2, 2, 2]).job(1_000, times(n, &lasting(1))).fault(
        0,
        FaultKind::BrokenWorker,
        &[0],
        250_000,
    );
    let report = tell(plan);
    let succeeded = (0..n).filter(|it| end_of(&report.history, 0, *it).1 == TaskState::Succeeded);
    assert!(succeeded.count() * 100 >= n * 95);
    let on_it = report.history.runs.iter().filter(|run| run.job == 0 && run.worker == "w0");
    let (on_it, set_aside) = (on_it.count(), &report.history.quarantines);
    assert!(set_aside.iter().all(|(_, worker)| worker == "w0"), "{set_aside:?}");
    assert!(!set_aside.is_empty() && on_it < 30, "{on_it} ran there, set aside {set_aside:?}");
}

#[test]
fn capacity_is_never_lost_nor_doubled_by_workers_that_come_and_go() {
    let kinds = [
        FaultKind::WorkerCrash,
        FaultKind::WorkersDeaf,
        FaultKind::HostDeaf,
        FaultKind::Partition,
        FaultKind::WorkerPause,
    ];
    let mut plan = Plan::quiet("flapping", &[2, 3]);
    plan.active_ms = 1_300_000;
    plan.rates.duplication = 0.3;
    for round in 0..200u64 {
        let at_ms = round * 6_000;
        let kind = kinds[round as usize % kinds.len()];
        let task = TaskPlan { ms: 300 * (round % 7 + 1), cpu_milli: 700, ..TaskPlan::default() };
        // Before it is taken, while it runs, when it reports: each moment comes up.
        let wait = round * 37 % 3_000;
        let worker = (round / 5 % 2) as usize;
        let lasts_ms = [400, 3_000, 25_000][round as usize % 3];
        plan = plan.job(at_ms, vec![task.clone(), task]);
        plan = plan.fault(at_ms + wait, kind, &[worker], lasts_ms);
    }
    let report = tell(plan);
    assert_eq!(report.states.values().sum::<usize>(), 402, "with one for each worker at rest");
    assert!(report.n_lost > 5, "hardly anything happened");
}
