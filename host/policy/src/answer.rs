//! The checks that an answer passes before the scheduler sees it.

use crate::failure::{Failure, FailureKind};
use crate::guest::cut;

/// Terms that a score may be made of.
const MAX_TERMS: usize = 64;
const MAX_TERM_NAME: usize = 100;

/// One score per row, each in [0, 1]. Negative zero becomes zero: whoever sorts them may tell the two
/// apart.
pub(crate) fn check_scores(scores: &mut [f64], n_rows: usize) -> Result<(), Failure> {
    check_length("score", scores.len(), n_rows)?;
    without_negative_zero(scores);
    match scores.iter().position(|score| !(0.0..=1.0).contains(score)) {
        None => Ok(()),
        Some(row) if scores[row].is_nan() => Err(not_a_number("score", row)),
        Some(row) => Err(Failure::new(
            FailureKind::OutOfRange,
            format!("score answered {} for row {row}; scores are from 0 to 1", scores[row]),
        )),
    }
}

/// One finite rank per row, negative zero as in [`check_scores`].
pub(crate) fn check_ranks(ranks: &mut [f64], n_rows: usize) -> Result<(), Failure> {
    check_length("rank", ranks.len(), n_rows)?;
    without_negative_zero(ranks);
    match ranks.iter().position(|rank| !rank.is_finite()) {
        None => Ok(()),
        Some(row) if ranks[row].is_nan() => Err(not_a_number("rank", row)),
        Some(row) => Err(Failure::new(
            FailureKind::OutOfRange,
            format!("rank answered {} for row {row}; ranks are finite", ranks[row]),
        )),
    }
}

/// A few finite terms with short names.
pub(crate) fn check_terms(terms: &mut [(String, f64)]) -> Result<(), Failure> {
    if terms.len() > MAX_TERMS {
        let message = format!("explain answered {} terms; at most {MAX_TERMS}", terms.len());
        return Err(Failure::new(FailureKind::WrongLength, message));
    }
    for (row, (name, term)) in terms.iter_mut().enumerate() {
        if term.is_nan() {
            return Err(not_a_number("explain", row));
        }
        if term.is_infinite() {
            let message = format!("explain answered {term} for term {row}; terms are finite");
            return Err(Failure::new(FailureKind::OutOfRange, message));
        }
        *term += 0.0;
        *name = cut(std::mem::take(name), MAX_TERM_NAME);
    }
    Ok(())
}

fn without_negative_zero(values: &mut [f64]) {
    values.iter_mut().for_each(|value| *value += 0.0);
}

fn check_length(function: &str, n: usize, n_rows: usize) -> Result<(), Failure> {
    if n == n_rows {
        return Ok(());
    }
    let message = format!("{function} answered {n} values for {n_rows} rows");
    Err(Failure::new(FailureKind::WrongLength, message))
}

fn not_a_number(function: &str, row: usize) -> Failure {
    Failure::new(FailureKind::NotANumber, format!("{function} answered NaN for row {row}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(result: Result<(), Failure>) -> Option<FailureKind> {
        result.err().map(|failure| failure.kind)
    }

    #[test]
    fn what_the_scheduler_could_not_sort_is_refused() {
        assert_eq!(kind(check_scores(&mut [0.0, 1.0], 2)), None);
        assert_eq!(kind(check_scores(&mut [0.0], 2)), Some(FailureKind::WrongLength));
        assert_eq!(kind(check_scores(&mut [f64::NAN], 1)), Some(FailureKind::NotANumber));
        assert_eq!(kind(check_scores(&mut [1.0 + f64::EPSILON], 1)), Some(FailureKind::OutOfRange));
        assert_eq!(kind(check_scores(&mut [-0.1], 1)), Some(FailureKind::OutOfRange));
        assert_eq!(kind(check_ranks(&mut [-1e300], 1)), None);
        assert_eq!(kind(check_ranks(&mut [f64::INFINITY], 1)), Some(FailureKind::OutOfRange));
        assert_eq!(kind(check_ranks(&mut [f64::NAN], 1)), Some(FailureKind::NotANumber));
        assert_eq!(kind(check_ranks(&mut [], 1)), Some(FailureKind::WrongLength));
    }

    #[test]
    fn the_scheduler_never_sees_a_negative_zero() {
        let (mut scores, mut ranks) = ([-0.0, 0.5], [-0.0]);
        assert_eq!(kind(check_scores(&mut scores, 2)), None);
        assert_eq!(kind(check_ranks(&mut ranks, 1)), None);
        let mut terms = [("idle".to_owned(), -0.0)];
        assert_eq!(kind(check_terms(&mut terms)), None);
        for zero in [scores[0], ranks[0], terms[0].1] {
            assert_eq!(zero.to_bits(), 0.0_f64.to_bits());
        }
    }

    #[test]
    fn an_explanation_cannot_fill_the_answer_with_anything() {
        let term = |value| ("t".repeat(1_000), value);
        let mut long = [term(0.5)];
        assert_eq!(kind(check_terms(&mut long)), None);
        assert_eq!(long[0].0.chars().count(), MAX_TERM_NAME + 1);
        assert_eq!(kind(check_terms(&mut [term(f64::NAN)])), Some(FailureKind::NotANumber));
        assert_eq!(kind(check_terms(&mut [term(f64::INFINITY)])), Some(FailureKind::OutOfRange));
        let mut many = vec![term(0.0); MAX_TERMS + 1];
        assert_eq!(kind(check_terms(&mut many)), Some(FailureKind::WrongLength));
    }
}
