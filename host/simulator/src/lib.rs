//! Virtual time: recorded workloads are played against the production scheduler with the real
//! policies, and nothing waits. Owns the workload importers, the clock and its event queue, and the
//! reports. It decides nothing about scheduling and runs no script.

// In reading order: what is played, how, and what is said about it.
pub mod workload;
pub mod import;
pub mod export;
pub mod analysis;
pub mod cluster;
pub mod outage;
pub mod simulate;
pub mod report;
pub mod contender;
pub mod seconds;
pub mod faults;

mod world;
mod decimal;
mod trace;
