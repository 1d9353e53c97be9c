//! One table of the file: typed reads that note what is wrong and go on with the default.

use super::reader::{Notes, Span, UnknownKey, kind};
use pointsman_protocol::duration::{format_duration, parse_duration};
use pointsman_protocol::field::Flaw;
use pointsman_protocol::quantity::{
    format_cpu, format_memory, parse_cpu, parse_memory, parse_memory_bytes,
};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml_edit::{Item, TableLike};

pub(super) struct Section<'a> {
    /// As the operator wrote it.
    path: String,
    /// The same with `NAME` for names that the operator chose.
    pattern: String,
    table: Option<&'a dyn TableLike>,
    span: Span,
    notes: &'a mut Notes,
    /// Keys that were asked for: all others are unknown.
    asked: Vec<String>,
    /// Keys whose value was refused, and the default taken.
    refused: Vec<String>,
}

impl<'a> Section<'a> {
    pub fn root(table: &'a dyn TableLike, notes: &'a mut Notes) -> Section<'a> {
        Section {
            path: String::new(),
            pattern: String::new(),
            table: Some(table),
            span: None,
            notes,
            asked: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn ask(&mut self, key: &str) -> Option<&'a Item> {
        if !self.asked.iter().any(|asked| asked == key) {
            self.asked.push(key.to_owned());
        }
        self.table?.get(key)
    }

