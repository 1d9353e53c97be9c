//! What is submitted, as the readers in [`crate::submission`] take it. How tasks relate to each other
//! (names given twice, unknown dependencies, cycles) no schema can say.

use super::schema;
use super::text::{DurationText, LabelsText, MemoryText, NameText};
use crate::quantity::{CPU_MAX, GPU_MAX};
use crate::submission::{
    DEPENDENCIES_MAX, ENV_MAX, ENV_VALUE_BYTES_MAX, RETRIES_MAX, SCRIPT_BYTES_MAX, TASKS_MAX,
    WORKDIR_BYTES_MAX,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

schema! {
    /// A body of a submission.
    Submission as "Submission": generator => json_schema!({
        "description": "A job whole, a bare list of its tasks, or one task for the job `default`, which is always \
            open.",
        "anyOf": [
            generator.subschema_for::<JobSubmission>(),
            tasks(generator),
            generator.subschema_for::<TaskSubmission>(),
        ],
    })
}

schema! {
    /// A job with its tasks.
    JobSubmission as "JobSubmission": generator => json_schema!({
        "type": "object", "required": ["tasks"], "additionalProperties": false,
        "properties": {
            "name": described::<NameText>(generator, "Absent: the job is called like its first task."),
            "tasks": tasks(generator),
        },
    })
}

schema! {
    /// One task.
    TaskSubmission as "TaskSubmission": generator => json_schema!({
        "type": "object", "required": ["task_name", "script"], "additionalProperties": false,
        "properties": task_keys(generator),
    })
}

schema! {
    /// What a task asks for.
    ResourcesSubmission as "ResourcesSubmission": generator => json_schema!({
        "type": "object", "additionalProperties": false,
        "properties": resource_keys(generator),
        "not": nothing_at_all(),
        "description": "What is left out takes its default.",
    })
}

fn tasks(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "minItems": 1, "maxItems": TASKS_MAX,
        "items": generator.subschema_for::<TaskSubmission>(),
    })
}

fn described<T: JsonSchema>(generator: &mut SchemaGenerator, text: &str) -> Schema {
    let mut schema = generator.subschema_for::<T>();
    schema.insert("description".to_owned(), text.into());
    schema
}

fn task_keys(generator: &mut SchemaGenerator) -> serde_json::Value {
    serde_json::json!({
        "task_name": generator.subschema_for::<NameText>(),
        "script": {
            "type": "string", "minLength": 1, "maxLength": SCRIPT_BYTES_MAX, "pattern": r"^[^\u0000]+$",
            "description": "What `/bin/sh` runs: up to 1 MiB in UTF-8.",
        },
        "resources": generator.subschema_for::<ResourcesSubmission>(),
        "dependencies": {
            "type": "array", "maxItems": DEPENDENCIES_MAX, "items": generator.subschema_for::<NameText>(),
            "description": "Names of tasks of the same job that have to succeed before.",
        },
        "queue": described::<NameText>(generator, "A queue of the configuration; absent: `default`."),
        "tenant": described::<NameText>(generator, "On whose account; absent: `default`."),
        "priority": {
            "type": "integer", "format": "int32", "default": 0, "description": "Higher is more urgent.",
        },
        "timeout": described::<DurationText>(generator, "Of one attempt, from process start; absent: none."),
        "max_retries": retries("Attempts after one that failed; absent: as configured."),
        "max_worker_losses": retries("Losses of its worker that are survived; absent: as configured."),
        "expected": described::<DurationText>(generator, "How long it is expected to run."),
        "labels": generator.subschema_for::<LabelsText>(),
        "requires": described::<LabelsText>(generator, "Labels that a worker must have."),
        "env": environment(),
        "workdir": {
            "type": "string", "maxLength": WORKDIR_BYTES_MAX, "pattern": r"^/[^\u0000-\u001f\u007f-\u009f]*$",
            "description": "An absolute path on the worker, up to 4000 bytes; absent: a fresh folder.",
        },
        "on_disconnect": {
            "enum": ["keep", "stop"], "default": "keep",
            "description": "What its worker does with it while the host is out of reach.",
        },
        "job": { "const": "default", "description": "The job that takes single tasks." },
    })
}

fn retries(text: &str) -> Schema {
    json_schema!({ "type": "integer", "minimum": 0, "maximum": RETRIES_MAX, "description": text })
}

fn environment() -> Schema {
    json_schema!({
        "type": "object", "maxProperties": ENV_MAX,
        "propertyNames": { "pattern": "^(?!POINTSMAN_)[A-Za-z_][A-Za-z0-9_]*$" },
        "additionalProperties": {
            "type": "string", "maxLength": ENV_VALUE_BYTES_MAX, "pattern": r"^[^\u0000]*$",
        },
        "description": "Variables of the environment, altogether up to 1,000,000 bytes.",
    })
}

fn resource_keys(generator: &mut SchemaGenerator) -> serde_json::Value {
    serde_json::json!({
        "cpu": {
            "type": "number", "minimum": 0, "maximum": CPU_MAX, "multipleOf": 0.001, "default": 1,
            "description": "Cores, in steps of 0.001.",
        },
        "memory": described::<MemoryText>(generator, "Absent: 100MB."),
        "gpu": {
            "anyOf": [
                { "type": "number", "minimum": 0, "maximum": 1, "multipleOf": 0.001 },
                { "type": "integer", "minimum": 0, "maximum": GPU_MAX },
            ],
            "default": 0,
            "description": "Whole devices, or a share of one in steps of 0.001.",
        },
    })
}

fn nothing_at_all() -> Schema {
    json_schema!({
        "required": ["cpu", "memory"],
        "properties": {
            "cpu": { "const": 0 },
            "memory": { "anyOf": [{ "const": 0 }, { "type": "string", "pattern": "^[^1-9]*$" }] },
            "gpu": { "const": 0 },
        },
    })
}
