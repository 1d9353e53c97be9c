//! Policies as the host meets them: real guests, real files, hostile ones included.

mod guests;

mod admission;
mod conformance;
mod fixed;
mod forecasting;
mod assets;
mod ladder;
mod imports;
mod library;
mod orders;
mod files;
mod standard;
mod hostile_calls;
mod hostile_load;
mod hostile_service;
