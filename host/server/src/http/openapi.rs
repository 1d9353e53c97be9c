//! The API described by itself: an OpenAPI 3.1 document, made of the table in [`super::routes`] and of
//! the schemas that the wire types derive. Made once, when it is asked for first.

mod answers;
mod schemas;

use super::guard::Role;
use super::operation::{Body, Operation, Parameter, Place};
use super::query::NoQuery;
use super::routes;
use answers::answers;
use axum::http::header;
use axum::response::IntoResponse;
use schemas::Schemas;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// Serves the document.
pub async fn show(_: NoQuery) -> impl IntoResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string());
    ([(header::CONTENT_TYPE, super::operation::JSON)], text.as_str())
}

const ABOUT: &str = "\
A task scheduler whose policies change while it runs.

Errors are `application/problem+json`; programs tell them apart by `code`. Lists come in pages: `next_cursor` is the \
parameter `cursor` of the next request, and the last page has none. Unknown parameters are refused. What changes \
something is durable before it is answered.

A host with tokens takes them as `Authorization: Bearer TOKEN`, with the role that an operation names: `admin` includes \
`submit`, `submit` includes `read`, and `worker` stands apart. A host on loopback without tokens asks for none.";

/// The whole of it.
pub fn document() -> Value {
    let mut schemas = Schemas::default();
    let mut paths: Map<String, Value> = Map::new();
    let mut tags = Vec::new();
    for (tag, operations) in routes::operations() {
        tags.push(json!({ "name": tag }));
        for operation in operations {
            let described = described(&operation, tag, &mut schemas);
            let path = paths.entry(operation.path).or_insert_with(|| json!({}));
            path[operation.method.as_str().to_ascii_lowercase()] = described;
        }
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pointsman", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "The token of a role." },
            },
        },
    });
    schemas.finish(&mut document);
    document
}

fn described(operation: &Operation, tag: &str, schemas: &mut Schemas) -> Value {
    let parameters: Vec<Value> =
        operation.parameters.iter().map(|it| parameter(it, schemas)).collect();
    let security = match role_name(operation.role) {
        Some(role) => json!([{ "token": [role] }]),
        None => json!([]),
    };
    let mut described = json!({
        "operationId": operation.id, "summary": operation.summary, "tags": [tag],
        "security": security, "parameters": parameters,
        "responses": answers(operation, schemas),
    });
    if !operation.details.is_empty() {
        described["description"] = operation.details.into();
    }
    if let Some(body) = &operation.body {
        described["requestBody"] = request_body(body, schemas);
    }
    described
}

fn parameter(it: &Parameter, schemas: &mut Schemas) -> Value {
    let place = match it.place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    };
    json!({
        "name": it.name, "in": place, "required": it.required, "description": it.text,
        "schema": schemas.taken(it.shape),
    })
}

fn request_body(body: &Body, schemas: &mut Schemas) -> Value {
    let contents = body.contents.iter();
    let content: Map<String, Value> = contents
        .map(|(media, shape)| ((*media).to_owned(), json!({ "schema": schemas.taken(*shape) })))
        .collect();
    json!({ "required": true, "description": body.text, "content": content })
}

/// As a security requirement names it.
fn role_name(role: Role) -> Option<&'static str> {
    match role {
        Role::Nobody => None,
        Role::Read => Some("read"),
        Role::Submit => Some("submit"),
        Role::Admin => Some("admin"),
        Role::Worker => Some("worker"),
    }
}

#[cfg(test)]
mod tests;
