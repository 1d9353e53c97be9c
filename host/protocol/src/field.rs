//! One field of an input that cannot be taken, and what to do about it.

/// A refused input. Reads as one sentence: `tasks[3].resources.memory: "8GBs" is not an amount of
/// memory; write it like "8GB" or "8GiB"`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}; {remedy}")]
pub struct FieldError {
    /// The path from the top of the input, like `tasks[3].resources.memory`; `body` for all of it.
    pub field: String,
    /// What is wrong with it, quoting a bounded part of what was written.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

/// A [`FieldError`] that does not know yet where its value stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}; {remedy}")]
pub struct Flaw {
    pub problem: String,
    pub remedy: String,
}

impl Flaw {
    pub fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Flaw {
        Flaw { problem: problem.into(), remedy: remedy.into() }
    }

    pub fn at(self, field: impl Into<String>) -> FieldError {
        FieldError { field: field.into(), problem: self.problem, remedy: self.remedy }
    }
}

/// Characters of an input that an error repeats.
const QUOTED_MAX: usize = 60;

/// Quotes an input in an error: escaped, and shortened when it is long.
pub fn quote(text: &str) -> String {
    let mut chars = text.chars();
    let shown: String = chars.by_ref().take(QUOTED_MAX).collect();
    if chars.next().is_some() { format!("{shown:?}…") } else { format!("{shown:?}") }
}
