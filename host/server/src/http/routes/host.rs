//! The host as a whole.

use super::super::EVENTS_PATH;
use super::super::guard::Role;
use super::super::operation::{Answer, JSON, Operation, Parameter, shape};
use super::super::{metrics, openapi, panel, status, stream};
use super::{limit, one_of};
use pointsman_protocol::api::{BottlenecksView, ConfigView, Page, StatusView};
use pointsman_protocol::events::{PublicEvent, Snapshot};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::json;

const TEXT: &str = "text/plain; charset=utf-8";

pub fn operations() -> Vec<Operation> {
    vec![
        events(),
        Operation::get("/v1/activity", "showActivity", status::activity)
            .says("What changed lately apart from tasks, newest first")
            .takes(limit())
            .json::<Page<PublicEvent>>(200, "Events as they were, one page without a cursor."),
        Operation::get("/v1/bottlenecks", "showBottlenecks", status::bottlenecks)
            .says("Where work is held up")
            .json::<BottlenecksView>(200, "Busy workers, and stages that take long."),
        Operation::get("/v1/status", "showStatus", status::show)
            .says("The global table: which task is in which state on which worker")
            .takes(limit())
            .json::<StatusView>(200, "Counts, and rows up to the limit."),
        Operation::get("/v1/config", "showConfig", status::config)
            .says("The configuration in force")
            .json::<ConfigView>(200, "Every key with its value."),
        Operation::get("/v1/openapi.json", "showOpenApi", openapi::show)
            .says("This document")
            .json::<serde_json::Map<String, serde_json::Value>>(200, "OpenAPI 3.1."),
        Operation::get("/metrics", "showMetrics", metrics::show)
            .says("Figures for Prometheus")
            .answers(Answer::of(
                200,
                "In its text format.",
                (metrics::CONTENT_TYPE, shape::<String>),
            )),
        Operation::get("/", "showPanel", panel::index)
            .says("The panel, a page for browsers; its other files lie beside it")
            .role(Role::Nobody)
            .answers(Answer::of(200, "The page.", (panel::INDEX_TYPE, shape::<String>)))
            .nothing_new(),
        Operation::get("/healthz", "isAlive", status::healthz)
            .says("The process lives")
            .role(Role::Nobody)
            .answers(Answer::of(200, "It does.", (TEXT, shape::<String>))),
        Operation::get("/readyz", "isReady", status::readyz)
            .says("It takes work: its driver runs and its store can be written")
            .role(Role::Nobody)
            .answers(Answer::of(200, "It does.", (TEXT, shape::<String>)))
            .refuses(503, &["stopping", "store_unavailable"]),
    ]
}

fn events() -> Operation {
    let answer = Answer::of(
        200,
        "Server-sent events without end: a snapshot unless it is resumed, then numbered events.",
        ("text/event-stream", sent_event),
    );
    let socket = Answer::of(
        101,
        "A WebSocket: text messages, each a JSON array of events, of which the kind `snapshot` replaces all that was \
         told before; an empty array after some silence.",
        (JSON, shape::<()>),
    );
    Operation::get(EVENTS_PATH, "followEvents", stream::events)
        .says("What happens, as it happens")
        .takes(Parameter::query("after", "Resume after this number.", shape::<u64>))
        .takes(Parameter::header(
            "Last-Event-ID",
            "The same; it goes before.",
            |_| json_schema!({ "type": "string", "pattern": "^[0-9]{1,19}$" }),
        ))
        .takes(Parameter::header("Upgrade", "Asks for a WebSocket.", |_| one_of(&["websocket"])))
        .answers(answer)
        .answers(Answer { content: None, ..socket })
        .refuses(400, &["bad_upgrade"])
        .refuses(503, &["too_many_readers"])
}

/// One event of the stream.
fn sent_event(generator: &mut SchemaGenerator) -> Schema {
    let data = |schema: Schema| json!({ "type": "string", "contentMediaType": JSON, "contentSchema": schema });
    let snapshot = data(generator.subschema_for::<Snapshot>());
    let event = data(generator.subschema_for::<PublicEvent>());
    let id = json!({ "type": "string", "pattern": "^[0-9]+$" });
    json_schema!({
        "type": "object", "required": ["id", "data"],
        "oneOf": [
            {
                "properties": { "event": { "const": "snapshot" }, "id": id, "data": snapshot },
                "required": ["event"],
            },
            { "properties": { "event": { "const": "message" }, "id": id, "data": event } },
        ],
    })
}
