//! Where a recorded cluster's pods end up, count by count: the standard scoring policies as the
//! binary carries them, on the nodes and pods of Alibaba's GPU cluster of 2023 (cpu and memory only),
//! all pods in the order of the file and none ever ending, against the values that the recording's
//! README states.

use pointsman_policy::{FixedPolicies, Limits, OnFailure, PolicyHost, Source};
use pointsman_scheduler::columns::{TaskColumn, WorkerColumn};
use pointsman_scheduler::event::Registration;
use pointsman_scheduler::policies::Policies;
use pointsman_scheduler::record::Snapshot;
use pointsman_scheduler::resources::{Capacity, Request};
use pointsman_scheduler::settings::Discipline;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use pointsman_scheduler::{Effect, Event, RequestId, Scheduler, Settings, Term, Time};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

const MIB: u64 = 1 << 20;

/// The recording; None, with a note, where it is not beside the checkout.
fn recording() -> Option<Recording> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !folder.is_dir() {
        println!("skipped: no folder {}", folder.display());
        return None;
    }
    Some(Recording::read(&folder.join("alibaba-openb-2023")))
}

/// Nodes and pods in file order.
struct Recording {
    nodes: Vec<Amount>,
    pods: Vec<(String, Amount)>,
    readme: String,
}

#[derive(Clone, Copy)]
struct Amount {
    cpu_milli: u64,
    memory: u64,
}

impl Recording {
    fn read(folder: &Path) -> Recording {
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).expect("a recording");
        let rows = |name: &str| -> Vec<(String, Amount)> {
            let number = |text: &str| text.parse::<u64>().expect("a whole number");
            let row = |line: &str| {
                let fields: Vec<&str> = line.split(',').collect();
                let [cpu_milli, mib] = [fields[1], fields[2]].map(number);
                (fields[0].to_owned(), Amount { cpu_milli, memory: mib * MIB })
            };
            text(name).lines().skip(1).map(row).collect()
        };
        let nodes = rows("openb_node_list_all_node.csv");
        Recording {
            nodes: nodes.into_iter().map(|(_, amount)| amount).collect(),
            pods: rows("openb_pod_list_default.csv"),
            readme: text("README.md"),
        }
    }

    /// What the README states for the rule whose row begins with `rule`.
    fn stated(&self, rule: &str) -> Counts {
        let row = self.readme.lines().find(|line| line.starts_with(&format!("| {rule} ")));
        let row = row.expect("the README states every rule");
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let number = |text: &str| text.replace(',', "").parse().expect("a count");
        let first = cells[3].split_whitespace().next().filter(|it| *it != "none");
        Counts {
            n_placed: number(cells[1]) as usize,
            n_nodes: number(cells[2]) as usize,
            first_left_out: first.map(str::to_owned),
            cpu_milli: number(cells[4]),
        }
    }

    fn counts(&self, node_of: &[Option<usize>]) -> Counts {
        let placed = |(pod, node): (&(String, Amount), &Option<usize>)| node.map(|_| pod.1);
        let left_out = self.pods.iter().zip(node_of).find(|(_, node)| node.is_none());
        Counts {
            n_placed: node_of.iter().flatten().count(),
            n_nodes: node_of.iter().flatten().collect::<BTreeSet<_>>().len(),
            first_left_out: left_out.map(|((name, _), _)| name.clone()),
            cpu_milli: self
                .pods
                .iter()
                .zip(node_of)
                .filter_map(placed)
                .map(|it| it.cpu_milli)
                .sum(),
        }
    }
}

#[derive(Debug, PartialEq)]
struct Counts {
    n_placed: usize,
    n_nodes: usize,
    first_left_out: Option<String>,
    cpu_milli: u64,
}

fn host(scoring: &str, config: &str) -> PolicyHost {
    let source = |name: &str, config: &str| {
        let policy = pointsman_bundle::find(name).expect("a standard policy");
        let bytes = Arc::from(policy.bytes);
        Source::Wasm { name: name.to_owned(), bytes, config: config.to_owned() }
    };
    let mut host = PolicyHost::fixed(FixedPolicies {
        scoring: source(scoring, config),
        queue: source("fifo", "{}"),
        rescheduling: None,
        limits: Limits::fuel(),
        on_failure: OnFailure::LastGood,
    })
    .expect("the host admits its own policies");
    host.begin_round();
    host
}

/// The node of each pod, if the first of those with the highest score is taken.
fn place(
    recording: &Recording,
    mut score: impl FnMut(&Amount, &[(Amount, Amount)], &mut Vec<f64>),
) -> Vec<Option<usize>> {
    let mut free = recording.nodes.clone();
    let mut scores = Vec::new();
    let place = |(_, pod): &(String, Amount)| {
        let fits =
            |at: &usize| free[*at].cpu_milli >= pod.cpu_milli && free[*at].memory >= pod.memory;
        let fitting: Vec<usize> = (0..free.len()).filter(fits).collect();
        let rows: Vec<_> = fitting.iter().map(|at| (free[*at], recording.nodes[*at])).collect();
        score(pod, &rows, &mut scores);
        let mut best = None;
        for (row, score) in scores.iter().enumerate() {
            if best.is_none_or(|best: usize| *score > scores[best]) {
                best = Some(row);
            }
        }
        let node = fitting[best?];
        free[node].cpu_milli -= pod.cpu_milli;
        free[node].memory -= pod.memory;
        Some(node)
    };
    recording.pods.iter().map(place).collect()
}

