//! Policies as the host meets them: real guests, real files, hostile ones included.

mod guests;

mod admission;
mod conformance;
mod fixed;
mod ladder;
mod imports;
mod library;
mod standard;
