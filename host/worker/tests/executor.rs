//! The executor with real processes.

#[path = "executor/bench.rs"]
mod bench;
#[path = "executor/environment.rs"]
mod environment;
#[path = "executor/limits.rs"]
mod limits;
#[path = "executor/output.rs"]
mod output;
#[path = "executor/trees.rs"]
mod trees;

use bench::{Bench, check, execution, is_gone, read_pid, run, until};
use pointsman_worker::executor::{Execution, Stream};
use pointsman_worker::{Outcome, StopReason};
use std::time::{Duration, Instant};

#[tokio::test]
async fn each_way_to_end_is_told_apart() {
    check("exit 0", Outcome::ExitCode(0)).await;
    check("exit 3", Outcome::ExitCode(3)).await;
    check("exit 137", Outcome::ExitCode(137)).await;
    check("kill -9 $$", Outcome::Signal(9)).await;
    check("kill -SEGV $$", Outcome::Signal(11)).await;
    check("/no/such/program", Outcome::ExitCode(127)).await;
    check("-x", Outcome::ExitCode(127)).await;
}

#[tokio::test]
async fn output_in_both_streams_is_complete_and_apart() {
    let ended = run("echo out; echo err >&2; echo out2").await;
    assert_eq!(ended.text(), "out\nout2\n");
    assert_eq!(ended.bytes(Stream::Stderr), b"err\n");
    assert!(ended.ran.is_some());
}

#[tokio::test]
async fn a_background_child_that_holds_the_pipe_does_not_delay_the_end() {
    for script in [
        "sleep 600 & echo $! > pid; cp pid \"$COPY\"; echo done",
        "sleep 600 >/dev/null 2>&1 & echo $! > pid; cp pid \"$COPY\"; echo done",
    ] {
        let mut bench = Bench::new();
        let copy = bench.dir.path().join("copy");
        let mut execution = execution(script);
        execution.env.insert("COPY".to_owned(), copy.display().to_string());
        bench.run(execution);
        let ended = bench.end().await;
        assert_eq!(ended.outcome, Outcome::ExitCode(0));
        assert_eq!(ended.text(), "done\n");
        assert!(ended.ran.expect("ran") < Duration::from_secs(5));
        assert!(is_gone(read_pid(&copy), Duration::from_secs(5)), "left behind by {script}");
    }
}

#[tokio::test]
async fn a_timeout_ends_the_whole_group_not_only_the_shell() {
    for (script, at_least) in [
        ("sleep 600 & echo $! > \"$PID\"; sleep 600", 300),
        // Ignores TERM, and so does its child: ended by KILL after the grace.
        (
            "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > \"$PID\"; while :; do sleep 1; done'",
            700,
        ),
        // Only the child ignores TERM: its grace does not end with the shell.
        ("(trap '' TERM; echo hi; exec sleep 600) & echo $! > \"$PID\"; sleep 600", 700),
        // Left the group.
        ("setsid sh -c 'echo $$ > \"$PID\"; exec sleep 600' & sleep 600", 300),
    ] {
        let mut bench = Bench::new();
        let pid = bench.dir.path().join("pid");
        let mut execution = execution(script);
        execution.env.insert("PID".to_owned(), pid.display().to_string());
        execution.timeout = Some(Duration::from_millis(300));
        bench.run(execution);
        let ended = bench.end().await;
        assert_eq!(ended.outcome, Outcome::Timeout, "{script}");
        let ran = ended.ran.expect("ran");
        assert!(ran >= Duration::from_millis(at_least), "{ran:?}: {script}");
        assert!(ran < Duration::from_secs(10), "{ran:?}: {script}");
        assert!(is_gone(read_pid(&pid), Duration::from_secs(5)), "left behind by {script}");
    }
}

#[tokio::test]
async fn a_stop_is_told_apart_from_the_script_s_own_end() {
    let mut bench = Bench::new();
    bench
        .run(execution("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.01; done"));
    let output = bench.started().await;
    until("the script is ready", || !output.is_empty()).await;
    bench.executor().stop(bench::KEY, StopReason::Cancelled);
    bench.executor().stop(bench::KEY, StopReason::Migrated);
    let ended = bench.end().await;
    assert_eq!(ended.outcome, Outcome::Stopped(StopReason::Cancelled));
    assert_eq!(ended.text(), "ready\nsaved\n");
}

