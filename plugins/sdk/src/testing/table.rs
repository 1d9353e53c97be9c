//! Named rows, written as a table of text.

use super::assert_is_column;
use crate::columns::Columns;
use crate::rows::Rows;
use std::marker::PhantomData;

/// Rows with a name each, for tests.
///
/// ```
/// # use pointsman_policy_sdk::prelude::*;
/// # use pointsman_policy_sdk::testing::Table;
/// #[derive(Columns)]
/// pub struct Worker { cpu_load: f64, memory_free: f64, rtt_ms: Option<f64> }
///
/// let workers: Table<Worker> = Table::parse("
///          cpu-load  rtt-ms
///     near 0.9       1
///     far  0.1       -
/// ");
/// assert_eq!(workers.names(), ["near", "far"]);
/// assert_eq!(workers.row("far").rtt_ms, None);
/// assert!(workers.row("near").memory_free.is_nan());
/// ```
///
/// The first line names columns; each other line is a row: its name and a value per column. `-` and
/// columns that are not named are missing. `_` may group digits. A window has a value for all samples,
/// or one for each, with commas between.
pub struct Table<C> {
    names: Vec<String>,
    lists: Vec<Vec<f64>>,
    row: PhantomData<fn() -> C>,
}

impl<C: Columns> Table<C> {
    /// # Panics
    /// If a column is not one of the row's, or a line has too many or too few values, or one that is
    /// no number.
    #[track_caller]
    pub fn parse(text: &str) -> Table<C> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let header: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        for column in &header {
            assert_is_column::<C>(column);
        }
        let mut names: Vec<String> = Vec::new();
        let mut lists: Vec<Vec<f64>> = vec![Vec::new(); C::WIDTHS.iter().sum()];
        for line in lines {
            let mut cells = line.split_whitespace();
            let name = cells.next().expect("the line is not blank");
            assert!(!names.iter().any(|it| it == name), "two rows are named {name:?}");
            let values: Vec<&str> = cells.collect();
            let (n_values, n_columns) = (values.len(), header.len());
            assert!(n_values == n_columns, "row {name:?}: {n_values} values, {n_columns} columns");
            let mut of_row = lists.iter_mut();
            for (column, width) in C::NAMES.iter().zip(C::WIDTHS) {
                let cell = header.iter().position(|it| it == column).map_or("-", |at| values[at]);
                for (value, list) in
                    numbers(name, column, cell, *width).into_iter().zip(of_row.by_ref())
                {
                    list.push(value);
                }
            }
            names.push(name.to_owned());
        }
        Table { names, lists, row: PhantomData }
    }

    /// Of the rows, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// As a policy gets them.
    pub fn rows(&self) -> Rows<'_, C> {
        Rows::new(&self.lists)
    }

    /// # Panics
    /// If no row has that name.
    #[track_caller]
    pub fn row(&self, name: &str) -> C {
        let index = self.names.iter().position(|it| it == name);
        let Some(index) = index else { panic!("no row is named {name:?}") };
        C::read(|list| self.lists[list][index])
    }
}

/// One for each of the column's lists.
#[track_caller]
fn numbers(row: &str, column: &str, cell: &str, width: usize) -> Vec<f64> {
    let numbers: Vec<f64> = cell.split(',').map(|cell| number(row, column, cell)).collect();
    match numbers.len() {
        1 => vec![numbers[0]; width],
        n => {
            assert!(n == width, "row {row:?}, column `{column}`: {n} values, not {width} or one");
            numbers
        }
    }
}

#[track_caller]
fn number(row: &str, column: &str, cell: &str) -> f64 {
    if cell == "-" {
        return f64::NAN;
    }
    let parsed = cell.replace('_', "").parse();
    parsed.unwrap_or_else(|_| panic!("row {row:?}, column `{column}`: {cell:?} is no number"))
}
