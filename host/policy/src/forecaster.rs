//! What a forecasting policy says of itself and answers, checked.

use crate::failure::{Failure, FailureKind};
use crate::manifest::{ManifestError, Properties};
use crate::nearest::hint;
use crate::window::{self, MAX_LISTS, Needed};
use pointsman_scheduler::columns::{ColumnInfo, WorkerColumn};
use std::time::Duration;

/// Numbers of one call: 8 MB, half of what a compiled guest may hold.
const MAX_NUMBERS: usize = 1_000_000;
const MAX_ROWS: usize = 10_000;
/// Of a call while it serves: a candidate is tried with as many.
const ROWS_AT_ONCE: usize = 1_000;
const PREFIX: &str = "predicted:";

/// A forecasting policy, as its manifest describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ForecastingProfile {
    pub name: String,
    /// In the order sent; at most [`MAX_LISTS`] lists in all.
    pub needs: Vec<Needed>,
    /// What is forecast, in the order answered; not empty.
    pub provides: Vec<WorkerColumn>,
    /// How far ahead.
    pub horizon: Duration,
    /// How often.
    pub interval: Duration,
}

impl ForecastingProfile {
    /// What each list of a call is of.
    pub fn lists(&self) -> Vec<ColumnInfo> {
        let of = |it: &Needed| std::iter::repeat_n(it.column.info(), it.n_lists());
        self.needs.iter().flat_map(of).collect()
    }

    pub fn n_lists(&self) -> usize {
        self.needs.iter().map(|it| it.n_lists()).sum()
    }

    /// Rows of one call; more workers come in further calls.
    pub fn max_rows(&self) -> usize {
        MAX_ROWS.min(MAX_NUMBERS / self.n_lists())
    }

    /// Asks about all rows of `lists` in as many calls as it takes: one list per provided column.
    ///
    /// # Errors
    /// Of the first call that fails.
    pub fn in_batches<E>(
        &self,
        lists: &[Vec<f64>],
        n_rows: usize,
        mut ask: impl FnMut(&[Vec<f64>], usize) -> Result<Vec<Vec<f64>>, E>,
    ) -> Result<Vec<Vec<f64>>, E> {
        let n_at_once = ROWS_AT_ONCE.min(self.max_rows());
        let mut answered = vec![Vec::with_capacity(n_rows); self.provides.len()];
        for first in (0..n_rows).step_by(n_at_once) {
            let rows = first..n_rows.min(first + n_at_once);
            let batch: Vec<Vec<f64>> = lists.iter().map(|it| it[rows.clone()].to_vec()).collect();
            let part = ask(&batch, rows.len())?;
            answered.iter_mut().zip(part).for_each(|(list, part)| list.extend(part));
        }
        Ok(answered)
    }

    pub fn provided_names(&self) -> Vec<String> {
        self.provides.iter().map(|column| format!("{PREFIX}{}", column.info().name)).collect()
    }
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// Reads the properties of a forecasting policy named `name`.
///
/// # Errors
/// Names the property, what is wrong with it and what is allowed.
pub(crate) fn profile(
    name: String,
    properties: &Properties<'_>,
) -> Result<ForecastingProfile, ManifestError> {
    let needs = needs(properties.get("needs-worker").unwrap_or_default())?;
    let provides = provides(properties.get("provides").unwrap_or_default())?;
    let horizon = properties.milliseconds(
        "horizon-ms",
        1_000..=86_400_000,
        "write a whole number from 1000 to 86400000",
    )?;
    let horizon = horizon.ok_or(ManifestError::Conflict(
        "a forecasting policy says how far ahead it looks: set horizon-ms",
    ))?;
    let interval = properties.interval()?.unwrap_or(DEFAULT_INTERVAL);
    Ok(ForecastingProfile { name, needs, provides, horizon, interval })
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty())
}

