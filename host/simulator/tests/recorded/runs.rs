//! What holds for every simulation: equal runs, clear ends, reports and job files that say what was
//! played.

use crate::policies::{fifo, longest_tail, restless};
use pointsman_policy::{FailureKind, Incident, IncidentKind};
use pointsman_scheduler::explain::Reason;
use pointsman_scheduler::resources::{Capacity, Request};
use pointsman_scheduler::settings::Discipline;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use pointsman_scheduler::{Refusal, Slot, Time};
use pointsman_simulator::cluster::Cluster;
use pointsman_simulator::contender::Contender;
use pointsman_simulator::export::{scaled, to_job_json};
use pointsman_simulator::import::wfcommons;
use pointsman_simulator::report;
use pointsman_simulator::simulate::{Options, SimulateError, simulate};
use pointsman_simulator::workload::{WorkJob, Workload};
use std::sync::Arc;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// Tasks by name, seconds and dependencies.
fn job(tasks: &[(&str, u64, &[&str])]) -> WorkJob {
    let spec = |(name, seconds, dependencies): &(&str, u64, &[&str])| {
        let mut task = TaskSpec::new(*name, "true");
        task.dependencies = dependencies.iter().map(|name| (*name).to_owned()).collect();
        task.expected = Some(Duration::from_secs(*seconds));
        Arc::new(task)
    };
    let tasks = tasks.iter().map(spec).collect();
    WorkJob::as_expected(JobSpec { name: "job".to_owned(), tasks }).unwrap()
}

fn with_cpu(mut job: WorkJob, cpu_milli: &[u64]) -> WorkJob {
    for (task, cpu_milli) in job.spec.tasks.iter_mut().zip(cpu_milli) {
        Arc::make_mut(task).request = Request { cpu_milli: *cpu_milli, memory: 0, gpu_milli: 0 };
    }
    job
}

fn starts(workload: &Workload, options: &Options) -> Vec<u64> {
    let run = simulate(workload, options, &mut fifo()).unwrap();
    run.jobs.iter().flatten().map(|task| task.started.unwrap().0 / SECOND).collect()
}

#[test]
fn equal_runs_never_differ_in_an_effect() {
    let Some(folder) = crate::data("wfcommons") else { return };
    let path = folder.join("montage-chameleon-2mass-005d-001.json");
    let workload = Workload::of_one(wfcommons::read(&path).unwrap());
    let options = Options::on(Cluster::slots(4));
    let hash = |options: &Options| simulate(&workload, options, &mut fifo()).unwrap().trace_hash;
    let first = hash(&options);
    assert_eq!(first, hash(&options));
    assert_ne!(first, hash(&Options::on(Cluster::slots(5))));
    let other = simulate(&workload, &options, &mut longest_tail()).unwrap();
    assert_ne!(first, other.trace_hash);
    let named = || Contender::named("critical-path+least-connections+threshold").unwrap();
    let mut contenders = [named(), named()];
    let report = report::run(&workload, &options, &mut contenders).unwrap();
    assert_eq!(report.contenders[0], report.contenders[1]);
}

#[test]
fn no_start_comes_before_a_completion_or_an_arrival_of_the_same_instant() {
    // At 2 s `first` ends, which readies `after`, and the job with `late` arrives; one slot is free.
    let mut late = job(&[("late", 1, &[])]);
    late.arrives = Time(2 * SECOND);
    let early = job(&[("first", 2, &[]), ("after", 1, &["first"])]);
    let jobs = vec![late, early];
    let workload = Workload { name: "two".to_owned(), jobs };
    let mut options = Options::on(Cluster::slots(1));
    options.check_invariants = true;
    assert_eq!(starts(&workload, &options), [3, 0, 2]);
    // Two tasks in a row that take no time: the clock stands still, the order holds.
    let job = job(&[("a", 0, &[]), ("b", 0, &["a"]), ("c", 1, &["b"])]);
    let workload = Workload::of_one(job);
    assert_eq!(starts(&workload, &options), [0, 0, 0]);
}

#[test]
fn disciplines_differ_where_a_head_does_not_fit() {
    // 3 of 4 cores are taken; the head wants 4; a short and a long task want 1.
    let tasks: &[(&str, u64, &[&str])] =
        &[("base", 10, &[]), ("head", 10, &[]), ("long", 20, &[]), ("short", 5, &[])];
    let workload = Workload::of_one(with_cpu(job(tasks), &[3000, 4000, 1000, 1000]));
    let capacity = Capacity { cpu_milli: 4000, memory: 1 << 30, gpus: 0 };
    let mut options = Options::on(Cluster::machines(1, capacity));
    options.check_invariants = true;
    let mut starts_under = |discipline| {
        let queue = options.settings.queues.get_mut("default").unwrap();
        queue.discipline = Some(discipline);
        starts(&workload, &options)
    };
    assert_eq!(starts_under(Discipline::Strict), [0, 10, 20, 20]);
    assert_eq!(starts_under(Discipline::Backfill), [0, 10, 20, 0]);
    assert_eq!(starts_under(Discipline::Greedy), [0, 20, 0, 10]);
}

