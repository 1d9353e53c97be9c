//! A check that cannot fail is none: a bug is planted for each of them in a state that is right, and has
//! to be told.

use crate::columns::TaskColumn;
use crate::event::{HeldAttempt, Registration, SyncReport};
use crate::policies::{
    CallError, Policies, Proposal, QueueProfile, ReschedulingProfile, ScoringProfile,
};
use crate::record::{PolicyStamp, Snapshot, TaskState};
use crate::resources::{Capacity, Free, Request};
use crate::spec::{JobSpec, TaskSpec};
use crate::task::Place;
use crate::worker::WorkerIdx;
use crate::{Event, JobId, RequestId, Scheduler, Settings, TaskId, Term, Time, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// All alike, in submit order.
struct Indifferent;

impl Policies for Indifferent {
    fn begin_round(&mut self) {}

    fn scoring(&self) -> Arc<ScoringProfile> {
        let (needs_worker, needs_task) = (Vec::new(), Vec::new());
        let (stamp, name) = (PolicyStamp::default(), "indifferent".to_owned());
        let (node_local, banded) = (true, false);
        Arc::new(ScoringProfile { stamp, name, needs_worker, needs_task, node_local, banded })
    }

    fn queue(&self) -> Arc<QueueProfile> {
        Arc::new(QueueProfile {
            stamp: PolicyStamp::default(),
            name: "indifferent".to_owned(),
            needs_task: vec![TaskColumn::ReadySinceMs],
            refresh: None,
            discipline: None,
            group_by: None,
        })
    }

    fn rescheduling(&self) -> Option<Arc<ReschedulingProfile>> {
        None
    }

    fn score(
        &mut self,
        _: &[f64],
        _: &[Vec<f64>],
        n_rows: usize,
        scores: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        scores.clear();
        scores.resize(n_rows, 0.9);
        Ok(())
    }

    fn rank(
        &mut self,
        _: f64,
        _: &[Vec<f64>],
        n_rows: usize,
        ranks: &mut Vec<f64>,
    ) -> Result<(), CallError> {
        ranks.clear();
        ranks.resize(n_rows, 0.0);
        Ok(())
    }

    fn review(
        &mut self,
        _: f64,
        _: &[Vec<f64>],
        _: &[u32],
        _: &[Vec<f64>],
    ) -> Result<Vec<Proposal>, CallError> {
        Ok(Vec::new())
    }
}

const RUNNING: TaskId = TaskId(1);
const ASSIGNED: TaskId = TaskId(2);
const QUEUED: TaskId = TaskId(3);
const DEPENDENT: TaskId = TaskId(4);
const JOB: JobId = JobId(1);
const WORKER: WorkerIdx = WorkerIdx(0);

/// One worker of two cores with a task that runs and one that is about to; one that does not fit, and
/// one that waits for the first.
fn busy() -> Scheduler {
    let (settings, mut effects) = (Settings::default(), Vec::new());
    let now = Time(1_000_000_000);
    let mut scheduler =
        Scheduler::recover(settings, 1, Term(1), now, Snapshot::default(), &mut effects);
    let request = RequestId(0);
    let registration = Registration {
        name: "w".to_owned(),
        token_hash: [1; 32],
        life: 1,
        n: 1,
        capacity: Capacity { cpu_milli: 2_000, memory: 1_000, gpus: 0 },
        labels: BTreeMap::new(),
        held: Vec::<HeldAttempt>::new(),
        finished: Vec::new(),
    };
    scheduler.handle(now, Event::Register { request, registration }, &mut effects);
    let task = |name: &str, dependencies: &[&str]| {
        Arc::new(TaskSpec {
            request: Request { cpu_milli: 1_000, memory: 1, gpu_milli: 0 },
            dependencies: dependencies.iter().map(|it| (*it).to_owned()).collect(),
            ..TaskSpec::new(name, "true")
        })
    };
    let tasks = vec![task("a", &[]), task("b", &[]), task("c", &[]), task("d", &["a"])];
    let job = JobSpec { name: "job".to_owned(), tasks };
    scheduler.handle(now, Event::SubmitJob { request, key: None, job }, &mut effects);
    scheduler.plan(now, &mut Indifferent, &mut effects);
    let attempt =
        scheduler.task(RUNNING).status.current().expect("it is placed").reference(RUNNING);
    let report = SyncReport {
        worker: WorkerId(1),
        life: 1,
        measurements: None,
        started: vec![attempt],
        finished: Vec::new(),
        feedback: Vec::new(),
    };
    scheduler.handle(now, Event::Sync { request, report }, &mut effects);
    let states = [RUNNING, ASSIGNED, QUEUED, DEPENDENT].map(|it| scheduler.task(it).status.state);
    let expected =
        [TaskState::Running, TaskState::Assigned, TaskState::Pending, TaskState::Pending];
    assert_eq!(states, expected);
    assert_eq!(scheduler.check_invariants(), [] as [String; 0]);
    scheduler
}

struct Planted {
    /// The check that has to tell it, and what it says.
    check: &'static str,
    tells: &'static str,
    bug: fn(&mut Scheduler),
}

const PLANTED: [Planted; 16] = [
    Planted {
        check: "check_current_attempts",
        tells: "is held by 0 workers",
        bug: |it| assert!(it.workers.get_mut(WORKER).holds.remove(&RUNNING)),
    },
    Planted {
        check: "check_current_attempts",
        tells: "has ended",
        bug: |it| {
            let attempts = &mut it.task_mut(RUNNING).status.attempts;
            attempts.last_mut().expect("it runs").ended = Some(Time::ZERO);
        },
    },
    Planted {
        check: "check_current_attempts",
        tells: "are numbered [1]",
        bug: |it| it.task_mut(RUNNING).status.next_attempt = 1,
    },
    Planted {
        check: "check_capacity",
        tells: "free, derived",
        bug: |it| {
            let worker = it.workers.get_mut(WORKER);
            worker.free = Free::all_of(&worker.record.capacity);
        },
    },
    Planted {
        check: "check_capacity",
        tells: "is overcommitted by",
        bug: |it| it.workers.get_mut(WORKER).record.capacity.cpu_milli = 1_500,
    },
    Planted {
        check: "check_capacity",
        tells: "which is not placed",
        bug: |it| assert!(it.workers.get_mut(WORKER).holds.insert(QUEUED)),
    },
    Planted {
        check: "check_counts",
        tells: "counts 3 Pending, there are 2",
        bug: |it| it.job_mut(JOB).n_in_state[TaskState::Pending as usize] += 1,
    },
    Planted {
        check: "check_counts",
        tells: "has 4 open tasks",
        bug: |it| it.job_mut(JOB).record.ended = Some(Time::ZERO),
    },
    Planted {
        check: "check_places",
        tells: "waits for 1 tasks, counts 2",
        bug: |it| it.task_mut(DEPENDENT).n_deps_left = 2,
    },
    Planted {
        check: "check_places",
        tells: "is Pending and kept Nowhere",
        bug: |it| it.task_mut(QUEUED).place = Place::Nowhere,
    },
    Planted {
        check: "check_places",
        tells: "waits for a task that will not succeed",
        bug: |it| it.task_mut(RUNNING).status.state = TaskState::Failed,
    },
    Planted {
        check: "check_queues_agree",
        tells: "queued: true, in its class: false",
        bug: |it| {
            let class = it.task(QUEUED).ranked.expect("it is queued").class;
            it.queues.class_mut(class).tasks.clear();
        },
    },
    Planted {
        check: "check_queues_agree",
        tells: "tasks in classes, counted 2",
        bug: |it| it.queues.n_queued += 1,
    },
    Planted {
        check: "check_queues_agree",
        tells: "a class is blocked without a reason",
        bug: |it| {
            let class = it.task(QUEUED).ranked.expect("it is queued").class;
            let class = it.queues.class_mut(class);
            (class.candidate, class.reason) = (None, None);
        },
    },
    Planted {
        check: "check_drained",
        tells: "is Live, drained: true",
        bug: |it| it.workers.get_mut(WORKER).record.is_drained = true,
    },
    Planted {
        check: "check_shares",
        tells: "tenants hold",
        bug: |it| {
            let request = it.task(RUNNING).spec.request;
            it.shares.take("nobody", &request);
        },
    },
];

#[test]
fn no_planted_bug_stays_unseen() {
    for Planted { check, tells, bug } in PLANTED {
        let mut scheduler = busy();
        bug(&mut scheduler);
        let found = scheduler.check_invariants();
        assert!(found.iter().any(|it| it.contains(tells)), "{check}, {tells:?}: {found:?}");
    }
}

#[test]
fn no_check_goes_without_a_planted_bug() {
    let source = include_str!("../invariants.rs");
    let called = source.lines().filter_map(|line| line.trim().strip_prefix("self."));
    let called = called.filter_map(|call| call.strip_suffix("(&mut found);"));
    let planted: BTreeSet<&str> = PLANTED.iter().map(|it| it.check).collect();
    assert_eq!(called.collect::<BTreeSet<&str>>(), planted);
}