fn needs(text: &str) -> Result<Vec<Needed>, ManifestError> {
    const KEY: &str = "needs-worker";
    let mut needs = Vec::new();
    for entry in names(text) {
        let (name, range) = match entry.split_once('@') {
            Some((name, range)) => (name, Some(range)),
            None => (entry, None),
        };
        let wrong = |expected| ManifestError::Value { key: KEY, value: entry.to_owned(), expected };
        let column = WorkerColumn::find(name).ok_or_else(|| unknown(KEY, name))?;
        if column.place_predicted().is_some() || column == WorkerColumn::PredictedMs {
            return Err(wrong("forecasts are made of what is measured, not of forecasts"));
        }
        let window = range.map(window::parse).transpose().map_err(wrong)?;
        if window.is_some() && !WorkerColumn::MEASURED.contains(&column) {
            return Err(wrong(
                "windows are of what is measured: cpu-used, memory-used, iops-used, rtt-ms or connections",
            ));
        }
        needs.push(Needed { column, window });
    }
    let n_lists: usize = needs.iter().map(|it| it.n_lists()).sum();
    match n_lists {
        0 => Err(ManifestError::NoColumns(KEY)),
        1..=MAX_LISTS => Ok(needs),
        n_lists => Err(ManifestError::TooManyLists { n_lists, most: MAX_LISTS }),
    }
}

fn provides(text: &str) -> Result<Vec<WorkerColumn>, ManifestError> {
    const KEY: &str = "provides";
    let mut provides = Vec::new();
    for entry in names(text) {
        let wrong = |expected| ManifestError::Value { key: KEY, value: entry.to_owned(), expected };
        let Some(name) = entry.strip_prefix(PREFIX) else {
            return Err(wrong("write predicted:<column>, such as predicted:cpu-used"));
        };
        let column = WorkerColumn::find(name).ok_or_else(|| unknown(KEY, name))?;
        if !WorkerColumn::MEASURED.contains(&column) {
            return Err(wrong(
                "what is measured can be forecast: cpu-used, memory-used, iops-used, rtt-ms or connections",
            ));
        }
        if provides.contains(&column) {
            return Err(wrong("name each column once"));
        }
        provides.push(column);
    }
    if provides.is_empty() {
        return Err(ManifestError::Conflict(
            "a forecasting policy says what it forecasts: set provides, for example to predicted:cpu-used",
        ));
    }
    Ok(provides)
}

fn unknown(key: &'static str, name: &str) -> ManifestError {
    let known = WorkerColumn::ALL.iter().map(|column| column.info().name);
    let hint = hint(name, known);
    ManifestError::UnknownColumn { key, kind: "worker", column: name.to_owned(), hint }
}

/// One list per provided column, each with one finite value per row; values beyond the column's range
/// are cut to it.
pub(crate) fn check_forecasts(
    lists: &mut [Vec<f64>],
    provides: &[WorkerColumn],
    n_rows: usize,
) -> Result<(), Failure> {
    let wrong_length = |message: String| {
        Err(Failure::new(FailureKind::WrongLength, format!("forecast {message}")))
    };
    if lists.len() != provides.len() {
        let (n, n_provided) = (lists.len(), provides.len());
        return wrong_length(format!("answered {n} lists for {n_provided} provided columns"));
    }
    for (list, column) in lists.iter_mut().zip(provides) {
        let info = column.info();
        if list.len() != n_rows {
            let (n, name) = (list.len(), info.name);
            return wrong_length(format!("answered {n} values of {name} for {n_rows} rows"));
        }
        for (row, value) in list.iter_mut().enumerate() {
            if !value.is_finite() {
                let is_nan = value.is_nan();
                let kind = if is_nan { FailureKind::NotANumber } else { FailureKind::OutOfRange };
                let name = info.name;
                let message = format!("forecast answered {value} of {name} for row {row}");
                return Err(Failure::new(kind, message));
            }
            // Adding zero leaves no negative one.
            *value = info.range.clamp(*value) + 0.0;
        }
    }
    Ok(())
}
