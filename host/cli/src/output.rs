//! What is printed: JSON as the host sent it, or text and tables for people. Colours only where a
//! terminal shows them. Whoever wrote a text, it reaches the terminal as a text: nothing but what is
//! printed here colours it or moves the cursor.

use crate::exit::Failure;
use crate::shown;
use std::borrow::Cow;
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
        self.parts(&[(Colour::Plain, text.as_ref())]);
    }

    /// A line with colours.
    pub fn parts(self, parts: &[(Colour, &str)]) {
        let mut line: String = parts
            .iter()
            .map(|(colour, text)| self.paint(*colour, &shown::harmless(text)))
            .collect();
        line.push('\n');
        print(&line);
    }

    /// As many lines as the text has.
    pub fn text(self, text: &str) {
        text.lines().for_each(|line| self.line(line));
    }

    /// A terminal's cursor goes to the top of an empty screen.
    pub fn clear(self) {
        if self.is_terminal && !self.json {
            print("\x1b[H\x1b[2J\x1b[3J");
        }
    }

    /// The host's JSON, one document a line. JSON escapes only some of what would reach a terminal.
    pub fn raw(self, json: &str) {
        let json = json.trim_end();
        // Line ends stand between values: within texts they are escaped already.
        let is_harmful = |c: char| shown::is_harmful(c) && !matches!(c, '\n' | '\r' | '\t');
        let mut escaped = String::with_capacity(json.len() + 64);
        for c in json.chars() {
            if is_harmful(c) {
                let units = c.encode_utf16(&mut [0; 2]).to_vec();
                escaped.extend(units.iter().map(|unit| format!("\\u{unit:04x}")));
            } else {
                escaped.push(c);
            }
        }
        escaped.push('\n');
        print(&escaped);
    }

    /// What others wrote, below a label, within [`WIDTH`] columns as far as its words allow.
    pub fn wrapped(self, label: &str, text: &str) {
        for line in wrap(label, text) {
            self.line(line);
        }
    }

    fn paint(self, colour: Colour, text: &str) -> String {
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
        let told = shown::harmless(&told);
        let mark = if std::io::stderr().is_terminal() && self.has_colours {
            self.paint(Colour::Red, "error:")
        } else {
            "error:".to_owned()
        };
        // Nothing is left to tell it to if this fails.
        let _ = writeln!(std::io::stderr(), "{mark} {told}");
    }
}

/// Columns of a line for people.
pub const WIDTH: usize = 100;

/// `text` after `label`, its further lines below its first. Words too long for a line are cut up.
fn wrap(label: &str, text: &str) -> Vec<String> {
    let indent = label.chars().count();
    let room = WIDTH.saturating_sub(indent).max(20);
    let text = shown::harmless(text);
    let (mut lines, mut line, mut width) = (Vec::new(), String::new(), 0);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let chars: Vec<char> = word.chars().collect();
        for piece in chars.chunks(room) {
            if width > 0 && width + 1 + piece.len() > room {
                lines.push(std::mem::take(&mut line));
                width = 0;
            }
            if width > 0 {
                line.push(' ');
                width += 1;
            }
            line.extend(piece);
            width += piece.len();
        }
    }
    lines.push(line);
    let below = " ".repeat(indent);
    let place =
        |(at, line): (usize, String)| format!("{}{line}", if at == 0 { label } else { &below });
    lines.into_iter().enumerate().map(place).collect()
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

    /// Cells are plain text, whoever wrote it.
    pub fn row<const N: usize>(&mut self, cells: [(Colour, String); N]) {
        let cells = cells.map(|(colour, text)| match shown::harmless(&text) {
            Cow::Borrowed(_) => (colour, text),
            Cow::Owned(text) => (colour, text),
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_wider_than_people_read_and_no_word_is_lost() {
        let text = format!("a {} b {}", "x".repeat(250), "words ".repeat(40));
        let lines = wrap("  why  ", &text);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        assert!(lines[0].starts_with("  why  a"), "{lines:?}");
        assert!(lines[1..].iter().all(|line| line.starts_with("       ")), "{lines:?}");
        let squeeze = |text: &str| text.replace(' ', "");
        assert_eq!(squeeze(&lines.concat()), squeeze(&format!("why{text}")));
        assert_eq!(wrap("  why  ", ""), ["  why  "]);
    }

    #[test]
    fn no_text_of_others_reaches_the_terminal_as_a_command() {
        let hostile = "a\x1b[2J\r\n\u{9b}31m\u{202e}b\u{7f}";
        assert_eq!(wrap("", hostile), ["a\u{FFFD}[2J\u{FFFD}\u{FFFD}\u{FFFD}31m\u{FFFD}b\u{FFFD}"]);
        let mut table = Table::new(&["NAME"]);
        table.plain([hostile.to_owned()]);
        let output = Output { json: false, is_terminal: true, has_colours: false };
        let rendered = table.render(output);
        assert_eq!(rendered.lines().count(), 2, "{rendered:?}");
        assert!(!rendered.contains(|c: char| c != '\n' && shown::is_harmful(c)), "{rendered:?}");
    }
}
