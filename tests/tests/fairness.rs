//! Fair sharing by the production scheduler with the carried `fair-share` in WebAssembly: published
//! answers of dominant resource fairness, weights, and a flood beside a small job.

use pointsman_policy::{FixedPolicies, Limits, OnFailure, PolicyHost, Source};
use pointsman_scheduler::event::{FinishedAttempt, Registration, SyncReport};
use pointsman_scheduler::record::Snapshot;
use pointsman_scheduler::resources::{Capacity, Request};
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use pointsman_scheduler::{
    Answer, AttemptRef, Effect, Event, RequestId, Scheduler, Settings, Term, Time, WorkerId,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const MB: u64 = 1_000_000;
const GB: u64 = 1000 * MB;

/// One worker, and everything that was started on it.
struct Cluster {
    scheduler: Scheduler,
    policies: PolicyHost,
    now: Time,
    worker: Option<WorkerId>,
    /// Current attempts in the order of their start.
    running: VecDeque<(AttemptRef, Arc<TaskSpec>)>,
    /// Tenants in the order of starts.
    started: Vec<String>,
}

fn ask(cpu: u64, memory: u64) -> Request {
    Request { cpu_milli: cpu * 1000, memory, gpu_milli: 0 }
}

impl Cluster {
    fn new(queue: &str, config: &str) -> Cluster {
        let carried = pointsman_bundle::find(queue).expect("a standard policy");
        let queue = Source::Wasm {
            name: queue.to_owned(),
            bytes: Arc::from(carried.bytes),
            config: config.to_owned(),
        };
        let policies = PolicyHost::fixed(FixedPolicies {
            scoring: Source::Native("weighted-score".to_owned()),
            queue,
            rescheduling: None,
            limits: Limits::fuel(),
            on_failure: OnFailure::LastGood,
        });
        let now = Time(1_000_000_000_000);
        let (settings, snapshot) = (Settings::default(), Snapshot::default());
        let scheduler = Scheduler::recover(settings, 1, Term(1), now, snapshot, &mut Vec::new());
        Cluster {
            scheduler,
            policies: policies.expect("the host admits its own policies"),
            now,
            worker: None,
            running: VecDeque::new(),
            started: Vec::new(),
        }
    }

    fn event(&mut self, event: Event) {
        self.now = self.now.after(Duration::from_millis(1));
        let mut effects = Vec::new();
        self.scheduler.handle(self.now, event, &mut effects);
        loop {
            let report = self.scheduler.plan(self.now, &mut self.policies, &mut effects);
            if !report.more {
                break;
            }
        }
        for effect in effects {
            match effect {
                Effect::Start(start) => {
                    self.started.push(start.spec.tenant.to_string());
                    self.running.push_back((start.attempt, start.spec));
                }
                Effect::Answer { answer: Answer::Registered { worker, .. }, .. } => {
                    self.worker = Some(worker);
                }
                Effect::Answer { answer: Answer::Refused(refusal), .. } => panic!("{refusal}"),
                Effect::Persist(_) | Effect::Publish(_) | Effect::Stop(_) => {}
                Effect::Answer { .. } => {}
            }
        }
        assert_eq!(self.scheduler.check_invariants(), Vec::<String>::new());
        assert_eq!(self.policies.take_incidents().len(), 0, "the policy failed");
    }

    fn register(&mut self, cpu: u64, memory: u64) {
        let registration = Registration {
            name: "worker".to_owned(),
            token_hash: [1; 32],
            life: 1,
            n: 1,
            capacity: Capacity { cpu_milli: cpu * 1000, memory, gpus: 0 },
            labels: BTreeMap::new(),
            held: vec![],
            finished: vec![],
        };
        self.event(Event::Register { request: RequestId(1), registration });
    }

    fn submit(&mut self, tenant: &str, n: usize, request: Request) {
        let spec = |index| TaskSpec {
            tenant: tenant.into(),
            request,
            ..TaskSpec::new(format!("{tenant}-{index}"), "true")
        };
        let tasks = (0..n).map(|index| Arc::new(spec(index))).collect();
        let job = JobSpec { name: tenant.to_owned(), tasks };
        self.event(Event::SubmitJob { request: RequestId(1), key: None, job });
    }

    /// The attempt that has run longest ends.
    fn end_oldest(&mut self) {
        let (attempt, _) = self.running.pop_front().expect("something runs");
        let report = SyncReport {
            worker: self.worker.expect("registered"),
            life: 1,
            measurements: None,
            started: vec![],
            finished: vec![FinishedAttempt { attempt, failure: None, ran: None }],
            feedback: vec![],
        };
        self.event(Event::Sync { request: RequestId(1), report });
    }

    fn n_running(&self, tenant: &str) -> u64 {
        self.running.iter().filter(|(_, spec)| *spec.tenant == *tenant).count() as u64
    }
}

/// 50 tasks of each, A's first or B's first; what runs when nothing more fits.
fn shared_out(total: (u64, u64), a: Request, b: Request, order: [&str; 2]) -> (u64, u64) {
    let mut cluster = Cluster::new("fair-share", "{}");
    for tenant in order {
        cluster.submit(tenant, 50, if tenant == "A" { a } else { b });
    }
    cluster.register(total.0, total.1);
    (cluster.n_running("A"), cluster.n_running("B"))
}

/// Ghodsi et al., "Dominant Resource Fairness", NSDI 2011, section 4.1: 9 cores and 18 GB; A asks for
/// 1 core and 4 GB, B for 3 cores and 1 GB.
#[test]
fn no_tenant_gets_more_than_in_the_published_example() {
    for order in [["A", "B"], ["B", "A"]] {
        let (a, b) = shared_out((9, 18 * GB), ask(1, 4 * GB), ask(3, GB), order);
        assert_eq!((a, b), (3, 2), "submitted in the order {order:?}");
        // Both dominant shares are two thirds, A's of memory and B's of cpu, and cpu is full.
        assert_eq!((4 * a * 3, 3 * b * 3), (18 * 2, 9 * 2));
        assert_eq!((a + 3 * b, 4 * a + b), (9, 14));
    }
}

/// A cluster of 100 cores and 10,000 MB; A asks for 2 cores and 300 MB, B for 6 cores and 100 MB.
#[test]
fn dominant_shares_end_equal_in_a_larger_cluster() {
    for order in [["A", "B"], ["B", "A"]] {
        let (a, b) = shared_out((100, 10_000 * MB), ask(2, 300 * MB), ask(6, 100 * MB), order);
        assert_eq!((a, b), (20, 10), "submitted in the order {order:?}");
        assert_eq!((300 * a, 6 * b), (6000, 60), "both shares are 0.6");
        assert_eq!((2 * a + 6 * b, 300 * a + 100 * b), (100, 7000));
    }
}

#[test]
fn a_weight_never_goes_to_another_tenant() {
    let mut cluster = Cluster::new("fair-share", r#"{"weights":{"research":3,"batch":0.5}}"#);
    for tenant in ["batch", "other", "research"] {
        cluster.submit(tenant, 50, ask(1, GB));
    }
    cluster.register(9, 100 * GB);
    let running = ["research", "other", "batch"].map(|tenant| cluster.n_running(tenant));
    assert_eq!(running, [6, 2, 1]);
}

/// One tenant floods the queue, another comes with a few tasks; one task ends at a time.
#[test]
fn a_flood_delays_a_small_job_by_a_few_slots_only() {
    let starts_before = |queue: &str| {
        let mut cluster = Cluster::new(queue, "{}");
        cluster.register(4, 100 * GB);
        cluster.submit("flood", 200, ask(1, GB));
        cluster.submit("small", 5, ask(1, GB));
        let mut starts = Vec::new();
        while cluster.started.iter().filter(|tenant| *tenant == "small").count() < 5 {
            cluster.end_oldest();
        }
        for (before, tenant) in cluster.started.iter().enumerate() {
            if tenant == "small" {
                starts.push(before);
            }
        }
        starts
    };
    let fair = starts_before("fair-share");
    assert!(fair[0] <= 5 && fair[4] <= 14, "{fair:?}");
    // In the order of submission it waits for the whole flood.
    assert_eq!(starts_before("fifo"), [200, 201, 202, 203, 204]);
}

/// While work ends and starts again, no tenant that waits falls behind another.
#[test]
fn shares_stay_even_while_work_comes_and_goes() {
    let mut cluster = Cluster::new("fair-share", "{}");
    cluster.register(12, 100 * GB);
    cluster.submit("early", 200, ask(1, GB));
    cluster.submit("late", 200, ask(1, GB));
    cluster.submit("latest", 200, ask(1, GB));
    for _ in 0..12 {
        cluster.end_oldest();
    }
    for step in 0..100 {
        cluster.end_oldest();
        let running = ["early", "late", "latest"].map(|tenant| cluster.n_running(tenant));
        assert_eq!(running, [4, 4, 4], "after {step} steps");
    }
}
