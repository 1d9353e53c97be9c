//! The recorded WfCommons workflows: their shapes, and the makespans of two simple orders.

use crate::policies;
use crate::reference::{Order, schedule};
use pointsman_simulator::analysis::Shape;
use pointsman_simulator::cluster::Cluster;
use pointsman_simulator::contender::{Contender, TimedPolicies};
use pointsman_simulator::import::wfcommons;
use pointsman_simulator::seconds::format_millis;
use pointsman_simulator::simulate::{Options, simulate};
use pointsman_simulator::workload::{WorkJob, Workload};

fn seconds(ns: u128) -> String {
    format_millis(u64::try_from(ns).unwrap())
}

#[test]
fn no_recorded_workflow_is_imported_with_another_shape() {
    let Some(folder) = crate::data("wfcommons") else { return };
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let rows = crate::table(&readme, "| file | tasks |");
    assert_eq!(rows.len(), 16);
    for row in rows {
        let job = wfcommons::read(&folder.join(&row[0])).unwrap();
        let shape = Shape::of(&job).unwrap();
        let got = [
            shape.n_tasks.to_string(),
            shape.n_edges.to_string(),
            shape.depth.to_string(),
            shape.width.to_string(),
            seconds(shape.work),
            seconds(shape.critical_path),
        ];
        let expected = [&row[1], &row[2], &row[4], &row[5], &row[6], &row[7]];
        assert_eq!(got.each_ref(), expected, "{}", row[0]);
        let n_with_memory =
            job.spec.tasks.iter().filter(|task| task.request.memory != 100_000_000).count();
        assert_eq!(n_with_memory.to_string(), row[10], "{}: tasks with memory", row[0]);
    }
}

/// The makespan, after comparing start by start with the reference scheduler of the tests.
fn makespan(job: &WorkJob, n_slots: usize, order: Order, policies: &mut dyn TimedPolicies) -> u64 {
    let mut options = Options::on(Cluster::slots(n_slots));
    options.check_invariants = job.run_times.len() < 100;
    let workload = Workload::of_one(job.clone());
    let run = simulate(&workload, &options, policies).unwrap();
    assert_eq!(run.n_policy_failures, 0, "{:?}", run.first_policy_failure);
    let reference = schedule(job, n_slots, order);
    for (position, (task, reference)) in run.jobs[0].iter().zip(reference).enumerate() {
        let (start, end) = (task.started.unwrap().0, task.ended.0);
        assert_eq!((start, end), reference, "task {position} of {}", job.spec.name);
    }
    run.jobs[0].iter().map(|task| task.ended.0).max().unwrap()
}

/// All files, on 4 and on 32 workers, against the README's second table.
fn compare_makespans(fifo: &mut dyn TimedPolicies, bottom_level: &mut dyn TimedPolicies) {
    let Some(folder) = crate::data("wfcommons") else { return };
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let rows = crate::table(&readme, "| file | LB P=4 |");
    assert_eq!(rows.len(), 16);
    for row in rows {
        let job = wfcommons::read(&folder.join(&row[0])).unwrap();
        let shape = Shape::of(&job).unwrap();
        for (n_slots, published) in [(4, &row[1..4]), (32, &row[4..7])] {
            let got = [
                seconds(shape.lower_bound(n_slots)),
                seconds(makespan(&job, n_slots, Order::Fifo, fifo).into()),
                seconds(makespan(&job, n_slots, Order::BottomLevel, bottom_level).into()),
            ];
            assert_eq!(got, published, "{} on {n_slots}: lower bound, FIFO, BL", row[0]);
        }
    }
}

#[test]
fn no_makespan_differs_from_the_published_one() {
    compare_makespans(&mut policies::fifo(), &mut policies::longest_tail());
}

fn compare_makespans_by(fifo: &str, bottom_level: &str) {
    let named = |name| Contender::named(name).unwrap().policies;
    compare_makespans(&mut *named(fifo), &mut *named(bottom_level));
}

#[test]
fn no_makespan_differs_with_native_policies() {
    const SCORING: &str = "+native:weighted-score";
    let with_scoring = |queue| format!("{queue}{SCORING}");
    compare_makespans_by(&with_scoring("native:fifo"), &with_scoring("native:longest-tail"));
}

#[test]
fn no_makespan_differs_with_policies_as_webassembly() {
    compare_makespans_by("fifo", "critical-path");
}
