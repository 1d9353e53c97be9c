//! Policies of released versions serve beside those of today. There is no line before the first, so the one before
//! is made up: 0.0.9, whose functions all have other shapes. What is plugged in here is what a row of
//! the real tables is.

mod v0_0_9;
mod guests;
mod line;

use super::*;
use crate::contract::PACKAGE;
use crate::engine::PolicyEngine;
use crate::{Binding, LibrarySettings, PolicyHost, PolicyLibrary, StandardPolicy};
use pointsman_scheduler::event::{Measurements, Registration, SyncReport};
use pointsman_scheduler::policies::{Action, CallError, Policies, Proposal};
use pointsman_scheduler::record::{PolicyStamp, Snapshot, TaskStatus};
use pointsman_scheduler::resources::Capacity;
use pointsman_scheduler::settings::Settings;
use pointsman_scheduler::spec::{JobSpec, TaskSpec};
use pointsman_scheduler::{
    Answer, Effect, Event, Record, RequestId, Scheduler, Slot, TaskId, Term, Time, WorkerId,
};
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const BEFORE: Versions = Versions {
    released: &[Release { version: "0.0.9", files: guests::FILES }],
    adapters: &[&v0_0_9::V0_0_9],
};

/// A scheduler whose policies come from a folder and the standard ones.
struct Site {
    scheduler: Scheduler,
    host: PolicyHost,
    library: PolicyLibrary,
    folder: TempDir,
    names: BTreeMap<TaskId, String>,
    tasks: BTreeMap<String, TaskStatus>,
    n_requests: u64,
}

const NOW: Time = Time(1_000_000_000_000);

impl Site {
    fn new(versions: Versions) -> Site {
        let folder = TempDir::new().unwrap();
        let standard = pointsman_bundle::POLICIES.iter().map(|it| StandardPolicy {
            name: it.name.to_owned(),
            slot: Slot::find(it.slot).unwrap(),
            bytes: it.bytes.into(),
        });
        let settings = LibrarySettings {
            directory: Some(folder.path().to_owned()),
            standard: standard.collect(),
            ..LibrarySettings::default()
        };
        let engine = PolicyEngine::speaking(versions).unwrap();
        let (host, library) = PolicyHost::start_on(engine, settings).unwrap();
        let empty = Snapshot::default();
        let scheduler =
            Scheduler::recover(Settings::default(), 42, Term(1), NOW, empty, &mut Vec::new());
        let (names, tasks) = (BTreeMap::new(), BTreeMap::new());
        Site { scheduler, host, library, folder, names, tasks, n_requests: 0 }
    }

    /// Lets `bytes` serve `slot`.
    fn serve(&mut self, slot: Slot, bytes: &[u8]) {
        let name = slot.name();
        fs::write(self.folder.path().join(format!("{name}.wasm")), bytes).unwrap();
        self.library.rescan();
        self.bind(slot, name);
    }

    fn bind(&mut self, slot: Slot, name: &str) {
        self.library.bind(slot, Some(Binding::to(name)));
        assert!(self.library.settle(Duration::from_secs(60)));
        self.host.begin_round();
        let status = self.library.status();
        let slot = status.slots.iter().find(|it| it.slot == slot).unwrap();
        assert!(slot.refused.is_none(), "{:?}", slot.refused);
    }

    /// Handles the event and plans.
    fn event(&mut self, event: impl FnOnce(RequestId) -> Event) -> Vec<Effect> {
        self.n_requests += 1;
        let mut effects = Vec::new();
        self.scheduler.handle(NOW, event(RequestId(self.n_requests)), &mut effects);
        while self.scheduler.plan(NOW, &mut self.host, &mut effects).more {}
        effects
    }

    fn worker(&mut self, name: &str, cpus: u64, load: f64) -> WorkerId {
        let mut token_hash = [0; 32];
        token_hash[..name.len()].copy_from_slice(name.as_bytes());
        let registration = Registration {
            name: name.to_owned(),
            token_hash,
            life: 1,
            n: 1,
            capacity: Capacity { cpu_milli: cpus * 1_000, memory: 8_000_000_000, gpus: 0 },
            labels: BTreeMap::new(),
            held: vec![],
            finished: vec![],
        };
        let effects = self.event(|request| Event::Register { request, registration });
        let worker = effects.iter().find_map(|effect| match effect {
            Effect::Answer { answer: Answer::Registered { worker, .. }, .. } => Some(*worker),
            _ => None,
        });
        let worker = worker.expect("it is registered");
        let measurements = Some(Measurements { cpu_used: Some(load), ..Measurements::default() });
        let (started, finished, feedback) = (vec![], vec![], vec![]);
        let report = SyncReport { worker, life: 1, measurements, started, finished, feedback };
        self.event(|request| Event::Sync { request, report });
        worker
    }

