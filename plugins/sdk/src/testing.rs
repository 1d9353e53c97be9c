//! Native tests for policies: nothing here needs WebAssembly or a host.
//!
//! | For | There is |
//! |---|---|
//! | one answer | [`row`], [`configured`] |
//! | an order of workers or tasks that can be read | [`Table`], [`ranking`], [`order`] |
//! | an order that is to stay as it is | [`assert_golden`] |
//! | lines and gauges | [`recorded`] |
//! | files beside the policy | [`with_assets`] |
//! | what a host may send at worst | [`fuzz_scoring`], [`fuzz_queue`], [`fuzz_rescheduling`], [`fuzz_forecasting`] |
//!
//! ```
//! use pointsman_policy_sdk::prelude::*;
//! use pointsman_policy_sdk::testing::{self, Table};
//!
//! #[derive(Columns)]
//! pub struct Task { submitted_ms: f64, expected_ms: Option<f64> }
//!
//! pub struct ShortestFirst;
//!
//! impl Queue for ShortestFirst {
//!     type Config = NoConfig;
//!     type Task = Task;
//!     fn new(_: NoConfig) -> Result<Self, String> { Ok(ShortestFirst) }
//!     fn about(&self) -> About { About::new("shortest-first", "1") }
//!     fn rank(&self, _: f64, task: &Task) -> f64 { task.expected_ms.unwrap_or(f64::MAX) }
//! }
//!
//! let policy = testing::configured("{}", ShortestFirst::new)?;
//! assert_eq!(policy.rank(0.0, &testing::row(&[("expected-ms", 5.0)])), 5.0);
//!
//! let tasks = Table::parse("
//!              expected-ms
//!     long     60_000
//!     unknown  -
//!     short    1_000
//! ");
//! assert_eq!(testing::order(&policy, 0.0, &tasks).names(), ["short", "long", "unknown"]);
//! testing::fuzz_queue(&policy);
//! # Ok::<(), String>(())
//! ```

use crate::catalogue::nearest;
use crate::columns::Columns;

mod fuzz;
mod golden;
mod input;
mod manifest;
mod ranking;
mod search;
mod table;

pub use crate::host::{Recorded, recorded, with_assets};
pub use fuzz::{fuzz_forecasting, fuzz_queue, fuzz_rescheduling, fuzz_scoring};
pub use golden::assert_golden;
pub use manifest::{assert_columns_known, assert_forecast_columns_known};
pub use ranking::{Place, Ranking, order, ranking};
pub use table::Table;

/// A row with these values; all other columns are missing. A window has its value in every sample.
///
/// # Panics
/// If a name is not a column of the row.
#[track_caller]
pub fn row<C: Columns>(values: &[(&str, f64)]) -> C {
    for (name, _) in values {
        assert_is_column::<C>(name);
    }
    let lists: Vec<f64> = lists::<C>()
        .map(|name| values.iter().find(|(it, _)| *it == name).map_or(f64::NAN, |(_, value)| *value))
        .collect();
    C::read(|list| lists[list])
}

/// A policy made from a configuration as the host sends it: a TOML table as JSON.
///
/// # Errors
/// As the host would show them.
pub fn configured<P, C: serde::de::DeserializeOwned>(
    config_json: &str,
    new: impl FnOnce(C) -> Result<P, String>,
) -> Result<P, String> {
    new(crate::config::parse(config_json)?)
}

/// The column of each list that a row is read from.
fn lists<C: Columns>() -> impl Iterator<Item = &'static str> {
    let widths = C::NAMES.iter().zip(C::WIDTHS);
    widths.flat_map(|(name, width)| std::iter::repeat_n(*name, *width))
}

#[track_caller]
fn assert_is_column<C: Columns>(name: &str) {
    if C::NAMES.contains(&name) {
        return;
    }
    let hint = match nearest(name, C::NAMES.iter().copied()) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("it has {}", C::NAMES.join(", ")),
    };
    panic!("the row has no column `{name}`; {hint}");
}
