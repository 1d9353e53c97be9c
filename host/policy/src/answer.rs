//! The checks that an answer passes before the scheduler sees it.

use crate::failure::{Failure, FailureKind};

/// One score per row, each in [0, 1].
pub(crate) fn check_scores(scores: &[f64], n_rows: usize) -> Result<(), Failure> {
    check_length("score", scores.len(), n_rows)?;
    match scores.iter().position(|score| !(0.0..=1.0).contains(score)) {
        None => Ok(()),
        Some(row) if scores[row].is_nan() => Err(not_a_number("score", row)),
        Some(row) => Err(Failure::new(
            FailureKind::OutOfRange,
            format!("score answered {} for row {row}; scores are from 0 to 1", scores[row]),
        )),
    }
}

/// One finite rank per row.
pub(crate) fn check_ranks(ranks: &[f64], n_rows: usize) -> Result<(), Failure> {
    check_length("rank", ranks.len(), n_rows)?;
    match ranks.iter().position(|rank| !rank.is_finite()) {
        None => Ok(()),
        Some(row) if ranks[row].is_nan() => Err(not_a_number("rank", row)),
        Some(row) => Err(Failure::new(
            FailureKind::OutOfRange,
            format!("rank answered {} for row {row}; ranks are finite", ranks[row]),
        )),
    }
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
        assert_eq!(kind(check_scores(&[0.0, 1.0], 2)), None);
        assert_eq!(kind(check_scores(&[0.0], 2)), Some(FailureKind::WrongLength));
        assert_eq!(kind(check_scores(&[f64::NAN], 1)), Some(FailureKind::NotANumber));
        assert_eq!(kind(check_scores(&[1.0 + f64::EPSILON], 1)), Some(FailureKind::OutOfRange));
        assert_eq!(kind(check_scores(&[-0.1], 1)), Some(FailureKind::OutOfRange));
        assert_eq!(kind(check_ranks(&[-1e300], 1)), None);
        assert_eq!(kind(check_ranks(&[f64::INFINITY], 1)), Some(FailureKind::OutOfRange));
        assert_eq!(kind(check_ranks(&[f64::NAN], 1)), Some(FailureKind::NotANumber));
        assert_eq!(kind(check_ranks(&[], 1)), Some(FailureKind::WrongLength));
    }
}
