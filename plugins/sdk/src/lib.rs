//! Write a Pointsman policy in plain Rust: implement one trait, name the columns you need as fields
//! of a struct, and let a macro do the rest.
//!
//! ```
//! use pointsman_policy_sdk::prelude::*;
//!
//! /// What this policy looks at.
//! #[derive(Columns)]
//! pub struct Worker {
//!     cpu_load: f64,
//!     rtt_ms: Option<f64>,
//! }
//!
//! #[derive(Default, serde::Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! pub struct Config {
//!     far_ms: Option<f64>,
//! }
//!
//! pub struct Nearest {
//!     far_ms: f64,
//! }
//!
//! impl Scoring for Nearest {
//!     type Config = Config;
//!     type Task = NoColumns;
//!     type Worker = Worker;
//!
//!     fn new(config: Config) -> Result<Self, String> {
//!         Ok(Nearest { far_ms: config.far_ms.unwrap_or(100.0) })
//!     }
//!     fn about(&self) -> About {
//!         About::new("nearest", "0.1.0").node_local()
//!     }
//!     fn score(&self, _: &NoColumns, worker: &Worker) -> f64 {
//!         let distance = (worker.rtt_ms.unwrap_or(0.0) / self.far_ms).min(1.0);
//!         (1.0 - worker.cpu_load.min(1.0)) * 0.5 + (1.0 - distance) * 0.5
//!     }
//! }
//!
//! export_scoring!(Nearest);
//! # fn main() {}
//! ```
//!
//! Built with `cargo build --target wasm32-unknown-unknown --release` as a `cdylib`, the `.wasm` file
//! is dropped into the host's policy folder as it is. Natively the same code is an ordinary library:
//! its tests need no WebAssembly. See [`testing`], and [`tutorial`] for the whole way.
//!
//! A policy is a pure function: it has no clock, randomness, files or network, and what it keeps
//! between two calls is lost whenever the host makes a new instance.

// So that what the derive writes holds in this crate too.
extern crate self as pointsman_policy_sdk;

mod policy;
mod columns;
mod rows;
mod about;
mod config;
pub mod catalogue;
pub mod host;
pub mod testing;
#[doc = include_str!("tutorial.md")]
pub mod tutorial {}

mod export;
#[doc(hidden)]
pub mod glue;

pub use about::{About, Discipline, GroupBy};
pub use columns::{Columns, Forecast, NoColumns, Value};
pub use config::NoConfig;
pub use pointsman_policy_sdk_derive::{Columns, Forecast};
pub use policy::{
    Action, Forecasting, ModelForecasting, Proposal, Queue, Rescheduling, Scoring, push_number,
};
pub use rows::Rows;

/// The version of the contract that this SDK speaks; stamped into every policy.
pub const CONTRACT: &str = "0.1.0";

/// All that a policy usually needs.
pub mod prelude {
    pub use crate::{
        About, Action, Columns, Discipline, Forecast, Forecasting, GroupBy, ModelForecasting,
        NoColumns, NoConfig, Proposal, Queue, Rescheduling, Rows, Scoring, export_forecasting,
        export_model_forecasting, export_queue, export_rescheduling, export_scoring, host,
    };
}

#[doc(hidden)]
#[cfg(target_arch = "wasm32")]
pub use wit_bindgen;

include!(concat!(env!("OUT_DIR"), "/contract.rs"));

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
