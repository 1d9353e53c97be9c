//! Scripts are kept within what they asked for: by the kernel's control groups where they can be
//! had, and by an imitation of version 2 in a folder.

use crate::bench::{Bench, Ended, execution, unlimited, until};
use pointsman_worker::executor::Execution;
use pointsman_worker::{CpuLimit, LimitOptions, Outcome, StopReason};
use std::path::{Path, PathBuf};
use std::time::Duration;

const MB: u64 = 1_000_000;

/// A bench whose memory limits hold; None, with a word why, where they cannot be had.
fn limited() -> Option<Bench> {
    let bench = Bench::new();
    let told = bench.executor().limits().to_owned();
    if told.starts_with("not enforced") {
        eprintln!("skipped: {told}");
        return None;
    }
    Some(bench)
}

fn with_memory(script: &str, memory: u64) -> Execution {
    Execution { memory, ..execution(script) }
}

/// Takes memory without end.
const GREEDY: &str = "tail /dev/zero";

#[tokio::test]
async fn a_script_over_its_memory_ends_and_its_neighbour_does_not() {
    let Some(mut bench) = limited() else { return };
    let mut neighbour =
        with_memory("while ! [ -e \"$GO\" ]; do sleep 0.01; done; echo fine", 50 * MB);
    let go = bench.file(&mut neighbour, "GO");
    neighbour.key.task = 1;
    bench.run(neighbour);
    for script in [
        GREEDY.to_owned(),
        // The kernel ends a process of it, and the script would go on.
        format!("{GREEDY} || true; exit 0"),
        format!("setsid {GREEDY} & wait; exit 0"),
        // And would not notice.
        format!("{GREEDY} & sleep 600"),
    ] {
        let outcome = bench.outcome(with_memory(&script, 30 * MB)).await;
        assert_eq!(outcome, Outcome::OutOfMemory, "{script}");
    }
    std::fs::write(go, "").expect("writes");
    let ended = bench.any_end().await;
    assert_eq!((ended.key.task, &ended.outcome), (1, &Outcome::ExitCode(0)));
    assert_eq!(ended.text(), "fine\n");
}

#[tokio::test]
async fn a_script_within_its_memory_is_left_alone_and_no_earlier_kill_is_blamed_on_it() {
    let Some(mut bench) = limited() else { return };
    let fifty = "head -c 20000000 /dev/zero | tail -c 20000000 | wc -c";
    for (script, memory, expect) in [
        (fifty, 60 * MB, Outcome::ExitCode(0)),
        (GREEDY, 60 * MB, Outcome::OutOfMemory),
        (fifty, 60 * MB, Outcome::ExitCode(0)),
        ("exit 137", 60 * MB, Outcome::ExitCode(137)),
        ("kill -9 $$", 60 * MB, Outcome::Signal(9)),
        // Files that were read or written are no use of memory.
        ("head -c 80000000 /dev/zero > big && cat big big | wc -c", 30 * MB, Outcome::ExitCode(0)),
        // Too little to start anything: raised to what starts.
        ("true", 1, Outcome::ExitCode(0)),
        // Not limited.
        (fifty, 0, Outcome::ExitCode(0)),
    ] {
        assert_eq!(bench.outcome(with_memory(script, memory)).await, expect, "{script}");
    }
}

#[tokio::test]
async fn a_cancelled_script_is_not_told_as_out_of_memory() {
    let Some(mut bench) = limited() else { return };
    let mut execution = with_memory(&format!("{GREEDY}; touch \"$DONE\"; sleep 600"), 30 * MB);
    let done = bench.file(&mut execution, "DONE");
    let key = execution.key;
    bench.run(execution);
    until("it was killed", || done.exists()).await;
    bench.executor().stop(key, StopReason::Cancelled);
    let outcome = bench.end().await.outcome;
    // Whichever is noticed first.
    let expected = [Outcome::Stopped(StopReason::Cancelled), Outcome::OutOfMemory];
    assert!(expected.contains(&outcome), "{outcome:?}");
}

