//! The wire types: what clients submit and read, what workers and host say to each other, and the
//! public events. JSON is read and written here and nowhere in the core; every conversion to and
//! from the core's types is a function one can read. What this crate does not know: HTTP routing,
//! state, relations between tasks (the core's graph checks those).

pub mod submission;
pub mod api;
pub mod events;
pub mod problem;
pub mod worker;

pub mod duration;
pub mod field;
pub mod labels;
pub mod name;
pub mod quantity;
pub mod schema;
pub mod setting;
pub mod text;
pub mod timestamp;
pub mod traceparent;

mod decimal;
mod json;
mod value;
