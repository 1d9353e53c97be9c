//! Logs of parallel machines, replayed through the production scheduler with the standard policies as
//! WebAssembly: every value that the logs' README states, to its printed digits. Two independent
//! schedulers agree on those, so that what differs here is wrong here.

use pointsman_scheduler::settings::Discipline;
use pointsman_simulator::cluster::Cluster;
use pointsman_simulator::contender::Contender;
use pointsman_simulator::import::swf::{self, Estimates};
use pointsman_simulator::report::{self, Row};
use pointsman_simulator::seconds::NANOS_PER_SECOND;
use pointsman_simulator::simulate::Options;
use std::path::{Path, PathBuf};

/// The folder beside the checkout; None, with a note, where there is none.
fn logs() -> Option<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !all.is_dir() {
        println!("skipped: no folder {}", all.display());
        return None;
    }
    Some(all.join("swf"))
}

const HPC2N: &str = "HPC2N-2002-excerpt.swf";
const NASA: &str = "NASA-iPSC-1993-3.1-cln.swf.gz";
const WAGAP: &str = "wagap-2013.swf.gz";

/// A row of the README's table.
struct Stated {
    /// `hpc2n@240`, or `nasa@128 x0.5` with the factor for the times of arrival.
    log: &'static str,
    file: &'static str,
    n_processors: usize,
    arrivals: &'static str,
    rule: &'static str,
}

/// Which policies and discipline the rule is here, and what they know of run times.
fn played_by(rule: &str) -> (&'static str, Discipline, Estimates) {
    match rule {
        "FCFS" => ("fifo", Discipline::Strict, Estimates::Asked),
        "EASY" => ("fifo", Discipline::Backfill, Estimates::Asked),
        "SJF" => ("shortest-first", Discipline::Strict, Estimates::Exact),
        other => panic!("no rule {other:?}"),
    }
}

fn play(folder: &Path, stated: &Stated) -> Row {
    let records = swf::read(&folder.join(stated.file)).expect("a log");
    let (queue, discipline, estimates) = played_by(stated.rule);
    let arrivals = stated.arrivals.parse().expect("a factor");
    let (workload, _) = swf::to_workload(stated.log, &records, estimates, arrivals);
    let mut options = Options::on(Cluster::pool(stated.n_processors));
    options.set_discipline(&workload, discipline);
    let contender = Contender::named_or_scored_by(queue, "least-connections").expect("policies");
    let report = report::run(&workload, &options, &mut [contender]).expect("the log is played");
    let row = report.contenders.into_iter().next().expect("one contender");
    assert_eq!((row.n_policy_failures, row.n_other, row.n_repeats), (0, 0, 0), "{row:?}");
    row
}

/// The cells of a row as the README prints them.
fn cells(row: &Row) -> [String; 7] {
    let seconds = |ns: u64| ns as f64 / NANOS_PER_SECOND as f64;
    [
        row.n_succeeded.to_string(),
        format!("{:.1}", seconds(row.makespan_ns)),
        format!("{:.4}", seconds(row.mean_wait_ns)),
        format!("{:.1}", seconds(row.max_wait_ns)),
        row.n_waited.to_string(),
        format!("{:.4}", row.mean_bounded_slowdown),
        format!("{:.6}", row.utilisation),
    ]
}

fn check(stated: &Stated) -> Option<Row> {
    let folder = logs()?;
    let readme = std::fs::read_to_string(folder.join("README.md")).expect("a README");
    let start = format!("| {} | {} | ", stated.log, stated.rule);
    let line = readme.lines().find(|line| line.starts_with(&start)).expect("the README's row");
    let expected: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).skip(2).collect();
    let row = play(&folder, stated);
    assert_eq!(cells(&row).as_slice(), expected, "{} {}", stated.log, stated.rule);
    Some(row)
}

/// All rules on one log; the fairness that the README states for each, if it does.
fn check_rules(log: Stated, fairness: Option<[&str; 3]>) {
    for (at, rule) in ["FCFS", "EASY", "SJF"].into_iter().enumerate() {
        let Some(row) = check(&Stated { rule, ..log }) else { return };
        if let Some(stated) = fairness {
            let index = row.fairness.expect("many users");
            assert_eq!(format!("{index:.6}"), stated[at], "fairness of {} {rule}", log.log);
        }
    }
}

const ALL: &str = "";

#[test]
fn hpc2n_has_no_value_but_the_published_ones() {
    let log = Stated { log: "hpc2n@240", file: HPC2N, n_processors: 240, arrivals: "1", rule: ALL };
    check_rules(log, Some(["0.424145", "0.244507", "0.180100"]));
}

#[test]
fn nasa_as_recorded_has_no_value_but_the_published_ones() {
    let log = Stated { log: "nasa@128", file: NASA, n_processors: 128, arrivals: "1", rule: ALL };
    check_rules(log, None);
}

#[test]
fn nasa_at_twice_the_load_has_no_value_but_the_published_ones() {
    let log =
        Stated { log: "nasa@128 x0.5", file: NASA, n_processors: 128, arrivals: "0.5", rule: ALL };
    check_rules(log, Some(["0.502493", "0.460260", "0.235335"]));
}

#[test]
fn wagap_as_recorded_has_no_value_but_the_published_ones() {
    let log =
        Stated { log: "wagap@2176", file: WAGAP, n_processors: 2176, arrivals: "1", rule: ALL };
    check_rules(log, None);
}

#[test]
fn wagap_on_half_the_processors_has_no_value_but_the_published_ones() {
    let log =
        Stated { log: "wagap@1088", file: WAGAP, n_processors: 1088, arrivals: "1", rule: ALL };
    check_rules(log, Some(["0.322950", "0.229504", "0.159035"]));
}