/// The folders of a life of an executor in all trees.
fn folders(root: &Path, marker: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|it| it.is_dir()) {
            continue;
        }
        if entry.file_name().to_string_lossy().contains(marker) {
            found.push(entry.path());
        }
        folders(&entry.path(), marker, found);
    }
}

#[tokio::test]
async fn control_groups_go_with_their_agent_also_when_scripts_run() {
    let Some(mut bench) = limited() else { return };
    bench.outcome(execution("true")).await;
    bench.run(execution("sleep 600"));
    bench.started().await;
    let count = |marker: &str| {
        let mut found = Vec::new();
        folders(Path::new("/sys/fs/cgroup"), marker, &mut found);
        found.len()
    };
    assert!(count(&bench.marker) > 0);
    drop(bench.executor.take());
    assert_eq!(count(&bench.marker), 0);
}

#[tokio::test]
async fn groups_are_used_again_but_not_with_what_was_left_in_them() {
    let Some(mut bench) = limited() else { return };
    for _ in 0..20 {
        bench.outcome(execution("true")).await;
    }
    let mut found = Vec::new();
    folders(Path::new("/sys/fs/cgroup"), &bench.marker, &mut found);
    let n_groups = found.iter().map(|it| it.read_dir().expect("reads").flatten());
    let n_groups =
        n_groups.flatten().filter(|it| it.file_type().is_ok_and(|it| it.is_dir())).count();
    assert!(n_groups <= 2 * found.len(), "{n_groups} groups for one script at a time");
    // A file in memory counts for whom it was written by, for as long as it is there.
    let shared = format!("/dev/shm/{}", bench.marker);
    let script = format!("head -c 50000000 /dev/zero > {shared}");
    let first = bench.outcome(with_memory(&script, 60 * MB)).await;
    let greedy = "head -c 40000000 /dev/zero | tail -c 40000000 | wc -c";
    let second = bench.outcome(with_memory(greedy, 60 * MB)).await;
    std::fs::remove_file(shared).expect("it is there");
    assert_eq!((first, second), (Outcome::ExitCode(0), Outcome::ExitCode(0)));
}

#[tokio::test]
async fn the_share_of_cores_is_what_was_asked_for() {
    for (cpu, quota) in [(CpuLimit::Weight, "-1"), (CpuLimit::Quota, "25000")] {
        let mut bench = Bench::with_limits(LimitOptions { cpu, ..LimitOptions::default() });
        if bench.executor().limits() != "enforced by cgroup v1" {
            return eprintln!("skipped: {}", bench.executor().limits());
        }
        let script = "path=/sys/fs/cgroup/cpu$(sed -nE 's/^[0-9]+:(cpu|cpu,cpuacct):(.*)/\\2/p' /proc/self/cgroup)
            cat \"$path/cpu.shares\" \"$path/cpu.cfs_quota_us\"";
        bench.run(Execution { cpu_milli: 250, ..execution(script) });
        assert_eq!(bench.end().await.text(), format!("256\n{quota}\n"));
    }
}

#[tokio::test]
async fn what_is_not_enforced_is_told_with_the_reason() {
    let check = |limits: LimitOptions, expect: &str| {
        let bench = Bench::with_limits(limits);
        let told = bench.executor().limits();
        assert!(told.starts_with("not enforced: ") && told.contains(expect), "{told}");
    };
    check(unlimited(), "turned off");
    let nowhere = tempfile::tempdir().expect("temp folder");
    let mounts = nowhere.path().to_owned();
    check(
        LimitOptions { mounts: mounts.clone(), ..LimitOptions::default() },
        "no memory controller",
    );
    std::fs::write(mounts.join("cgroup.controllers"), "io pids\n").expect("writes");
    let membership = mounts.join("membership");
    std::fs::write(&membership, "0::/\n").expect("writes");
    check(
        LimitOptions { mounts, membership, ..LimitOptions::default() },
        "neither memory nor cpu controller",
    );
}

/// An imitation of a machine with control groups of version 2: files that take what is written.
struct Imitation {
    root: tempfile::TempDir,
}

