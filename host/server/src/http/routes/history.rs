//! What was measured and reported over time.

use super::super::history::{self, LIMIT_DEFAULT, LIMIT_MAX};
use super::super::operation::{Operation, Parameter, shape};
use super::{cursor, moment};
use pointsman_protocol::api::{FeedbackRow, MeasurementRow, Page};
use pointsman_protocol::schema::TaskIdText;
use schemars::{Schema, SchemaGenerator, json_schema};

pub fn operations() -> Vec<Operation> {
    vec![
        selected(Operation::get(
            "/v1/history/measurements",
            "listMeasurements",
            history::measurements,
        ))
        .says("What workers measured of themselves, oldest first")
        .json::<Page<MeasurementRow>>(200, "A page of measurements."),
        selected(Operation::get("/v1/history/feedback", "listFeedback", history::feedback))
            .says("What was reported of running tasks, oldest first")
            .takes(Parameter::query("task", "Only that of it.", shape::<TaskIdText>))
            .json::<Page<FeedbackRow>>(200, "A page of feedback."),
    ]
}

fn selected(operation: Operation) -> Operation {
    operation
        .takes(Parameter::query("worker", "Only that of workers of this name.", shape::<String>))
        .takes(Parameter::query("from", "None from before.", moment))
        .takes(Parameter::query("to", "None from then or later.", moment))
        .takes(Parameter::query("limit", "Items at most.", |_| {
            json_schema!({
                "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT,
            })
        }))
        .takes(cursor(place))
        .refuses(400, &["inverted_span"])
        .refuses(404, &["no_history"])
        .refuses(500, &["history_failed", "defect"])
}

fn place(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^(0|[1-9][0-9]{0,17})-(0|[1-9][0-9]{0,17})$" })
}
