//! Ten years of failures of nodes: the recording against its README, and one system's failures played
//! under work.

use pointsman_scheduler::Time;
use pointsman_scheduler::record::TaskState;
use pointsman_scheduler::settings::Heartbeat;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use pointsman_simulator::cluster::Cluster;
use pointsman_simulator::import::lanl::{self, Failure};
use pointsman_simulator::simulate::{Options, simulate};
use pointsman_simulator::workload::{WorkJob, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn mean_repair(failures: &[Failure]) -> f64 {
    let total: u64 = failures.iter().map(|it| it.fixed - it.started).sum();
    total as f64 / failures.len() as f64
}

fn of_system(failures: &[Failure], system: u32) -> Vec<Failure> {
    failures.iter().copied().filter(|it| it.system == system).collect()
}

#[test]
fn no_failure_is_read_otherwise_than_stated() {
    let Some(folder) = crate::data("lanl-failures") else { return };
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let all = lanl::read(&folder.join("LA-UR-05-7318-failure-data-1996-2005.csv.gz")).unwrap();
    let systems: BTreeSet<u32> = all.iter().map(|it| it.system).collect();
    let mut repairs: Vec<u64> = all.iter().map(|it| it.fixed - it.started).collect();
    repairs.sort_unstable();
    let median = repairs[repairs.len() / 2];
    let mean = mean_repair(&all);
    let stated = |text: String| assert!(readme.contains(&text), "{text:?} is not in the README");
    stated(format!("23,739 failures in {} systems", systems.len()));
    assert_eq!(all.len(), 23_739);
    stated(format!("median {median} min, mean {mean:.3} min, none negative"));
    for (system, shown) in
        [(2, "7,104"), (18, "3,997"), (19, "3,284"), (16, "2,680"), (20, "2,478")]
    {
        let n = of_system(&all, system).len();
        assert_eq!(n.to_string(), shown.replace(',', ""), "system {system}");
        stated(format!("system {system} {shown}"));
    }
    for system in [2, 18] {
        let own = of_system(&all, system);
        let n_nodes = own.iter().filter_map(|it| it.node).collect::<BTreeSet<_>>().len();
        let shown = mean_repair(&own);
        stated(format!("mean repair {shown:.1} min"));
        assert!(n_nodes > 0);
    }
    let own = lanl::read(&folder.join("system20.csv")).unwrap();
    assert_eq!(own, of_system(&all, 20));
    stated(format!(
        "on 400 distinct nodes, 2001-12-20 08:00 to 2005-09-09 06:28, mean repair {:.1} min",
        mean_repair(&own)
    ));
    let outages = lanl::to_outages(&own, Duration::ZERO);
    assert_eq!(outages.nodes.len(), 400);
    assert_eq!(own.len() - outages.outages.len(), 14, "failures that begin before a repair");
    let down: u128 = outages.outages.iter().map(|it| it.until.since(it.from).as_nanos()).sum();
    stated(
        format!("merged down time {:.3} node-hours", down as f64 / HOUR.as_nanos() as f64)
            .replace("8502", "8,502"),
    );
    let mut n_failures: BTreeMap<u32, usize> = BTreeMap::new();
    own.iter().filter_map(|it| it.node).for_each(|it| *n_failures.entry(it).or_default() += 1);
    let most = n_failures.into_iter().max_by_key(|(_, n)| *n).unwrap();
    stated(format!("node {} fails most ({} times)", most.0, most.1));
}

/// So much work of some days each that most nodes are busy until after the last failure.
fn work(n_nodes: usize, span: Duration) -> Workload {
    let mut rng = fastrand::Rng::with_seed(20);
    let mut left = span.as_secs_f64() * n_nodes as f64;
    let mut jobs = Vec::new();
    while left > 0.0 {
        let run_time = DAY.mul_f64(2.0 + 36.0 * rng.f64());
        left -= run_time.as_secs_f64();
        let name = format!("task-{}", jobs.len());
        let task = TaskSpec { expected: Some(run_time), ..TaskSpec::new(&name, "true") };
        let spec = JobSpec { name, tasks: vec![Arc::new(task)] };
        let arrives = Time::ZERO.after(span.mul_f64(rng.f64()));
        let run_times = vec![run_time.as_nanos() as u64];
        jobs.push(WorkJob { spec, arrives, run_times });
    }
    Workload { name: "days".to_owned(), jobs }
}

fn play(folder: &Path) {
    let failures = lanl::read(&folder.join("system20.csv")).unwrap();
    let outages = lanl::to_outages(&failures, DAY);
    let n_nodes = outages.nodes.len();
    let last = outages.outages.iter().map(|it| it.until).max().unwrap();
    let workload = work(n_nodes, last.since(Time::ZERO));
    let mut options = Options::on(Cluster::slots(n_nodes));
    // Most nodes are back before they are given up, many are not.
    options.settings.heartbeat =
        Heartbeat { interval: 2 * HOUR, suspect_after: 4 * HOUR, lost_after: 6 * HOUR };
    options.settings.retry.max_worker_losses = 20;
    options.outages = outages.outages.clone();
    let run = simulate(&workload, &options, &mut crate::policies::fifo()).unwrap();
    assert_eq!(run.n_outages as usize, outages.outages.len(), "the work lasts to the last failure");
    assert!(run.n_interrupted > 2000, "{} attempts were interrupted", run.n_interrupted);
    assert!(run.n_unheard > 0, "no start was sent to a node that was down");
    let mut n_attempts = 0;
    for (job, runs) in workload.jobs.iter().zip(&run.jobs) {
        let [task] = &runs[..] else { panic!("one task each") };
        assert_eq!(task.state, TaskState::Succeeded, "{}", job.spec.name);
        assert!(
            task.busy >= u128::from(job.run_times[0]),
            "{} did not run to its end",
            job.spec.name
        );
        n_attempts += u64::from(task.n_attempts);
    }
    println!(
        "{} tasks, {n_attempts} attempts, {} interrupted",
        workload.jobs.len(),
        run.n_interrupted
    );
    // Every interruption costs one more attempt, and nothing else does but a start that nobody heard.
    let n_tasks = workload.jobs.len() as u64;
    assert_eq!(n_attempts, n_tasks + run.n_interrupted + run.n_unheard);
}

#[test]
fn no_work_is_lost_or_done_twice_while_nodes_fail_for_four_years() {
    let Some(folder) = crate::data("lanl-failures") else { return };
    play(&folder);
}
