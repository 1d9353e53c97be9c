//! The table and the guard agree, and the document refers to nothing that is not there.

use super::super::guard::required_role;
use super::*;
use std::collections::BTreeSet;

fn all() -> Vec<Operation> {
    routes::operations().into_iter().flat_map(|(_, operations)| operations).collect()
}

/// With some value for each parameter.
fn sample_path(path: &str) -> String {
    let part =
        |part: &'_ str| if part.starts_with('{') { "x1".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[test]
fn the_guard_never_asks_for_another_role_than_is_described() {
    for operation in all() {
        let path = sample_path(operation.path);
        let name = format!("{} {path}", operation.method);
        assert_eq!(required_role(&operation.method, &path), operation.role, "{name}");
        if operation.method != axum::http::Method::GET {
            assert!(operation.body.is_some(), "{name} needs a type, so it needs a body");
        }
    }
}

#[test]
fn every_operation_is_described_once_and_whole() {
    let mut ids = BTreeSet::new();
    for operation in all() {
        assert!(ids.insert(operation.id), "{} twice", operation.id);
        assert!(!operation.summary.is_empty(), "{} says nothing", operation.id);
        assert!(!operation.answers.is_empty(), "{} answers nothing", operation.id);
        let in_path: BTreeSet<&str> = operation
            .path
            .split('/')
            .filter_map(|it| it.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let described = operation.parameters.iter().filter(|it| it.place == Place::Path);
        assert_eq!(
            described.map(|it| it.name).collect::<BTreeSet<_>>(),
            in_path,
            "{}",
            operation.id
        );
    }
}

fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|it| references(it, found)),
        Value::Object(keys) => {
            found.extend(keys.get("$ref").and_then(Value::as_str));
            keys.values().for_each(|it| references(it, found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn no_reference_leads_nowhere_and_no_schema_is_left_over() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let there = document["components"]["schemas"].as_object().expect("schemas");
    let there: BTreeSet<String> =
        there.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(found, there.iter().map(String::as_str).collect());
}
