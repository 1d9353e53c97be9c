//! Stories of hosts that restart, hang or are slow.

use crate::{after, end_of, failing, lasting, state_at, tell, times};
use pointsman_scheduler::record::TaskState;
use pointsman_simulator::faults::plan::{TaskPlan, Wish};
use pointsman_simulator::faults::{FaultKind, Plan};

#[test]
fn no_state_is_forgotten_by_a_restart() {
    let killed_at = 12_000;
    // The whole worker, so that the next waits for it or goes to the other one.
    let whole = |task: TaskPlan| TaskPlan { cpu_milli: 2_000, ..task };
    let plan = Plan::quiet("states", &[2, 2])
        .job(0, vec![whole(lasting(60)), after(&[0], lasting(1))])
        .job(0, vec![TaskPlan { max_retries: Some(0), ..failing(0) }, after(&[0], lasting(1))])
        .job(0, vec![lasting(1), lasting(300)])
        // Its end takes ten seconds at most.
        .ask(1_500, Wish::CancelTask { job: 2, task: 1 })
        // Nobody hears of this one's start.
        .fault(9_000, FaultKind::WorkersDeaf, &[0, 1], 20_000)
        .job(9_500, vec![whole(lasting(5)), whole(lasting(5))])
        .fault(killed_at, FaultKind::HostCrash, &[], 4_000);
    let history = tell(plan).history;
    let held: Vec<TaskState> = history
        .tasks
        .keys()
        .map(|(job, task)| state_at(&history, killed_at, *job, *task))
        .collect();
    for state in TaskState::ALL {
        assert!(held.contains(&state), "nothing was {state:?} when the host died: {held:?}");
    }
    for ((job, task), story) in &history.tasks {
        assert!(story.last.state.is_terminal(), "job {job} task {task}");
    }
}

#[test]
fn a_wait_is_never_forgotten_by_a_restart() {
    // The third backoff is four seconds at most: many tasks, so that some wait when the host dies.
    let plan = Plan::quiet("backoff", &[4, 4]).job(0, times(20, &failing(6))).fault(
        20_000,
        FaultKind::HostCrash,
        &[],
        500,
    );
    let history = tell(plan).history;
    for task in 0..20 {
        let runs = history.runs_of(0, task);
        assert_eq!(runs.len(), 7, "one and six retries: {runs:?}");
        let attempts: Vec<u32> = runs.iter().map(|run| run.attempt).collect();
        assert!(attempts.is_sorted_by(|a, b| a < b), "{attempts:?}");
    }
    let waited = |task: usize| {
        let runs = history.runs_of(0, task);
        runs.windows(2)
            .any(|pair| pair[0].to_ms.is_some_and(|end| end < 20_000) && pair[1].from_ms > 22_000)
    };
    assert!((0..20).any(waited), "nothing waited across the restart");
}

#[test]
fn running_work_never_starts_again_because_the_host_restarted() {
    for down_ms in [5_000, 40_000, 120_000] {
        let plan = Plan::quiet("adopted", &[4]).job(0, vec![lasting(60), lasting(20)]).fault(
            10_000,
            FaultKind::HostCrash,
            &[],
            down_ms,
        );
        let report = tell(plan);
        for task in 0..2 {
            assert_eq!(report.history.runs_of(0, task).len(), 1, "down for {down_ms} ms");
            let last = &report.history.task(0, task).last;
            assert_eq!(last.state, TaskState::Succeeded, "down for {down_ms} ms");
            assert_eq!((last.retries_used, last.losses_used), (0, 0));
        }
        assert_eq!(report.n_lost, 0);
    }
}

#[test]
fn a_host_that_was_away_never_gives_up_a_worker() {
    let away = [
        (FaultKind::HostPause, 40_000),
        (FaultKind::SlowDisk, 60_000),
        (FaultKind::SlowPolicy, 60_000),
        (FaultKind::DiskFull, 40_000),
        (FaultKind::HostClockStep, 0),
    ];
    for (kind, lasts_ms) in away {
        let plan = Plan::quiet("away", &[2, 2, 2, 2])
            .job(0, times(8, &lasting(90)))
            .step(20_000, kind, &[], lasts_ms, 7_200_000)
            .fault(100_000, FaultKind::HostCrash, &[], 2_000);
        let report = tell(plan);
        assert_eq!(report.n_lost, 0, "{kind:?}");
        assert_eq!(report.history.runs.iter().filter(|run| run.job == 0).count(), 8, "{kind:?}");
    }
}

#[test]
fn a_crowd_of_workers_never_comes_back_in_one_moment() {
    let n = 300;
    let all: Vec<u64> = vec![1; n];
    let up_at = 90_000;
    let plan = Plan::quiet("crowd", &all).job(0, times(n, &lasting(200))).fault(
        30_000,
        FaultKind::HostCrash,
        &[],
        up_at - 30_000,
    );
    let report = tell(plan);
    assert_eq!(report.n_lost, 0, "nobody is given up");
    let back: Vec<u64> = report
        .history
        .registrations
        .iter()
        .map(|(at, _)| *at)
        .filter(|at| (up_at..up_at + 30_000).contains(at))
        .collect();
    assert_eq!(back.len(), n, "all are back within half a minute");
    let last = back.iter().max().expect("there are some") - up_at;
    let mean = n as f64 / (last as f64 / 1000.0).max(1.0);
    let peak = (0..=last / 1000).map(|second| {
        let from = up_at + second * 1000;
        back.iter().filter(|at| (from..from + 1000).contains(*at)).count()
    });
    let peak = peak.max().expect("there is a second") as f64;
    assert!(peak <= 3.0 * mean, "{peak} in a second, {mean:.0} on average");
    for task in 0..n {
        assert_eq!(end_of(&report.history, 0, task).1, TaskState::Succeeded);
        assert_eq!(report.history.runs_of(0, task).len(), 1);
    }
}
