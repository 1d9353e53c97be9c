//! Labels of tasks and workers, and the labels a task requires.

use crate::field::{FieldError, Flaw, quote};
use std::collections::BTreeMap;

/// Labels of one task or worker at most.
pub const LABELS_MAX: usize = 64;

/// Characters of a key at most; it needs one.
pub const KEY_CHARS_MAX: usize = 100;

/// Characters of a value at most; it may be empty.
pub const VALUE_CHARS_MAX: usize = 200;

/// # Errors
/// Names the label, as `labels.KEY`, that is too long or holds a control character.
pub fn check_labels(labels: &BTreeMap<String, String>, field: &str) -> Result<(), FieldError> {
    if labels.len() > LABELS_MAX {
        let problem = format!("has {} labels", labels.len());
        return Err(Flaw::new(problem, format!("give at most {LABELS_MAX}")).at(field));
    }
    for (key, value) in labels {
        check_label(key, value).map_err(|flaw| flaw.at(format!("{field}.{}", show_key(key))))?;
    }
    Ok(())
}

fn check_label(key: &str, value: &str) -> Result<(), Flaw> {
    if key.is_empty() {
        return Err(Flaw::new("has an empty key", "give the label a key"));
    }
    if key.chars().count() > KEY_CHARS_MAX {
        return Err(Flaw::new(
            "its key is too long",
            format!("use at most {KEY_CHARS_MAX} characters"),
        ));
    }
    if value.chars().count() > VALUE_CHARS_MAX {
        return Err(Flaw::new(
            "its value is too long",
            format!("use at most {VALUE_CHARS_MAX} characters"),
        ));
    }
    if key.chars().chain(value.chars()).any(char::is_control) {
        let problem = format!("{} = {} contains a control character", quote(key), quote(value));
        return Err(Flaw::new(problem, "remove that character"));
    }
    Ok(())
}

/// A key as part of a field's path: escaped and bounded, without quotes where it needs none.
pub(crate) fn show_key(key: &str) -> String {
    let is_plain = |it: char| it.is_alphanumeric() || matches!(it, '_' | '-' | '.' | '/');
    if !key.is_empty() && key.len() <= KEY_CHARS_MAX && key.chars().all(is_plain) {
        key.to_owned()
    } else {
        quote(key)
    }
}
