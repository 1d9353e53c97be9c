//! Names from elsewhere, made valid and unique here.

use std::collections::HashSet;
use unicode_normalization::UnicodeNormalization;

/// Characters of a name or a label's value at most.
const CHARS_MAX: usize = 200;

/// Hands out names; none twice.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// The name itself if it is valid and free, else the nearest one that is: characters that are
    /// not allowed become `_`, what is too long is cut, a repeat gets a number.
    pub fn take(&mut self, wanted: &str) -> String {
        let valid = sanitise(wanted);
        let mut name = valid.clone();
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            let suffix = format!("-{number}");
            name = format!("{}{suffix}", cut(&valid, CHARS_MAX - suffix.len()));
            number += 1;
        }
        name
    }
}

/// A valid name: 1 to 200 characters in normal form, without slashes, control and direction
/// characters.
pub(super) fn sanitise(text: &str) -> String {
    let replaced: String =
        text.nfc().map(|it| if is_refused(it) { '_' } else { it }).take(CHARS_MAX).collect();
    match replaced.as_str() {
        "" | "." | ".." => "_".to_owned(),
        _ => replaced,
    }
}

/// A text as a label's value can hold it.
pub(super) fn label_value(text: &str) -> String {
    cut(text, CHARS_MAX).chars().map(|it| if it.is_control() { '_' } else { it }).collect()
}

fn cut(text: &str, n_chars: usize) -> &str {
    text.char_indices().nth(n_chars).map_or(text, |(at, _)| &text[..at])
}

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

    #[test]
    fn no_name_is_invalid_or_given_twice() {
        let mut names = Names::default();
        assert_eq!(names.take("a/b"), "a_b");
        assert_eq!(names.take("a_b"), "a_b-2");
        assert_eq!(names.take("a\nb"), "a_b-3");
        assert_eq!(names.take("e\u{301}"), "é");
        assert_eq!(names.take("é"), "é-2");
        assert_eq!(names.take(""), "_");
        assert_eq!(names.take(".."), "_-2");
        let long = "x".repeat(300);
        assert_eq!(names.take(&long), "x".repeat(200));
        assert_eq!(names.take(&long), format!("{}-2", "x".repeat(198)));
    }
}
