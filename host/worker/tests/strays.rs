//! Without control groups, what left its script's session and cleared its environment is found among
//! the orphans that come to the agent, once no other script runs. In a program of its own: nothing
//! else may run in this process.

#[path = "executor/bench.rs"]
#[expect(dead_code, reason = "the other program of tests uses the rest")]
mod bench;

use bench::{Bench, execution, has_ended, unlimited, until_pid};
use pointsman_worker::{Outcome, StopReason};

const WAYS_OUT: [&str; 2] = [
    "setsid env -i sh -c \"(setsid sh -c 'echo \\$\\$ > $PID; exec /bin/sleep 600' &) &\"",
    "env -i setsid sh -c \"(setsid sh -c '(setsid sh -c \\\"echo \\\\\\$\\\\\\$ > $PID; exec /bin/sleep 600\\\" &) & sleep 600' &) &\"",
];

#[tokio::test]
async fn what_cleared_its_environment_is_found_too() {
    for way_out in WAYS_OUT {
        for is_stop in [true, false] {
            let mut bench = Bench::with_limits(unlimited());
            let rest =
                if is_stop { "sleep 600" } else { "while ! [ -s \"$PID\" ]; do sleep 0.01; done" };
            let mut execution = execution(&format!("{way_out}\n{rest}"));
            let pid = bench.file(&mut execution, "PID");
            let key = execution.key;
            bench.run(execution);
            let pid = until_pid(&pid).await;
            if is_stop {
                bench.executor().stop(key, StopReason::Cancelled);
            }
            let outcome = bench.end().await.outcome;
            let expect = match is_stop {
                true => Outcome::Stopped(StopReason::Cancelled),
                false => Outcome::ExitCode(0),
            };
            assert_eq!(outcome, expect, "{way_out}");
            assert!(has_ended(pid), "left when the end was told: {way_out}");
        }
    }
}
