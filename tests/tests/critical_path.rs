//! The critical path of recorded workflows while they run and at their end, against its definition: the longest
//! chain there is, and how much longer each task could take before that gets longer.

use pointsman_protocol::api::CriticalPathView;
use pointsman_scheduler::graph::Graph;
use pointsman_scheduler::record::{
    Attempt, Decision, JobRecord, JobState, Outcome, TaskAdded, TaskState, TaskStatus,
};
use pointsman_scheduler::resources::Devices;
use pointsman_scheduler::{JobId, Record, TaskId, Term, Time, WorkerId};
use pointsman_server::job_path::JobLegs;
use pointsman_server::read_model::ReadModel;
use pointsman_simulator::import::wfcommons;
use pointsman_simulator::workload::WorkJob;
use pointsman_tests::site::{Crew, Site};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

const BEGAN: Time = Time(1_700_000_000_000_000_000);
const N_SLOTS: usize = 4;
const N_MOMENTS: u64 = 10;
/// Tasks of each moment whose slack is tried out.
const N_TRIED: usize = 20;

struct Recorded {
    work: WorkJob,
    graph: Graph,
    /// When each task starts and ends, nanoseconds from the beginning.
    ran: Vec<(u64, u64)>,
}

impl Recorded {
    /// Some tasks take longer than they were expected to.
    fn play(work: WorkJob) -> Recorded {
        let graph = Graph::check(&work.spec.tasks).expect("a DAG");
        let mut ran = vec![(0, 0); work.run_times.len()];
        let mut slots = [0; N_SLOTS];
        for &position in &graph.order {
            let position = position as usize;
            let needed = graph.dependencies[position].iter().map(|it| ran[*it as usize].1);
            let ready: u64 = needed.max().unwrap_or(0);
            let slot = slots.iter_mut().min().expect("some slots");
            let start = ready.max(*slot);
            let took = work.run_times[position] / 10 * (8 + position as u64 % 5);
            *slot = start + took;
            ran[position] = (start, *slot);
        }
        Recorded { work, graph, ran }
    }

    fn makespan(&self) -> u64 {
        self.ran.iter().map(|(_, end)| *end).max().expect("some tasks")
    }

    fn status(&self, position: usize, now: u64) -> TaskStatus {
        let (start, end) = self.ran[position];
        if now < start {
            return TaskStatus { next_attempt: 1, ..TaskStatus::default() };
        }
        let at = |nanos: u64| BEGAN.after(Duration::from_nanos(nanos));
        let has_ended = end <= now;
        let attempt = Attempt {
            number: 1,
            term: Term(1),
            worker: WorkerId(1),
            devices: Devices::default(),
            assigned: at(start),
            started: Some(at(start)),
            ended: has_ended.then(|| at(end)),
            outcome: has_ended.then_some(Outcome::Succeeded),
            decision: Decision::default(),
        };
        let state = if has_ended { TaskState::Succeeded } else { TaskState::Running };
        TaskStatus { state, attempts: vec![attempt], next_attempt: 2, ..TaskStatus::default() }
    }

    fn model(&self, now: u64) -> ReadModel {
        let mut model = ReadModel::default();
        let (spec, n_tasks) = (&self.work.spec, self.ran.len() as u32);
        let is_over = now >= self.makespan();
        model.apply(&Record::Job(JobRecord {
            id: JobId(1),
            name: spec.name.clone(),
            submitted: BEGAN,
            n_tasks,
            state: if is_over { JobState::Succeeded } else { JobState::Running },
            ended: is_over.then(|| BEGAN.after(Duration::from_nanos(now))),
        }));
        let id = |position: usize| TaskId(position as u64 + 1);
        for (position, task) in spec.tasks.iter().enumerate() {
            let needed = self.graph.dependencies[position].iter();
            model.apply(&Record::TaskAdded(TaskAdded {
                id: id(position),
                job: JobId(1),
                submitted: BEGAN,
                spec: task.clone(),
                dependencies: needed.map(|it| id(*it as usize)).collect(),
            }));
            model.apply(&Record::Task(id(position), self.status(position, now)));
        }
        model
    }

