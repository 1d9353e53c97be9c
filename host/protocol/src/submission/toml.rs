//! Job files in TOML, brought into the same tree as JSON.

use crate::field::{FieldError, Flaw};
use crate::json::BODY;
use crate::labels::show_key;
use crate::value::{DEPTH_MAX, Value};
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads the text as a table and hands its tree on: the tree borrows from the table.
pub(super) fn read_toml<T>(
    text: &str,
    use_tree: impl FnOnce(Value<'_>) -> Result<T, FieldError>,
) -> Result<T, FieldError> {
    let table = DeTable::parse(text).map_err(|error| {
        let problem =
            format!("is not valid TOML: {}{}", error.message(), place(text, error.span()));
        Flaw::new(problem.replace('\n', ", "), "correct the file at that place").at(BODY)
    })?;
    use_tree(tree_of_table(table.get_ref(), "", 0)?)
}

fn place(text: &str, span: Option<std::ops::Range<usize>>) -> String {
    let Some(before) = span.and_then(|span| text.get(..span.start)) else {
        return String::new();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|it| *it != '\n').count() + 1;
    format!(" (line {line}, column {column})")
}

fn tree_of_table<'t>(
    table: &'t DeTable<'_>,
    path: &str,
    depth: usize,
) -> Result<Value<'t>, FieldError> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table {
        let key: &'t str = key.get_ref();
        let path = match path {
            "" => show_key(key),
            path => format!("{path}.{}", show_key(key)),
        };
        entries.push((Cow::Borrowed(key), tree(value, &path, depth)?));
    }
    Ok(Value::Map(entries))
}

fn tree<'t>(
    value: &'t Spanned<DeValue<'_>>,
    path: &str,
    depth: usize,
) -> Result<Value<'t>, FieldError> {
    if depth == DEPTH_MAX {
        let problem = format!("is nested more than {DEPTH_MAX} levels deep");
        return Err(Flaw::new(problem, "flatten it").at(path));
    }
    match value.get_ref() {
        DeValue::String(text) => Ok(Value::Text(Cow::Borrowed(text))),
        DeValue::Integer(integer) => {
            let plain = if integer.radix() == 10 {
                Cow::Borrowed(integer.as_str())
            } else {
                let value = u64::from_str_radix(integer.as_str(), integer.radix());
                let value = value.map_err(|_| {
                    Flaw::new("is too large a number", "write it in decimal digits").at(path)
                })?;
                Cow::Owned(value.to_string())
            };
            Ok(Value::Number(without_plus(plain)))
        }
        DeValue::Float(float) => Ok(Value::Number(without_plus(Cow::Borrowed(float.as_str())))),
        DeValue::Boolean(value) => Ok(Value::Bool(*value)),
        DeValue::Datetime(datetime) => {
            Err(Flaw::new(format!("is the date {datetime}"), "put it in quotes").at(path))
        }
        DeValue::Array(items) => {
            let items = items.iter().enumerate();
            let items =
                items.map(|(position, item)| tree(item, &format!("{path}[{position}]"), depth + 1));
            Ok(Value::List(items.collect::<Result<_, _>>()?))
        }
        DeValue::Table(table) => tree_of_table(table, path, depth + 1),
    }
}

/// JSON knows no sign before a positive number.
fn without_plus(number: Cow<'_, str>) -> Cow<'_, str> {
    match number.strip_prefix('+') {
        Some(rest) => Cow::Owned(rest.to_owned()),
        None => number,
    }
}
