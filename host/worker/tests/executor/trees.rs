//! Everything that a script started ends with it, however it tries to get away.

use crate::bench::{
    Bench, execution, has_ended, is_gone, new_marker, options, unlimited, until, until_pid,
};
use pointsman_worker::executor::{Execution, Executor};
use pointsman_worker::{LimitOptions, Outcome, StopReason};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::sync::mpsc;

/// Each writes the id of a process that must not be left to the file `PID`.
const WAYS_OUT: [&str; 6] = [
    // In the group.
    "sleep 600 & echo $! > \"$PID\"",
    // In the group, ignoring TERM.
    "sh -c 'trap \"\" TERM; echo $$ > \"$PID\"; while :; do sleep 600; done' &",
    // A session of its own.
    "setsid sh -c 'echo $$ > \"$PID\"; exec sleep 600' &",
    // And orphaned at once.
    "setsid sh -c '(setsid sh -c \"trap \\\"\\\" TERM; echo \\$\\$ > $PID; exec sleep 600\" &) &'",
    // And without a trace in its environment.
    "setsid env -i sh -c \"(setsid sh -c 'echo \\$\\$ > $PID; exec /bin/sleep 600' &) &\"",
    // And multiplying: the last of a line of orphans.
    "env -i setsid sh -c \"(setsid sh -c '(setsid sh -c \\\"echo \\\\\\$\\\\\\$ > $PID; exec /bin/sleep 600\\\" &) & sleep 600' &) &\"",
];

/// Those who cleared their environment are found without a control group only if no other script
/// runs in the process, which is a test of its own.
const WITH_ENVIRONMENT: usize = 4;

/// With control groups where they can be had, and what is found then; and without.
fn both_ways() -> [(LimitOptions, &'static [&'static str]); 2] {
    let has_groups = Bench::new().executor().limits().contains("enforced by");
    let with_groups = if has_groups { &WAYS_OUT[..] } else { &WAYS_OUT[..WITH_ENVIRONMENT] };
    [(LimitOptions::default(), with_groups), (unlimited(), &WAYS_OUT[..WITH_ENVIRONMENT])]
}

/// With the file `PID`, and going on until told.
fn escaping(bench: &Bench, way_out: &str, rest: &str) -> (Execution, std::path::PathBuf) {
    let mut execution = execution(&format!("{way_out}\n{rest}"));
    let pid = bench.file(&mut execution, "PID");
    (execution, pid)
}

const UNTIL_PID: &str = "while ! [ -s \"$PID\" ]; do sleep 0.01; done";

#[tokio::test]
async fn nothing_is_left_when_a_script_ends_by_itself() {
    for (limits, ways_out) in both_ways() {
        for way_out in ways_out {
            let mut bench = Bench::with_limits(limits.clone());
            let (execution, pid) = escaping(&bench, way_out, UNTIL_PID);
            bench.run(execution);
            let ended = bench.end().await;
            assert_eq!(ended.outcome, Outcome::ExitCode(0), "{way_out}");
            assert!(has_ended(until_pid(&pid).await), "left when the end was told: {way_out}");
        }
    }
}

#[tokio::test]
async fn nothing_is_left_when_a_script_is_stopped_or_its_time_is_over() {
    for (limits, ways_out) in both_ways() {
        for way_out in ways_out {
            for is_stop in [true, false] {
                let mut bench = Bench::with_limits(limits.clone());
                let rest = format!("{UNTIL_PID}; sleep 600");
                let (mut execution, pid) = escaping(&bench, way_out, &rest);
                execution.timeout = (!is_stop).then_some(Duration::from_millis(700));
                let key = execution.key;
                bench.run(execution);
                let pid = until_pid(&pid).await;
                if is_stop {
                    bench.executor().stop(key, StopReason::Cancelled);
                }
                let ended = bench.end().await;
                let expect = match is_stop {
                    true => Outcome::Stopped(StopReason::Cancelled),
                    false => Outcome::Timeout,
                };
                assert_eq!(ended.outcome, expect, "{way_out}");
                assert!(has_ended(pid), "left when the end was told: {way_out}");
            }
        }
    }
}

#[tokio::test]
async fn what_left_the_group_is_given_its_grace_too() {
    let mut bench = Bench::new();
    if !bench.executor().limits().contains("enforced by") {
        return eprintln!("skipped: {}", bench.executor().limits());
    }
    // The first process goes at once; the other one saves its work meanwhile.
    let way_out = "setsid sh -c 'trap \"sleep 0.1; echo saved > $SAVED; exit\" TERM; echo $$ > $PID; \
                   while :; do sleep 0.01; done' &";
    let (mut execution, pid) = escaping(&bench, way_out, "sleep 600");
    let saved = bench.file(&mut execution, "SAVED");
    let key = execution.key;
    bench.run(execution);
    until_pid(&pid).await;
    bench.executor().stop(key, StopReason::Cancelled);
    let ended = bench.end().await;
    assert_eq!(std::fs::read_to_string(saved).expect("it had time"), "saved\n");
    assert!(ended.ran.is_some());
}