impl Imitation {
    fn new(own: &str) -> Imitation {
        let root = tempfile::tempdir().expect("temp folder");
        std::fs::create_dir_all(root.path().join(own)).expect("makes");
        for folder in [root.path(), &root.path().join(own)] {
            std::fs::write(folder.join("cgroup.controllers"), "cpuset cpu io memory\n")
                .expect("writes");
        }
        std::fs::write(root.path().join("membership"), format!("0::/{own}\n")).expect("writes");
        Imitation { root }
    }

    fn bench(&self, cpu: CpuLimit) -> Bench {
        let (mounts, membership) =
            (self.root.path().to_owned(), self.root.path().join("membership"));
        let bench = Bench::with_limits(LimitOptions { memory: true, cpu, mounts, membership });
        assert_eq!(bench.executor().limits(), "enforced by cgroup v2");
        bench
    }

    fn base(&self, own: &str, bench: &Bench) -> PathBuf {
        self.root.path().join(own).join(format!("pointsman-{}-{:016x}", bench.marker, 1))
    }
}

async fn run_in_imitation(
    imitation: &Imitation,
    bench: &mut Bench,
    own: &str,
    script: &str,
) -> (Ended, PathBuf) {
    let base = imitation.base(own, bench);
    // The second group: the first was the trial at the start.
    let group = base.join("2");
    let mut execution = execution(script);
    execution.cpu_milli = 2500;
    execution.env.insert("GROUP".to_owned(), group.display().to_string());
    bench.run(execution);
    (bench.end().await, group)
}

#[tokio::test]
async fn version_2_is_told_the_limits() {
    let own = "system.slice/pointsman.service";
    let imitation = Imitation::new(own);
    let mut bench = imitation.bench(CpuLimit::Quota);
    let (ended, group) = run_in_imitation(&imitation, &mut bench, own, "echo in \"$PWD\"").await;
    assert_eq!(ended.outcome, Outcome::ExitCode(0));
    let read = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
    for (name, expect) in [
        ("memory.max", "100000000"),
        ("memory.swap.max", "0"),
        ("memory.oom.group", "1"),
        ("cpu.weight", "250"),
        ("cpu.max", "250000 100000"),
        // The script put itself in.
        ("cgroup.procs", "0\n"),
    ] {
        assert_eq!(read(&group, name), expect, "{name}");
    }
    let parent = imitation.root.path().join(own);
    assert_eq!(read(&parent, "cgroup.subtree_control"), "+memory +cpu");
    assert_eq!(read(&imitation.base(own, &bench), "cgroup.subtree_control"), "+memory +cpu");
}

#[tokio::test]
async fn version_2_names_who_ran_out_of_memory() {
    let imitation = Imitation::new("a");
    let mut bench = imitation.bench(CpuLimit::Weight);
    let script =
        "printf 'oom 1\\noom_kill 1\\noom_group_kill 1\\n' > \"$GROUP/memory.events\"; kill -9 $$";
    let (ended, group) = run_in_imitation(&imitation, &mut bench, "a", script).await;
    assert_eq!(ended.outcome, Outcome::OutOfMemory);
    assert!(!group.join("cpu.max").exists(), "no quota unless asked for");
    // The same count is not told twice.
    let (ended, _) = run_in_imitation(&imitation, &mut bench, "a", "kill -9 $$").await;
    assert_eq!(ended.outcome, Outcome::Signal(9));
}

#[tokio::test]
async fn a_program_that_is_not_there_ends_the_same_within_version_2() {
    let imitation = Imitation::new("a");
    let mut bench = imitation.bench(CpuLimit::Weight);
    for (script, expect) in [
        ("/no/such/program", Outcome::ExitCode(127)),
        ("/bin/true", Outcome::ExitCode(0)),
        ("exit 3", Outcome::ExitCode(3)),
        ("sleep 600 & kill -TERM $$", Outcome::Signal(15)),
    ] {
        let execution = Execution { timeout: Some(Duration::from_secs(20)), ..execution(script) };
        assert_eq!(bench.outcome(execution).await, expect, "{script}");
    }
}
