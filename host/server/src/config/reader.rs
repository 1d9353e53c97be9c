//! Reads a TOML document key by key, keeping its places and collecting what is wrong.

use super::section::Section;
use std::fmt;
use toml_edit::{Document, Item, TableLike};

/// One thing that is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub file: String,
    /// From 1; 0 where there is no place, as for a missing key.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// Like `heartbeat.interval`; empty if the file is no TOML.
    pub key: String,
    pub problem: String,
    pub remedy: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.problem)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

pub(super) struct Reader {
    pub(super) text: String,
    file: String,
    document: Document<String>,
    errors: Vec<ConfigError>,
}

/// A place in the text, in bytes.
pub(super) type Span = Option<std::ops::Range<usize>>;

impl Reader {
    pub fn parse(file: &str, text: &str) -> Result<Reader, ConfigError> {
        let document = Document::parse(text.to_owned()).map_err(|error| {
            let (line, column) = error.span().map_or((0, 0), |span| place(text, span.start));
            ConfigError {
                file: file.to_owned(),
                line,
                column,
                key: String::new(),
                problem: error.message().trim().replace('\n', ", "),
                remedy: "correct the TOML".to_owned(),
            }
        })?;
        Ok(Reader { text: text.to_owned(), file: file.to_owned(), document, errors: Vec::new() })
    }

    pub fn root(&mut self) -> Section<'_> {
        let table: &dyn TableLike = self.document.as_table();
        let errors = Errors { text: &self.text, file: &self.file, list: &mut self.errors };
        Section::new(String::new(), Some(table), None, errors)
    }

    /// In the order of the file.
    pub fn into_errors(mut self) -> Vec<ConfigError> {
        self.errors.sort_by_key(|error| (error.line, error.column));
        self.errors
    }
}

/// Where problems are collected.
pub(super) struct Errors<'a> {
    pub text: &'a str,
    pub file: &'a str,
    pub list: &'a mut Vec<ConfigError>,
}

impl Errors<'_> {
    pub fn push(&mut self, span: Span, key: String, problem: String, remedy: String) {
        let (line, column) = span.map_or((0, 0), |span| place(self.text, span.start));
        self.list.push(ConfigError {
            file: self.file.to_owned(),
            line,
            column,
            key,
            problem,
            remedy,
        });
    }

    pub fn reborrow(&mut self) -> Errors<'_> {
        Errors { text: self.text, file: self.file, list: self.list }
    }
}

/// Line and column from 1.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// What a value is, for messages.
pub(super) fn kind(item: &Item) -> &'static str {
    match item.type_name() {
        "string" => "a text",
        "integer" => "a whole number",
        "float" => "a number",
        "boolean" => "true or false",
        "array" | "array of tables" => "a list",
        "table" | "inline table" => "a table",
        _ => "another kind of value",
    }
}