    /// What each task takes in all, and what of it is still to come.
    fn weights(&self, now: u64) -> Vec<(u64, u64)> {
        let weight = |position: usize| {
            let (start, end) = self.ran[position];
            let expected = self.work.run_times[position];
            match () {
                () if end <= now => (end - start, 0),
                () if start <= now => {
                    let left = expected.saturating_sub(now - start);
                    (now - start + left, left)
                }
                () => (expected, expected),
            }
        };
        (0..self.ran.len()).map(weight).collect()
    }

    /// Relaxes every edge until nothing changes, in whatever order.
    fn longest(&self, weights: &[u64]) -> u64 {
        let mut ends = weights.to_vec();
        loop {
            let mut changed = false;
            for position in (0..ends.len()).rev() {
                for &needed in &self.graph.dependencies[position] {
                    let end = ends[needed as usize] + weights[position];
                    changed |= end > ends[position];
                    ends[position] = ends[position].max(end);
                }
            }
            if !changed {
                return ends.into_iter().max().expect("some tasks");
            }
        }
    }

    fn check(&self, now: u64) {
        let at = BEGAN.after(Duration::from_nanos(now));
        let legs = JobLegs::of(&self.model(now), JobId(1), at).expect("the job is there");
        let found = legs.path();
        let weights = self.weights(now);
        let whole: Vec<u64> = weights.iter().map(|it| it.0).collect();
        let left: Vec<u64> = weights.iter().map(|it| it.1).collect();
        let name = &self.work.spec.name;
        assert_eq!(found.length, self.longest(&whole), "{name} at {now}");
        assert_eq!(found.left, self.longest(&left), "{name} at {now}");
        let on_path: u64 = found.path.iter().map(|it| whole[*it as usize]).sum();
        assert_eq!(on_path, found.length, "{name} at {now}");
        for position in (0..whole.len()).step_by(whole.len().div_ceil(N_TRIED)) {
            let with = |more: u64| {
                let mut longer = whole.clone();
                longer[position] += more;
                self.longest(&longer)
            };
            let slack = found.slack[position];
            assert_eq!(with(slack), found.length, "{name} at {now}: task {position}");
            assert_eq!(with(slack + 1), found.length + 1, "{name} at {now}: task {position}");
        }
        let view = legs.view(&found, 5, |id| id.to_string());
        assert_eq!(view.projected_finish.is_none(), now >= self.makespan());
        assert_eq!(view.n_unknown, 0);
        assert!(view.tasks.len() <= 5 && view.tasks[0].is_on_path);
    }
}

