//! Policies: what serves each slot, what could, and what was refused.

use super::state::WireSlot;
use crate::timestamp::Timestamp;
use pointsman_scheduler::record::PolicyStamp;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoliciesView {
    /// One per slot that is served.
    pub slots: Vec<PolicyView>,
    /// Admitted or known, but not serving.
    pub available: Vec<AvailablePolicy>,
    /// The last refusals, newest first.
    pub refused: Vec<RefusedPolicy>,
}

/// The policy that serves a slot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyView {
    pub slot: WireSlot,
    pub name: String,
    #[serde(default)]
    pub version: String,
    /// Counted over the host's life.
    pub generation: u32,
    /// Of its SHA-256, in hexadecimal digits; `native` for a policy that is part of the host.
    pub digest: String,
    /// Like `active`, `fallback` or `held`.
    pub state: String,
    pub calls: u64,
    pub failures: u64,
    /// Microseconds per call; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<f64>,
    /// When it began to serve.
    pub since: Timestamp,
    /// Where it came from: a file, `standard`, `native`.
    pub source: String,
    /// What is wrong, if something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AvailablePolicy {
    pub name: String,
    #[serde(default)]
    pub version: String,
    pub slot: WireSlot,
    pub digest: String,
    pub source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedPolicy {
    pub file: String,
    /// Where admission stopped, like `interface`, `compile` or `probe`.
    pub stage: String,
    pub digest: String,
    pub reason: String,
    pub at: Timestamp,
}

/// Names one loading of a policy, in decisions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
