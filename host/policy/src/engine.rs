//! The wasmtime engines of a process, and the ticker that lets them look at the clock.

use crate::bindings::scoring;
use crate::guest::Guest;
use crate::spoken::Versions;
use pointsman_scheduler::Slot;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine};

/// The engine could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the WebAssembly engine does not start: {0}")]
    Start(String),
    #[error("no thread for the policy clock: {0}")]
    Ticker(#[source] std::io::Error),
}

/// Compiles and runs policies of one kind of slot. Cheap to clone.
#[derive(Clone)]
pub struct PolicyEngine {
    inner: Arc<Inner>,
    is_for_forecasts: bool,
}

struct Inner {
    /// For whatever decides: a NaN has the same bits on every machine.
    deciding: (Engine, Linker<Guest>),
    /// For forecasts, which are long sums: without that they take less than half of the time. No NaN gets out
    /// of them.
    foretelling: (Engine, Linker<Guest>),
    versions: Versions,
    is_busy: Arc<AtomicBool>,
    /// Ticks as long as the engine lives.
    _ticker: Option<Ticker>,
}

const TICK: Duration = Duration::from_millis(1);
/// After this many ticks without a call the ticker slows down, so that an idle host sleeps.
const QUIET_TICKS: u32 = 200;
const SLOW_TICK: Duration = Duration::from_millis(10);
const GUEST_STACK: usize = 512 * 1024;

impl PolicyEngine {
    /// An engine whose calls can be limited by CPU time; starts a thread.
    pub fn with_clock() -> Result<PolicyEngine, EngineError> {
        PolicyEngine::speaking(Versions::KNOWN)
    }

    /// As [`Self::with_clock`], for policies of these versions, too.
    pub(crate) fn speaking(versions: Versions) -> Result<PolicyEngine, EngineError> {
        let (deciding, foretelling) = (build(versions, true)?, build(versions, false)?);
        let is_busy = Arc::new(AtomicBool::new(false));
        let engines = [deciding.0.clone(), foretelling.0.clone()];
        let ticker = Ticker::start(engines, is_busy.clone()).map_err(EngineError::Ticker)?;
        let inner = Inner { deciding, foretelling, versions, is_busy, _ticker: Some(ticker) };
        Ok(PolicyEngine { inner: Arc::new(inner), is_for_forecasts: false })
    }

    /// An engine without threads, for calls that are limited by fuel.
    pub fn without_clock() -> Result<PolicyEngine, EngineError> {
        let versions = Versions::KNOWN;
        let (deciding, foretelling) = (build(versions, true)?, build(versions, false)?);
        let is_busy = Arc::new(AtomicBool::new(false));
        let inner = Inner { deciding, foretelling, versions, is_busy, _ticker: None };
        Ok(PolicyEngine { inner: Arc::new(inner), is_for_forecasts: false })
    }

    /// The one for policies of that slot.
    pub(crate) fn for_slot(&self, slot: Slot) -> PolicyEngine {
        let is_for_forecasts = match slot {
            Slot::Scoring | Slot::Queue | Slot::Rescheduling => false,
            Slot::Forecasting => true,
        };
        PolicyEngine { inner: self.inner.clone(), is_for_forecasts }
    }

    pub(crate) fn raw(&self) -> &Engine {
        &self.engine().0
    }

    pub(crate) fn linker(&self) -> &Linker<Guest> {
        &self.engine().1
    }

    fn engine(&self) -> &(Engine, Linker<Guest>) {
        if self.is_for_forecasts { &self.inner.foretelling } else { &self.inner.deciding }
    }

    /// The versions of the contract beside that of today which its policies may speak.
    pub(crate) fn versions(&self) -> Versions {
        self.inner.versions
    }

    /// Keeps the ticker fast.
    pub(crate) fn note_call(&self) {
        self.inner.is_busy.store(true, Ordering::Relaxed);
    }
}

fn build(versions: Versions, has_one_nan: bool) -> Result<(Engine, Linker<Guest>), EngineError> {
    let start = |error: wasmtime::Error| EngineError::Start(format!("{error:#}"));
    let engine = Engine::new(&config(has_one_nan)).map_err(start)?;
    let mut linker = Linker::new(&engine);
    scoring::ScoringPolicy::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest)
        .map_err(start)?;
    for adapter in versions.adapters {
        adapter.offer(&mut linker).map_err(start)?;
    }
    Ok((engine, linker))
}

/// `has_one_nan`: equal calls give equal bits on every machine, also where these are of a NaN.
fn config(has_one_nan: bool) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.cranelift_nan_canonicalization(has_one_nan);
    config.relaxed_simd_deterministic(true);
    // Both in every mode, so that one compiled artefact serves the host and the simulator.
    config.epoch_interruption(true);
    config.consume_fuel(true);
    config.max_wasm_stack(GUEST_STACK);
    config.generate_address_map(true);
    config
}

struct Ticker {
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engines: [Engine; 2], is_busy: Arc<AtomicBool>) -> std::io::Result<Ticker> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = is_stopped.clone();
        let thread =
            std::thread::Builder::new().name("policy-clock".to_owned()).spawn(move || {
                let mut n_quiet = 0;
                while !stop.load(Ordering::Relaxed) {
                    n_quiet = if is_busy.swap(false, Ordering::Relaxed) { 0 } else { n_quiet + 1 };
                    // The tick itself: limits are counted in these.
                    std::thread::sleep(if n_quiet < QUIET_TICKS { TICK } else { SLOW_TICK });
                    engines.iter().for_each(Engine::increment_epoch);
                }
            })?;
        Ok(Ticker { is_stopped, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic; nothing is to be done if it did.
            let _ = thread.join();
        }
    }
}