#[test]
fn the_path_and_the_slack_of_recorded_workflows_never_differ_from_their_definition() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/wfcommons");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return eprintln!("skipped: there is no {}", folder.display());
    };
    let is_workflow = |name: &str| {
        (name.ends_with(".json") || name.ends_with(".json.gz")) && !name.contains("schema")
    };
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    let paths: Vec<_> = paths
        .filter(|path| path.file_name().and_then(|it| it.to_str()).is_some_and(is_workflow))
        .collect();
    assert_eq!(paths.len(), 16);
    for path in paths {
        let recorded = Recorded::play(wfcommons::read(&path).expect("a workflow"));
        let makespan = recorded.makespan();
        for moment in 0..=N_MOMENTS {
            recorded.check(makespan / N_MOMENTS * moment);
        }
        recorded.check(makespan);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_tells_its_path_while_it_waits_and_when_it_has_ended() {
    let site = Site::start().await;
    let task = |name: &str, expected: &str, dependencies: &[&str]| json!({"task_name": name, "script": "true", "expected": expected, "dependencies": dependencies});
    let mut tasks = vec![
        task("a", "2s", &[]),
        task("long", "5s", &["a"]),
        task("short", "3s", &["a"]),
        task("z", "1s", &["long", "short"]),
    ];
    tasks.push(json!({"task_name": "nobody-knows", "script": "true"}));
    site.submit(&json!({"name": "j", "tasks": tasks})).await;
    let ask = async |path: &str| reqwest::get(site.url(path)).await.expect("the host answers");
    let view = async |path: &str| ask(path).await.json::<CriticalPathView>().await.expect("a path");

    let path = view("/v1/jobs/j1/critical-path").await;
    assert_eq!((path.length_ms, path.left_ms), (8_000.0, 8_000.0));
    assert_eq!((path.n_unknown, path.n_on_path), (1, 3));
    let told: Vec<_> =
        path.tasks.iter().map(|it| (it.name.as_str(), it.is_on_path, it.slack_ms)).collect();
    let expected = [
        ("a", true, 0.0),
        ("long", true, 0.0),
        ("z", true, 0.0),
        ("short", false, 2_000.0),
        ("nobody-knows", false, 8_000.0),
    ];
    assert_eq!(told, expected);
    let finish = path.projected_finish.expect("it has not ended");
    assert_eq!(finish.0.since(path.at.0), Duration::from_secs(8));
    assert_eq!(view("/v1/jobs/j1/critical-path?limit=2").await.tasks.len(), 2);
    for (path, status) in [
        ("/v1/jobs/j9/critical-path", 404),
        ("/v1/jobs/nine/critical-path", 400),
        ("/v1/jobs/j1/critical-path?limit=0", 400),
        ("/v1/jobs/j1/critical-path?limits=3", 400),
    ] {
        assert_eq!(ask(path).await.status(), status, "{path}");
    }

    site.hire(Crew { n_workers: 1, cpus: 8, no_execution: true }).await;
    site.until_succeeded(5).await;
    let path = view("/v1/jobs/j1/critical-path").await;
    assert_eq!((path.left_ms, path.projected_finish, path.n_unknown), (0.0, None, 0));
    assert!(path.length_ms < 8_000.0, "nothing was run: {} ms", path.length_ms);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_fifty_thousand_tasks_never_ends_a_walk_early() {
    const N: usize = 50_000;
    let site = Site::start().await;
    let task = |index: usize, needed: Vec<String>| {
        let script = "true";
        json!({"task_name": format!("t{index}"), "script": script, "expected": "1s", "dependencies": needed})
    };
    let chain = |first: Vec<String>| {
        let before = |index: usize| vec![format!("t{}", index - 1)];
        let rest = (1..N).map(|index| task(index, before(index)));
        let tasks: Vec<_> = std::iter::once(task(0, first)).chain(rest).collect();
        json!({"name": "chain", "tasks": tasks})
    };
    let http = reqwest::Client::new();
    let ring = chain(vec![format!("t{}", N - 1)]);
    let refused = http.post(site.url("/v1/jobs")).json(&ring).send().await.expect("it answers");
    assert_eq!(refused.status(), 422);
    let problem = refused.text().await.expect("a problem");
    assert!(problem.contains("cycle") && problem.len() < 10_000, "{}", &problem[..1_000]);

    site.submit(&chain(vec![])).await;
    let path = reqwest::get(site.url("/v1/jobs/j1/critical-path?limit=3")).await;
    let path: CriticalPathView = path.expect("it answers").json().await.expect("a path");
    assert_eq!((path.length_ms, path.n_on_path), (N as f64 * 1e3, N as u64));
    let cancel = http.post(site.url("/v1/tasks/t1/cancel")).json(&json!({})).send().await;
    assert!(cancel.expect("it answers").status().is_success());
    let counts = site.status().await.counts;
    assert_eq!((counts.cancelled, counts.skipped, counts.total()), (1, N as u64 - 1, N as u64));
    site.stop().await;
}
