//! Structs whose field names are the columns a policy needs.

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
pub trait Columns: Sized {
    /// Column names, in the order in which `read` takes them.
    const NAMES: &'static [&'static str];

    /// Reads the row whose c-th value is `value(c)`; a missing one is NaN.
    fn read(value: impl Fn(usize) -> f64) -> Self;
}

/// The type of a row's field.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a column",
    label = "a column is an `f64`, or an `Option<f64>` where it may be missing"
)]
pub trait Value {
    /// From the value as the host sends it: finite, or NaN where it is missing.
    fn from_column(value: f64) -> Self;
}

impl Value for f64 {
    /// Missing stays NaN.
    fn from_column(value: f64) -> f64 {
        value
    }
}

impl Value for Option<f64> {
    fn from_column(value: f64) -> Option<f64> {
        if value.is_nan() { None } else { Some(value) }
    }
}

/// In place of a row: for policies that need no columns of the task, or of the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoColumns;

impl Columns for NoColumns {
    const NAMES: &'static [&'static str] = &[];

    fn read(_: impl Fn(usize) -> f64) -> NoColumns {
        NoColumns
    }
}

/// Declares a row: `columns! { pub struct Worker { cpu_load, rtt_ms: Option } }`. The field
/// `cpu_load` is the column `cpu-load`; `: Option` makes it an `Option<f64>`, without it a missing
/// value is NaN.
#[macro_export]
macro_rules! columns {
    ($(#[$meta:meta])* $visible:vis struct $name:ident {
        $($field:ident $(: $optional:ident)?),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq)]
        $visible struct $name {
            $(pub $field: $crate::columns!(@type $($optional)?),)*
        }

        impl $crate::Columns for $name {
            const NAMES: &'static [&'static str] = &[$({
                const NAME: &[u8; stringify!($field).len()] =
                    &$crate::kebab(stringify!($field));
                match core::str::from_utf8(NAME) {
                    Ok(name) => name,
                    Err(_) => panic!("a field name is ASCII"),
                }
            },)*];

            #[inline]
            fn read(value: impl Fn(usize) -> f64) -> Self {
                let mut column = 0;
                $(
                    let $field = $crate::Value::from_column(value(column));
                    column += 1;
                )*
                let _ = column;
                $name { $($field,)* }
            }
        }
    };
    (@type) => { f64 };
    (@type Option) => { Option<f64> };
}

/// `cpu_load` → `cpu-load`, at compile time.
#[doc(hidden)]
pub const fn kebab<const N: usize>(field: &str) -> [u8; N] {
    let from = field.as_bytes();
    let mut name = [0; N];
    let mut index = 0;
    while index < N {
        name[index] = if from[index] == b'_' { b'-' } else { from[index] };
        index += 1;
    }
    name
}
