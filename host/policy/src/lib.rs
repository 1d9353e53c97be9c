//! Policies as WebAssembly components: the only crate that knows wasmtime. It admits candidates,
//! runs them within limits, checks every answer, swaps them between rounds and falls back when one
//! fails. It knows no TOML, no HTTP and watches no folder: whoever does calls [`PolicyLibrary`].

// From a file to an answer.
mod admission;
mod assets;
mod contract;
mod spoken;
mod calls;
mod window;
mod forecaster;
mod probe;
mod difference;
mod manifest;
mod generation;
mod instance;
mod guest;
mod answer;
mod convert;
mod bindings;
mod engine;
mod clock;
mod limits;
mod inspection;
mod provenance;

// Where candidates come from.
mod library;
mod reload;
mod status;
mod folder;
mod lease;
mod memory;
mod cache;
mod disk;

// Who serves.
mod host;
mod ladder;
mod runner;
mod predicted;
mod forecast_host;
mod health;
mod failure;
mod incident;
mod native;
mod shared;
mod pace;
mod starter;
mod stats;
mod time;
mod nearest;

pub use admission::{LimitsByKind, MAX_FILE, Refusal, Stage, slot_of};
pub use assets::Assets;
pub use contract::{
    ContractError, FILES as CONTRACT_FILES, FreezeError, Frozen, PACKAGE, VERSION, freeze,
};
pub use engine::EngineError;
pub use failure::{Failure, FailureKind};
pub use forecast_host::ForecastHost;
pub use forecaster::ForecastingProfile;
pub use generation::{Digest, Origin};
pub use host::{FixedError, FixedPolicies, PolicyHost, Source};
pub use incident::{Failed, Incident, IncidentKind};
pub use inspection::{Bench, BenchRow, Cost, Foreteller, Inspected, Inspector, Subject};
pub use ladder::OnFailure;
pub use lease::{Lease, Writers, writers};
pub use library::{
    Binding, LibraryError, LibrarySettings, PolicyLibrary, RollbackError, RolledBack,
    StandardPolicy, UploadError, UseError,
};
pub use limits::{Limits, Metering, WALL_FACTOR};
pub use manifest::ManifestError;
pub use native::{NativePolicies, NativeQueue, NativeScoring};
pub use predicted::PredictedColumns;
pub use probe::Trial;
pub use provenance::Provenance;
pub use status::{
    Checked, ExplainError, Explained, FileStatus, GenerationStatus, LibraryStatus, LookedAt,
    RefusedStatus, SlotState, SlotStatus, StandardStatus, Useful,
};
pub use window::{Needed, Window};
