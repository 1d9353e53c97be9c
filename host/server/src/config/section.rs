//! One table of the file: typed reads that note what is wrong and go on with the default.

use super::reader::{Errors, Span, kind};
use pointsman_protocol::duration::{format_duration, parse_duration};
use pointsman_protocol::quantity::parse_memory;
use pointsman_scheduler::graph::edit_distance;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;
use toml_edit::{Item, TableLike};

pub(super) struct Section<'a> {
    path: String,
    table: Option<&'a dyn TableLike>,
    span: Span,
    errors: Errors<'a>,
    /// Keys that were asked for: all others are unknown.
    known: Vec<String>,
}

impl<'a> Section<'a> {
    pub fn new(
        path: String,
        table: Option<&'a dyn TableLike>,
        span: Span,
        errors: Errors<'a>,
    ) -> Section<'a> {
        Section { path, table, span, errors, known: Vec::new() }
    }

    fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn item(&mut self, key: &str) -> Option<&'a Item> {
        if !self.known.iter().any(|known| known == key) {
            self.known.push(key.to_owned());
        }
        self.table?.get(key)
    }

    /// The keys that the file has in this table.
    pub fn keys(&self) -> Vec<String> {
        let keys = self.table.into_iter().flat_map(|table| table.iter());
        keys.map(|(key, _)| key.to_owned()).collect()
    }

    /// Notes a problem with a key, at the key's place if it is there.
    pub fn refuse(&mut self, key: &str, problem: impl Display, remedy: impl Display) {
        let span = self.table.and_then(|table| table.get(key)).and_then(Item::span);
        let span = span.or_else(|| self.span.clone());
        let path = self.key_path(key);
        self.errors.push(span, path, problem.to_string(), remedy.to_string());
    }

    pub fn section(&mut self, key: &str) -> Section<'_> {
        let path = self.key_path(key);
        let item = self.item(key);
        let table = item.and_then(Item::as_table_like);
        if let (Some(item), None) = (item, table) {
            self.refuse(key, format!("is {}", kind(item)), format!("write a table [{path}]"));
        }
        let span = item.and_then(Item::span);
        Section::new(path, table, span, self.errors.reborrow())
    }

    /// Reads a table of this one.
    pub fn with<T>(&mut self, key: &str, read: impl FnOnce(&mut Section) -> T) -> T {
        read(&mut self.section(key))
    }

    pub fn text(&mut self, key: &str, default: &str) -> String {
        self.optional_text(key).unwrap_or_else(|| default.to_owned())
    }

    pub fn optional_text(&mut self, key: &str) -> Option<String> {
        let item = self.item(key)?;
        let text = item.as_str().map(str::to_owned);
        if text.is_none() {
            self.refuse(key, format!("is {}", kind(item)), "write a text in quotes");
        }
        text
    }

    pub fn whole(&mut self, key: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.optional_whole(key, range).unwrap_or(default)
    }

    pub fn optional_whole(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let item = self.item(key)?;
        let remedy = format!("write a whole number from {} to {}", range.start(), range.end());
        let Some(number) = item.as_integer() else {
            self.refuse(key, format!("is {}", kind(item)), remedy);
            return None;
        };
        let found = u64::try_from(number).ok().filter(|number| range.contains(number));
        if found.is_none() {
            self.refuse(key, format!("{number} is out of range"), remedy);
        }
        found
    }

    pub fn number(&mut self, key: &str, range: RangeInclusive<f64>, default: f64) -> f64 {
        let Some(item) = self.item(key) else { return default };
        let remedy = format!("write a number from {} to {}", range.start(), range.end());
        let number = item.as_float().or_else(|| item.as_integer().map(|number| number as f64));
        match number {
            Some(number) if range.contains(&number) => number,
            Some(number) => {
                self.refuse(key, format!("{number} is out of range"), remedy);
                default
            }
            None => {
                self.refuse(key, format!("is {}", kind(item)), remedy);
                default
            }
        }
    }

    /// A duration like "5s".
    pub fn duration(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let Some(item) = self.item(key) else { return default };
        let bounds =
            format!("{} to {}", format_duration(*range.start()), format_duration(*range.end()));
        let Some(text) = item.as_str() else {
            let remedy = format!("write a duration in quotes, like \"5s\", from {bounds}");
            self.refuse(key, format!("is {}", kind(item)), remedy);
            return default;
        };
        match parse_duration(text) {
            Ok(span) if range.contains(&span) => span,
            Ok(_) => {
                self.refuse(key, format!("{text:?} is out of range"), format!("use {bounds}"));
                default
            }
            Err(flaw) => {
                self.refuse(key, flaw.problem, flaw.remedy);
                default
            }
        }
    }

    /// An amount of memory like "16MiB".
    pub fn memory(&mut self, key: &str, default: u64) -> u64 {
        let Some(text) = self.optional_text(key) else { return default };
        parse_memory(&text).unwrap_or_else(|flaw| {
            self.refuse(key, flaw.problem, flaw.remedy);
            default
        })
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)], default: T) -> T {
        let Some(text) = self.optional_text(key) else { return default };
        let found = choices.iter().find(|(word, _)| *word == text);
        found.map(|(_, choice)| *choice).unwrap_or_else(|| {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            self.refuse(key, format!("{text:?} is unknown"), format!("use {}", words.join(" or ")));
            default
        })
    }

    /// A table of texts, such as labels.
    pub fn texts(&mut self, key: &str) -> std::collections::BTreeMap<String, String> {
        let mut section = self.section(key);
        let keys = section.keys();
        let read = |key: String| {
            let value = section.optional_text(&key);
            value.map(|value| (key, value))
        };
        keys.into_iter().filter_map(read).collect()
    }

    /// A table that is handed on as it is.
    pub fn json(&mut self, key: &str) -> serde_json::Value {
        let Some(item) = self.item(key) else { return serde_json::json!({}) };
        if !item.is_table_like() {
            self.refuse(key, format!("is {}", kind(item)), "write a table");
        }
        to_json(item)
    }

    /// Refuses every key that nobody asked for.
    pub fn finish(&mut self) {
        for key in self.keys() {
            if self.known.contains(&key) {
                continue;
            }
            let near = self
                .known
                .iter()
                .map(|known| (edit_distance(&key, known), known))
                .min()
                .filter(|(distance, known)| *distance <= 1 + known.chars().count() / 3);
            let remedy = match near {
                Some((_, near)) => format!("did you mean {near:?}?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            self.refuse(&key, "is no known key", remedy);
        }
    }
}

impl Drop for Section<'_> {
    /// A section that goes out of use has been asked for all it may hold.
    fn drop(&mut self) {
        if !self.path.is_empty() && !self.known.is_empty() {
            self.finish();
        }
    }
}

fn to_json(item: &Item) -> serde_json::Value {
    use serde_json::Value;
    if let Some(text) = item.as_str() {
        return Value::from(text);
    }
    if let Some(number) = item.as_integer() {
        return Value::from(number);
    }
    if let Some(number) = item.as_float() {
        return Value::from(number);
    }
    if let Some(flag) = item.as_bool() {
        return Value::from(flag);
    }
    if let Some(table) = item.as_table_like() {
        return table.iter().map(|(key, item)| (key.to_owned(), to_json(item))).collect();
    }
    if let Some(list) = item.as_array() {
        return list.iter().map(|value| to_json(&Item::Value(value.clone()))).collect();
    }
    Value::from(item.to_string().trim())
}
