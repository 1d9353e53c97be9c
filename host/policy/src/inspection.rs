//! A look at one file, for its author: what the host would say to it, and what a call costs. Uses the
//! engine, the stages and the limits by which the host admits; knows no folder and no slot in force.

use crate::admission::{
    Admission, Admitted, Candidate, Compiler, LimitsByKind, Refusal, Stage, Uncached,
    is_interpreted, to_component,
};
use crate::assets::Assets;
use crate::contract;
use crate::engine::{EngineError, PolicyEngine};
use crate::forecaster::ForecastingProfile;
use crate::generation::Digest;
use crate::instance::{Artefact, Instance};
use crate::limits::{Limits, Metering};
use crate::manifest::Profile;
use crate::native::Native;
use crate::probe::{self, Trial};
use crate::provenance::Provenance;
use crate::stats::Stats;
use pointsman_scheduler::Slot;
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::Component;

/// Admits files without a host.
pub struct Inspector {
    admission: Admission,
}

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub bytes: &'a [u8],
    /// None: the one that it is made for.
    pub slot: Option<Slot>,
    /// JSON, handed to `configure`.
    pub config: &'a str,
    /// The files beside it.
    pub assets: &'a Assets,
    /// As a slot's setting `wasi = "trap"`.
    pub wasi_traps: bool,
}

/// A policy that the host would take.
#[derive(Debug, Clone)]
pub struct Inspected {
    pub slot: Slot,
    /// As it names itself.
    pub name: String,
    pub version: String,
    pub digest: Digest,
    /// Bytes of the file.
    pub size: usize,
    /// Package and version of the contract that it is made for.
    pub contract: String,
    pub needs_worker: Vec<String>,
    pub needs_task: Vec<&'static str>,
    /// What it says of itself besides, in its own order.
    pub properties: Vec<(String, String)>,
    /// The interfaces that the host calls, without package and version.
    pub interfaces: Vec<String>,
    /// Columns that it adds: those of a forecaster.
    pub provides: Vec<String>,
    pub node_local: bool,
    /// It carries an interpreter, so the limits of interpreted guests hold.
    pub is_interpreted: bool,
    pub limits: Limits,
    pub compile: Duration,
    /// Instantiation and `configure`: the median of several.
    pub start: Duration,
    /// The trial call of 1,000 rows.
    pub trial: Trial,
    /// Bytes of linear memory after every trial call.
    pub memory: usize,
    pub provenance: Provenance,
}

/// What calls cost.
#[derive(Debug, Clone)]
pub struct Bench {
    pub inspected: Inspected,
    pub rows: Vec<BenchRow>,
    /// The policy that the times are compared with; None where the host has none of its own.
    pub native: Option<&'static str>,
}

/// What a call with so many rows costs.
#[derive(Debug, Clone)]
pub struct BenchRow {
    pub n_rows: usize,
    /// Why such a call fails, or what it costs.
    pub cost: Result<Cost, String>,
    /// The same call of the host's own policy.
    pub native: Option<Duration>,
}

/// Medians.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    pub took: Duration,
    /// Instructions, roughly; the same on every machine.
    pub fuel: u64,
    /// Bytes of linear memory held afterwards.
    pub memory: usize,
}

impl Inspector {
    /// # Errors
    /// The engine does not start.
    pub fn new(limits: LimitsByKind) -> Result<Inspector, EngineError> {
        Ok(Inspector { admission: Admission::new(PolicyEngine::with_clock()?, limits) })
    }

    /// Takes the file through every stage of admission.
    ///
    /// # Errors
    /// The stage that it did not pass, and why.
    pub fn check(&self, subject: &Subject<'_>) -> Result<Inspected, Refusal> {
        self.admit(subject).map(|(inspected, _)| inspected)
    }

    /// As [`Self::check`], and measures calls of each number of `rows`; at most 10,000.
    ///
    /// # Errors
    /// As [`Self::check`]. A call that fails stands in its row.
    pub fn bench(&self, subject: &Subject<'_>, rows: &[usize]) -> Result<Bench, Refusal> {
        let (inspected, admitted) = self.admit(subject)?;
        let native = native_default(inspected.slot);
        let measure = |n_rows: &usize| BenchRow {
            n_rows: *n_rows,
            cost: cost(&admitted, *n_rows),
            native: native.and_then(|native| probe::measure_native(native, *n_rows)),
        };
        let rows = rows.iter().map(measure).collect();
        Ok(Bench { inspected, rows, native: native.map(Native::name) })
    }

    /// A forecasting policy, admitted, to be asked about recorded measurements.
    ///
    /// # Errors
    /// As [`Self::check`], and if it is no forecasting policy.
    pub fn foreteller(&self, subject: &Subject<'_>) -> Result<Foreteller, Refusal> {
        let (_, admitted) = self.admit(&Subject { slot: Some(Slot::Forecasting), ..*subject })?;
        let Profile::Forecasting(profile) = admitted.profile else {
            unreachable!("admitted for the slot forecasting")
        };
        Ok(Foreteller { profile, artefact: admitted.artefact, stats: admitted.stats })
    }

