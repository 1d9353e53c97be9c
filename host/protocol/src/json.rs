//! A strict reader of JSON: it refuses duplicate keys, which the common readers drop silently, keeps
//! numbers as written, and bounds depth and size before it builds anything.

use crate::field::{FieldError, Flaw, quote};
use crate::labels::show_key;
use crate::value::{DEPTH_MAX, VALUES_MAX, Value};
use std::borrow::Cow;
use std::collections::HashSet;

/// Reads one JSON value and nothing after it.
///
/// # Errors
/// `body`, with line and column, if it is not JSON or exceeds a limit; the full path of a key that
/// is given twice.
pub(crate) fn read_json(bytes: &[u8]) -> Result<Value<'_>, FieldError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let problem = format!("is not UTF-8 at byte {}", error.valid_up_to());
        Flaw::new(problem, "encode the text as UTF-8").at(BODY)
    })?;
    // Some editors put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, bytes: text.as_bytes(), at: 0, depth: 0, n_values: 0 };
    let value = reader.value().and_then(|value| match reader.peek() {
        None => Ok(value),
        Some(_) => Err(reader.expected("the end of the input")),
    });
    value.map_err(|error| reader.explain(error))
}

pub(crate) const BODY: &str = "body";

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    n_values: usize,
}

enum ReadError {
    /// At the reader's position.
    Syntax(Flaw),
    /// The path is completed on the way up.
    DuplicateKey { path: String },
}

