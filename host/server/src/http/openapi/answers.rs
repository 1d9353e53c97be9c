//! What an operation answers, by status.

use super::super::operation::{Answer, Operation, shape};
use super::schemas::Schemas;
use pointsman_protocol::problem::{self, Problem};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub fn answers(operation: &Operation, schemas: &mut Schemas) -> Value {
    let mut answers = Map::new();
    for answer in &operation.answers {
        answers.insert(answer.status.to_string(), success(answer, schemas));
    }
    for (status, codes) in &operation.refusals {
        answers.insert(status.to_string(), refusal(*status, codes, schemas));
    }
    Value::Object(answers)
}

fn success(answer: &Answer, schemas: &mut Schemas) -> Value {
    let mut described = json!({ "description": answer.text });
    if let Some((media, shape)) = answer.content {
        described["content"] = json!({ media: { "schema": schemas.answered(shape) } });
    }
    for header in &answer.headers {
        described["headers"][header.name] = json!({
            "description": header.text, "required": header.required,
            "schema": schemas.answered(header.shape),
        });
    }
    described
}

/// A problem with one of these codes.
fn refusal(status: u16, codes: &BTreeSet<&'static str>, schemas: &mut Schemas) -> Value {
    let codes: Vec<&str> = codes.iter().copied().collect();
    let schema = json!({
        "allOf": [
            schemas.answered(shape::<Problem>),
            { "properties": { "status": { "const": status }, "code": { "enum": codes } } },
        ],
    });
    let mut described = json!({
        "description": codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", "),
        "content": { problem::CONTENT_TYPE: { "schema": schema } },
    });
    if status == 401 {
        described["headers"]["WWW-Authenticate"] =
            json!({ "required": true, "schema": { "const": "Bearer" } });
    }
    if matches!(status, 429 | 503 | 507) {
        let text = "Seconds after which it may be tried again.";
        described["headers"]["Retry-After"] =
            json!({ "description": text, "schema": { "type": "integer", "minimum": 0 } });
    }
    described
}