    fn admit(&self, subject: &Subject<'_>) -> Result<(Inspected, Admitted), Refusal> {
        let bytes = subject.bytes;
        let slot = subject.slot.map_or_else(|| self.admission.find_slot(bytes), Ok)?;
        let candidate = Candidate {
            bytes,
            component: "candidate",
            slot,
            config: subject.config,
            assets: subject.assets.clone(),
            limits: None,
            wasi_traps: subject.wasi_traps,
        };
        let compiler = Timed(Cell::default());
        let admitted = self.admission.admit(&candidate, &compiler)?;
        let component = to_component(bytes)?;
        let start = start_time(&admitted).map_err(|it| Refusal::new(Stage::Start, it))?;
        let inspected = Inspected {
            slot,
            name: admitted.manifest.name.clone(),
            version: admitted.manifest.version.clone(),
            digest: Digest::of(bytes),
            size: bytes.len(),
            contract: format!("{} {}", contract::PACKAGE, admitted.artefact.spoken.version()),
            needs_worker: admitted.profile.worker_names(),
            needs_task: admitted.profile.task_names(),
            properties: other_properties(&admitted.manifest.properties),
            interfaces: contract::provided(&component),
            provides: admitted.profile.provided_names(),
            node_local: admitted.profile.is_node_local(),
            is_interpreted: is_interpreted(&component),
            limits: admitted.artefact.limits,
            compile: compiler.0.get(),
            start,
            trial: admitted.trial,
            memory: admitted.memory,
            provenance: Provenance::of(&component),
        };
        Ok((inspected, admitted))
    }
}

/// A forecasting policy outside of any host.
pub struct Foreteller {
    profile: Arc<ForecastingProfile>,
    artefact: Artefact,
    stats: Arc<Stats>,
}

impl Foreteller {
    pub fn profile(&self) -> &ForecastingProfile {
        &self.profile
    }

    /// One list per provided column, as a host would take it. `lists` hold the windows that the policy needs,
    /// with as many rows as there are; they are asked about in as many calls as a host would make, each of a
    /// fresh instance.
    ///
    /// # Errors
    /// What a host would note as its failure.
    pub fn forecast(&self, lists: &[Vec<f64>], n_rows: usize) -> Result<Vec<Vec<f64>>, String> {
        let ask = |batch: &[Vec<f64>], n_rows| {
            let (mut guest, _) = Instance::start(&self.artefact, &self.stats)?;
            guest.forecast(&self.profile, batch, n_rows)
        };
        self.profile.in_batches(lists, n_rows, ask).map_err(|failure| failure.message)
    }
}

/// Compiles each time and tells how long it took.
struct Timed(Cell<Duration>);

impl Compiler for Timed {
    fn compile(&self, engine: &PolicyEngine, bytes: &[u8]) -> Result<Component, Refusal> {
        let begun = Instant::now();
        let component = Uncached.compile(engine, bytes);
        self.0.set(begun.elapsed());
        component
    }
}

/// Properties that are not shown as something else.
fn other_properties(properties: &[(String, String)]) -> Vec<(String, String)> {
    const SHOWN: [&str; 4] = ["needs-worker", "needs-task", "provides", "node-local"];
    properties.iter().filter(|(key, _)| !SHOWN.contains(&key.as_str())).cloned().collect()
}

fn start_time(admitted: &Admitted) -> Result<Duration, String> {
    const N_STARTS: usize = 7;
    let mut times = Vec::with_capacity(N_STARTS);
    for _ in 0..N_STARTS {
        let begun = Instant::now();
        Instance::start(&admitted.artefact, &admitted.stats).map_err(|it| it.message)?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times[N_STARTS / 2])
}

/// Time under the limits that the host would set; fuel in an instance of its own, whose calls may
/// not be ended by the clock.
fn cost(admitted: &Admitted, n_rows: usize) -> Result<Cost, String> {
    let failed = |failure: crate::failure::Failure| failure.message;
    let (mut timed, _) = Instance::start(&admitted.artefact, &admitted.stats).map_err(failed)?;
    let trial = probe::measure(&mut timed, &admitted.profile, n_rows)?;
    let metering = Metering::Fuel { call: u64::MAX / 2, configure: u64::MAX / 2 };
    let limits = Limits { metering, ..admitted.artefact.limits };
    let fuelled = Artefact { limits, ..admitted.artefact.clone() };
    let (mut counted, _) = Instance::start(&fuelled, &admitted.stats).map_err(failed)?;
    let counted = probe::measure(&mut counted, &admitted.profile, n_rows)?;
    let fuel = counted.fuel.expect("its calls are limited by fuel");
    Ok(Cost { took: trial.took, fuel, memory: trial.memory })
}

/// What answers when no policy of the slot works.
fn native_default(slot: Slot) -> Option<Native> {
    match slot {
        Slot::Scoring => Some(Native::Scoring(Default::default())),
        Slot::Queue => Some(Native::Queue(Default::default())),
        Slot::Rescheduling | Slot::Forecasting => None,
    }
}
