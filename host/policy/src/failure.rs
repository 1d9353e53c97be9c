//! How a policy fails: a closed set, each with a stable name and a message for people.

use crate::clock::Overrun;
use crate::guest::Guest;
use wasmtime::{Store, Trap, WasmBacktrace};

/// Why a policy gave no usable answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// It could not be instantiated.
    Start,
    /// `configure` answered an error.
    Configure,
    /// `configure` answered otherwise than the first time.
    ManifestChanged,
    Trap,
    CpuLimit,
    WallLimit,
    FuelLimit,
    MemoryLimit,
    /// The answer would take too much of the host's memory.
    AnswerTooLarge,
    /// It answered an error of its own.
    Error,
    WrongLength,
    NotANumber,
    OutOfRange,
    UnknownRow,
}

impl FailureKind {
    pub const ALL: [FailureKind; 14] = [
        FailureKind::Start,
        FailureKind::Configure,
        FailureKind::ManifestChanged,
        FailureKind::Trap,
        FailureKind::CpuLimit,
        FailureKind::WallLimit,
        FailureKind::FuelLimit,
        FailureKind::MemoryLimit,
        FailureKind::AnswerTooLarge,
        FailureKind::Error,
        FailureKind::WrongLength,
        FailureKind::NotANumber,
        FailureKind::OutOfRange,
        FailureKind::UnknownRow,
    ];

    /// Where a policy in service failed: while an instance was made, or while it was asked.
    pub fn stage(self) -> &'static str {
        match self {
            FailureKind::Start | FailureKind::Configure | FailureKind::ManifestChanged => "start",
            FailureKind::Trap
            | FailureKind::CpuLimit
            | FailureKind::WallLimit
            | FailureKind::FuelLimit
            | FailureKind::MemoryLimit
            | FailureKind::AnswerTooLarge
            | FailureKind::Error
            | FailureKind::WrongLength
            | FailureKind::NotANumber
            | FailureKind::OutOfRange
            | FailureKind::UnknownRow => "call",
        }
    }

    /// The stable code kept in events and shown in metrics.
    pub fn code(self) -> &'static str {
        match self {
            FailureKind::Start => "start",
            FailureKind::Configure => "configure",
            FailureKind::ManifestChanged => "manifest_changed",
            FailureKind::Trap => "trap",
            FailureKind::CpuLimit => "cpu_limit",
            FailureKind::WallLimit => "wall_limit",
            FailureKind::FuelLimit => "fuel_limit",
            FailureKind::MemoryLimit => "memory_limit",
            FailureKind::AnswerTooLarge => "answer_too_large",
            FailureKind::Error => "error",
            FailureKind::WrongLength => "wrong_length",
            FailureKind::NotANumber => "not_a_number",
            FailureKind::OutOfRange => "out_of_range",
            FailureKind::UnknownRow => "unknown_row",
        }
    }

    /// Whether it speaks against the policy; slow by the wall alone may be the machine's fault.
    pub(crate) fn counts_against_policy(self) -> bool {
        self != FailureKind::WallLimit
    }
}

/// One failure of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: FailureKind,
    pub message: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Failure {
        Failure { kind, message: message.into() }
    }

    /// What wasmtime reports of a call into `function`.
    pub(crate) fn of_call(
        function: &str,
        error: &wasmtime::Error,
        store: &Store<Guest>,
    ) -> Failure {
        let guest = store.data();
        if let Some(overrun) = guest.clock.overrun() {
            return match overrun {
                Overrun::Cpu(limit) => Failure::new(
                    FailureKind::CpuLimit,
                    format!("{function} ran longer than {} ms of CPU time", limit.as_millis()),
                ),
                Overrun::Wall(limit) => Failure::new(
                    FailureKind::WallLimit,
                    format!("{function} did not end within {} ms", limit.as_millis()),
                ),
            };
        }
        if let Some(growth) = &guest.refused_growth {
            return Failure::new(
                FailureKind::MemoryLimit,
                format!("{function} asked for {growth}, more than its limit"),
            );
        }
        let Some(trap) = error.downcast_ref::<Trap>() else {
            return Failure::of_host_error(function, error);
        };
        let place = error
            .downcast_ref::<WasmBacktrace>()
            .and_then(|trace| trace.frames().first()?.func_name().map(|name| format!(" in {name}")))
            .unwrap_or_default();
        if *trap == Trap::OutOfFuel {
            let message = format!("{function} used up its fuel{place}");
            return Failure::new(FailureKind::FuelLimit, message);
        }
        let message = match &guest.last_error {
            Some(said) => format!("{function} trapped: {said}"),
            None => {
                let trap = trap.to_string();
                format!("{function} trapped: {}{place}", trap.trim_start_matches("wasm trap: "))
            }
        };
        Failure::new(FailureKind::Trap, message)
    }

    fn of_host_error(function: &str, error: &wasmtime::Error) -> Failure {
        let text = format!("{error:#}");
        let is_too_large = text.contains("fuel allocated for hostcalls");
        let kind = if is_too_large { FailureKind::AnswerTooLarge } else { FailureKind::Trap };
        let message = if is_too_large {
            format!("{function} answered more than the host takes")
        } else {
            format!("{function} failed: {text}")
        };
        Failure::new(kind, message)
    }
}