#[tokio::test]
async fn a_script_too_long_for_an_argument_runs_all_the_same() {
    let ended = run(&format!("# {}\necho done", "x".repeat(300_000))).await;
    assert_eq!(ended.outcome, Outcome::ExitCode(0));
    assert_eq!(ended.text(), "done\n");
}

#[tokio::test]
async fn a_program_runs_the_same_with_and_without_a_shell() {
    let dir = tempfile::tempdir().expect("temp folder");
    let program = dir.path().join("program");
    // No first line that names an interpreter: the system cannot start it, the shell can.
    std::fs::write(&program, "echo \"$#\" \"$PWD\"; exit 5\n").expect("writes");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("made executable");
    for script in [format!("{} a b", program.display()), format!("{} a 'b'", program.display())] {
        let mut execution = execution(&script);
        execution.workdir = Some("/tmp".to_owned());
        let mut bench = Bench::new();
        bench.run(execution);
        let ended = bench.end().await;
        assert_eq!(
            (ended.text().as_str(), ended.outcome.clone()),
            ("2 /tmp\n", Outcome::ExitCode(5))
        );
    }
    for script in ["/usr/bin/env", "exec /usr/bin/env"] {
        let text = run(script).await.text();
        let mut names: Vec<_> = text.lines().filter_map(|line| line.split('=').next()).collect();
        names.sort_unstable();
        assert!(names.contains(&"PWD") && !names.contains(&"CARGO_MANIFEST_DIR"), "{names:?}");
    }
    check("/bin/kill -x", Outcome::ExitCode(1)).await;
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let check = async |change: fn(&mut Execution), expect: &str| {
        let mut bench = Bench::new();
        let mut execution = execution("true");
        change(&mut execution);
        bench.run(execution);
        let ended = bench.end().await;
        assert!(ended.output.is_none() && ended.ran.is_none());
        match ended.outcome {
            Outcome::StartFailed(reason) => assert!(reason.contains(expect), "{reason}"),
            other => panic!("{other:?}"),
        }
    };
    check(|task| task.workdir = Some("/no/such/folder".to_owned()), "is no folder").await;
    check(|task| task.workdir = Some("relative".to_owned()), "absolute").await;
    check(|task| task.script = "a\0b".to_owned(), "NUL").await;
    check(|task| drop(task.env.insert("BIG".to_owned(), "x".repeat(1 << 18))), "env").await;
}

#[tokio::test]
async fn nothing_is_left_on_disk_after_the_end() {
    let mut bench = Bench::new();
    bench.run(execution(
        "mkdir -p a/b; echo x > a/b/c; echo progress=1 > $POINTSMAN_FEEDBACK; yes | head -c 100000",
    ));
    let ended = bench.end().await;
    assert_eq!(ended.outcome, Outcome::ExitCode(0));
    drop(ended);
    let attempts = bench.dir.path().join("attempts");
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::fs::read_dir(&attempts).expect("folder").count() > 0 {
        assert!(Instant::now() < deadline, "files are left");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_running_script_is_measured() {
    let mut bench = Bench::with_sampling(Duration::from_millis(100));
    bench.run(execution("echo phase=fit > $POINTSMAN_FEEDBACK; echo progress=0.5 >> $POINTSMAN_FEEDBACK; while :; do :; done"));
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let feedback = bench.feedback().await;
        if feedback.cpu_usage.is_some_and(|cores| cores > 0.2) && feedback.phase.is_some() {
            assert_eq!(feedback.phase.as_deref(), Some("fit"));
            assert_eq!(feedback.progress, Some(0.5));
            assert!(feedback.memory_mb.expect("measured") > 0.0);
            assert!(feedback.duration > Duration::ZERO);
            return;
        }
        assert!(Instant::now() < deadline, "{feedback:?}");
    }
}

#[tokio::test]
async fn no_script_outlives_its_executor() {
    let mut bench = Bench::new();
    let pid = bench.dir.path().join("pid");
    let mut execution = execution("sleep 600 & echo $! > \"$PID\"; echo ready; wait");
    execution.env.insert("PID".to_owned(), pid.display().to_string());
    bench.run(execution);
    let output = bench.started().await;
    until("the script is ready", || !output.is_empty()).await;
    drop(bench.executor.take());
    assert!(is_gone(read_pid(&pid), Duration::from_secs(5)));
}
