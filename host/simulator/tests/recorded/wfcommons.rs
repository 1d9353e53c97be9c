//! The recorded WfCommons workflows: their shapes, and the makespans of two simple orders.

use crate::reference::{Order, schedule};
use pointsman_simulator::analysis::Shape;
use pointsman_simulator::cluster::Cluster;
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

fn makespan(job: &WorkJob, n_slots: usize, order: Order) -> u64 {
    let mut policies = match order {
        Order::Fifo => crate::policies::fifo(),
        Order::BottomLevel => crate::policies::longest_tail(),
    };
    let mut options = Options::on(Cluster::slots(n_slots));
    options.check_invariants = job.run_times.len() < 100;
    let workload = Workload::of_one(job.clone());
    let run = simulate(&workload, &options, &mut policies).unwrap();
    let reference = schedule(job, n_slots, order);
    for (position, (task, reference)) in run.jobs[0].iter().zip(reference).enumerate() {
        let (start, end) = (task.started.unwrap().0, task.ended.0);
        assert_eq!((start, end), reference, "task {position} of {}", job.spec.name);
    }
    run.jobs[0].iter().map(|task| task.ended.0).max().unwrap()
}

/// Also compared start by start with the reference scheduler of the tests.
#[test]
fn no_makespan_differs_from_the_published_one() {
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
                seconds(makespan(&job, n_slots, Order::Fifo).into()),
                seconds(makespan(&job, n_slots, Order::BottomLevel).into()),
            ];
            assert_eq!(got, published, "{} on {n_slots}: lower bound, FIFO, BL", row[0]);
        }
    }
}
