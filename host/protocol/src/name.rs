//! Names: of tasks, jobs, queues, tenants and workers. One rule for all of them.

use crate::field::{Flaw, quote};
use std::borrow::Cow;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Characters of a name at most.
pub const NAME_CHARS_MAX: usize = 200;

/// The name in its normal form (NFC), so that names that look alike are equal.
///
/// # Errors
/// If it is empty, longer than [`NAME_CHARS_MAX`] characters, `.` or `..`, or holds a `/`, a control
/// character, a line separator or a character that changes the direction of writing.
pub fn parse_name(text: &str) -> Result<String, Flaw> {
    let name = normalised(text);
    let n_chars = name.chars().count();
    if name.is_empty() {
        return Err(Flaw::new("is empty", "give it 1 to 200 characters"));
    }
    if n_chars > NAME_CHARS_MAX {
        return Err(Flaw::new(
            format!("{} has {n_chars} characters", quote(&name)),
            format!("use at most {NAME_CHARS_MAX}"),
        ));
    }
    if name == "." || name == ".." {
        return Err(Flaw::new(format!("{name:?} is not a name"), "use another name"));
    }
    match name.chars().find(|it| is_refused(*it)) {
        Some('/') => Err(Flaw::new(
            format!("{} contains '/'", quote(&name)),
            "use a name without slashes, for example with '.' or '-'",
        )),
        Some(refused) => Err(Flaw::new(
            format!(
                "{} contains U+{:04X}, a control or direction character",
                quote(&name),
                u32::from(refused)
            ),
            "remove that character",
        )),
        None => Ok(name.into_owned()),
    }
}

fn normalised(text: &str) -> Cow<'_, str> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => Cow::Borrowed(text),
        IsNormalized::No | IsNormalized::Maybe => Cow::Owned(text.nfc().collect()),
    }
}

/// Characters that would break a listing, a path or a log line, or make one name look like another.
fn is_refused(character: char) -> bool {
    match character {
        '/' | '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{feff}' => true,
        '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&str, &str>) {
        match (parse_name(text), expect) {
            (Ok(name), Ok(expected)) => assert_eq!(name, expected, "{text:?}"),
            (Err(flaw), Err(expected)) => {
                assert!(flaw.problem.contains(expected), "{text:?}: {}", flaw.problem);
            }
            (got, expected) => panic!("{text:?}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn names_that_break_listings_or_paths_are_refused() {
        check("µ-日本語-🚀", Ok("µ-日本語-🚀"));
        check("a b", Ok("a b"));
        check("e\u{301}", Ok("é"));
        check("é", Ok("é"));
        check("👩‍💻", Ok("👩‍💻"));
        check("<img src=x onerror=alert(1)>", Ok("<img src=x onerror=alert(1)>"));
        check(&"é".repeat(200), Ok(&"é".repeat(200)));
        check(&"e\u{301}".repeat(200), Ok(&"é".repeat(200)));
        check("", Err("empty"));
        check(&"x".repeat(201), Err("201 characters"));
        check(&"x".repeat(10_000), Err("10000 characters"));
        check("a\u{0}b", Err("U+0000"));
        check("a\nb", Err("U+000A"));
        check("a\u{85}b", Err("U+0085"));
        check("a\u{202e}b", Err("U+202E"));
        check("a\u{2028}b", Err("U+2028"));
        check("../x", Err("'/'"));
        check("..", Err("not a name"));
        check(".", Err("not a name"));
    }
}
