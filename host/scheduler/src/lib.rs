//! The scheduler: a pure state machine that owns jobs, tasks, attempts, workers and queues.
//!
//! It is driven by one writer: `handle(now, event)` changes state, `plan(now, policies)` places
//! tasks, both append effects; `next_deadline()` says when to call `plan` again at the latest. It
//! reads no clock, file, socket, environment or random source: equal events and equal policy
//! answers give equal effects. What it deliberately does not know: JSON, HTTP, SQL, WebAssembly.

// In reading order: what goes in and out, then the state, then what happens to it.
pub mod scheduler;
pub mod event;
pub mod effect;
pub mod record;
pub mod spec;
pub mod settings;
pub mod ids;
pub mod time;
pub mod resources;
pub mod policies;
pub mod columns;
pub mod explain;
pub mod basis;
pub mod critical_path;
pub mod graph;
pub mod run_times;
pub mod task_table;

mod task;
mod state;
mod worker;
mod history;
mod queue;
mod groups;
mod shares;
mod index;
mod scores;
mod timers;

mod submit;
mod attempt;
mod membership;
mod silence;
mod quarantine;
mod ranking;
mod placement;
mod reservation;
mod starvation;
mod reschedule;
mod forecast;
mod retry;
mod random;
mod recovery;
mod why;
mod invariants;

pub use effect::{Answer, Effect, Notice, Refusal, Start, Stop, StopReason};
pub use event::Event;
pub use ids::{AttemptRef, JobId, RequestId, TaskId, Term, WorkerId};
pub use policies::{CallError, Policies, Slot};
pub use record::Record;
pub use scheduler::{PlanReport, Scheduler};
pub use settings::Settings;
pub use silence::KILL_GRACE;
pub use time::Time;
