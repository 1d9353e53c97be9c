//! From bytes to a policy that may serve: every stage that a candidate passes, in order. Knows
//! nothing of folders, slots in force or swaps.

use crate::assets::Assets;
use crate::bindings::types::Manifest;
use crate::clock::thread_cpu_time;
use crate::contract::{Contract, ContractError};
use crate::engine::PolicyEngine;
use crate::guest::cut;
use crate::instance::{Artefact, Instance};
use crate::limits::Limits;
use crate::manifest::{self, Profile};
use crate::probe;
use crate::starter::{SLOW_START, limits_of_slow_start};
use crate::stats::Stats;
use pointsman_scheduler::Slot;
use pointsman_scheduler::record::PolicyStamp;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use wasmtime::component::Component;

/// Files larger than this are refused unread.
pub const MAX_FILE: usize = 32 << 20;

/// How far a candidate came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// There is no such policy, or its file cannot be read.
    Read,
    /// It is not the pinned content.
    Pin,
    /// It is not WebAssembly, or too large.
    Format,
    /// It is not made for the slot.
    Contract,
    Compile,
    /// Instantiation and `configure`.
    Start,
    Manifest,
    /// The trial calls.
    Probe,
}

impl Stage {
    /// The stable code shown in API, CLI and panel.
    pub fn code(self) -> &'static str {
        match self {
            Stage::Read => "read",
            Stage::Pin => "pin",
            Stage::Format => "format",
            Stage::Contract => "contract",
            Stage::Compile => "compile",
            Stage::Start => "start",
            Stage::Manifest => "manifest",
            Stage::Probe => "probe",
        }
    }
}

/// Why a candidate does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused at {}: {reason}", stage.code())]
pub struct Refusal {
    pub stage: Stage,
    pub reason: String,
}

impl Refusal {
    pub(crate) fn new(stage: Stage, reason: impl ToString) -> Refusal {
        Refusal { stage, reason: cut(reason.to_string(), 2_000) }
    }
}

/// A policy that passed every stage.
pub(crate) struct Admitted {
    pub artefact: Artefact,
    pub manifest: Manifest,
    pub profile: Profile,
    pub stats: Arc<Stats>,
    /// Configured and not yet called.
    pub instance: Instance,
    /// What the trial call of 1,000 rows took.
    pub trial: probe::Trial,
    /// Bytes of linear memory that an instance held after every trial call.
    pub memory: usize,
}

/// What a candidate is to become.
pub(crate) struct Candidate<'a> {
    pub bytes: &'a [u8],
    /// The file's stem, for the log.
    pub component: &'a str,
    pub slot: Slot,
    pub config: &'a str,
    pub assets: Assets,
    /// None: by what the file says about its making.
    pub limits: Option<Limits>,
    /// Imports that the host does not offer trap when called, instead of being refused.
    pub wasi_traps: bool,
}

/// The limits of each kind of guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsByKind {
    pub compiled: Limits,
    /// For guests that say in their producers section that they carry an interpreter.
    pub interpreted: Limits,
}

impl Default for LimitsByKind {
    fn default() -> LimitsByKind {
        LimitsByKind { compiled: Limits::compiled(), interpreted: Limits::interpreted() }
    }
}

/// Turns compiled bytes into a component, or compiles them. The default compiles.
pub(crate) trait Compiler {
    fn compile(&self, engine: &PolicyEngine, bytes: &[u8]) -> Result<Component, Refusal>;
}

/// Compiles each time.
pub(crate) struct Uncached;

impl Compiler for Uncached {
    fn compile(&self, engine: &PolicyEngine, bytes: &[u8]) -> Result<Component, Refusal> {
        Component::from_binary(engine.raw(), bytes)
            .map_err(|error| Refusal::new(Stage::Compile, format!("{error:#}")))
    }
}

/// Takes candidates through the stages.
pub(crate) struct Admission {
    pub engine: PolicyEngine,
    pub contract: Contract,
    pub limits: LimitsByKind,
}

impl Admission {
    pub fn new(engine: PolicyEngine, limits: LimitsByKind) -> Admission {
        let contract = Contract::speaking(engine.versions());
        Admission { engine, contract, limits }
    }

    /// Whether it may serve. A panic of the tools that read and compile it is the candidate's
    /// fault, not the host's end.
    ///
    /// # Errors
    /// The stage that it did not pass, and why.
    pub fn admit(
        &self,
        candidate: &Candidate<'_>,
        compiler: &dyn Compiler,
    ) -> Result<Admitted, Refusal> {
        survive(Stage::Compile, || self.pass_stages(candidate, compiler))
    }

