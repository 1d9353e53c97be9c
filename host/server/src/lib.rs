//! The host: everything between the pure scheduler and the world. Owns the driver's thread, the read
//! model, the event stream, HTTP, configuration and what watches files.

pub mod serve;
pub mod driver;
pub mod release;
pub mod figures;
pub mod job_path;
pub mod stages;
pub mod bottlenecks;
pub mod read_model;
pub mod events;
pub mod outbox;
pub mod logs;
pub mod forecasts;
pub mod history;
mod clock;
pub mod policy_desk;
mod reload;
pub mod http;
pub mod config;
pub mod watch;
pub mod telemetry;
pub mod traces;