#[test]
fn work_that_can_never_run_ends_the_simulation_with_its_reason() {
    let capacity = Capacity { cpu_milli: 2000, memory: 1 << 30, gpus: 0 };
    let options = Options::on(Cluster::machines(2, capacity));
    let tasks: &[(&str, u64, &[&str])] = &[("small", 1, &[]), ("large", 1, &["small"])];
    let workload = Workload::of_one(with_cpu(job(tasks), &[1000, 3000]));
    let error = simulate(&workload, &options, &mut fifo()).unwrap_err();
    match &error {
        SimulateError::Stuck { task, n_left: 1, reason, .. } if task == "large" => {
            let reason = reason.as_deref();
            assert!(matches!(reason, Some(Reason::NoWorkerCanEverFit { .. })), "{reason:?}");
        }
        other => panic!("{other}"),
    }
    assert!(error.to_string().contains("\"large\" of job \"job\""), "{error}");
}

#[test]
fn bad_workloads_are_refused_before_anything_is_played() {
    let options = Options::on(Cluster::slots(1));
    let cyclic = Workload::of_one(job(&[("a", 1, &["b"]), ("b", 1, &["a"])]));
    let error = simulate(&cyclic, &options, &mut fifo()).unwrap_err();
    let SimulateError::Refused { source, .. } = error else { panic!("{error}") };
    assert!(matches!(*source, Refusal::Graph(_)), "{source}");
    let nobody = Options::on(Cluster::slots(0));
    let one = Workload::of_one(job(&[("a", 1, &[])]));
    assert_eq!(simulate(&one, &nobody, &mut fifo()).unwrap_err(), SimulateError::NoWorkers);
    let nothing = Workload { name: "nothing".to_owned(), jobs: Vec::new() };
    assert_eq!(simulate(&nothing, &options, &mut fifo()).unwrap_err(), SimulateError::NoTasks);
    let spec = JobSpec { name: "job".to_owned(), tasks: vec![Arc::new(TaskSpec::new("a", "x"))] };
    let error = WorkJob::as_expected(spec).unwrap_err().to_string();
    assert!(error.contains("tasks[0].expected is missing"), "{error}");
}

#[test]
fn a_report_tells_exactly_what_happened() {
    // One slot: a runs 0–4, b 4–6, c waits for a and runs 6–26.
    let tasks: &[(&str, u64, &[&str])] = &[("a", 4, &[]), ("b", 2, &[]), ("c", 20, &["a"])];
    let workload = Workload::of_one(job(tasks));
    let mut contenders = vec![
        Contender { name: "fifo".to_owned(), policies: Box::new(fifo()) },
        Contender { name: "tail".to_owned(), policies: Box::new(longest_tail()) },
    ];
    let options = Options::on(Cluster::slots(1));
    let report = report::run(&workload, &options, &mut contenders).unwrap();
    assert_eq!((report.n_tasks, report.n_edges), (3, 1));
    assert_eq!((report.critical_path_ns, report.work_ns), (24 * SECOND, 26 * u128::from(SECOND)));
    assert_eq!(report.lower_bound_ns, Some(26 * SECOND));
    let [fifo, tail] = &report.contenders[..] else { panic!("two rows") };
    assert_eq!((fifo.makespan_ns, fifo.max_wait_ns), (26 * SECOND, 4 * SECOND));
    assert_eq!((tail.makespan_ns, tail.max_wait_ns), (26 * SECOND, 24 * SECOND));
    assert_eq!(fifo.mean_wait_ns, 2 * SECOND);
    // a and b are shorter than the bound of 10 s; c waits 2 s and runs 20 s.
    assert!((fifo.mean_bounded_slowdown - (1.0 + 1.0 + 1.1) / 3.0).abs() < 1e-12);
    assert!((fifo.utilisation - 1.0).abs() < 1e-12);
    assert_eq!((fifo.n_succeeded, fifo.n_other, fifo.n_repeats), (3, 0, 0));
    let table = report.to_string();
    assert!(table.contains("3 tasks, 1 edges, on 1 workers"), "{table}");
    let lines: Vec<&str> = table.lines().filter(|line| line.contains("26.000")).collect();
    assert_eq!(lines.len(), 3, "the bound and two rows: {table}");
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["contenders"][0]["name"], "fifo");
    assert_eq!(json["contenders"][1]["makespan_ns"], 26 * SECOND);
}