    fn pass_stages(
        &self,
        candidate: &Candidate<'_>,
        compiler: &dyn Compiler,
    ) -> Result<Admitted, Refusal> {
        let component_bytes = to_component(candidate.bytes)?;
        let spoken = self
            .contract
            .check(&component_bytes, candidate.slot, candidate.wasi_traps)
            .map_err(|error: ContractError| Refusal::new(Stage::Contract, error))?;
        let limits =
            candidate.limits.unwrap_or_else(|| self.limits_for(candidate.slot, &component_bytes));
        let engine = self.engine.for_slot(candidate.slot);
        let component = compiler.compile(&engine, &component_bytes)?;
        check_needs(&component, &limits)?;
        let mut artefact = Artefact {
            pre: pre(&engine, &component, candidate.wasi_traps)?,
            engine,
            slot: candidate.slot,
            spoken,
            config: Arc::from(candidate.config),
            assets: candidate.assets.clone(),
            limits,
            label: Arc::from(candidate.component),
            starts_slowly: false,
        };
        let stats = Arc::new(Stats::new(limits.reads_clock()));
        let start = || {
            Instance::start(&artefact, &stats)
                .map_err(|failure| Refusal::new(Stage::Start, failure.message))
        };
        let (mut used, manifest) = start()?;
        let profile = manifest::profile(&manifest, candidate.slot, PolicyStamp::default())
            .map_err(|error| Refusal::new(Stage::Manifest, error))?;
        let trial = probe::probe(&mut used, &profile, &start, &manifest)
            .map_err(|reason| Refusal::new(Stage::Probe, reason))?;
        let memory = used.memory_used();
        let cpu_before = thread_cpu_time();
        let (instance, _) = start()?;
        let start_took = thread_cpu_time().saturating_sub(cpu_before);
        if limits.reads_clock() && start_took > SLOW_START {
            artefact.starts_slowly = true;
            artefact.limits = limits_of_slow_start(limits, start_took);
        }
        Ok(Admitted { artefact, manifest, profile, stats, instance, trial, memory })
    }

    /// The slot that a file is made for.
    pub fn find_slot(&self, bytes: &[u8]) -> Result<Slot, Refusal> {
        let component = to_component(bytes)?;
        self.contract.find_slot(&component).map_err(|error| Refusal::new(Stage::Contract, error))
    }

    fn limits_for(&self, slot: Slot, component: &[u8]) -> Limits {
        let is_interpreted = is_interpreted(component);
        let limits = if is_interpreted { self.limits.interpreted } else { self.limits.compiled };
        match slot {
            Slot::Scoring | Slot::Queue | Slot::Rescheduling => limits,
            Slot::Forecasting => limits.beside_dispatch(),
        }
    }
}

fn pre(
    engine: &PolicyEngine,
    component: &Component,
    wasi_traps: bool,
) -> Result<wasmtime::component::InstancePre<crate::guest::Guest>, Refusal> {
    let refuse = |error: wasmtime::Error| Refusal::new(Stage::Contract, format!("{error:#}"));
    if !wasi_traps {
        return engine.linker().instantiate_pre(component).map_err(refuse);
    }
    let mut linker = engine.linker().clone();
    linker.define_unknown_imports_as_traps(component).map_err(refuse)?;
    linker.instantiate_pre(component).map_err(refuse)
}

/// The slot that a policy file is made for. Nothing else of it is checked.
///
/// # Errors
/// If it is no component or core module, or exports no slot of the contract.
pub fn slot_of(bytes: &[u8]) -> Result<Slot, Refusal> {
    survive(Stage::Format, || {
        let component = to_component(bytes)?;
        let slot = Contract::new().find_slot(&component);
        slot.map_err(|error| Refusal::new(Stage::Contract, error))
    })
}

fn survive<T>(stage: Stage, work: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(Refusal::new(stage, "it is damaged, or so unusual that the compiler gives up on it"))
    })
}

/// Accepts finished components as they are, and makes components of core modules.
pub(crate) fn to_component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Refusal> {
    let refuse = |reason: &str| Err(Refusal::new(Stage::Format, reason));
    if bytes.len() > MAX_FILE {
        return Err(Refusal::new(Stage::Format, too_large(bytes.len() as u64)));
    }
    match bytes {
        [] => refuse("the file is empty"),
        [b'\0', b'a', b's', b'm', _, _, 1, 0, ..] => {
            check_valid(bytes)?;
            Ok(Cow::Borrowed(bytes))
        }
        [b'\0', b'a', b's', b'm', _, _, 0, 0, ..] => {
            check_valid(bytes)?;
            from_module(bytes).map(Cow::Owned)
        }
        [b'\0', b'a', b's', b'm', ..] => refuse("the file ends within its WebAssembly header"),
        [0x7f, b'E', b'L', b'F', ..] => {
            refuse("it is machine code; drop the .wasm file, the host compiles it itself")
        }
        [b'(', ..] => refuse("it is WebAssembly text; turn it into binary with `wasm-tools parse`"),
        [0xff, 0xd8, 0xff, ..] => refuse("it is a JPEG image, not WebAssembly"),
        [0x89, b'P', b'N', b'G', ..] => refuse("it is a PNG image, not WebAssembly"),
        [b'P', b'K', 3, 4, ..] => refuse("it is a ZIP archive, not WebAssembly"),
        [0x1f, 0x8b, ..] => refuse("it is compressed with gzip; unpack it"),
        bytes => {
            let head: Vec<String> = bytes.iter().take(4).map(|it| format!("{it:02x}")).collect();
            refuse(&format!("it is not WebAssembly: it starts with {}", head.join(" ")))
        }
    }
}