    /// Submits a job; its tasks that were started, in their order.
    fn submit(&mut self, tasks: Vec<TaskSpec>) -> Vec<String> {
        let tasks: Vec<Arc<TaskSpec>> = tasks.into_iter().map(Arc::new).collect();
        let job = JobSpec { name: "job".to_owned(), tasks };
        let effects = self.event(|request| Event::SubmitJob { request, key: None, job });
        let mut started = Vec::new();
        for effect in effects {
            match effect {
                Effect::Persist(Record::TaskAdded(added)) => {
                    self.names.insert(added.id, added.spec.name.clone());
                }
                Effect::Persist(Record::Task(id, status)) => {
                    self.tasks.insert(self.names[&id].clone(), status);
                }
                Effect::Start(start) => started.push(start.spec.name.clone()),
                _ => {}
            }
        }
        started
    }

    fn stamp(&self, slot: Slot) -> PolicyStamp {
        match slot {
            Slot::Scoring => self.host.scoring().stamp,
            Slot::Queue => self.host.queue().stamp,
            Slot::Rescheduling => self.host.rescheduling().unwrap().stamp,
            Slot::Forecasting => unreachable!("none is made for these tests"),
        }
    }
}

fn digest(bytes: &[u8]) -> u64 {
    crate::Digest::of(bytes).short()
}

fn standard(name: &str) -> &'static [u8] {
    pointsman_bundle::find(name).unwrap().bytes
}

#[test]
fn an_older_scoring_policy_decides_beside_a_queue_policy_of_today() {
    let mut site = Site::new(BEFORE);
    let older = guests::scoring();
    site.serve(Slot::Scoring, &older);
    site.bind(Slot::Queue, "fifo");
    site.bind(Slot::Rescheduling, "threshold");
    assert_eq!(site.host.scoring().name, "frugal");
    let busy = site.worker("busy", 4, 0.75);
    let idle = site.worker("idle", 4, 0.25);
    assert_eq!(site.submit(vec![TaskSpec::new("a", "true")]), ["a"]);
    let attempt = site.tasks["a"].current().expect("it was placed").clone();
    assert_eq!(attempt.worker, idle);
    // 1 - cost / 100.
    assert_eq!((attempt.decision.score, attempt.decision.second), (0.75, Some((busy, 0.25))));
    assert_eq!(attempt.decision.scoring.digest, digest(&older));
    assert_eq!(attempt.decision.queue.digest, digest(standard("fifo")));
}

#[test]
fn older_queue_and_rescheduling_policies_decide_beside_a_scoring_policy_of_today() {
    let mut site = Site::new(BEFORE);
    site.bind(Slot::Scoring, "spread");
    site.serve(Slot::Queue, &guests::queue());
    site.serve(Slot::Rescheduling, &guests::rescheduling());
    site.worker("small", 1, 0.0);
    let task = |name: &str, priority| TaskSpec { priority, ..TaskSpec::new(name, "true") };
    let started = site.submit(vec![task("low", 1), task("high", 5), task("middle", 3)]);
    assert_eq!(started, ["high"], "one fits");
    let decision = site.tasks["high"].current().unwrap().decision;
    assert_eq!(decision.queue.digest, digest(&guests::queue()));
    assert_eq!(decision.scoring.digest, digest(standard("spread")));
    let proposals = site.host.review(7_000.0, &[vec![1.0, 2.0]], &[0, 0], &[vec![0.5]]).unwrap();
    let cancelled =
        Proposal { row: 0, action: Action::Cancel, reason: "none was given".to_owned() };
    assert_eq!(proposals, [cancelled]);
}

