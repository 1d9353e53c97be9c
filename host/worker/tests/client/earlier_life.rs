//! What an earlier life of the agent left behind is gone before the next one registers.

use super::host::{FakeHost, TOKEN};
use super::{Worker, until_exists};
use pointsman_worker::{LimitOptions, WorkerOptions, run};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const AGENT_DIR: &str = "POINTSMAN_TEST_AGENT_DIR";
const AGENT_HOST: &str = "POINTSMAN_TEST_AGENT_HOST";
const AGENT_IS_LIMITED: &str = "POINTSMAN_TEST_AGENT_IS_LIMITED";

fn limits(is_limited: bool) -> LimitOptions {
    match is_limited {
        true => LimitOptions::default(),
        false => LimitOptions::off(),
    }
}

/// No test by itself: the agent that the next one kills.
#[tokio::test(flavor = "multi_thread")]
async fn plays_the_agent() {
    let (Ok(dir), Ok(host)) = (std::env::var(AGENT_DIR), std::env::var(AGENT_HOST)) else { return };
    let mut options = WorkerOptions::new(&host, "w", dir.into());
    options.token = Some(TOKEN.to_owned());
    options.limits = limits(std::env::var_os(AGENT_IS_LIMITED).is_some());
    let _ = run(options, std::future::pending()).await;
}

fn start_agent(host: &FakeHost, dir: &Path, is_limited: bool) -> Child {
    let mut agent = Command::new(std::env::current_exe().expect("this program"));
    agent.args(["--exact", "earlier_life::plays_the_agent", "--nocapture"]);
    agent.env(AGENT_DIR, dir).env(AGENT_HOST, host.url());
    if is_limited {
        agent.env(AGENT_IS_LIMITED, "yes");
    }
    agent.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts")
}

/// Nobody cleans up behind it: its watchdog goes first.
fn kill_with_watchdog(agent: &mut Child) {
    let threads = std::fs::read_dir(format!("/proc/{}/task", agent.id())).expect("it runs");
    let children: String = threads
        .flatten()
        .map(|it| std::fs::read_to_string(it.path().join("children")).expect("reads"))
        .collect();
    let is_watchdog = |pid: &&str| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("pointsman-watchdog")
    };
    let watchdog = children.split_whitespace().find(is_watchdog).expect("it has a watchdog");
    let watchdog: i32 = watchdog.parse().expect("a process id");
    // SAFETY: has no preconditions.
    assert_eq!(unsafe { libc::kill(watchdog, libc::SIGKILL) }, 0);
    agent.kill().expect("killed");
    agent.wait().expect("reaped");
}

fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_life_left_is_gone_before_the_next_one_registers() {
    let ways_out = [
        "sleep 600 & echo $! > PID.new; mv PID.new PID",
        "setsid sh -c '(setsid sh -c \"echo \\$\\$ > PID.new; mv PID.new PID; exec sleep 600\" &) &'",
        // Only its control group tells whose it is.
        "setsid env -i sh -c \"(setsid sh -c 'echo \\$\\$ > PID.new; mv PID.new PID; exec /bin/sleep 600' &) &\"",
    ];
    for is_limited in [true, false] {
        let host = FakeHost::start().await;
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut agent = start_agent(&host, dir.path(), is_limited);
        host.until("a registration", |said| said.registrations.first().map(|_| ())).await;
        let told =
            host.until("its limits", |said| said.syncs.iter().find_map(|it| it.limits.clone()));
        let is_enforced = told.await.contains("enforced by");
        assert!(is_limited || !is_enforced, "turned off");
        let ways_out = if is_enforced { &ways_out[..] } else { &ways_out[..2] };
        let mut pids = Vec::new();
        for (way_out, task) in ways_out.iter().zip(1..) {
            let file = dir.path().join(format!("pid{task}"));
            let way_out = way_out.replace("PID", &file.display().to_string());
            host.start_task(task, &format!("{way_out}\nsleep 600"));
            until_exists(&file).await;
            let pid = std::fs::read_to_string(&file).expect("reads");
            pids.push(pid.trim().parse::<i32>().expect("a process id"));
        }
        kill_with_watchdog(&mut agent);
        assert!(pids.iter().all(|pid| runs(*pid)), "somebody else cleaned up");
        let worker =
            Worker::start(&host, dir.path(), |options| options.limits = limits(is_limited));
        let again = host.until("a registration", |said| said.registrations.get(1).cloned()).await;
        let left: Vec<&i32> = pids.iter().filter(|pid| runs(**pid)).collect();
        assert!(left.is_empty(), "still running when the next life registered: {left:?}");
        assert!(
            again.held.is_empty() && again.finished.is_empty(),
            "the host takes them for ended"
        );
        assert_ne!(again.life, host.said().registrations[0].life);
        let ended = tokio::time::timeout(Duration::from_secs(20), worker.ended()).await;
        ended.expect("in time").expect("an orderly end");
    }
}