/// Maps with more keys look for duplicates by hash.
const LINEAR_KEYS_MAX: usize = 16;

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Value<'a>, ReadError> {
        self.n_values += 1;
        if self.n_values > VALUES_MAX {
            return Err(self.too_big(format!("holds more than {VALUES_MAX} values")));
        }
        match self.peek() {
            Some(b'{') => self.nested(Reader::map),
            Some(b'[') => self.nested(Reader::list),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b'-' | b'0'..=b'9') => Ok(Value::Number(Cow::Borrowed(self.number()?))),
            Some(b'a'..=b'z' | b'A'..=b'Z') => self.word(),
            _ => Err(self.expected("a value")),
        }
    }

    fn nested(
        &mut self,
        read: fn(&mut Reader<'a>) -> Result<Value<'a>, ReadError>,
    ) -> Result<Value<'a>, ReadError> {
        if self.depth == DEPTH_MAX {
            return Err(self.too_big(format!("is nested more than {DEPTH_MAX} levels deep")));
        }
        self.depth += 1;
        self.at += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Result<Value<'a>, ReadError> {
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            let item = self.value().map_err(|error| error.within(&format!("[{}]", items.len())))?;
            items.push(item);
            if self.take(b']') {
                return Ok(Value::List(items));
            }
            if !self.take(b',') {
                return Err(self.expected("',' or ']'"));
            }
        }
    }

    fn map(&mut self) -> Result<Value<'a>, ReadError> {
        let mut entries: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        let mut seen: HashSet<Cow<'a, str>> = HashSet::new();
        if self.take(b'}') {
            return Ok(Value::Map(entries));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected("a key in double quotes"));
            }
            let key = self.string()?;
            if entries.len() == LINEAR_KEYS_MAX {
                seen.extend(entries.iter().map(|(key, _)| key.clone()));
            }
            let is_repeated = if entries.len() < LINEAR_KEYS_MAX {
                entries.iter().any(|(earlier, _)| *earlier == key)
            } else {
                !seen.insert(key.clone())
            };
            if is_repeated {
                return Err(ReadError::DuplicateKey { path: show_key(&key) });
            }
            if !self.take(b':') {
                return Err(self.expected("':'"));
            }
            let value = self.value().map_err(|error| error.within(&show_key(&key)))?;
            entries.push((key, value));
            if self.take(b'}') {
                return Ok(Value::Map(entries));
            }
            if !self.take(b',') {
                return Err(self.expected("',' or '}'"));
            }
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, ReadError> {
        self.at += 1;
        let start = self.at;
        let mut unescaped = String::new();
        let mut piece_start = start;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let piece = &self.text[piece_start..self.at];
                    self.at += 1;
                    if piece_start == start {
                        return Ok(Cow::Borrowed(piece));
                    }
                    unescaped.push_str(piece);
                    return Ok(Cow::Owned(unescaped));
                }
                Some(b'\\') => {
                    unescaped.push_str(&self.text[piece_start..self.at]);
                    unescaped.push(self.escape()?);
                    piece_start = self.at;
                }
                Some(0..0x20) => {
                    let problem = "holds a control character inside a text";
                    return Err(self.syntax(problem, "write it as an escape, like \\n or \\u0007"));
                }
                Some(_) => self.at += 1,
                None => return Err(self.syntax("ends inside a text", "close it with '\"'")),
            }
        }
    }

    /// At a backslash; ends after the escape.
    fn escape(&mut self) -> Result<char, ReadError> {
        let escaped = match self.bytes.get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.bad_escape()),
        };
        self.at += 2;
        Ok(escaped)
    }

    fn unicode_escape(&mut self) -> Result<char, ReadError> {
        let high = self.hex_unit(self.at).ok_or_else(|| self.bad_escape())?;
        let (length, code) = match (high, self.hex_unit(self.at + 6)) {
            (0xd800..0xdc00, Some(low @ 0xdc00..0xe000)) => {
                (12, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
            }
            _ => (6, high),
        };
        let character = char::from_u32(code).ok_or_else(|| self.bad_escape())?;
        self.at += length;
        Ok(character)
    }

    /// The number in `\uXXXX` at this place.
    fn hex_unit(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |code, digit| Some(code * 16 + char::from(*digit).to_digit(16)?))
    }

    fn bad_escape(&self) -> ReadError {
        self.syntax("has an invalid escape", "write a backslash as \\\\")
    }

    /// `-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`
    fn number(&mut self) -> Result<&'a str, ReadError> {
        let start = self.at;
        self.at += usize::from(self.bytes[self.at] == b'-');
        let whole = self.at;
        self.digits()?;
        if self.bytes[whole] == b'0' && self.at > whole + 1 {
            self.at = whole;
            return Err(self.syntax("has a number with leading zeros", "remove the zeros"));
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// At least one.
    fn digits(&mut self) -> Result<(), ReadError> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(self.expected("a digit")) }
    }

    fn word(&mut self) -> Result<Value<'a>, ReadError> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let value = match &rest[..length] {
            "null" => Value::Null,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "NaN" | "Infinity" => {
                return Err(self.syntax("has a number that is not finite", "write a finite number"));
            }
            word => {
                let problem = format!("has the bare word {}", quote(word));
                return Err(self.syntax(problem, "put texts in double quotes"));
            }
        };
        self.at += length;
        Ok(value)
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    /// Whether that byte comes next; then it is passed.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn expected(&self, what: &str) -> ReadError {
        let found = match self.text[self.at..].chars().next() {
            Some(found) => format!("{found:?}"),
            None => "the end".to_owned(),
        };
        self.syntax(format!("is not valid JSON: found {found}"), format!("expected {what} there"))
    }

    fn syntax(&self, problem: impl Into<String>, remedy: impl Into<String>) -> ReadError {
        ReadError::Syntax(Flaw::new(problem, remedy))
    }

    fn too_big(&self, problem: String) -> ReadError {
        ReadError::Syntax(Flaw::new(problem, "split it into smaller submissions"))
    }

    fn explain(&self, error: ReadError) -> FieldError {
        match error {
            ReadError::Syntax(flaw) => {
                let before = &self.text[..self.at];
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|it| *it != '\n').count() + 1;
                let problem = format!("{} (line {line}, column {column})", flaw.problem);
                Flaw { problem, ..flaw }.at(BODY)
            }
            ReadError::DuplicateKey { path } => {
                Flaw::new("is given twice", "keep one of the two").at(path)
            }
        }
    }
}