#[test]
fn older_and_todays_policies_replace_each_other_while_work_goes_on() {
    let mut site = Site::new(BEFORE);
    site.worker("one", 64, 0.0);
    let versions = [guests::scoring(), standard("spread").to_vec()];
    for round in 0..6 {
        let bytes = &versions[round % 2];
        site.serve(Slot::Scoring, bytes);
        let name = format!("task-{round}");
        assert_eq!(site.submit(vec![TaskSpec::new(&name, "true")]), [name.as_str()]);
        let decision = site.tasks[&name].current().unwrap().decision;
        assert_eq!(decision.scoring, site.stamp(Slot::Scoring));
        assert_eq!(decision.scoring.digest, digest(bytes));
    }
}

#[test]
fn an_older_policy_that_traps_is_followed_by_the_next_rung() {
    let mut site = Site::new(BEFORE);
    site.serve(Slot::Scoring, standard("spread"));
    let today = site.stamp(Slot::Scoring);
    site.serve(Slot::Scoring, &guests::scoring());
    let mut scores = Vec::new();
    let failed = site.host.score(&[], &[vec![guests::SIGNAL]], 1, &mut scores);
    assert_eq!(failed, Err(CallError::NextRung));
    assert_eq!(site.stamp(Slot::Scoring).digest, today.digest);
    site.host.begin_round();
    site.host.score(&[], &[vec![0.5]], 1, &mut scores).expect("a new instance answers");
    assert_eq!((site.host.scoring().name.as_str(), scores[0]), ("frugal", 0.5));
}

#[test]
fn no_policy_of_a_version_that_is_neither_passes_without_both_names_and_a_remedy() {
    let site = Site::new(BEFORE);
    let refusal = |bytes: &[u8]| {
        let refusal = site.library.check(bytes, Some(Slot::Scoring), "{}").unwrap_err();
        assert_eq!(refusal.stage, crate::Stage::Contract);
        refusal.reason
    };
    let spoken = format!("this host speaks {VERSION} and 0.0.9");
    for (theirs, remedy) in [
        ("0.0.8", format!("build it anew for {VERSION}")),
        ("0.0.9-draft", format!("build it anew for {VERSION}")),
        ("0.1.0-draft", format!("build it anew for {VERSION}")),
        ("9.9.9", format!("upgrade the host, or build it anew for {VERSION}")),
    ] {
        let text = format!(
            r#"(component (instance $i)
                (export "{PACKAGE}/lifecycle@{theirs}" (instance $i))
                (export "{PACKAGE}/scoring@{theirs}" (instance $i)))"#
        );
        let reason = refusal(&wat::parse_str(text).unwrap());
        let expected = format!("it is built for {PACKAGE} {theirs}, {spoken}; {remedy}");
        assert_eq!(reason, expected);
    }
    // By a host that does not know the version.
    let site = Site::new(Versions::KNOWN);
    let refusal = site.library.check(&guests::scoring(), Some(Slot::Scoring), "{}").unwrap_err();
    let expected = format!("it is built for {PACKAGE} 0.0.9, this host speaks {VERSION}");
    assert!(refusal.reason.starts_with(&expected), "{refusal}");
}

#[test]
fn no_older_policy_is_held_to_the_types_of_today() {
    let site = Site::new(BEFORE);
    // Named 0.0.9 and of today's shapes: as wrong as the other way round.
    let text = format!(
        r#"(component
            (core module $m (func (export "f")))
            (core instance $m (instantiate $m))
            (func $f (canon lift (core func $m "f")))
            (instance $i (export "score" (func $f)))
            (instance $l (export "configure" (func $f)))
            (export "{PACKAGE}/lifecycle@0.0.9" (instance $l))
            (export "{PACKAGE}/scoring@0.0.9" (instance $i)))"#
    );
    let bytes = wat::parse_str(text).unwrap();
    let refusal = site.library.check(&bytes, Some(Slot::Scoring), "{}").unwrap_err();
    assert!(refusal.reason.contains("its types differ from the contract"), "{refusal}");
    assert!(refusal.reason.contains("0.0.9"), "{refusal}");
}

#[test]
fn no_world_that_a_version_did_not_have_is_made_up() {
    let text = format!(
        r#"(component (instance $i)
            (export "{PACKAGE}/lifecycle@0.0.9" (instance $i))
            (export "{PACKAGE}/forecasting@0.0.9" (instance $i)))"#
    );
    let contract = crate::contract::Contract::speaking(BEFORE);
    let bytes = wat::parse_str(text).unwrap();
    let refused = contract.check(&bytes, Slot::Forecasting, false).unwrap_err();
    assert_eq!(refused.to_string(), format!("{PACKAGE} 0.0.9 has no forecasting policies"));
}
