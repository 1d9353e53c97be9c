//! Reads a TOML document key by key, keeping its places and collecting what is wrong.

use super::section::Section;
use pointsman_scheduler::graph::edit_distance;
use std::fmt::{self, Display};
use std::ops::Range;
use std::path::Path;
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

impl Display for ConfigError {
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

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// What is wrong with a file as a whole.
    pub fn of_file(file: &Path, problem: impl Display, remedy: &str) -> ConfigError {
        ConfigError {
            file: file.display().to_string(),
            line: 0,
            column: 0,
            key: String::new(),
            problem: problem.to_string(),
            remedy: remedy.to_owned(),
        }
    }
}

/// As the parser says it.
const DUPLICATE: &str = "duplicate key";

/// A place in the text, in bytes.
pub(super) type Span = Option<Range<usize>>;

/// A key that can be set, and what it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownKey {
    /// The table, with `NAME` for names that the operator chooses; empty for the root.
    pub table: String,
    pub key: String,
    /// In words; empty for a table.
    pub takes: String,
}

pub(super) struct Reader {
    document: Document<String>,
    notes: Notes,
}

impl Reader {
    pub fn parse(file: &str, text: &str) -> Result<Reader, ConfigError> {
        let document = Document::parse(text.to_owned()).map_err(|error| {
            let span = error.span();
            let (line, column) = span.clone().map_or((0, 0), |span| place(text, span.start));
            let problem = error.message().trim().replace('\n', ", ");
            // The place of the second one.
            let twice = span.and_then(|span| text.get(span)).filter(|_| problem == DUPLICATE);
            let remedy = match twice {
                Some(_) => "it is there twice; keep one",
                None => "correct the TOML",
            };
            ConfigError {
                file: file.to_owned(),
                line,
                column,
                key: twice.unwrap_or("").to_owned(),
                problem,
                remedy: remedy.to_owned(),
            }
        })?;
        let notes = Notes {
            text: text.to_owned(),
            file: file.to_owned(),
            errors: Vec::new(),
            unknown: Vec::new(),
            known: Vec::new(),
        };
        Ok(Reader { document, notes })
    }

    pub fn root(&mut self) -> Section<'_> {
        let table: &dyn TableLike = self.document.as_table();
        Section::root(table, &mut self.notes)
    }

    /// All that is wrong, in the order of the file, and all keys that were asked for.
    pub fn finish(self) -> (Vec<ConfigError>, Vec<KnownKey>) {
        let mut notes = self.notes;
        for unknown in std::mem::take(&mut notes.unknown) {
            let remedy = unknown.remedy(&notes.known);
            notes.push(unknown.span, unknown.path, "is no known key".to_owned(), remedy);
        }
        notes.errors.sort_by_key(|error| (error.line, error.column));
        (notes.errors, notes.known)
    }
}

/// What is found while reading.
pub(super) struct Notes {
    text: String,
    file: String,
    errors: Vec<ConfigError>,
    /// Explained at the end, when all keys of all tables have been asked for.
    unknown: Vec<UnknownKey>,
    known: Vec<KnownKey>,
}

pub(super) struct UnknownKey {
    pub span: Span,
    pub path: String,
    /// As in [`KnownKey`].
    pub table: String,
    pub key: String,
}

impl UnknownKey {
    /// The nearest key here, else the table that has this key, else all keys here.
    fn remedy(&self, known: &[KnownKey]) -> String {
        let here: Vec<&str> =
            known.iter().filter(|it| it.table == self.table).map(|it| it.key.as_str()).collect();
        let near = here
            .iter()
            .map(|known| (edit_distance(&self.key, known), known))
            .min()
            .filter(|(distance, known)| *distance <= 1 + known.chars().count() / 3);
        if let Some((_, near)) = near {
            return format!("did you mean {near:?}?");
        }
        let homes: Vec<String> = known
            .iter()
            .filter(|it| it.key == self.key)
            .map(
                |it| if it.table.is_empty() { "the top".into() } else { format!("[{}]", it.table) },
            )
            .collect();
        if !homes.is_empty() {
            return format!("it belongs in {}", homes.join(" or "));
        }
        match here.as_slice() {
            [] => "remove it".to_owned(),
            here => format!("known here: {}", here.join(", ")),
        }
    }
}

impl Notes {
    pub fn push(&mut self, span: Span, key: String, problem: String, remedy: String) {
        let (line, column) = span.map_or((0, 0), |span| place(&self.text, span.start));
        let file = self.file.clone();
        self.errors.push(ConfigError { file, line, column, key, problem, remedy });
    }

    pub fn push_unknown(&mut self, unknown: UnknownKey) {
        self.unknown.push(unknown);
    }

    pub fn learn(&mut self, table: &str, key: &str, takes: String) {
        if !self.known.iter().any(|it| it.table == table && it.key == key) {
            let known = KnownKey { table: table.to_owned(), key: key.to_owned(), takes };
            self.known.push(known);
        }
    }
}

/// Line and column from 1.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
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
