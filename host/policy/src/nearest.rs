//! "Did you mean": the known name nearest to an unknown one.

/// The candidate with the fewest edits to `name`, if that is few enough to be a slip.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let (edits, best) = candidates.into_iter().map(|it| (distance(name, it), it)).min()?;
    let n_chars = name.chars().count();
    (edits <= (n_chars / 3).max(2) && edits < n_chars).then_some(best)
}

/// As a piece of a message: `; did you mean "x"?`, or nothing.
pub(crate) fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, candidates).map_or_else(String::new, |it| format!("; did you mean {it:?}?"))
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a_char) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b_char) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a_char != *b_char);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_something_else_is_not() {
        let names = ["cpu-load", "memory-load", "rtt-ms"];
        assert_eq!(nearest("cpu-laod", names), Some("cpu-load"));
        assert_eq!(nearest("rtt_ms", names), Some("rtt-ms"));
        assert_eq!(nearest("temperature", names), None);
        assert_eq!(nearest("", names), None);
    }
}
