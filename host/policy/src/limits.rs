//! What a policy may use up. Set before every entry into a guest, instantiation included.

use std::time::Duration;

/// How the length of a call is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metering {
    /// CPU time of the calling thread, so that a busy machine does not fail healthy policies; with
    /// a backstop of [`WALL_FACTOR`] times as much wall time. Accurate to about a millisecond.
    CpuTime { call: Duration, configure: Duration },
    /// Instructions, roughly; reads no clock, so equal calls give equal outcomes anywhere.
    Fuel { call: u64, configure: u64 },
}

/// Wall time may be this many times the CPU limit.
pub const WALL_FACTOR: u32 = 20;

/// The limits of one slot's policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub metering: Metering,
    /// Bytes of linear memory, all memories together.
    pub memory: usize,
    /// Elements of all tables together.
    pub table_elements: usize,
    /// Bytes that one answer or one call of a host function may make the host allocate.
    pub answer_bytes: usize,
    /// Calls that one instance serves before it is replaced.
    pub instance_calls: u32,
    /// Age at which an instance is replaced, at the start of a round; None: never for its age.
    pub instance_age: Option<Duration>,
    /// Time of one slot's policy per planning round; further calls of that round are answered
    /// `Held`. None: no bound.
    pub round: Option<Duration>,
}

const MIB: usize = 1 << 20;

impl Limits {
    /// For guests compiled to WebAssembly, such as Rust, C or Go.
    pub fn compiled() -> Limits {
        Limits {
            metering: Metering::CpuTime {
                call: Duration::from_millis(5),
                configure: Duration::from_secs(2),
            },
            memory: 16 * MIB,
            table_elements: 100_000,
            answer_bytes: 4 * MIB,
            instance_calls: 1_000,
            instance_age: Some(Duration::from_secs(1)),
            round: Some(Duration::from_millis(20)),
        }
    }

    /// For guests that carry an interpreter, such as Python or JavaScript.
    pub fn interpreted() -> Limits {
        Limits {
            metering: Metering::CpuTime {
                call: Duration::from_millis(50),
                configure: Duration::from_secs(2),
            },
            memory: 128 * MIB,
            instance_calls: 100_000,
            instance_age: None,
            round: Some(Duration::from_millis(60)),
            ..Limits::compiled()
        }
    }

    /// For simulation and replay: no clock is read.
    pub fn fuel() -> Limits {
        Limits {
            metering: Metering::Fuel { call: 200_000_000, configure: 4_000_000_000 },
            memory: 128 * MIB,
            instance_age: None,
            round: None,
            ..Limits::compiled()
        }
    }

    /// For calls that no placement waits for: ten times as long.
    pub(crate) fn beside_dispatch(self) -> Limits {
        const TIMES: u32 = 10;
        let metering = match self.metering {
            Metering::CpuTime { call, configure } => {
                Metering::CpuTime { call: call * TIMES, configure }
            }
            Metering::Fuel { call, configure } => {
                Metering::Fuel { call: call.saturating_mul(u64::from(TIMES)), configure }
            }
        };
        Limits { metering, round: None, ..self }
    }

    pub(crate) fn reads_clock(&self) -> bool {
        matches!(self.metering, Metering::CpuTime { .. })
    }
}