    /// The value of a key that takes what `takes` says.
    fn item(&mut self, key: &str, takes: &str) -> Option<&'a Item> {
        self.notes.learn(&self.pattern, key, takes.to_owned());
        self.ask(key)
    }

    /// The keys that the file has in this table.
    pub fn keys(&self) -> Vec<String> {
        let keys = self.table.into_iter().flat_map(|table| table.iter());
        keys.map(|(key, _)| key.to_owned()).collect()
    }

    /// Whether none of these keys had a value that was refused.
    pub fn is_sound(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| !self.refused.iter().any(|refused| refused == key))
    }

    /// Notes a problem with a key, at the place of its value if it is there.
    pub fn refuse(&mut self, key: &str, problem: impl Display, remedy: impl Display) {
        let span = self.table.and_then(|table| table.get(key)).and_then(Item::span);
        let span = span.or_else(|| self.span.clone());
        self.refused.push(key.to_owned());
        self.notes.push(span, join(&self.path, key), problem.to_string(), remedy.to_string());
    }

    /// Notes a problem between two keys, at the first if it is there, else at the second.
    pub fn refuse_relation(&mut self, keys: [&str; 2], problem: String, remedy: &str) {
        let is_there = |key: &str| self.table.is_some_and(|table| table.contains_key(key));
        let key = if is_there(keys[0]) || !is_there(keys[1]) { keys[0] } else { keys[1] };
        self.refuse(key, problem, remedy);
    }

    fn refuse_flaw(&mut self, key: &str, flaw: Flaw) {
        self.refuse(key, flaw.problem, flaw.remedy);
    }

    fn refuse_kind(&mut self, key: &str, item: &Item, remedy: &str) {
        self.refuse(key, format!("is {}", kind(item)), remedy);
    }

    pub fn section(&mut self, key: &str) -> Section<'_> {
        self.notes.learn(&self.pattern, key, String::new());
        self.subsection(key, key)
    }

    /// A table whose name the operator chose.
    pub fn named(&mut self, name: &str) -> Section<'_> {
        self.subsection(name, "NAME")
    }

    fn subsection(&mut self, key: &str, pattern: &str) -> Section<'_> {
        let item = self.ask(key);
        let path = join(&self.path, key);
        let table = item.and_then(Item::as_table_like);
        if let (Some(item), None) = (item, table) {
            self.refuse_kind(key, item, &format!("write a table [{path}]"));
        }
        Section {
            path,
            pattern: join(&self.pattern, pattern),
            table,
            span: item.and_then(Item::span),
            notes: self.notes,
            asked: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Reads a table of this one.
    pub fn with<T>(&mut self, key: &str, read: impl FnOnce(&mut Section) -> T) -> T {
        read(&mut self.section(key))
    }

    /// For a problem that shows only when other tables have been read too.
    pub fn revisit(&mut self, key: &str, note: impl FnOnce(&mut Section)) {
        let mut section = self.section(key);
        section.asked = section.keys();
        note(&mut section);
    }

    pub fn text(&mut self, key: &str, default: &str) -> String {
        self.optional_text(key).unwrap_or_else(|| default.to_owned())
    }

    pub fn optional_text(&mut self, key: &str) -> Option<String> {
        self.text_of(key, "text")
    }

    pub fn path(&mut self, key: &str, default: &str) -> PathBuf {
        self.optional_path(key).unwrap_or_else(|| PathBuf::from(default))
    }

    pub fn optional_path(&mut self, key: &str) -> Option<PathBuf> {
        let text = self.text_of(key, "path")?;
        if text.is_empty() || text.contains('\0') {
            self.refuse(key, format!("{text:?} is no path"), "write a path, or leave the key out");
            return None;
        }
        Some(PathBuf::from(text))
    }

    fn text_of(&mut self, key: &str, takes: &str) -> Option<String> {
        let item = self.item(key, takes)?;
        let text = item.as_str().map(str::to_owned);
        if text.is_none() {
            self.refuse_kind(key, item, "write a text in quotes");
        }
        text
    }

    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        let Some(item) = self.item(key, "true or false") else { return default };
        let flag = item.as_bool();
        if flag.is_none() {
            self.refuse_kind(key, item, "write true or false, without quotes");
        }
        flag.unwrap_or(default)
    }

    pub fn whole(&mut self, key: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let takes = format!("whole number, {} to {}", range.start(), range.end());
        let Some(item) = self.item(key, &takes) else { return default };
        let remedy = format!("write a whole number from {} to {}", range.start(), range.end());
        let Some(number) = item.as_integer() else {
            self.refuse_kind(key, item, &remedy);
            return default;
        };
        let found = u64::try_from(number).ok().filter(|number| range.contains(number));
        found.unwrap_or_else(|| {
            self.refuse(key, format!("{number} is out of range"), remedy);
            default
        })
    }

    pub fn number(&mut self, key: &str, range: RangeInclusive<f64>, default: f64) -> f64 {
        let takes = format!("number, {} to {}", range.start(), range.end());
        let Some(item) = self.item(key, &takes) else { return default };
        let remedy = format!("write a number from {} to {}", range.start(), range.end());
        let number = item.as_float().or_else(|| item.as_integer().map(|number| number as f64));
        match number {
            Some(number) if range.contains(&number) => number,
            Some(number) => {
                self.refuse(key, format!("{number} is out of range"), remedy);
                default
            }
            None => {
                self.refuse_kind(key, item, &remedy);
                default
            }
        }
    }

    /// A duration like "5s". A bare number is refused: it would leave the unit to be guessed.
    pub fn duration(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
        let Some(item) = self.item(key, &format!("duration, {least} to {most}")) else {
            return default;
        };
        let remedy = format!("write a duration in quotes, like \"5s\", from {least} to {most}");
        self.duration_in(key, item, &range, remedy).unwrap_or(default)
    }

    /// A duration, or "off", which is None.
    pub fn duration_or_off(
        &mut self,
        key: &str,
        range: RangeInclusive<Duration>,
        default: Option<Duration>,
    ) -> Option<Duration> {
        let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
        let takes = format!("duration, {least} to {most}, or \"off\"");
        let Some(item) = self.item(key, &takes) else {
            return default;
        };
        if item.as_str() == Some("off") {
            return None;
        }
        let remedy =
            format!("write a duration in quotes, like \"5m\", from {least} to {most}, or \"off\"");
        self.duration_in(key, item, &range, remedy).or(default)
    }

    fn duration_in(
        &mut self,
        key: &str,
        item: &Item,
        range: &RangeInclusive<Duration>,
        remedy: String,
    ) -> Option<Duration> {
        let Some(text) = item.as_str() else {
            self.refuse_kind(key, item, &remedy);
            return None;
        };
        match parse_duration(text) {
            Ok(span) if range.contains(&span) => return Some(span),
            Ok(_) => self.refuse(key, format!("{text:?} is out of range"), remedy),
            Err(flaw) => self.refuse(key, flaw.problem, remedy),
        }
        None
    }

    /// An amount of memory like "16MiB", or whole bytes.
    pub fn memory(&mut self, key: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.optional_memory(key, range).unwrap_or(default)
    }

    pub fn optional_memory(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (format_memory(*range.start()), format_memory(*range.end()));
        let item = self.item(key, &format!("size, {least} to {most}"))?;
        let parsed = match (item.as_str(), item.as_integer()) {
            (Some(text), _) => parse_memory(text),
            (None, Some(bytes)) => parse_memory_bytes(&bytes.to_string()),
            (None, None) => {
                self.refuse_kind(key, item, "write a size in quotes, like \"16MiB\"");
                return None;
            }
        };
        match parsed {
            Ok(bytes) if range.contains(&bytes) => Some(bytes),
            Ok(bytes) => {
                let problem = format!("{} is out of range", format_memory(bytes));
                self.refuse(key, problem, format!("use {least} to {most}"));
                None
            }
            Err(flaw) => {
                self.refuse_flaw(key, flaw);
                None
            }
        }
    }

    /// Thousandths of a core, written as a number of cores, in quotes or not.
    pub fn optional_cpu(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (format_cpu(*range.start()), format_cpu(*range.end()));
        let item = self.item(key, &format!("number of cores, {least} to {most}"))?;
        let number = match (item.as_str(), item.as_integer(), item.as_float()) {
            (Some(text), _, _) => text.to_owned(),
            (None, Some(cores), _) => cores.to_string(),
            // The shortest number that reads as this one is the one that was written.
            (None, None, Some(cores)) => format!("{cores:?}"),
            (None, None, None) => {
                self.refuse_kind(key, item, "write a number of cores, like 4 or 0.5");
                return None;
            }
        };
        match parse_cpu(&number) {
            Ok(milli) if range.contains(&milli) => Some(milli),
            Ok(milli) => {
                let problem = format!("{} is out of range", format_cpu(milli));
                self.refuse(key, problem, format!("use {least} to {most}"));
                None
            }
            Err(flaw) => {
                self.refuse_flaw(key, flaw);
                None
            }
        }
    }

    /// One of a few words; None: the key is not there, or refused.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
        let text = self.text_of(key, &words.join(", "))?;
        let found = choices.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            self.refuse(key, format!("{text:?} is unknown"), format!("use {}", words.join(" or ")));
        }
        found.map(|(_, choice)| *choice)
    }

    /// A table of texts, such as labels.
    pub fn texts(&mut self, key: &str) -> BTreeMap<String, String> {
        self.notes.learn(&self.pattern, key, "table of texts".to_owned());
        let mut section = self.subsection(key, key);
        let mut texts = BTreeMap::new();
        for key in section.keys() {
            let Some(item) = section.ask(&key) else { continue };
            match item.as_str() {
                Some(text) => {
                    texts.insert(key, text.to_owned());
                }
                None => section.refuse_kind(&key, item, "write a text in quotes"),
            }
        }
        texts
    }

    /// A table that is handed on as it is.
    pub fn json(&mut self, key: &str) -> serde_json::Value {
        let Some(item) = self.item(key, "table, handed to the policy") else {
            return serde_json::json!({});
        };
        if !item.is_table_like() {
            self.refuse_kind(key, item, "write a table");
            return serde_json::json!({});
        }
        let mut unfit = Vec::new();
        let value = to_json(item, &join(&self.path, key), &mut unfit);
        for (span, path) in unfit {
            let problem = "is neither a finite number nor a text, list or table";
            self.notes.push(span, path, problem.to_owned(), "write it as a text".to_owned());
        }
        value
    }
}