/// The message about a file of `n` bytes.
pub(crate) fn too_large(n: u64) -> String {
    format!("the file has {n} bytes; at most {MAX_FILE} are taken")
}

/// Before any other tool sees the bytes: not all of them expect damaged ones.
fn check_valid(bytes: &[u8]) -> Result<(), Refusal> {
    let mut validator = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all());
    match validator.validate_all(bytes) {
        Ok(_) => Ok(()),
        Err(error) => {
            let reason = format!("the file is incomplete or damaged: {error}");
            Err(Refusal::new(Stage::Format, reason))
        }
    }
}

fn from_module(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    let refuse = |error: String| Err(Refusal::new(Stage::Format, explain_module_error(&error)));
    match wit_component::metadata::decode(bytes) {
        Ok((Some(_), _)) => {}
        Ok((None, _)) => {
            let reason =
                "it is a plain core module without a policy's types; build it with the SDK";
            return Err(Refusal::new(Stage::Format, reason));
        }
        Err(error) => return refuse(format!("{error:#}")),
    }
    let encoder = match wit_component::ComponentEncoder::default().module(bytes) {
        Ok(encoder) => encoder,
        Err(error) => return refuse(format!("{error:#}")),
    };
    encoder.validate(true).encode().or_else(|error| refuse(format!("{error:#}")))
}

fn explain_module_error(error: &str) -> String {
    for wasi in ["wasi_snapshot_preview1", "wasi_unstable", "wasi:"] {
        if error.contains(wasi) {
            return format!(
                "it imports {wasi}: a policy gets no clock, files or network; build for \
                 wasm32-unknown-unknown ({error})"
            );
        }
    }
    format!("the core module does not make a component: {error}")
}

/// Guests that carry an interpreter show it: in the producers section of one of their modules, or by the
/// name of the library that they link.
const INTERPRETERS: [&str; 6] =
    ["python", "javascript", "componentize", "quickjs", "spidermonkey", "starling"];

pub(crate) fn is_interpreted(component: &[u8]) -> bool {
    let is_interpreter = |name: &str| {
        let name = name.to_ascii_lowercase();
        INTERPRETERS.iter().any(|it| name.contains(it))
    };
    let is_named = |section: &wasmparser::CustomSectionReader<'_>| {
        let wasmparser::KnownCustom::Producers(fields) = section.as_known() else {
            return false;
        };
        let values = fields.into_iter().flatten().flat_map(|field| field.values);
        values.flatten().any(|value| is_interpreter(value.name))
    };
    // Linkers of shared libraries give each its base address by such an export.
    let is_base = |export: &wasmparser::Export<'_>| {
        export.name.strip_suffix(":memory_base").is_some_and(is_interpreter)
    };
    wasmparser::Parser::new(0).parse_all(component).any(|payload| match payload {
        Ok(wasmparser::Payload::CustomSection(section)) => is_named(&section),
        Ok(wasmparser::Payload::ExportSection(exports)) => {
            exports.into_iter().flatten().any(|export| is_base(&export))
        }
        Ok(_) | Err(_) => false,
    })
}

/// Refuses at once what could never be instantiated.
fn check_needs(component: &Component, limits: &Limits) -> Result<(), Refusal> {
    let Some(needs) = component.resources_required() else {
        return Err(Refusal::new(Stage::Contract, "it imports core modules or instances"));
    };
    const PAGE: u64 = 1 << 16;
    let memory = needs.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE);
    if memory > limits.memory as u64 {
        let reason =
            format!("it starts with {memory} bytes of memory; the limit is {}", limits.memory);
        return Err(Refusal::new(Stage::Start, reason));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_with_an_interpreter_is_known_by_what_made_it() {
        let made_by = |tool: &str| {
            let text =
                format!(r#"(component (core module (@producers (processed-by "{tool}" "0.17"))))"#);
            wat::parse_str(text).expect("valid text")
        };
        assert!(is_interpreted(&made_by("componentize-py")));
        assert!(is_interpreted(&made_by("QuickJS")));
        assert!(!is_interpreted(&made_by("rustc")));
        let linking = |library: &str| {
            let text = format!(
                r#"(component (core module (global i32 (i32.const 0))
                (export "{library}:memory_base" (global 0))))"#
            );
            wat::parse_str(text).expect("valid text")
        };
        assert!(is_interpreted(&linking("libcomponentize_py_runtime.so")));
        assert!(is_interpreted(&linking("componentize_qjs_runtime.wasm")));
        assert!(!is_interpreted(&linking("libc.so")));
        assert!(!is_interpreted(b"junk"));
    }
}
