//! Which operation a request is for, as the router finds it.

use super::answer::Code;
use super::operation::{Operation, Place};
use super::routes;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use std::collections::BTreeSet;
use std::sync::OnceLock;

/// What is to be known of an operation before and after it is served.
#[derive(Debug)]
pub struct Known {
    method: Method,
    /// Types of bodies; none: it takes no body.
    pub contents: Vec<&'static str>,
    /// Bytes of a body at most.
    pub body_max: usize,
    /// Names of parameters.
    pub query: BTreeSet<&'static str>,
    /// Statuses, with the codes of problems.
    pub answers: BTreeSet<(u16, Option<&'static str>)>,
}

/// The middleware of development builds, and so of every test: an answer that its operation does not
/// describe is a defect.
pub async fn check_described(request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let known = find(request.method(), uri.path());
    let response = next.run(request).await;
    if let Some(known) = known {
        let code = response.extensions().get::<Code>().map(|Code(code)| code.as_ref());
        let answer = (response.status().as_u16(), code);
        assert!(known.answers.contains(&answer), "{uri}: {answer:?} is not described");
    }
    response
}

#[derive(Debug)]
struct Path {
    template: &'static str,
    operations: Vec<Known>,
}

/// None: there is no such path, or it does not take this method.
pub fn find(method: &Method, path: &str) -> Option<&'static Known> {
    static PATHS: OnceLock<Vec<Path>> = OnceLock::new();
    let paths = PATHS.get_or_init(paths);
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    let found = paths.iter().find(|it| is_of(path, it.template))?;
    found.operations.iter().find(|it| it.method == method)
}

/// Those without parameters first, as the router prefers them.
fn paths() -> Vec<Path> {
    let mut paths: Vec<Path> = Vec::new();
    for operation in routes::operations().into_iter().flat_map(|(_, operations)| operations) {
        let template = operation.path;
        let known = known(operation);
        match paths.iter_mut().find(|it| it.template == template) {
            Some(path) => path.operations.push(known),
            None => paths.push(Path { template, operations: vec![known] }),
        }
    }
    paths.sort_by_key(|path| path.template.contains('{'));
    paths
}

fn known(operation: Operation) -> Known {
    let refusals = operation.refusals.iter();
    let refusals =
        refusals.flat_map(|(status, codes)| codes.iter().map(|code| (*status, Some(*code))));
    let answers = operation.answers.iter().map(|answer| (answer.status, None));
    let query = operation.parameters.iter().filter(|it| it.place == Place::Query);
    Known {
        method: operation.method.clone(),
        contents: operation.body.iter().flat_map(|it| &it.contents).map(|(it, _)| *it).collect(),
        body_max: operation.body.as_ref().map_or(0, |body| body.max),
        query: query.map(|it| it.name).collect(),
        answers: answers.chain(refusals).collect(),
    }
}

fn is_of(path: &str, template: &str) -> bool {
    let mut parts = path.split('/');
    let fits = |wanted: &str| {
        parts
            .next()
            .is_some_and(|part| part == wanted || (wanted.starts_with('{') && !part.is_empty()))
    };
    template.split('/').all(fits) && parts.next().is_none()
}
