//! Tests of the whole: hosts, workers and policies together. This library is their harness, and
//! that of the benchmarks.

pub mod toolchains;
pub mod site;
pub mod load;
pub mod windows;
pub mod soak;
pub mod hostile;
pub mod compiling;
pub mod storm;
pub mod peers;

/// Small guests, as the policy engine's own tests make them.
#[path = "../../host/policy/tests/suite/guests.rs"]
pub mod guests;
