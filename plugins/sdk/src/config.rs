//! From the configuration as the host sends it to the policy's own type. Errors name the key, since
//! whoever reads them looks at a TOML file, not at JSON.

use serde::de::DeserializeOwned;

/// For policies without configuration: any key is refused by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// Parses `json`.
///
/// # Errors
/// `<key>: <what is wrong>`; the key is `config` where the fault is in no single one.
pub fn parse<C: DeserializeOwned>(json: &str) -> Result<C, String> {
    serde_json::from_str(json).map_err(|error| {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let text = error.to_string();
        let message = text.strip_suffix(&place).unwrap_or(&text);
        let mut path = path_to(json, offset(json, error.line(), error.column()));
        // "unknown field `cpus`" names the key itself.
        path.pop_if(|key| message.contains(&format!("`{key}`")));
        let path = if path.is_empty() { "config".to_owned() } else { path.join(".") };
        format!("{path}: {message}")
    })
}

/// Lines and columns count from 1, columns in bytes.
fn offset(json: &str, line: usize, column: usize) -> usize {
    let before: usize = json.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column).min(json.len())
}

enum Open<'a> {
    /// With the key whose value comes or came last.
    Object(Option<&'a str>),
    Array,
}

impl<'a> Open<'a> {
    fn key(self) -> Option<&'a str> {
        match self {
            Open::Object(key) => key,
            Open::Array => None,
        }
    }
}

/// The keys on the way to the value that ends, or is read, at `end`. Positions in arrays are left out.
fn path_to(json: &str, end: usize) -> Vec<&str> {
    let mut opened = Vec::new();
    let mut at = 0;
    while at < end {
        let byte = json.as_bytes()[at];
        at += 1;
        match (byte, opened.last_mut()) {
            (b'{', _) => opened.push(Open::Object(None)),
            (b'[', _) => opened.push(Open::Array),
            (b'}' | b']', _) => drop(opened.pop()),
            (b',', Some(Open::Object(key))) => *key = None,
            (b'"', open) => {
                let text = string_at(json, at);
                at += text.len() + 1;
                if let Some(Open::Object(key @ None)) = open {
                    *key = Some(text);
                }
            }
            _ => {}
        }
    }
    opened.into_iter().filter_map(Open::key).collect()
}

/// The text from `start` to the quote that closes it, escapes as they are.
fn string_at(json: &str, start: usize) -> &str {
    let mut is_escaped = false;
    let len = json[start..].bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    &json[start..start + len.unwrap_or(json.len() - start)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Config {
        factor: f64,
        count: u32,
        by: By,
        inner: Option<Box<Config>>,
        many: Vec<u32>,
    }

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum By {
        #[default]
        One,
        Other,
    }

    #[test]
    fn no_error_leaves_the_key_out() {
        for (json, expected) in [
            (r#"{"factor":"a"}"#, r#"factor: invalid type: string "a", expected f64"#),
            (r#"{"factor":null,"count":1}"#, "factor: invalid type: null, expected f64"),
            (
                r#"{"factor":1,"count":1.5}"#,
                "count: invalid type: floating point `1.5`, expected u32",
            ),
            (r#"{"count":-1}"#, "count: invalid value: integer `-1`, expected u32"),
            (r#"{"factor":{}}"#, "factor: invalid type: map, expected f64"),
            (r#"{"factor":[1]}"#, "factor: invalid type: sequence, expected f64"),
            (r#"{"by":"x"}"#, "by: unknown variant `x`, expected `one` or `other`"),
            (
                r#"{"many":[1,"\"{"],"count":1}"#,
                r#"many: invalid type: string "\"{", expected u32"#,
            ),
            (
                "{\"inner\":{\n\"many\":[],\"factor\":true}}",
                "inner.factor: invalid type: boolean `true`, expected f64",
            ),
            (
                r#"{"inner":{"counts":1}}"#,
                "inner: unknown field `counts`, expected one of `factor`, `count`, `by`, `inner`, `many`",
            ),
            (r#"{"factor":1,"factor":1}"#, "config: duplicate field `factor`"),
            ("7", "config: invalid type: integer `7`, expected struct Config"),
        ] {
            assert_eq!(parse::<Config>(json).map(|_| ()), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_policy_without_configuration_takes_no_key() {
        assert_eq!(parse("{}"), Ok(NoConfig {}));
        let expected = "config: unknown field `speed`, there are no fields";
        assert_eq!(parse::<NoConfig>(r#"{"speed":1}"#), Err(expected.to_owned()));
    }
}
