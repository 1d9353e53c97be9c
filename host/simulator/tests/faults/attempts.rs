//! Stories of single tasks: tried too often, too long, twice, or left alone.

use crate::{after, end_of, failing, lasting, tell, times};
use pointsman_scheduler::record::{EndReason, Failure, TaskState};
use pointsman_simulator::faults::plan::{TaskPlan, Wish};
use pointsman_simulator::faults::{FaultKind, Plan};

#[test]
fn a_task_is_never_left_running_on_a_lost_worker() {
    let mut plan = Plan::quiet("lost", &[2, 2]).job(0, vec![lasting(600)]);
    for n in 0..4 {
        // Longer than anybody waits for a worker.
        plan = plan.fault(20_000 + n * 60_000, FaultKind::MassLoss, &[0, 1], 30_000);
    }
    let history = tell(plan).history;
    let runs = history.runs_of(0, 0);
    assert_eq!(runs.len(), 4, "one and three losses that are allowed: {runs:?}");
    let story = history.task(0, 0);
    for run in &runs {
        let dead = run.to_ms.expect("each of them was lost");
        let left =
            story.states.iter().find(|(at, state)| *at >= dead && *state != TaskState::Running);
        let (at, _) = left.expect("it is not left in RUNNING");
        assert!(*at - dead <= 20_000, "RUNNING {} ms after its worker died", at - dead);
    }
    assert_eq!(
        story.last.end_reason.as_deref(),
        Some(&EndReason::WorkerLossesUsedUp { losses: 4 })
    );
}

#[test]
fn a_task_that_kills_its_worker_never_takes_down_one_after_the_other() {
    let killer = TaskPlan { ms: 2_000, kills_worker: true, ..TaskPlan::default() };
    let plan = Plan::quiet("killer", &[4, 4, 4]);
    let plan = plan.job(0, vec![killer]).job(1_000, times(30, &lasting(5)));
    let report = tell(plan);
    assert_eq!(report.history.runs_of(0, 0).len(), 4);
    let (_, state) = end_of(&report.history, 0, 0);
    assert_eq!(state, TaskState::Failed);
    let reason = report.history.task(0, 0).last.end_reason.as_deref();
    assert!(matches!(reason, Some(EndReason::WorkerLossesUsedUp { .. })), "{reason:?}");
    for task in 0..30 {
        assert_eq!(end_of(&report.history, 1, task).1, TaskState::Succeeded);
    }
}

#[test]
fn a_planned_drain_is_never_charged() {
    let mut plan = Plan::quiet("drains", &[1]).job(0, vec![lasting(90)]);
    for n in 0..4 {
        let at_ms = 5_000 + n * 10_000;
        plan = plan.ask(at_ms, Wish::DrainWorker { worker: 0, draining: true });
        plan = plan.ask(at_ms + 5_000, Wish::DrainWorker { worker: 0, draining: false });
    }
    let history = tell(plan).history;
    let last = &history.task(0, 0).last;
    assert_eq!(last.state, TaskState::Succeeded);
    assert_eq!((last.attempts.len(), last.retries_used, last.losses_used), (1, 0, 0));
}

#[test]
fn a_cancellation_never_waits_for_a_worker_that_is_gone() {
    let gone = [FaultKind::WorkerCrash, FaultKind::WorkerPause, FaultKind::WorkersDeaf];
    for kind in gone {
        let plan = Plan::quiet("cancel", &[1, 1])
            .job(0, vec![lasting(600)])
            .fault(9_950, kind, &[0, 1], 120_000)
            .ask(10_000, Wish::CancelTask { job: 0, task: 0 })
            .ask(12_000, Wish::CancelTask { job: 0, task: 0 });
        let history = tell(plan).history;
        let (at, state) = end_of(&history, 0, 0);
        assert_eq!(state, TaskState::Cancelled, "{kind:?}");
        assert!(kind == FaultKind::WorkersDeaf || at <= 26_000, "{kind:?}: only after {at} ms");
        assert_eq!(history.runs_of(0, 0).len(), 1, "{kind:?}: never tried again");
    }
}

