//! What a script finds around it: all of it is defined, nothing comes from the agent by chance.

use crate::bench::{Bench, execution, unlimited};
use pointsman_worker::Outcome;
use std::os::fd::AsRawFd;

#[tokio::test]
async fn a_script_sees_its_own_environment_only() {
    let mut bench = Bench::new();
    let mut execution = execution("env; pwd; ls -l /proc/self/fd; cat");
    execution.env.insert("COLOR".to_owned(), "blue".to_owned());
    execution.env.insert("POINTSMAN_TERM".to_owned(), "forged".to_owned());
    execution.devices = vec![1, 3];
    bench.run(execution);
    let ended = bench.end().await;
    assert_eq!(ended.outcome, Outcome::ExitCode(0));
    let text = ended.text();
    for line in [
        "COLOR=blue",
        "POINTSMAN_TASK_ID=t7",
        "POINTSMAN_TASK_NAME=train",
        "POINTSMAN_JOB_ID=j5",
        "POINTSMAN_ATTEMPT=2",
        "POINTSMAN_TERM=3",
        "CUDA_VISIBLE_DEVICES=1,3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in {text}");
    }
    // Set by cargo for this test, so it would be inherited.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert!(!text.contains("CARGO_MANIFEST_DIR"), "{text}");
    let descriptors = text.lines().filter(|line| line.contains(" -> ")).count();
    assert_eq!(descriptors, 4, "0, 1, 2 and the one ls reads with: {text}");
}

#[tokio::test]
async fn a_script_goes_on_with_its_attempts_trace_unless_its_task_names_another() {
    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (own, expected) in [(None, GIVEN), (Some("another"), "another")] {
        let mut bench = Bench::new();
        let mut execution = execution("echo $TRACEPARENT");
        execution.traceparent = Some(GIVEN.to_owned());
        execution.env.extend(own.map(|own| ("TRACEPARENT".to_owned(), own.to_owned())));
        bench.run(execution);
        assert_eq!(bench.end().await.text().trim(), expected);
    }
}

#[tokio::test]
async fn nothing_else_of_the_agents_environment_reaches_a_script() {
    const TAKEN_OVER: [&str; 9] =
        ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];
    const OWN: [&str; 9] = [
        "PWD",
        "POINTSMAN_TASK_ID",
        "POINTSMAN_TASK_NAME",
        "POINTSMAN_JOB_ID",
        "POINTSMAN_ATTEMPT",
        "POINTSMAN_TERM",
        "POINTSMAN_FEEDBACK",
        "POINTSMAN_WORKER",
        "POINTSMAN_WORKER_LIFE",
    ];
    for limits in [Default::default(), unlimited()] {
        let mut bench = Bench::with_limits(limits);
        bench.run(execution("/usr/bin/env"));
        let text = bench.end().await.text();
        for line in text.lines() {
            let (name, _) = line.split_once('=').expect("name and value");
            assert!(TAKEN_OVER.contains(&name) || OWN.contains(&name), "{line}");
        }
        assert!(OWN.iter().all(|name| text.contains(&format!("{name}="))), "{text}");
    }
}

#[tokio::test]
async fn descriptors_that_the_agent_opened_later_are_not_inherited_either() {
    for limits in [Default::default(), unlimited()] {
        let mut bench = Bench::with_limits(limits);
        let secret = bench.dir.path().join("secret");
        std::fs::write(&secret, "secret").expect("writes");
        let file = std::fs::File::open(&secret).expect("opens");
        // SAFETY: clears the flag of a descriptor that is open.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFD, 0) }, 0);
        for script in ["/bin/ls -l /proc/self/fd", "ls -l /proc/self/fd; true"] {
            bench.run(execution(script));
            let text = bench.end().await.text();
            assert_eq!(text.lines().filter(|line| line.contains(" -> ")).count(), 4, "{text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_script_has_a_session_of_its_own_and_no_signal_ignored() {
    // As `nohup` starts the agent.
    // SAFETY: has no preconditions.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    let mut bench = Bench::new();
    let script = "echo $$ $(cut -d' ' -f5-7 /proc/$$/stat); grep -E 'Sig(Ign|Blk)' /proc/self/status; umask; pwd; cat";
    bench.run(execution(script));
    let ended = bench.end().await;
    assert_eq!(ended.outcome, Outcome::ExitCode(0));
    let text = ended.text();
    let lines: Vec<&str> = text.lines().collect();
    let [pid, group, session, terminal] = lines[0].split(' ').collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    assert_eq!((group, session, terminal), (pid, pid, "0"), "{text}");
    for line in &lines[1..3] {
        let signals = line.split_whitespace().nth(1).expect("a set of signals");
        let signals = u64::from_str_radix(signals, 16).expect("in hexadecimal digits");
        // Two are the C library's own.
        assert_eq!(signals & !(3 << 31), 0, "{text}");
    }
    // SAFETY: has no preconditions; set back at once.
    let umask = unsafe {
        let umask = libc::umask(0);
        libc::umask(umask);
        umask
    };
    assert_eq!(u32::from_str_radix(lines[3], 8), Ok(umask), "the agent's own: {text}");
    assert!(lines[4].ends_with("/attempts/t7-2-3"), "a folder of its own: {text}");
    assert_eq!(lines.len(), 5, "standard input is empty: {text}");
}