impl ReadError {
    fn within(self, step: &str) -> ReadError {
        match self {
            ReadError::Syntax(flaw) => ReadError::Syntax(flaw),
            ReadError::DuplicateKey { path } if path.starts_with('[') => {
                ReadError::DuplicateKey { path: format!("{step}{path}") }
            }
            ReadError::DuplicateKey { path } => {
                ReadError::DuplicateKey { path: format!("{step}.{path}") }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(json: &str, expect: &str) {
        let error = read_json(json.as_bytes()).expect_err(json).to_string();
        assert!(error.starts_with(expect), "{json}: {error}");
    }

    #[test]
    fn a_duplicate_key_is_never_dropped() {
        check(r#"{"a":1,"a":2}"#, "a: is given twice");
        check(r#"{"a":1,"\u0061":2}"#, "a: is given twice");
        check(
            r#"{"tasks":[{},{"resources":{"cpu":1,"cpu":1}}]}"#,
            "tasks[1].resources.cpu: is given twice",
        );
        check(r#"[[{"x":1,"x":1}]]"#, "[0][0].x: is given twice");
        let keys: Vec<String> = (0..40).map(|n| format!("\"k{}\":1", n % 39)).collect();
        check(&format!("{{{}}}", keys.join(",")), "k0: is given twice");
    }

    #[test]
    fn what_is_not_json_is_refused_with_its_place() {
        check("", "body: is not valid JSON: found the end (line 1, column 1)");
        check("{\n \"é\" 1}", "body: is not valid JSON: found '1' (line 2, column 6)");
        check("{} x", "body: is not valid JSON: found 'x'");
        check("{'a':1}", "body: is not valid JSON: found '\\''");
        check("[1,]", "body: is not valid JSON: found ']'");
        check("{\"a\":1,}", "body: is not valid JSON: found '}'");
        check("[01]", "body: has a number with leading zeros");
        check("[NaN]", "body: has a number that is not finite");
        check("[-Infinity]", "body: is not valid JSON: found 'I'");
        check("[True]", "body: has the bare word \"True\"");
        check("[1.]", "body: is not valid JSON: found ']'");
        check("[1e]", "body: is not valid JSON: found ']'");
        check("[\"\\ud800\"]", "body: has an invalid escape");
        check("[\"\\x\"]", "body: has an invalid escape");
        check("[\"a\nb\"]", "body: holds a control character");
        check("[\"a", "body: ends inside a text");
        let error = read_json(b"\"\xff\"").unwrap_err().to_string();
        assert!(error.starts_with("body: is not UTF-8 at byte 1"), "{error}");
    }

    #[test]
    fn deep_nesting_never_overflows_the_stack() {
        check(&"[".repeat(100_000), "body: is nested more than 32 levels deep");
        check(&"{\"a\":".repeat(100_000), "body: is nested more than 32 levels deep");
    }

    #[test]
    fn escapes_and_numbers_come_through_as_written() {
        let value =
            read_json("\u{feff}[\"\\ud83d\\ude80\\n\\/é\", 0.10, -1E+5]".as_bytes()).unwrap();
        let mut json = String::new();
        value.write_json(&mut json);
        assert_eq!(json, r#"["🚀\n/é",0.10,-1E+5]"#);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_json(&bytes);
        }

        #[test]
        fn it_takes_and_refuses_what_the_common_reader_does(
            json in "[\\[\\]{}\",:0-9eE.+\\-truefalsn\\\\ ]{0,12}",
        ) {
            let common: Result<serde_json::Value, _> = serde_json::from_str(&json);
            match (read_json(json.as_bytes()), common) {
                (Ok(value), Ok(common)) => {
                    let mut written = String::new();
                    value.write_json(&mut written);
                    prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), common);
                }
                (Err(_), Err(_)) => {}
                // Numbers beyond the range of floating point are kept as text, not refused.
                (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range")),
                (Err(error), Ok(_)) => prop_assert!(error.to_string().contains("given twice"), "{}", error),
            }
        }
    }
}
