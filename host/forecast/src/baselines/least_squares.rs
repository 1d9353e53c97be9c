//! Linear least squares with a constant, by normal equations of centred columns and Cholesky's decomposition.
//! A dozen columns need no more; directions in which the data say nothing get the coefficient 0.

/// Pivots smaller than this part of their column's variance say nothing.
const PIVOT_MIN: f64 = 1e-12;

/// `rows` holds as many numbers per wanted value as there are columns. Answers (coefficients, constant).
pub(super) fn solve(rows: &[f64], wanted: &[f64]) -> (Vec<f64>, f64) {
    let n_columns = rows.len() / wanted.len();
    let n = wanted.len() as f64;
    let mut means = vec![0.0; n_columns];
    for row in rows.chunks_exact(n_columns) {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / n);
    }
    let mean_wanted = wanted.iter().sum::<f64>() / n;
    let mut matrix = vec![0.0; n_columns * n_columns];
    let mut right = vec![0.0; n_columns];
    let mut centred = vec![0.0; n_columns];
    for (row, wanted) in rows.chunks_exact(n_columns).zip(wanted) {
        for (at, (value, mean)) in row.iter().zip(&means).enumerate() {
            centred[at] = value - mean;
        }
        for (at, value) in centred.iter().enumerate() {
            right[at] += value * (wanted - mean_wanted);
            let entries = &mut matrix[at * n_columns..][..=at];
            entries.iter_mut().zip(&centred).for_each(|(entry, other)| *entry += value * other);
        }
    }
    decompose(&mut matrix, n_columns);
    let coefficients = substitute(&matrix, right);
    let constant =
        mean_wanted - coefficients.iter().zip(&means).map(|(by, mean)| by * mean).sum::<f64>();
    (coefficients, constant)
}

/// The lower triangle becomes L of L·Lᵀ; a row without a pivot becomes 0.
fn decompose(matrix: &mut [f64], n: usize) {
    for row in 0..n {
        let variance = matrix[row * n + row];
        for column in 0..=row {
            let product: f64 =
                (0..column).map(|at| matrix[row * n + at] * matrix[column * n + at]).sum();
            let rest = matrix[row * n + column] - product;
            let pivot = matrix[column * n + column];
            matrix[row * n + column] = if column < row {
                if pivot > 0.0 { rest / pivot } else { 0.0 }
            } else if rest > variance * PIVOT_MIN && rest > 0.0 {
                rest.sqrt()
            } else {
                0.0
            };
        }
    }
}

fn substitute(lower: &[f64], mut right: Vec<f64>) -> Vec<f64> {
    let n = right.len();
    let divided = |value: f64, pivot: f64| if pivot > 0.0 { value / pivot } else { 0.0 };
    for row in 0..n {
        let known: f64 = (0..row).map(|at| lower[row * n + at] * right[at]).sum();
        right[row] = divided(right[row] - known, lower[row * n + row]);
    }
    for row in (0..n).rev() {
        let known: f64 = (row + 1..n).map(|at| lower[at * n + row] * right[at]).sum();
        right[row] = divided(right[row] - known, lower[row * n + row]);
    }
    right
}