#[test]
fn dependents_never_wait_for_what_ended_badly() {
    let slow = TaskPlan { timeout_ms: Some(1_000), max_retries: Some(0), ..lasting(60) };
    let ends = [failing(0), slow, lasting(60)];
    for (n, first) in ends.into_iter().enumerate() {
        let tasks = vec![first, after(&[0], lasting(1)), lasting(1), after(&[1, 2], lasting(1))];
        let plan = Plan::quiet("dependents", &[4])
            .job(0, tasks)
            .ask(5_000, Wish::CancelTask { job: 0, task: 0 });
        let history = tell(plan).history;
        let (ended, _) = end_of(&history, 0, 0);
        for task in [1, 3] {
            let (at, state) = end_of(&history, 0, task);
            assert_eq!(state, TaskState::Skipped, "{n}");
            assert!(at - ended <= 1_000, "{n}: {} ms later", at - ended);
            assert!(history.runs_of(0, task).is_empty(), "{n}: it ran");
            let reason = history.task(0, task).last.end_reason.as_deref().cloned();
            let Some(EndReason::Upstream { root_name, .. }) = reason else {
                panic!("{n}: {reason:?}")
            };
            assert_eq!(root_name, "t0", "{n}");
        }
        assert_eq!(end_of(&history, 0, 2).1, TaskState::Succeeded, "{n}");
    }
}

#[test]
fn long_work_is_never_handed_out_again() {
    let plan = Plan::quiet("long", &[1, 1]).job(0, vec![lasting(2_000)]);
    let history = tell(plan).history;
    assert_eq!(history.runs_of(0, 0).len(), 1);
    assert_eq!(end_of(&history, 0, 0).1, TaskState::Succeeded);
}

#[test]
fn a_timeout_never_counts_the_time_of_waiting() {
    let short = TaskPlan { timeout_ms: Some(20_000), max_retries: Some(0), ..lasting(5) };
    let plan =
        Plan::quiet("timeout", &[1]).job(0, vec![lasting(50), short.clone(), after(&[0], short)]);
    let history = tell(plan).history;
    for task in [1, 2] {
        assert_eq!(end_of(&history, 0, task).1, TaskState::Succeeded);
        let started = history.runs_of(0, task)[0].from_ms;
        assert!(
            started > 20_000,
            "it has to wait longer than its timeout for this to say anything"
        );
    }
}

#[test]
fn what_fits_nowhere_never_keeps_the_rest_from_running() {
    let huge = TaskPlan { cpu_milli: 64_000, priority: 100, ..TaskPlan::default() };
    let plan = Plan::quiet("huge", &[4])
        .job(0, times(50, &huge))
        .job(1_000, vec![lasting(1)])
        .ask(100_000, Wish::CancelJob { job: 0 });
    let history = tell(plan).history;
    let started = history.task(1, 0).first(TaskState::Assigned).expect("it runs");
    assert!(started <= 1_500, "it waited until {started} ms");
    assert!(history.runs.iter().all(|run| run.job != 0));
}

#[test]
fn failures_are_never_counted_anew_by_a_restart() {
    let plan = Plan::quiet("failures", &[1, 1])
        .job(0, vec![failing(3)])
        .fault(700, FaultKind::HostCrash, &[], 3_000)
        .fault(5_000, FaultKind::CrashBeforeAck, &[], 2_000)
        .fault(10_000, FaultKind::HostCrash, &[], 1_000);
    let history = tell(plan).history;
    let runs = history.runs_of(0, 0);
    assert_eq!(runs.len(), 4, "{runs:?}");
    assert!(runs.is_sorted_by(|a, b| a.attempt < b.attempt), "{runs:?}");
    let Some(EndReason::Failed { failure, .. }) = history.task(0, 0).last.end_reason.as_deref()
    else {
        panic!("{:?}", history.task(0, 0))
    };
    assert_eq!(*failure, Failure::ExitCode(1));
}
