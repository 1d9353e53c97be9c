//! Forecasting models, as they run: in a policy (WebAssembly, SIMD128) and in tools (native) alike, with
//! the same answers. It owns the format of stored weights, the batched inference of an LSTM, and
//! Holt-Winters. It trains nothing, measures nothing and reads no file: bytes come in, numbers go out.
//!
#![doc = include_str!("../README.md")]

pub mod weights;
pub mod lstm;
pub mod holt_winters;
mod activation;
mod kernel;
mod sum;
mod suffix;

pub use holt_winters::HoltWinters;
pub use lstm::Lstm;
pub use weights::Weights;
