//! The schemas of all types that are used, each once. What is taken and what is answered can differ for
//! one type (a default may be left out, but is always answered): then the first is called `…Input`.

use super::super::operation::Shape;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

pub struct Schemas {
    taken: SchemaGenerator,
    answered: SchemaGenerator,
}

const TAKEN: &str = "/taken";
const COMPONENTS: &str = "/components/schemas";

impl Default for Schemas {
    fn default() -> Schemas {
        let settings = |path: &'static str| {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = path.into();
                settings.meta_schema = None;
            })
        };
        Schemas {
            taken: settings(TAKEN).for_deserialize().into_generator(),
            answered: settings(COMPONENTS).for_serialize().into_generator(),
        }
    }
}

impl Schemas {
    /// Of what is sent to the host.
    pub fn taken(&mut self, shape: Shape) -> Schema {
        shape(&mut self.taken)
    }

    /// Of what the host answers.
    pub fn answered(&mut self, shape: Shape) -> Schema {
        shape(&mut self.answered)
    }

    /// Puts all definitions into the document.
    pub fn finish(mut self, document: &mut Value) {
        let mut definitions = self.answered.take_definitions(true);
        definitions.values_mut().for_each(never_null);
        let taken = self.taken.take_definitions(true);
        let renamed = differing(&taken, &definitions);
        let called = |name: &str| match renamed.iter().any(|it| it == name) {
            true => format!("{name}Input"),
            false => name.to_owned(),
        };
        for (name, schema) in taken {
            definitions.insert(called(&name), schema);
        }
        document["components"]["schemas"] = Value::Object(definitions);
        tidy(document, &called);
    }
}

/// Those that are not the same for both, by themselves or by what they refer to.
fn differing(taken: &Map<String, Value>, answered: &Map<String, Value>) -> Vec<String> {
    let text = |schema: &Value| schema.to_string().replace(TAKEN, COMPONENTS);
    let mut found: Vec<String> = Vec::new();
    loop {
        let differs = |(name, schema): &(&String, &Value)| {
            let refers = |it: &String| text(schema).contains(&format!("{COMPONENTS}/{it}\""));
            answered
                .get(*name)
                .is_some_and(|other| text(schema) != text(other) || found.iter().any(refers))
        };
        let now: Vec<String> = taken.iter().filter(differs).map(|(name, _)| name.clone()).collect();
        if now.len() == found.len() {
            return found;
        }
        found = now;
    }
}

/// What an answer may leave out is left out when there is none, not null.
fn never_null(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(never_null),
        Value::Object(keys) => {
            let required = keys.get("required").cloned().unwrap_or_else(|| json!([]));
            let is_required = |name: &String| {
                required.as_array().is_some_and(|it| it.iter().any(|it| it == name))
            };
            if let Some(Value::Object(properties)) = keys.get_mut("properties") {
                let left_out = properties.iter_mut().filter(|(name, _)| !is_required(name));
                left_out.for_each(|(_, property)| without_null(property));
            }
            keys.values_mut().for_each(never_null);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn without_null(property: &mut Value) {
    let Some(keys) = property.as_object_mut() else { return };
    if let Some(Value::Array(types)) = keys.get_mut("type") {
        types.retain(|it| it != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            keys.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = keys.get_mut("anyOf") {
        any.retain(|it| *it != json!({ "type": "null" }));
        if let [Value::Object(only)] = any.as_mut_slice() {
            let only = std::mem::take(only);
            keys.remove("anyOf");
            keys.extend(only);
        }
    }
}

/// References as they are called, bounds of whole numbers as their formats have them, and no links of
/// Rust's documentation.
fn tidy(value: &mut Value, called: &impl Fn(&str) -> String) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|it| tidy(it, called)),
        Value::Object(keys) => {
            if let Some(Value::String(reference)) = keys.get_mut("$ref")
                && let Some(name) = reference.strip_prefix("#/taken/")
            {
                *reference = format!("#{COMPONENTS}/{}", called(name));
            }
            if let Some(Value::String(text)) = keys.get_mut("description") {
                *text = text.replace("[`", "`").replace("`]", "`");
            }
            bound(keys);
            keys.values_mut().for_each(|it| tidy(it, called));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn bound(keys: &mut Map<String, Value>) {
    let (min, max): (i64, u64) = match keys.get("format").and_then(Value::as_str) {
        Some("uint16") => (0, u16::MAX.into()),
        Some("uint32") => (0, u32::MAX.into()),
        Some("uint64") => (0, u64::MAX),
        Some("int32") => (i32::MIN.into(), i32::MAX as u64),
        Some("int64") => (i64::MIN, i64::MAX as u64),
        _ => return,
    };
    keys.entry("minimum").or_insert_with(|| min.into());
    keys.entry("maximum").or_insert_with(|| max.into());
}
