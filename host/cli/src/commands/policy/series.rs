//! A forecasting policy on recorded measurements: the same walk, the same baselines and the same gate as those of
//! `pointsman forecast backtest` and of a host.

use super::subject::Loaded;
use crate::commands::forecast::read;
use crate::exit::{BadInput, Failure};
use anyhow::{Context, anyhow};
use pointsman_forecast::backtest::{self, Report};
use pointsman_forecast::forecaster::Forecaster;
use pointsman_forecast::series::{Series, Wanted};
use pointsman_policy::{Foreteller, Inspector, Needed, Window};
use pointsman_scheduler::columns::{Range, WorkerColumn};
use std::cell::RefCell;
use std::path::PathBuf;

/// The policy's name among the models.
pub const MODEL: &str = "policy";

/// Of each column that the policy foretells, on each file.
///
/// # Errors
/// Bad input: the policy is no forecaster, needs more than windows, or a file does not go with it.
pub fn reports(
    inspector: &Inspector,
    loaded: &Loaded,
    files: &[PathBuf],
    factor: f64,
) -> Result<Vec<Report>, Failure> {
    let foreteller = inspector.foreteller(&loaded.subject()).context("--series").bad_input()?;
    let mut reports = Vec::new();
    for place in 0..foreteller.profile().provides.len() {
        let walker = Walker::new(&foreteller, place).bad_input()?;
        let (column, step_ms) = (walker.column.info().name.to_owned(), walker.window.step_ms);
        let horizon_ms = foreteller.profile().horizon.as_millis() as u64;
        let horizon = horizon_ms.div_ceil(step_ms).max(1) as usize;
        for series in read(files, &Wanted { column, step_ms: Some(step_ms) }, factor)? {
            walker.check(&series).bad_input()?;
            let report = backtest::run(&series, horizon, &[(MODEL, &walker)]).bad_input()?;
            if let Some(failure) = walker.failure.take() {
                return Err(anyhow!("{}: {failure}", series.name).into());
            }
            reports.push(report);
        }
    }
    Ok(reports)
}

/// One column of a policy, walking along a series.
struct Walker<'a> {
    foreteller: &'a Foreteller,
    /// In the order of what it provides.
    place: usize,
    column: WorkerColumn,
    window: Window,
    /// Why a call failed.
    failure: RefCell<Option<String>>,
}

impl<'a> Walker<'a> {
    fn new(foreteller: &'a Foreteller, place: usize) -> anyhow::Result<Walker<'a>> {
        let profile = foreteller.profile();
        let column = profile.provides[place];
        let own = profile.needs.iter().find(|need| need.column == column);
        let window = own.and_then(|need| need.window).ok_or_else(|| {
            anyhow!(
                "--series: {} foretells {} without a window of it, and so cannot be tried on a series",
                profile.name,
                column.info().name
            )
        })?;
        let steps = profile.needs.iter().filter(|need| need.column == column);
        let mut steps = steps.filter_map(|need| need.window).map(|window| window.step_ms);
        if steps.any(|step_ms| step_ms != window.step_ms) {
            anyhow::bail!(
                "--series: {} looks at {} in several steps, and a series has one",
                profile.name,
                column.info().name
            );
        }
        Ok(Walker { foreteller, place, column, window, failure: RefCell::default() })
    }

    fn check(&self, series: &Series) -> anyhow::Result<()> {
        let (name, step_ms) = (&series.name, self.window.step_ms);
        if series.step_ms != step_ms {
            let found = series.step_ms;
            anyhow::bail!(
                "{name}: its points are {found} ms apart, those of the policy {step_ms} ms"
            );
        }
        let values = || series.segments.iter().flat_map(|segment| &segment.values);
        if self.column.info().range == Range::Fraction && values().any(|value| *value > 1.0) {
            let largest = values().copied().fold(0.0, f64::max);
            anyhow::bail!(
                "{name}: {} is from 0 to 1, here it is up to {largest}; give --factor, 0.01 for percent",
                self.column.info().name
            );
        }
        Ok(())
    }

    /// The values of a window that ends at the point `last`; NaN before the first one. Other columns were not
    /// measured.
    fn lists(&self, need: &Needed, values: &[f64], lasts: &[usize]) -> Vec<Vec<f64>> {
        let n_samples = need.n_lists();
        let is_own = need.column == self.column;
        let to = need.window.map_or(0, |window| (window.to_ms / window.step_ms) as usize);
        let sample = |last: usize, at: usize| {
            let point = (last + at + 1).checked_sub(n_samples + to).filter(|_| is_own);
            point.map_or(f64::NAN, |point| values[point])
        };
        (0..n_samples).map(|at| lasts.iter().map(|last| sample(*last, at)).collect()).collect()
    }
}

impl Forecaster for Walker<'_> {
    fn walk(&self, values: &[f64], targets: std::ops::Range<usize>, horizon: usize) -> Vec<f64> {
        let lasts: Vec<usize> = targets.map(|target| target - horizon).collect();
        let needs = &self.foreteller.profile().needs;
        let lists: Vec<Vec<f64>> =
            needs.iter().flat_map(|need| self.lists(need, values, &lasts)).collect();
        match self.foreteller.forecast(&lists, lasts.len()) {
            Ok(mut answered) => answered.swap_remove(self.place),
            Err(failure) => {
                self.failure.replace(Some(failure));
                lasts.iter().map(|last| values[*last]).collect()
            }
        }
    }
}
