//! The columns that the host of this version knows, with their units: what a field of a row can be.
//! A newer host may know more of them; it says so itself when it admits a policy.

mod columns;

pub use columns::{TASK, WORKER};

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    /// `0..1`, `cores`, `bytes`, `MB`, `devices`, `ms`, `1/s`, `count`, `number`, or `name number` for
    /// what [`host::intern`](crate::host::intern) numbers.
    pub unit: &'static str,
    pub range: Range,
    /// Whether some rows have none: read it as an `Option<f64>`, or expect NaN.
    pub can_be_missing: bool,
    pub meaning: &'static str,
}

/// What values a column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// From 0 to 1.
    Fraction,
    /// 0 or more.
    NotNegative,
    /// More than 0.
    Positive,
    /// A whole number from 1 on.
    Counted,
    /// A whole number of 32 bits, negative ones included.
    Signed,
    /// A whole number from 0 to 2^53 − 1, to be compared for equality only.
    Name,
    /// Any finite number.
    Any,
}

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Worker,
    Task,
}

impl Kind {
    /// All columns of the kind.
    pub fn columns(self) -> &'static [Column] {
        match self {
            Kind::Worker => WORKER,
            Kind::Task => TASK,
        }
    }

    fn other(self) -> Kind {
        match self {
            Kind::Worker => Kind::Task,
            Kind::Task => Kind::Worker,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Worker => "worker",
            Kind::Task => "task",
        }
    }
}

/// The column of that name, exactly.
pub fn find(kind: Kind, name: &str) -> Option<&'static Column> {
    kind.columns().iter().find(|column| column.name == name)
}

/// Worker columns that are measured: a forecasting policy can read windows of them and forecast them.
pub const MEASURED: &[&str] = &["cpu-used", "memory-used", "iops-used", "rtt-ms", "connections"];

/// Checks a name as the host will, for a scoring, queue or rescheduling policy.
///
/// # Errors
/// Says that there is no such column, and which one may be meant.
pub fn check(kind: Kind, name: &str) -> Result<(), String> {
    if find(kind, name).is_some() {
        return Ok(());
    }
    if name.contains('@') {
        return Err(format!("`{name}` is a window; only forecasting policies get those"));
    }
    let (this, other) = (kind.name(), kind.other().name());
    if find(kind.other(), name).is_some() {
        return Err(format!("`{name}` is a column of the {other}, and this is a {this}'s row"));
    }
    let names = || kind.columns().iter().map(|column| column.name);
    Err(match nearest(name, names()) {
        Some(nearest) => format!("no {this} has a column `{name}`; did you mean `{nearest}`?"),
        None => {
            let known: Vec<_> = names().collect();
            format!("no {this} has a column `{name}`; there are {}", known.join(", "))
        }
    })
}

/// As [`check`], for what a forecasting policy needs: worker columns, and windows of measured ones.
///
/// # Errors
/// As [`check`].
pub fn check_needed_for_forecast(name: &str) -> Result<(), String> {
    match name.split_once('@') {
        None if name.starts_with("predicted") => {
            Err(format!("`{name}` is a forecast, and this is what forecasts are made of"))
        }
        None => check(Kind::Worker, name),
        Some((column, _)) => check_measured(column),
    }
}

/// As [`check`], for what a forecasting policy provides: `predicted:` and a measured column.
///
/// # Errors
/// As [`check`].
pub fn check_forecast(name: &str) -> Result<(), String> {
    check_measured(name.strip_prefix("predicted:").unwrap_or(name))
}

fn check_measured(column: &str) -> Result<(), String> {
    check(Kind::Worker, column)?;
    if MEASURED.contains(&column) {
        return Ok(());
    }
    Err(format!("`{column}` is not measured; there are {}", MEASURED.join(", ")))
}

/// The candidate with the fewest edits, if that is few enough to be a slip.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let (edits, best) = candidates.map(|it| (distance(name, it), it)).min()?;
    let n_chars = name.chars().count();
    (edits <= (n_chars / 3).max(2) && edits < n_chars).then_some(best)
}

/// Levenshtein's.
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
    fn no_misspelt_column_is_taken() {
        assert_eq!(check(Kind::Worker, "cpu-load"), Ok(()));
        for (kind, name, expected) in [
            (
                Kind::Worker,
                "cpu-laod",
                "no worker has a column `cpu-laod`; did you mean `cpu-load`?",
            ),
            (
                Kind::Task,
                "cpu-load",
                "`cpu-load` is a column of the worker, and this is a task's row",
            ),
        ] {
            assert_eq!(check(kind, name), Err(expected.to_owned()));
        }
        let far = check(Kind::Task, "temperature").expect_err("unknown");
        assert!(far.starts_with("no task has a column `temperature`; there are cpu, memory, "));
    }
}
