//! Amounts as views show them: what was written, and what it means in base units.

use crate::quantity::{format_cpu, format_gpu, format_memory};
use pointsman_scheduler::resources::{Capacity, Free, FreeBound, Request};
use pointsman_scheduler::spec::TaskSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// Amounts in cores, bytes and devices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AmountsView {
    pub cpu: f64,
    pub memory: u64,
    pub gpu: f64,
}

/// JSON exactly as its author wrote it, apart from white space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    json: String,
}

impl Written {
    /// The resources of a task as submitted, or the defaults in the same form.
    pub fn resources(spec: &TaskSpec) -> Written {
        if !spec.resources_text.is_empty() {
            return Written { json: spec.resources_text.to_string() };
        }
        let Request { cpu_milli, memory, gpu_milli } = spec.request;
        let (cpu, memory, gpu) =
            (format_cpu(cpu_milli), format_memory(memory), format_gpu(gpu_milli));
        Written { json: format!(r#"{{"cpu":{cpu},"gpu":{gpu},"memory":"{memory}"}}"#) }
    }

    pub fn as_json(&self) -> &str {
        &self.json
    }
}

impl Serialize for Written {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.json).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl JsonSchema for Written {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        crate::schema::ResourcesSubmission::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        crate::schema::ResourcesSubmission::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Written, D::Error> {
        // By way of a value, since raw text cannot be read from within tagged events.
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Written { json: value.to_string() })
    }
}

impl fmt::Display for AmountsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu {}, memory {}", self.cpu, format_memory(self.memory))?;
        if self.gpu > 0.0 {
            write!(f, ", gpu {}", self.gpu)?;
        }
        Ok(())
    }
}

fn from_milli(milli: u64) -> f64 {
    milli as f64 / 1000.0
}

impl From<&Request> for AmountsView {
    fn from(request: &Request) -> AmountsView {
        AmountsView {
            cpu: from_milli(request.cpu_milli),
            memory: request.memory,
            gpu: from_milli(u64::from(request.gpu_milli)),
        }
    }
}

impl From<&Capacity> for AmountsView {
    fn from(capacity: &Capacity) -> AmountsView {
        AmountsView {
            cpu: from_milli(capacity.cpu_milli),
            memory: capacity.memory,
            gpu: f64::from(capacity.gpus),
        }
    }
}

impl From<&Free> for AmountsView {
    /// The free parts of all devices together.
    fn from(free: &Free) -> AmountsView {
        AmountsView {
            cpu: from_milli(free.cpu_milli),
            memory: free.memory,
            gpu: from_milli(free.gpu_milli.iter().map(|it| u64::from(*it)).sum()),
        }
    }
}

impl From<&FreeBound> for AmountsView {
    /// Whole devices, or where there is none the largest free part of one.
    fn from(bound: &FreeBound) -> AmountsView {
        let gpu_milli = match bound.gpus_whole {
            0 => u64::from(bound.gpu_part),
            whole => u64::from(whole) * 1000,
        };
        AmountsView {
            cpu: from_milli(bound.cpu_milli),
            memory: bound.memory,
            gpu: from_milli(gpu_milli),
        }
    }
}