impl Drop for Section<'_> {
    /// A section that goes out of use has been asked for all that it may hold.
    fn drop(&mut self) {
        let Some(table) = self.table else { return };
        for key in self.keys() {
            if self.asked.contains(&key) {
                continue;
            }
            let span = table.key(&key).and_then(|key| key.span());
            self.notes.push_unknown(UnknownKey {
                span: span.or_else(|| table.get(&key).and_then(Item::span)),
                path: join(&self.path, &key),
                table: self.pattern.clone(),
                key,
            });
        }
    }
}

/// A key's path, with quotes where TOML needs them.
fn join(path: &str, key: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_');
    let key = if !key.is_empty() && key.chars().all(is_plain) {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// JSON has no word for some values of TOML: these are noted in `unfit`.
fn to_json(item: &Item, path: &str, unfit: &mut Vec<(Span, String)>) -> serde_json::Value {
    use serde_json::Value;
    if let Some(text) = item.as_str() {
        return Value::from(text);
    }
    if let Some(number) = item.as_integer() {
        return Value::from(number);
    }
    if let Some(number) = item.as_float().filter(|number| number.is_finite()) {
        return Value::from(number);
    }
    if let Some(flag) = item.as_bool() {
        return Value::from(flag);
    }
    if let Some(table) = item.as_table_like() {
        let entries = table
            .iter()
            .map(|(key, item)| (key.to_owned(), to_json(item, &join(path, key), unfit)));
        return entries.collect();
    }
    if let Some(list) = item.as_array() {
        let items = list.iter().map(|value| to_json(&Item::Value(value.clone()), path, unfit));
        return items.collect();
    }
    if let Some(tables) = item.as_array_of_tables() {
        let items = tables.iter().map(|table| to_json(&Item::Table(table.clone()), path, unfit));
        return items.collect();
    }
    unfit.push((item.span(), path.to_owned()));
    Value::Null
}