#[test]
fn a_report_never_hides_that_a_policy_failed() {
    let incident = Incident {
        slot: Slot::Queue,
        name: "broken".to_owned(),
        version: "1".to_owned(),
        generation: 1,
        digest: None,
        kind: IncidentKind::Failed { kind: FailureKind::Trap, call: 1 },
        message: "unreachable executed".to_owned(),
    };
    let mut policies = Box::new(fifo());
    policies.incidents.push(incident);
    let mut contenders = vec![Contender { name: "mine".to_owned(), policies }];
    let workload = Workload::of_one(job(&[("a", 1, &[])]));
    let options = Options::on(Cluster::slots(1));
    let report = report::run(&workload, &options, &mut contenders).unwrap();
    assert_eq!(report.contenders[0].n_policy_failures, 1);
    let expected = "mine: 1 policy calls failed; the first, queue broken at 0.000 s: unreachable";
    assert!(report.to_string().contains(expected), "{report}");
}

#[test]
fn policies_are_found_by_name_or_file_and_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let fifo = pointsman_bundle::find("fifo").unwrap();
    std::fs::write(path("mine.wasm"), fifo.bytes).unwrap();
    std::fs::write(path("text.wasm"), "no policy").unwrap();
    for name in ["fifo", "critical-path+least-connections", &path("mine.wasm")] {
        assert_eq!(Contender::named(name).unwrap().name, name);
    }
    let check = |name: &str, expected: &str| {
        let Err(error) = Contender::named(name) else { panic!("{name} is refused") };
        assert!(error.to_string().contains(expected), "{error}");
    };
    check("fifi", "did you mean \"fifo\"?");
    check("native:nothing", "there is no standard policy \"native:nothing\"");
    check("", "there is no standard policy \"\"");
    check("fifo+critical-path", "two policies for the slot queue");
    check(&path("missing.wasm"), "failed to read the policy file");
    check(&path("text.wasm"), "text.wasm is refused");
}

#[test]
fn a_rescheduling_policy_moves_nothing_that_runs_as_expected() {
    let tasks: &[(&str, u64, &[&str])] = &[("a", 30, &[]), ("b", 40, &["a"])];
    let workload = Workload::of_one(job(tasks));
    let mut options = Options::on(Cluster::slots(2));
    options.check_invariants = true;
    let mut contenders = vec![Contender::named("fifo+threshold").unwrap()];
    let report = report::run(&workload, &options, &mut contenders).unwrap();
    let row = &report.contenders[0];
    assert_eq!((row.makespan_ns, row.n_succeeded, row.n_repeats), (70 * SECOND, 2, 0));
    // Half as long again as expected: moved once, at the first review after 36 s, and what
    // it did is lost.
    let mut slow = workload.clone();
    slow.jobs[0].run_times[0] = 45 * SECOND;
    let mut contenders = vec![Contender::named("fifo+threshold").unwrap()];
    let report = report::run(&slow, &options, &mut contenders).unwrap();
    let row = &report.contenders[0];
    assert_eq!((row.n_succeeded, row.n_policy_failures, row.n_repeats), (2, 0, 1), "{report}");
    let least = 36 + 45 + 40;
    assert!((least * SECOND..=(least + 10) * SECOND).contains(&row.makespan_ns), "{report}");
    let expected = ((row.makespan_ns - 40 * SECOND) as f64 / (45 * SECOND) as f64 + 1.0) / 2.0;
    assert!((row.mean_bounded_slowdown - expected).abs() < 1e-12, "{report}");
}

#[test]
fn a_task_that_is_moved_for_ever_ends_the_simulation() {
    let workload = Workload::of_one(job(&[("a", 30, &[])]));
    let mut options = Options::on(Cluster::slots(2));
    options.settings.rescheduling.cool_down = Duration::ZERO;
    let error = simulate(&workload, &options, &mut restless()).unwrap_err();
    assert!(matches!(error, SimulateError::Endless { .. }), "{error}");
    assert!(error.to_string().contains("task \"a\" of job \"job\""), "{error}");
}

#[test]
fn an_exported_job_keeps_names_edges_and_scaled_times() {
    let mut job = job(&[("a", 4, &[]), ("b \"2\"", 0, &["a"])]);
    job = with_cpu(job, &[1500, 1000]);
    job.run_times[0] = 4_000_100_000;
    let job = scaled(&job, "0.05".parse().unwrap());
    assert_eq!(job.run_times, [200_005_000, 0]);
    let json: serde_json::Value = serde_json::from_str(&to_job_json(&job.spec)).unwrap();
    let expected = serde_json::json!({
        "name": "job",
        "tasks": [
            { "task_name": "a", "script": "sleep 0.200005", "expected": "201ms",
              "resources": { "cpu": 1.5, "memory": 0 } },
            { "task_name": "b \"2\"", "script": "sleep 0", "dependencies": ["a"],
              "resources": { "cpu": 1, "memory": 0 } },
        ],
    });
    assert_eq!(json, expected);
}
