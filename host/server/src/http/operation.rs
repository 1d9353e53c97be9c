//! One operation of the API: the method and path, what serves it, what it takes, what it answers, and
//! who may. The router and the document are both made of these.

use super::guard::Role;
use super::{App, BODY_MAX};
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::collections::{BTreeMap, BTreeSet};

/// Makes the schema of one type.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

pub fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

#[derive(Debug)]
pub struct Operation {
    pub method: Method,
    pub path: &'static str,
    /// Unique; names the function of generated clients.
    pub id: &'static str,
    pub summary: &'static str,
    pub details: &'static str,
    /// The least role that may.
    pub role: Role,
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
    pub answers: Vec<Answer>,
    /// Codes of problems by status.
    pub refusals: BTreeMap<u16, BTreeSet<&'static str>>,
    serves: MethodRouter<App>,
}

#[derive(Debug, Clone)]
pub struct Parameter {
    pub name: &'static str,
    pub place: Place,
    pub required: bool,
    pub text: &'static str,
    pub shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Path,
    Query,
    Header,
}

#[derive(Debug)]
pub struct Body {
    pub contents: Vec<(&'static str, Shape)>,
    /// Bytes at most.
    pub max: usize,
    pub text: &'static str,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: &'static str,
    /// None: no body.
    pub content: Option<(&'static str, Shape)>,
    pub headers: Vec<Parameter>,
}

pub const JSON: &str = "application/json";

impl Operation {
    pub fn get<H: Handler<T, App>, T: 'static>(
        path: &'static str,
        id: &'static str,
        handler: H,
    ) -> Operation {
        Operation::new(Method::GET, path, id, on(MethodFilter::GET, handler)).role(Role::Read)
    }

    /// Of a role that says itself; nothing but `{}` is to be sent unless a body is described.
    pub fn post<H: Handler<T, App>, T: 'static>(
        path: &'static str,
        id: &'static str,
        handler: H,
    ) -> Operation {
        Operation::new(Method::POST, path, id, on(MethodFilter::POST, handler))
    }

    pub fn put<H: Handler<T, App>, T: 'static>(
        path: &'static str,
        id: &'static str,
        handler: H,
    ) -> Operation {
        Operation::new(Method::PUT, path, id, on(MethodFilter::PUT, handler))
    }

    fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        serves: MethodRouter<App>,
    ) -> Operation {
        Operation {
            method,
            path,
            id,
            summary: "",
            details: "",
            role: Role::Admin,
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            refusals: BTreeMap::new(),
            serves,
        }
        .refuses(400, &["bad_parameter", "bad_request"])
        .refuses(421, &["wrong_host"])
        .refuses(403, &["wrong_origin"])
    }

    /// What is mounted at its path.
    pub fn served(self) -> MethodRouter<App> {
        let max = self.body.map_or(BODY_MAX, |body| body.max);
        self.serves.layer(DefaultBodyLimit::max(max))
    }

    pub fn says(self, summary: &'static str) -> Operation {
        Operation { summary, ..self }
    }

    pub fn details(self, details: &'static str) -> Operation {
        Operation { details, ..self }
    }

    pub fn role(self, role: Role) -> Operation {
        let operation = Operation { role, ..self };
        match role {
            Role::Nobody => operation,
            Role::Read | Role::Submit | Role::Admin | Role::Worker => {
                operation.refuses(401, &["unauthorized"]).refuses(403, &["forbidden"])
            }
        }
    }

    pub fn takes(mut self, parameter: Parameter) -> Operation {
        self.parameters.push(parameter);
        self
    }

    pub fn body(self, body: Body) -> Operation {
        self.refuses(400, &["broken_body"])
            .refuses(408, &["too_slow"])
            .refuses(413, &["too_large"])
            .refuses(415, &["wrong_content_type"])
            .refuses(500, &["defect"])
            .refuses(503, &["busy"])
            .with_body(body)
    }

    fn with_body(self, body: Body) -> Operation {
        Operation { body: Some(body), ..self }
    }

    /// Read by serde.
    pub fn json_body<T: JsonSchema>(self, text: &'static str) -> Operation {
        let contents = vec![(JSON, shape::<T> as Shape)];
        self.body(Body { contents, max: BODY_MAX, text }).refuses(422, &["bad_body"])
    }

    /// An order: its path says all. A body may say nothing, as [`super::body::NoBody`] reads it.
    pub fn no_body(self) -> Operation {
        let contents: Vec<(&'static str, Shape)> =
            vec![(JSON, |_| schemars::json_schema!({ "type": "object", "maxProperties": 0 }))];
        let text =
            "`{}`. The type is needed even without a body: no form of a web page can send it.";
        self.body(Body { contents, max: BODY_MAX, text }).refuses(422, &["bad_body"])
    }

    pub fn answers(mut self, answer: Answer) -> Operation {
        self.answers.push(answer);
        self
    }

    pub fn json<T: JsonSchema>(self, status: u16, text: &'static str) -> Operation {
        self.answers(Answer::of(status, text, (JSON, shape::<T>)))
    }

    pub fn nothing(self, text: &'static str) -> Operation {
        self.answers(Answer { content: None, ..Answer::of(204, text, (JSON, shape::<()>)) })
    }

    /// What has the tag that the client has already.
    pub fn nothing_new(self) -> Operation {
        let text = "As it was; the request named its ETag.";
        self.answers(Answer { content: None, ..Answer::of(304, text, (JSON, shape::<()>)) })
    }

    pub fn refuses(mut self, status: u16, codes: &[&'static str]) -> Operation {
        self.refusals.entry(status).or_default().extend(codes);
        self
    }

    /// By an event of the driver, which may be full, ended, or fail to write.
    pub fn driven(self) -> Operation {
        self.refuses(503, &["busy", "store_unavailable", "outcome_unknown", "stopping"])
            .refuses(500, &["defect"])
    }
}

impl Answer {
    pub fn of(status: u16, text: &'static str, content: (&'static str, Shape)) -> Answer {
        Answer { status, text, content: Some(content), headers: Vec::new() }
    }
}

impl Parameter {
    pub fn path(name: &'static str, text: &'static str, shape: Shape) -> Parameter {
        Parameter { name, place: Place::Path, required: true, text, shape }
    }

    pub fn query(name: &'static str, text: &'static str, shape: Shape) -> Parameter {
        Parameter { name, place: Place::Query, required: false, text, shape }
    }

    pub fn header(name: &'static str, text: &'static str, shape: Shape) -> Parameter {
        Parameter { name, place: Place::Header, required: false, text, shape }
    }

    #[must_use]
    pub fn required(self) -> Parameter {
        Parameter { required: true, ..self }
    }
}
