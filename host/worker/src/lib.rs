//! The worker agent: what runs next to the work.
//!
//! It registers with a host, takes its commands, runs scripts as processes, and reports. It owns
//! the attempts in its hands and nothing else: what to run and whether it fits is the host's.

mod run;
mod session;
pub mod agent;
mod attempt;
pub mod executor;
mod uploads;
mod client;
mod backoff;
mod identity;
mod measure;

pub use attempt::{AttemptKey, End, Outcome, StopReason};
pub use executor::{CpuLimit, LimitOptions};
pub use identity::IdentityError;
pub use measure::machine_capacity;
pub use run::{WorkerError, WorkerOptions, run};