#[tokio::test]
async fn a_neighbour_that_runs_on_is_not_touched() {
    for (limits, _) in both_ways() {
        let mut bench = Bench::with_limits(limits);
        let way_out = "setsid sh -c '(setsid sh -c \"echo \\$\\$ > $PID; exec sleep 600\" &) &'";
        let (stays, pid) = escaping(&bench, way_out, "sleep 600");
        let key = stays.key;
        bench.run(stays);
        let pid = until_pid(&pid).await;
        let mut goes = execution("true");
        goes.key.task += 1;
        bench.run(goes);
        assert_eq!(bench.any_end().await.outcome, Outcome::ExitCode(0));
        assert!(!has_ended(pid), "what another script started was killed");
        bench.executor().stop(key, StopReason::Cancelled);
        bench.end().await;
        assert!(has_ended(pid));
    }
}

#[tokio::test]
async fn orphans_that_end_by_themselves_leave_no_zombies() {
    let mut bench = Bench::with(|options| {
        options.limits = unlimited();
        options.sample_every = Duration::from_millis(50);
    });
    let way_out = "setsid sh -c '(setsid sh -c \"echo \\$\\$ > $PID; exec true\" &) &'";
    let (execution, pid) = escaping(&bench, way_out, "sleep 600");
    let key = execution.key;
    bench.run(execution);
    let pid = until_pid(&pid).await;
    until("it is reaped", || !Path::new(&format!("/proc/{pid}")).exists()).await;
    bench.executor().stop(key, StopReason::Cancelled);
    bench.end().await;
}

/// Set for the process that plays the agent.
const AGENT_DIR: &str = "POINTSMAN_TEST_AGENT_DIR";
const AGENT_IS_LIMITED: &str = "POINTSMAN_TEST_AGENT_IS_LIMITED";

/// No test by itself: the agent that the next one kills.
#[test]
fn plays_the_agent() {
    let Some(dir) = std::env::var_os(AGENT_DIR) else { return };
    let dir = Path::new(&dir);
    let mut options = options(dir, &new_marker());
    let [limited, unlimited] = both_ways();
    let is_limited = std::env::var_os(AGENT_IS_LIMITED).is_some();
    let (limits, ways_out) = if is_limited { limited } else { unlimited };
    options.limits = limits;
    let (sender, mut events) = mpsc::unbounded_channel();
    let executor = Executor::start(options, sender).expect("starts");
    for (idx, way_out) in ways_out.iter().enumerate() {
        let mut execution = execution(&format!("{way_out}\nsleep 600"));
        execution.key.task = idx as u64 + 1;
        let pid = dir.join(format!("pid{idx}")).display().to_string();
        execution.env.insert("PID".to_owned(), pid);
        executor.run(execution);
    }
    while events.blocking_recv().is_some() {}
}

#[tokio::test]
async fn nothing_is_left_when_the_agent_is_killed() {
    for ((_, ways_out), is_limited) in both_ways().into_iter().zip([true, false]) {
        let dir = tempfile::tempdir().expect("temp folder");
        let mut agent = Command::new(std::env::current_exe().expect("this program"));
        agent.args(["--exact", "trees::plays_the_agent", "--nocapture"]);
        agent.env(AGENT_DIR, dir.path()).stdout(Stdio::null()).stderr(Stdio::null());
        if is_limited {
            agent.env(AGENT_IS_LIMITED, "yes");
        }
        let mut agent = agent.spawn().expect("starts");
        let mut pids = Vec::new();
        for idx in 0..ways_out.len() {
            pids.push(until_pid(&dir.path().join(format!("pid{idx}"))).await);
        }
        agent.kill().expect("killed");
        agent.wait().expect("reaped");
        for (pid, way_out) in pids.iter().zip(ways_out) {
            assert!(is_gone(*pid, Duration::from_secs(10)), "left by {way_out}");
        }
        let is_done = || {
            let entries = std::fs::read_dir(dir.path()).expect("folder").flatten();
            !entries.map(|it| it.file_name()).any(|it| it.to_string_lossy().starts_with("groups-"))
        };
        until("the watchdog is done", is_done).await;
    }
}

#[tokio::test]
async fn the_grace_is_for_those_who_use_it_only() {
    // Everyone obeys TERM: nobody waits for the grace.
    let mut bench = Bench::with(|options| options.kill_grace = Duration::from_secs(600));
    let (execution, pid) = escaping(&bench, WAYS_OUT[2], "sleep 600");
    let key = execution.key;
    bench.run(execution);
    until_pid(&pid).await;
    bench.executor().stop(key, StopReason::Cancelled);
    let ended = bench.end().await;
    assert!(ended.ran.expect("ran") < Duration::from_secs(600));
}
