//! What a policy may ask of the host; there is nothing else. Natively, in tests, lines go to
//! standard error and gauges nowhere.

mod native;

pub use native::{Recorded, recorded, with_assets};

use std::sync::OnceLock;

/// How loud a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// What columns name by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The column `queue`.
    Queue,
    /// The column `tenant`.
    Tenant,
    /// Columns made of labels.
    Label,
}

/// Writes a line to the host's log, with the policy's name. The host cuts lines at 1,000 characters
/// and keeps at most 20 a second.
pub fn log(level: Level, message: &str) {
    match CALLS.get() {
        Some(calls) => (calls.log)(level, message),
        None if cfg!(target_arch = "wasm32") => {}
        None => native::log(level, message),
    }
}

/// Shows a number of the policy's own in its metrics. The host drops what is not finite.
pub fn gauge(name: &str, value: f64) {
    match CALLS.get() {
        Some(calls) => (calls.gauge)(name, value),
        None if cfg!(target_arch = "wasm32") => {}
        None => native::gauge(name, value),
    }
}

/// The number by which a column names `value`. Only for use in `new`, where the answer is to be
/// kept: later the host answers −1.
pub fn intern(table: Table, value: &str) -> f64 {
    let name = match table {
        Table::Queue => "queue",
        Table::Tenant => "tenant",
        Table::Label => "label",
    };
    CALLS.get().map_or_else(|| native::number(value), |calls| (calls.intern)(name, value))
}

/// The bytes of a file that the operator put beside the policy: in the drop-in folder, the folder with
/// the policy's file name without `.wasm` holds them. Only for use in `new`. Natively, in tests, the
/// files are those of [`testing::with_assets`](crate::testing::with_assets).
///
/// # Errors
/// There is no such file; says which there are.
pub fn asset(name: &str) -> Result<Vec<u8>, String> {
    CALLS.get().map_or_else(|| native::asset(name), |calls| (calls.asset)(name))
}

/// The imports of the component that this code is part of.
#[doc(hidden)]
#[derive(Debug)]
pub struct Calls {
    pub log: fn(Level, &str),
    pub gauge: fn(&str, f64),
    pub intern: fn(&str, &str) -> f64,
    pub asset: fn(&str) -> Result<Vec<u8>, String>,
}

static CALLS: OnceLock<&'static Calls> = OnceLock::new();

/// Makes the imports known, and sends the message of a panic to the log before the trap.
#[doc(hidden)]
pub fn connect(calls: &'static Calls) {
    if CALLS.set(calls).is_ok() {
        std::panic::set_hook(Box::new(|info| log(Level::Error, &info.to_string())));
    }
}
