//! Structs whose field names are the columns that a policy needs, or forecasts.

/// A row of needed columns, made by `#[derive(Columns)]` for a struct with named fields.
///
/// ```
/// use pointsman_policy_sdk::prelude::*;
///
/// #[derive(Columns)]
/// pub struct Worker {
///     cpu_load: f64,
///     #[column("rtt-ms")]
///     distance_ms: Option<f64>,
/// }
/// assert_eq!(Worker::NAMES, ["cpu-load", "rtt-ms"]);
/// ```
///
/// The field `cpu_load` is the column `cpu-load`; `#[column("…")]` names one that no identifier can. A
/// field is an `f64`, where a missing value is NaN, or an `Option<f64>`, where it is `None`. Which
/// columns there are is told by [`catalogue`](crate::catalogue); the policy's own tests refuse others.
///
/// A [`Forecasting`](crate::Forecasting) policy can read windows of what is measured, as arrays, the
/// oldest sample first. The number of samples is checked:
///
/// ```compile_fail
/// # use pointsman_policy_sdk::prelude::*;
/// #[derive(Columns)]
/// pub struct Worker {
///     #[column("cpu-used@-29m..0s/1m")] // thirty samples
///     cpu_used: [f64; 29],
/// }
/// # let _ = Worker::WIDTHS;
/// ```
pub trait Columns: Sized {
    /// Column names, in the order in which they are sent.
    const NAMES: &'static [&'static str];

    /// How many lists each column is: one, or as many as a window has samples.
    const WIDTHS: &'static [usize];

    /// Reads the row whose value in list i is `value(i)`; a missing one is NaN.
    fn read(value: impl Fn(usize) -> f64) -> Self;
}

/// The type of a row's field.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a column",
    label = "a column is an `f64`, an `Option<f64>` where it may be missing, or an array for a window"
)]
pub trait Value {
    /// How many lists it reads: one, or a window's samples.
    const WIDTH: usize;

    /// From the values as the host sends them: finite, or NaN where one is missing.
    fn read(value: impl Fn(usize) -> f64) -> Self;
}

impl Value for f64 {
    const WIDTH: usize = 1;

    /// Missing stays NaN.
    #[inline]
    fn read(value: impl Fn(usize) -> f64) -> f64 {
        value(0)
    }
}

impl Value for Option<f64> {
    const WIDTH: usize = 1;

    #[inline]
    fn read(value: impl Fn(usize) -> f64) -> Option<f64> {
        Some(value(0)).filter(|value| !value.is_nan())
    }
}

impl<const N: usize> Value for [f64; N] {
    const WIDTH: usize = N;

    /// Missing samples stay NaN.
    #[inline]
    fn read(value: impl Fn(usize) -> f64) -> [f64; N] {
        std::array::from_fn(value)
    }
}

impl<const N: usize> Value for [Option<f64>; N] {
    const WIDTH: usize = N;

    #[inline]
    fn read(value: impl Fn(usize) -> f64) -> [Option<f64>; N] {
        std::array::from_fn(|at| Some(value(at)).filter(|value| !value.is_nan()))
    }
}

/// In place of a row: for policies that need no columns of the task, or of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoColumns;

impl Columns for NoColumns {
    const NAMES: &'static [&'static str] = &[];
    const WIDTHS: &'static [usize] = &[];

    fn read(_: impl Fn(usize) -> f64) -> NoColumns {
        NoColumns
    }
}

/// What a [`Forecasting`](crate::Forecasting) policy answers about a worker, made by
/// `#[derive(Forecast)]` for a struct of `f64`: the field `cpu_used` is the column
/// `predicted:cpu-used`.
///
/// ```
/// use pointsman_policy_sdk::prelude::*;
///
/// #[derive(Forecast)]
/// pub struct Soon {
///     cpu_used: f64,
/// }
/// assert_eq!(Soon::PROVIDES, ["predicted:cpu-used"]);
/// ```
pub trait Forecast {
    /// Names of the forecast columns, in the order in which they are answered.
    const PROVIDES: &'static [&'static str];

    /// The forecast of the column in that place of `PROVIDES`: finite, in the column's unit.
    ///
    /// # Panics
    /// If there is no such place.
    fn value(&self, column: usize) -> f64;
}
