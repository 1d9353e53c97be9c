//! What is printed: JSON as the host sent it, or text and tables for people. Colours only where a
//! terminal shows them.

use crate::exit::Failure;
use std::io::{IsTerminal, Write};

#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
    pub is_terminal: bool,
    has_colours: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Plain,
    Bold,
    Green,
    Red,
    Yellow,
    Blue,
    Grey,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Colour::Plain => "0",
            Colour::Bold => "1",
            Colour::Green => "32",
            Colour::Red => "31",
            Colour::Yellow => "33",
            Colour::Blue => "34",
            Colour::Grey => "90",
        }
    }
}

impl Output {
    pub fn new(json: bool) -> Output {
        let is_terminal = std::io::stdout().is_terminal();
        let has_colours = is_terminal && std::env::var_os("NO_COLOR").is_none();
        Output { json, is_terminal, has_colours }
    }

    /// A line for people.
    pub fn line(self, text: impl AsRef<str>) {
        print(text.as_ref());
        print("\n");
    }

    /// The host's JSON, one document a line.
    pub fn raw(self, json: &str) {
        self.line(json.trim_end());
    }

    pub fn paint(self, colour: Colour, text: &str) -> String {
        if self.has_colours && colour != Colour::Plain {
            format!("\x1b[{}m{text}\x1b[0m", colour.code())
        } else {
            text.to_owned()
        }
    }

    pub fn table(self, table: &Table) {
        print(&table.render(self));
    }

    /// The error with its causes, in one line each, and nothing twice.
    pub fn tell_failure(self, failure: &Failure) {
        let mut told = failure.error.to_string();
        for cause in failure.error.chain().skip(1) {
            let cause = cause.to_string();
            if !told.ends_with(&cause) {
                told.push_str(": ");
                told.push_str(&cause);
            }
        }
        let mark = if std::io::stderr().is_terminal() && self.has_colours {
            self.paint(Colour::Red, "error:")
        } else {
            "error:".to_owned()
        };
        // Nothing is left to tell it to if this fails.
        let _ = writeln!(std::io::stderr(), "{mark} {told}");
    }
}

/// A reader that went away (`| head`) ends the command without noise.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let outcome = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    if outcome.is_err() {
        std::process::exit(0);
    }
}

/// Bytes as they are.
pub fn print_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let outcome = stdout.write_all(bytes).and_then(|()| stdout.flush());
    if outcome.is_err() {
        std::process::exit(0);
    }
}

/// Rows under headings, each column as wide as its widest cell.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<(Colour, String)>>,
}

impl Table {
    pub fn new(headings: &[&str]) -> Table {
        let headings = headings.iter().map(|heading| (Colour::Bold, (*heading).to_owned()));
        Table { rows: vec![headings.collect()] }
    }

    pub fn row<const N: usize>(&mut self, cells: [(Colour, String); N]) {
        self.rows.push(cells.into());
    }

    pub fn plain<const N: usize>(&mut self, cells: [String; N]) {
        self.row(cells.map(|cell| (Colour::Plain, cell)));
    }

    fn render(&self, output: Output) -> String {
        let n_columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|(_, cell)| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..n_columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            for (column, (colour, cell)) in row.iter().enumerate() {
                let rest = &row[column + 1..];
                let is_last = rest.iter().all(|(_, cell)| cell.is_empty());
                text.push_str(&output.paint(*colour, cell));
                if is_last {
                    break;
                }
                let pad = widths[column] - cell.chars().count() + 2;
                text.extend(std::iter::repeat_n(' ', pad));
            }
            text.push('\n');
        }
        text
    }
}
