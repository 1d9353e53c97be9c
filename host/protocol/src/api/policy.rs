//! Policies: what serves each slot, what could, and what was refused.

use super::state::WireSlot;
use crate::timestamp::Timestamp;
use pointsman_scheduler::record::PolicyStamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoliciesView {
    /// One per slot that is served.
    pub slots: Vec<PolicyView>,
    /// Admitted or known, but not serving.
    pub available: Vec<AvailablePolicy>,
    /// The last refusals, newest first.
    pub refused: Vec<RefusedPolicy>,
    /// What began to serve since the host was started, newest first: the last 100 swaps.
    #[serde(default)]
    pub history: Vec<SwapView>,
    /// The candidate that is being compiled and tried, if one is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looking_at: Option<LookedAtPolicy>,
    /// What is wrong with the policies folder, if something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A candidate of which nothing is decided yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LookedAtPolicy {
    pub name: String,
    /// Absent: a file that no slot asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<WireSlot>,
    pub since: Timestamp,
}

/// What a policy's file says of where it comes from. Claims: nobody has checked them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProvenanceView {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authors: Option<String>,
    /// An SPDX expression, like `Apache-2.0 OR MIT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Where the source code is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Languages and tools, like `rustc 1.95.0`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub made_with: Vec<String>,
}

/// The policy that serves a slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyView {
    pub slot: WireSlot,
    pub name: String,
    #[serde(default)]
    pub version: String,
    /// Counted over the host's life.
    pub generation: u32,
    /// Of its SHA-256, in hexadecimal digits; `native` for a policy that is part of the host.
    pub digest: String,
    /// Of the files beside it, such as weights, all together; absent: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<String>,
    /// `serving`, `fallback` or `held`.
    pub state: String,
    pub calls: u64,
    pub failures: u64,
    /// How many of them were of which kind, like `trap`, `cpu_limit` or `out_of_range`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failures_by_kind: BTreeMap<String, u64>,
    /// Log lines beyond what a policy may write, dropped.
    #[serde(default)]
    pub lines_dropped: u64,
    /// Numbers that the policy shows of itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gauges: BTreeMap<String, f64>,
    /// Microseconds per call; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
    /// When it began to serve.
    pub since: Timestamp,
    /// Where it came from: a file, `standard`, `native`, `uploaded`.
    pub source: String,
    /// What the configuration binds to the slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// What was chosen by hand instead; until the slot's configuration changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// Contents refused for this slot since the host was started.
    #[serde(default)]
    pub refusals: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Box<ProvenanceView>>,
    /// What is wrong, if something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of the slot `forecasting`, while a policy serves it: how its forecasts turned out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecasts: Option<Box<ForecastsView>>,
    /// The last failure in this slot, be it of this policy or of one that served before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailedPolicy>,
}

/// How the forecasts of the policy in force turned out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForecastsView {
    /// How far ahead of the newest sample it looks.
    pub horizon_ms: u64,
    /// How often it is asked.
    pub interval_ms: u64,
    /// When it answered last; absent: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Timestamp>,
    /// Of how many workers it foretold something then.
    pub workers: u64,
    /// How long that took.
    pub took_us: f64,
    pub columns: Vec<ForecastColumnView>,
}

/// The forecasts of one column that were compared with what was measured when their time had come. Errors
/// are means of absolute errors over the latest of them, in the unit of the column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForecastColumnView {
    /// Like `predicted:cpu-used`.
    pub column: String,
    /// False: policies that need the column do not serve meanwhile.
    pub fit: bool,
    /// How many are compared; fewer than 30 are not judged by.
    pub compared: u64,
    pub error: f64,
    /// That of the newest sample, taken for a forecast.
    pub persistence_error: f64,
    /// That of the value of a day before; absent: there are too few.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seasonal_error: Option<f64>,
    /// The error by that of the better of both: unfit above 1.1, fit again below 1; absent: not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

/// A policy began to serve a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SwapView {
    pub slot: WireSlot,
    pub at: Timestamp,
    pub name: String,
    pub version: String,
    pub generation: u32,
    /// As in [`PolicyView`].
    pub digest: String,
    pub source: String,
    /// `configured`, `chosen` (by hand) or `fallback` (the one before failed).
    pub cause: String,
}

/// A policy that failed in service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedPolicy {
    pub name: String,
    pub version: String,
    pub generation: u32,
    /// As in [`PolicyView`].
    pub digest: String,
    /// `start` (while an instance was made) or `call`.
    pub stage: String,
    /// As in `failures_by_kind`.
    pub kind: String,
    /// What happened and what the host did.
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AvailablePolicy {
    pub name: String,
    #[serde(default)]
    pub version: String,
    pub slot: WireSlot,
    pub digest: String,
    pub source: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Box<ProvenanceView>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedPolicy {
    pub file: String,
    /// Where admission stopped, like `interface`, `compile` or `probe`.
    pub stage: String,
    pub digest: String,
    pub reason: String,
    pub at: Timestamp,
}

/// Names one loading of a policy, in decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StampView {
    pub generation: u32,
    /// The first 16 hexadecimal digits of its SHA-256, or `native`.
    pub digest: Cow<'static, str>,
}

impl From<PolicyStamp> for StampView {
    fn from(stamp: PolicyStamp) -> StampView {
        let digest = match stamp.digest {
            0 => Cow::Borrowed("native"),
            digest => Cow::Owned(format!("{digest:016x}")),
        };
        StampView { generation: stamp.generation, digest }
    }
}
