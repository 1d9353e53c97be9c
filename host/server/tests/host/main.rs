//! The host over real HTTP, on a store in memory that fails or waits when it is told to.

mod site;
mod gate;
mod durability;
mod api;
mod events;
mod history;
mod forecasts;
mod logs;
mod workers;
mod control;
mod configuration;
mod model;
mod bodies;
mod repeats;
mod backpressure;
