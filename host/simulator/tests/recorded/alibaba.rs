//! The jobs of the Alibaba trace, against the values that the data's README states.

use pointsman_scheduler::graph::GraphError;
use pointsman_scheduler::record::TaskState;
use pointsman_scheduler::resources::Capacity;
use pointsman_simulator::analysis::Shape;
use pointsman_simulator::cluster::{Cluster, Requests};
use pointsman_simulator::contender::Contender;
use pointsman_simulator::import::alibaba::{self, RecordedJob};
use pointsman_simulator::seconds::NANOS_PER_SECOND;
use pointsman_simulator::simulate::{Options, simulate};
use pointsman_simulator::workload::{WorkJob, Workload};
use std::collections::HashSet;

const NAME_CUT_AT: usize = 50;

fn is_clean(job: &RecordedJob) -> bool {
    job.rows.iter().all(|row| {
        row.status == "Terminated"
            && row.task_name.len() < NAME_CUT_AT
            && row.end >= row.start
            && row.cpu_milli.is_some()
    })
}

#[test]
fn exactly_the_cyclic_jobs_are_refused_and_no_total_differs() {
    let Some(folder) = crate::data("alibaba-v2018-dag") else { return };
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let rows = crate::table(&readme, "| file | jobs | tasks |");
    assert_eq!(rows.len(), 2);
    for row in rows {
        let file = row[0].split(' ').next().unwrap();
        let jobs = alibaba::read(&folder.join(file)).unwrap();
        let (mut n_tasks, mut n_edges, mut n_cyclic, mut total) = (0, 0, 0, 0);
        let (mut max_tasks, mut max_depth) = (0, 0);
        let mut clean = [0u128; 5];
        for job in &jobs {
            let work = job.to_work().unwrap();
            n_tasks += work.spec.tasks.len();
            n_edges += work.spec.tasks.iter().map(|task| task.dependencies.len()).sum::<usize>();
            total += work.run_times.iter().sum::<u64>();
            max_tasks = max_tasks.max(work.spec.tasks.len());
            let shape = match Shape::of(&work) {
                Ok(shape) => shape,
                Err(GraphError::Cycle { names }) => {
                    assert!(names.iter().any(|name| name.len() == NAME_CUT_AT), "{names:?}");
                    n_cyclic += 1;
                    continue;
                }
                Err(other) => panic!("{}: {other}", job.name),
            };
            max_depth = max_depth.max(shape.depth);
            if is_clean(job) {
                let [n_tasks, n_edges] = [shape.n_tasks as u128, shape.n_edges as u128];
                let adds = [1, n_tasks, n_edges, shape.critical_path, shape.work];
                clean.iter_mut().zip(adds).for_each(|(sum, add)| *sum += add);
            }
        }
        let (workload, refused) = alibaba::to_workload(file, &jobs).unwrap();
        assert_eq!((workload.jobs.len(), refused.len()), (jobs.len() - n_cyclic, n_cyclic));
        let second = u128::from(NANOS_PER_SECOND);
        let rows_of = |is: fn(&alibaba::Row) -> bool| {
            jobs.iter().flat_map(|job| &job.rows).filter(|row| is(row)).count()
        };
        let n_cut = rows_of(|row| row.task_name.len() == NAME_CUT_AT);
        let n_cut_jobs = jobs
            .iter()
            .filter(|job| job.rows.iter().any(|row| row.task_name.len() == NAME_CUT_AT))
            .count();
        let got = [
            jobs.len().to_string(),
            n_tasks.to_string(),
            n_edges.to_string(),
            n_cyclic.to_string(),
            format!("{n_cut} in {n_cut_jobs}"),
            rows_of(|row| row.end < row.start && row.status != "Waiting").to_string(),
            rows_of(|row| row.cpu_milli.is_none()).to_string(),
            format!("{max_tasks} / {max_depth}"),
            (u128::from(total) / second).to_string(),
            format!("{} / {} / {}", clean[0], clean[1], clean[2]),
            (clean[3] / second).to_string(),
            (clean[4] / second).to_string(),
        ];
        assert_eq!(got, row[1..], "{file}");
    }
}

