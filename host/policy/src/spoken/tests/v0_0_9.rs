//! How policies of the made-up version 0.0.9 are called: what such a file of a real line looks like.

use crate::bindings::host::{Host as Today, Level};
use crate::bindings::types::{Action, Manifest, Proposal};
use crate::calls::{Called, Calls};
use crate::guest::Guest;
use crate::spoken::Adapter;
use pointsman_scheduler::Slot;
use queue::QueuePolicy;
use rescheduling::ReschedulingPolicy;
use scoring::ScoringPolicy;
use scoring::pointsman::policy::{host, types};
use wasmtime::Store;
use wasmtime::component::{HasSelf, Instance, InstancePre, Linker};

mod scoring {
    wasmtime::component::bindgen!({
        path: "src/spoken/tests/0.0.9",
        world: "scoring-policy",
    });
}

mod queue {
    wasmtime::component::bindgen!({
        path: "src/spoken/tests/0.0.9",
        world: "queue-policy",
        with: {
            "pointsman:policy/types": crate::spoken::tests::v0_0_9::scoring::pointsman::policy::types,
            "pointsman:policy/host": crate::spoken::tests::v0_0_9::scoring::pointsman::policy::host,
        },
    });
}

mod rescheduling {
    wasmtime::component::bindgen!({
        path: "src/spoken/tests/0.0.9",
        world: "rescheduling-policy",
        with: {
            "pointsman:policy/types": crate::spoken::tests::v0_0_9::scoring::pointsman::policy::types,
            "pointsman:policy/host": crate::spoken::tests::v0_0_9::scoring::pointsman::policy::host,
        },
    });
}

pub struct V0_0_9;

impl Adapter for V0_0_9 {
    fn version(&self) -> &'static str {
        "0.0.9"
    }

    fn offer(&self, linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
        ScoringPolicy::add_to_linker::<_, HasSelf<Guest>>(linker, |guest| guest)
    }

    fn link(
        &self,
        slot: Slot,
        _pre: &InstancePre<Guest>,
        instance: &Instance,
        store: &mut Store<Guest>,
    ) -> wasmtime::Result<Box<dyn Calls>> {
        Ok(match slot {
            Slot::Scoring => Box::new(ScoringPolicy::new(store, instance)?),
            Slot::Queue => Box::new(QueuePolicy::new(store, instance)?),
            Slot::Rescheduling => Box::new(ReschedulingPolicy::new(store, instance)?),
            Slot::Forecasting => unreachable!("the text has no such world"),
        })
    }
}

impl types::Host for Guest {}

impl host::Host for Guest {
    fn log(&mut self, message: String) {
        Today::log(self, Level::Info, message);
    }
}

fn manifest(before: types::Manifest) -> Manifest {
    let types::Manifest { name, properties } = before;
    Manifest { name, version: "unknown".to_owned(), properties }
}

fn seconds(ms: f64) -> u64 {
    (ms / 1_000.0) as u64
}

impl Calls for ScoringPolicy {
    fn configure(&self, store: &mut Store<Guest>, config: &str) -> Called<Manifest> {
        let answer = self.pointsman_policy_lifecycle().call_configure(store, config)?;
        Ok(Ok(manifest(answer)))
    }

    fn score(
        &self,
        store: &mut Store<Guest>,
        task: &[f64],
        workers: &[Vec<f64>],
    ) -> Called<Vec<f64>> {
        let costs = self.pointsman_policy_scoring().call_cost(store, task, workers)?;
        Ok(Ok(costs.into_iter().map(|cost| 1.0 - cost / 100.0).collect()))
    }
}

impl Calls for QueuePolicy {
    fn configure(&self, store: &mut Store<Guest>, config: &str) -> Called<Manifest> {
        let answer = self.pointsman_policy_lifecycle().call_configure(store, config)?;
        Ok(Ok(manifest(answer)))
    }

    fn rank(&self, store: &mut Store<Guest>, now_ms: f64, tasks: &[Vec<f64>]) -> Called<Vec<f64>> {
        let ranks = self.pointsman_policy_queue().call_rank(store, seconds(now_ms), tasks)?;
        Ok(ranks.map(|ranks| ranks.into_iter().map(|rank| -rank).collect()))
    }
}

impl Calls for ReschedulingPolicy {
    fn configure(&self, store: &mut Store<Guest>, config: &str) -> Called<Manifest> {
        let answer = self.pointsman_policy_lifecycle().call_configure(store, config)?;
        Ok(Ok(manifest(answer)))
    }

    fn review(
        &self,
        store: &mut Store<Guest>,
        now_ms: f64,
        tasks: &[Vec<f64>],
        on_worker: &[u32],
        workers: &[Vec<f64>],
    ) -> Called<Vec<Proposal>> {
        let calls = self.pointsman_policy_rescheduling();
        let answer = calls.call_review(store, seconds(now_ms), tasks, on_worker, workers)?;
        Ok(Ok(answer.into_iter().map(proposal).collect()))
    }
}

fn proposal(before: types::Proposal) -> Proposal {
    let action = match before.action {
        types::Action::Move => Action::Migrate,
        types::Action::Cancel => Action::Cancel,
    };
    Proposal { row: before.row, action, reason: "none was given".to_owned() }
}
