//! The scheduler: a pure state machine that owns jobs, tasks, attempts, workers and queues.
//!
//! It is driven by one writer: `handle(now, event)` changes state, `plan(now, policies)` places
//! tasks, both append effects; `next_deadline()` says when to call `plan` again at the latest. It
//! reads no clock, file, socket, environment or random source: equal events and equal policy
//! answers give equal effects. What it deliberately does not know: JSON, HTTP, SQL, WebAssembly.

pub mod columns;
pub mod effect;
pub mod event;
pub mod explain;
pub mod graph;
pub mod ids;
pub mod policies;
pub mod record;
pub mod resources;
pub mod scheduler;
pub mod settings;
pub mod spec;
pub mod time;

pub use effect::{Answer, Effect, Notice, Refusal, Start, Stop, StopReason};
pub use event::Event;
pub use ids::{AttemptRef, JobId, RequestId, TaskId, Term, WorkerId};
pub use policies::{CallError, Policies, Slot};
pub use record::Record;
pub use scheduler::{PlanReport, Scheduler};
pub use settings::Settings;
pub use time::Time;
