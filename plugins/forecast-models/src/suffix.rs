//! What of a window a model may go by, where samples are missing.

/// Fewer samples without a hole are nothing to forecast from.
pub(crate) const SAMPLES_MIN: usize = 3;

/// The latest samples of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Suffix {
    /// The last `n` ≥ [`SAMPLES_MIN`] samples are known; `last` is the newest.
    Whole { n: usize, last: f64 },
    /// Too few of them are: this is the newest value that is known, or 0 where none is.
    Short { last: f64 },
}

/// Looks at samples from the newest to the oldest; what is not finite is missing.
pub(crate) fn suffix(newest_first: impl Iterator<Item = f64> + Clone) -> Suffix {
    let last = newest_first.clone().find(|it| it.is_finite()).unwrap_or(0.0);
    match newest_first.take_while(|it| it.is_finite()).count() {
        n if n >= SAMPLES_MIN => Suffix::Whole { n, last },
        _ => Suffix::Short { last },
    }
}
