//! The table of all operations, a file per resource.

mod history;
mod host;
mod jobs;
mod policies;
mod queues;
mod tasks;
mod workers;

use super::operation::{Operation, Parameter, Shape, shape};
use super::query::{LIMIT_DEFAULT, LIMIT_MAX};
use pointsman_protocol::schema::{JobIdText, TaskIdText, WorkerIdText};
use schemars::{Schema, SchemaGenerator, json_schema};

/// All there are, resource by resource.
pub fn operations() -> Vec<(&'static str, Vec<Operation>)> {
    vec![
        ("jobs", jobs::operations()),
        ("tasks", tasks::operations()),
        ("workers", workers::operations()),
        ("queues", queues::operations()),
        ("policies", policies::operations()),
        ("history", history::operations()),
        ("host", host::operations()),
        ("worker protocol", workers::protocol()),
    ]
}

fn job_id() -> Parameter {
    Parameter::path("id", "A job.", shape::<JobIdText>)
}

fn task_id() -> Parameter {
    Parameter::path("id", "A task.", shape::<TaskIdText>)
}

fn worker_id() -> Parameter {
    Parameter::path("id", "A worker.", shape::<WorkerIdText>)
}

fn limit() -> Parameter {
    Parameter::query("limit", "Items at most.", |_| {
        json_schema!({
            "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT,
        })
    })
}

fn cursor(shape: Shape) -> Parameter {
    Parameter::query("cursor", "`next_cursor` of the page before; absent: the first page.", shape)
}

/// Any time with an offset from UTC, as [`pointsman_protocol::timestamp::Timestamp`] reads it.
fn moment(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string", "format": "date-time", "pattern": "^(197[1-9]|19[89][0-9]|2[0-4][0-9]{2})-",
        "examples": ["2026-10-25T02:30:00+01:00"],
    })
}

/// One of these words.
fn one_of(words: &[&str]) -> Schema {
    json_schema!({ "type": "string", "enum": words })
}

/// Bytes as they are.
fn bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "binary" })
}