/// Placed by the scores of the component alone, ties to the first in file order.
fn placed_by_scores(recording: &Recording, policy: &str, config: &str) -> Counts {
    let mut host = host(policy, config);
    let profile = host.scoring();
    let node_of = place(recording, |pod, rows, scores| {
        let task: Vec<f64> = profile.needs_task.iter().map(|it| task_value(*it, pod)).collect();
        let column = |column: &WorkerColumn| -> Vec<f64> {
            rows.iter().map(|(free, capacity)| worker_value(*column, free, capacity)).collect()
        };
        let columns: Vec<Vec<f64>> = profile.needs_worker.iter().map(column).collect();
        host.score(&task, &columns, rows.len(), scores).expect("a score");
    });
    recording.counts(&node_of)
}

fn task_value(column: TaskColumn, pod: &Amount) -> f64 {
    match column.info().name {
        "cpu" => pod.cpu_milli as f64 / 1000.0,
        "memory" => pod.memory as f64,
        other => panic!("no value for the task column {other}"),
    }
}

fn worker_value(column: WorkerColumn, free: &Amount, capacity: &Amount) -> f64 {
    match column.info().name {
        "cpu-free" => free.cpu_milli as f64 / 1000.0,
        "cpu-capacity" => capacity.cpu_milli as f64 / 1000.0,
        "memory-free" => free.memory as f64,
        "memory-capacity" => capacity.memory as f64,
        other => panic!("no value for the worker column {other}"),
    }
}

/// Placed by the production scheduler, which breaks ties by the least loaded and then by id.
fn placed_by_scheduler(recording: &Recording, policy: &str, config: &str) -> Counts {
    let mut host = host(policy, config);
    let (mut settings, mut effects) = (Settings::default(), Vec::new());
    // A pod that fits nowhere is passed over; `fifo` would let it block those behind it.
    let queue = settings.queues.get_mut("default").expect("it always exists");
    queue.discipline = Some(Discipline::Greedy);
    let nothing = Snapshot::default();
    let mut scheduler = Scheduler::recover(settings, 0, Term(1), Time::ZERO, nothing, &mut effects);
    for (at, node) in recording.nodes.iter().enumerate() {
        let mut token_hash = [0; 32];
        token_hash[..8].copy_from_slice(&(at as u64).to_le_bytes());
        let capacity = Capacity { cpu_milli: node.cpu_milli, memory: node.memory, gpus: 0 };
        let registration = Registration {
            name: format!("node-{at}"),
            token_hash,
            life: 1,
            n: 1,
            capacity,
            labels: BTreeMap::new(),
            held: Vec::new(),
            finished: Vec::new(),
        };
        let register = Event::Register { request: RequestId(0), registration };
        scheduler.handle(Time::ZERO, register, &mut effects);
    }
    let task = |(name, pod): &(String, Amount)| {
        let mut task = TaskSpec::new(name.clone(), "true");
        task.request = Request { cpu_milli: pod.cpu_milli, memory: pod.memory, gpu_milli: 0 };
        Arc::new(task)
    };
    let tasks = recording.pods.iter().map(task).collect();
    let job = JobSpec { name: "pods".to_owned(), tasks };
    let submit = Event::SubmitJob { request: RequestId(0), key: None, job };
    scheduler.handle(Time::ZERO, submit, &mut effects);
    effects.clear();
    while scheduler.plan(Time::ZERO, &mut host, &mut effects).more {}
    assert!(host.take_incidents().is_empty());
    assert_eq!(scheduler.check_invariants(), Vec::<String>::new());
    let mut node_of: HashMap<String, usize> = HashMap::new();
    for effect in effects {
        if let Effect::Start(start) = effect {
            let before = node_of.insert(start.spec.name.clone(), start.worker.0 as usize - 1);
            assert_eq!(before, None, "started twice");
        }
    }
    let node_of: Vec<_> =
        recording.pods.iter().map(|(name, _)| node_of.get(name).copied()).collect();
    recording.counts(&node_of)
}

/// As stated, both by the component's scores alone and through the scheduler.
fn check(policy: &str, config: &str, rule: &str) {
    let Some(recording) = recording() else { return };
    let stated = recording.stated(rule);
    assert_eq!(placed_by_scores(&recording, policy, config), stated, "{rule}, by scores");
    assert_eq!(placed_by_scheduler(&recording, policy, config), stated, "{rule}, scheduled");
}

#[test]
fn best_fit_places_every_pod_on_the_nodes_stated() {
    check("best-fit", r#"{"by":"cpu"}"#, "best fit");
}

#[test]
fn worst_fit_leaves_out_the_pods_stated() {
    check("spread", r#"{"by":"cpu"}"#, "worst fit");
}

#[test]
fn least_allocated_uses_every_node_and_leaves_out_the_pods_stated() {
    check("spread", r#"{"by":"mean"}"#, "least allocated");
}

/// Without a policy that tells workers apart, the first in the order of registration.
#[test]
fn equal_scores_are_the_native_order() {
    let Some(recording) = recording() else { return };
    let node_of = place(&recording, |_, rows, scores| {
        scores.clear();
        scores.resize(rows.len(), 1.0);
    });
    assert_eq!(recording.counts(&node_of), recording.stated("first fit"));
}