#[test]
fn single_jobs_have_the_stated_shape() {
    let Some(folder) = crate::data("alibaba-v2018-dag") else { return };
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let jobs = alibaba::read(&folder.join("batch_task_dags.csv.gz")).unwrap();
    let stated = readme.lines().filter(|line| line.starts_with("j_"));
    let mut n_checked = 0;
    for line in stated {
        let (name, rest) = line.split_once(": ").unwrap();
        let Some(job) = jobs.iter().find(|job| job.name == name) else {
            panic!("{name} is in the file");
        };
        let shape = Shape::of(&job.to_work().unwrap()).unwrap();
        let second = u128::from(NANOS_PER_SECOND);
        let got = format!(
            "{} tasks, {} edges, depth {}, critical path {} s, total {} s, ",
            shape.n_tasks,
            shape.n_edges,
            shape.depth,
            shape.critical_path / second,
            shape.work / second
        );
        assert!(rest.starts_with(&got), "{name}: {got} | {rest}");
        n_checked += 1;
    }
    assert_eq!(n_checked, 6);
}

#[test]
fn many_jobs_arrive_over_time_and_every_task_ends() {
    let Some(folder) = crate::data("alibaba-v2018-dag") else { return };
    let jobs = alibaba::read(&folder.join("sample.csv")).unwrap();
    let (workload, refused) = alibaba::to_workload("sample", &jobs).unwrap();
    assert_eq!((workload.jobs.len() + refused.len(), refused.len()), (239, 3));
    let options = Options::on(Cluster::slots(16));
    let run = simulate(&workload, &options, &mut crate::policies::fifo()).unwrap();
    for (job, runs) in workload.jobs.iter().zip(&run.jobs) {
        let graph = job.graph().unwrap();
        for (position, run) in runs.iter().enumerate() {
            let started = run.started.expect("every task ran");
            assert!(run.ready >= job.arrives && started >= run.ready);
            assert_eq!(run.ended.0 - started.0, job.run_times[position]);
            for &parent in &graph.dependencies[position] {
                assert!(runs[parent as usize].ended <= run.ready, "{}", job.spec.name);
            }
        }
    }
}

/// With room for everything a job takes as long as its longest path: the sums are those of the README.
#[test]
fn no_clean_job_takes_longer_than_its_critical_path_where_nothing_waits_for_room() {
    let Some(folder) = crate::data("alibaba-v2018-dag") else { return };
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let rows = crate::table(&readme, "| file | jobs | tasks |");
    let jobs = alibaba::read(&folder.join("batch_task_dags.csv.gz")).unwrap();
    let (all, _) = alibaba::to_workload("clean", &jobs).unwrap();
    let clean: HashSet<&str> =
        jobs.iter().filter(|job| is_clean(job)).map(|job| job.name.as_str()).collect();
    let is_wanted = |job: &WorkJob| clean.contains(job.spec.name.as_str());
    let workload =
        Workload { name: all.name, jobs: all.jobs.into_iter().filter(is_wanted).collect() };
    let room = Capacity { cpu_milli: 1_000_000_000, memory: 1 << 40, gpus: 0 };
    let cluster = Cluster { workers: vec![room], requests: Requests::OneSlot };
    let mut policies = Contender::named_or_scored_by("critical-path", "least-connections").unwrap();
    let run = simulate(&workload, &Options::on(cluster), &mut *policies.policies).unwrap();
    let mut total = 0;
    for (job, runs) in workload.jobs.iter().zip(&run.jobs) {
        assert!(runs.iter().all(|run| run.n_attempts == 1 && run.state == TaskState::Succeeded));
        let took = runs.iter().map(|run| run.ended.0).max().unwrap() - job.arrives.0;
        assert_eq!(u128::from(took), Shape::of(job).unwrap().critical_path, "{}", job.spec.name);
        total += took / NANOS_PER_SECOND;
    }
    let counts = format!("{} / {}", workload.jobs.len(), workload.n_tasks());
    assert!(rows[0][10].starts_with(&counts), "{counts} of {}", rows[0][10]);
    assert_eq!(total.to_string(), rows[0][11]);
    assert_eq!(run.n_policy_failures, 0);
}
