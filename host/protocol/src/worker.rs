//! What worker and host say to each other.
//!
//! - `POST /v1/workers` with [`RegisterRequest`], answered by [`RegisterResponse`].
//! - `POST /v1/workers/{id}/sync` with [`SyncRequest`], answered at once by [`SyncResponse`].
//! - `GET /v1/workers/{id}/commands?after=N&life=L`, held for at most one interval, answered by
//!   [`CommandsResponse`]. Commands are repeated until acknowledged.
//! - `POST /v1/workers/{id}/log?task=&attempt=&term=&stream=&offset=` with raw bytes as body, of type
//!   [`LOG_CONTENT_TYPE`] and at most [`LOG_CHUNK_MAX`] bytes; `&truncated=true` with the piece that
//!   follows a part which was not kept.
//!
//! Unknown keys are ignored, so that host and workers of neighbouring versions understand each
//! other; [`PROTOCOL_VERSION`] changes when they do not.

mod conversions;

pub(crate) use conversions::millis;

use crate::quantity::{CPU_MAX, GPU_MAX, MEMORY_MAX};
use crate::schema::{LabelsText, NameText};
use crate::text;
use pointsman_scheduler::ids::{JobId, WorkerId};
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Sent at registration; the host refuses another one.
pub const PROTOCOL_VERSION: u32 = 1;

pub const LOG_CONTENT_TYPE: &str = "application/octet-stream";

/// Bytes in one upload of log at most.
pub const LOG_CHUNK_MAX: usize = 256 * 1024;

/// Characters of a phase or of a message why a start failed; the rest is cut off.
const FREE_TEXT_MAX: usize = 200;

/// An attempt as `[task, attempt, term]`: it is in every report, tens of thousands a second.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct WireAttempt(pub u64, pub u32, pub u64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegisterRequest {
    #[schemars(extend("const" = PROTOCOL_VERSION))]
    pub protocol: u32,
    #[schemars(with = "NameText")]
    pub name: String,
    /// The identity token in hexadecimal digits; the host keeps only its hash.
    pub token: String,
    /// Random number of this process's life: equal at a reconnect, new after a restart.
    pub life: u64,
    /// Counted up over this life; one that arrives after a later one is refused.
    pub n: u64,
    pub capacity: WireCapacity,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "LabelsText")]
    pub labels: BTreeMap<String, String>,
    /// What it runs or holds unstarted now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<WireHeld>,
    /// Results not yet acknowledged, also those of an earlier life.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finished: Vec<WireFinished>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = some_capacity)]
pub struct WireCapacity {
    /// Thousandths of a core.
    #[schemars(range(max = CPU_MAX * 1000))]
    pub cpu_milli: u64,
    /// Bytes.
    #[schemars(range(max = MEMORY_MAX))]
    pub memory: u64,
    /// Number of devices.
    #[serde(default)]
    #[schemars(range(max = GPU_MAX))]
    pub gpus: u16,
}

/// A worker that offers nothing at all is refused.
fn some_capacity(schema: &mut Schema) {
    let zero = serde_json::json!({ "const": 0 });
    let all = serde_json::json!({ "cpu_milli": zero, "memory": zero, "gpus": zero });
    schema.insert("not".to_owned(), serde_json::json!({ "properties": all }));
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WireHeld {
    pub attempt: WireAttempt,
    pub running: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WireFinished {
    pub attempt: WireAttempt,
    /// Absent: it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<WireFailure>,
    /// From process start to end; absent if no process started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran_ms: Option<u64>,
}

/// Why an attempt failed: a closed set, like `{"kind":"exit_code","code":1}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WireFailure {
    ExitCode {
        code: i32,
    },
    Signal {
        /// The signal's number.
        code: i32,
    },
    Timeout,
    OutOfMemory,
    WorkerLost,
    StartFailed {
        message: String,
    },
    Migrated,
    Preempted,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegisterResponse {
    /// Like `w3`; part of the paths of the other requests.
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::WorkerIdText")]
    pub worker: WorkerId,
    /// Commands of a lower term are to be refused from now on.
    pub term: u64,
    pub intervals: Intervals,
    /// Attempts to end and forget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<WireAttempt>,
}

/// The times the worker keeps; they change when the host's configuration is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intervals {
    /// Between two regular syncs.
    pub interval_ms: u64,
    /// Without an acknowledged sync for this long, counted from sending it, the lease has ended.
    pub lease_ms: u64,
    /// From TERM to KILL.
    pub kill_grace_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SyncRequest {
    /// Counted up over this life; a repeated one changes nothing more.
    pub seq: u64,
    pub life: u64,
    /// The last command that was taken; the host forgets all up to it.
    #[serde(default)]
    pub acked_command: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measurements: Option<WireMeasurements>,
    /// In words, whether it keeps tasks within the resources they asked for, by what, or why not;
    /// comes with the measurements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<String>,
    /// Attempts whose process started since the last acknowledged sync.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub started: Vec<WireAttempt>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finished: Vec<WireFinished>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feedback: Vec<WireFeedback>,
}

/// What a worker measures of itself. Fractions are in [0, 1]; absent: not known on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WireMeasurements {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_used: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops_used: Option<f64>,
    /// Round-trip time of the last sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Open TCP connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
}

/// What a running task reports of itself or its worker measures of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WireFeedback {
    pub attempt: WireAttempt,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// In [0, 1].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// Since process start.
    pub duration_ms: u64,
    /// Cores in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_usage: Option<f64>,
    /// Megabytes (10^6 bytes) resident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncResponse {
    /// The sync that is acknowledged: what it reported need not be repeated.
    pub seq: u64,
    pub term: u64,
    pub intervals: Intervals,
    /// Attempts to end and forget.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<WireAttempt>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandsResponse {
    pub term: u64,
    /// In ascending order of `n`.
    pub commands: Vec<Command>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// Counted up per worker and life of the host.
    pub n: u64,
    #[serde(rename = "do")]
    pub action: CommandAction,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandAction {
    Start(Box<StartCommand>),
    Stop(StopCommand),
}

/// Run this attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StartCommand {
    pub attempt: WireAttempt,
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::JobIdText")]
    pub job: JobId,
    /// The task's name.
    pub name: String,
    pub script: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// From process start; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "WireOnDisconnect::is_default")]
    pub on_disconnect: WireOnDisconnect,
    /// Indexes of the devices it may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<u16>,
    /// What it asked for, in thousandths of a core and bytes.
    pub cpu_milli: u64,
    pub memory: u64,
    /// Of the attempt's span, for the script (W3C Trace Context).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WireOnDisconnect {
    #[default]
    Keep,
    Stop,
}

/// End this attempt: TERM, then KILL, and report how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StopCommand {
    pub attempt: WireAttempt,
    pub why: WireStopReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WireStopReason {
    Cancelled,
    Migrated,
    Preempted,
    /// The attempt does not count any more; its report would change nothing.
    Stale,
}
