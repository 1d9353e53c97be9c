//! An input as a tree, the same for JSON and TOML. Numbers stay the text that was written, so that
//! nothing is rounded before it is understood.

use crate::field::{FieldError, Flaw, quote};
use std::borrow::Cow;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    /// In the form of a JSON number, except for `inf` and `nan` from TOML.
    Number(Cow<'a, str>),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    /// In the order written; keys are unique.
    Map(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// Containers within containers at most. A submission needs five.
pub(crate) const DEPTH_MAX: usize = 32;

/// Values in one input at most, so that a small text cannot become a large tree.
pub(crate) const VALUES_MAX: usize = 4_000_000;

impl<'a> Value<'a> {
    /// For an error: what is there instead of what is wanted.
    pub fn describe(&self) -> String {
        match self {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) if number.len() <= 40 => format!("the number {number}"),
            Value::Number(_) => "a number".to_owned(),
            Value::Text(text) => format!("the text {}", quote(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "an object".to_owned(),
        }
    }

    /// That the value has the wrong type.
    pub fn mistyped(&self, remedy: &str) -> Flaw {
        match self {
            Value::Null => Flaw::new("is null", format!("{remedy}, or leave the key out")),
            _ => Flaw::new(format!("is {}", self.describe()), remedy),
        }
    }

    pub fn into_text(self, field: &str) -> Result<Cow<'a, str>, FieldError> {
        match self {
            Value::Text(text) => Ok(text),
            Value::Number(number) if number.len() <= 40 => {
                let problem = format!("is the number {number}");
                Err(Flaw::new(problem, format!("write a text: \"{number}\"")).at(field))
            }
            other => Err(other.mistyped("write a text in quotes").at(field)),
        }
    }

    pub fn into_list(self, field: &str) -> Result<Vec<Value<'a>>, FieldError> {
        match self {
            Value::List(items) => Ok(items),
            other => Err(other.mistyped("write a list in [ ]").at(field)),
        }
    }

    pub fn into_map(self, field: &str) -> Result<Vec<(Cow<'a, str>, Value<'a>)>, FieldError> {
        match self {
            Value::Map(entries) => Ok(entries),
            other => Err(other.mistyped("write an object in { }").at(field)),
        }
    }

    /// As JSON text, numbers as they were written.
    pub fn write_json(&self, json: &mut String) {
        match self {
            Value::Null => json.push_str("null"),
            Value::Bool(value) => json.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => json.push_str(number),
            Value::Text(text) => write_quoted(text, json),
            Value::List(items) => {
                json.push('[');
                for (position, item) in items.iter().enumerate() {
                    if position > 0 {
                        json.push(',');
                    }
                    item.write_json(json);
                }
                json.push(']');
            }
            Value::Map(entries) => {
                json.push('{');
                for (position, (key, value)) in entries.iter().enumerate() {
                    if position > 0 {
                        json.push(',');
                    }
                    write_quoted(key, json);
                    json.push(':');
                    value.write_json(json);
                }
                json.push('}');
            }
        }
    }
}

fn write_quoted(text: &str, json: &mut String) {
    json.push_str(&serde_json::to_string(text).expect("a text is always writable as JSON"));
}
