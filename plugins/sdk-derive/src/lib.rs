//! `#[derive(Columns)]` and `#[derive(Forecast)]`: structs whose fields are columns. Owns what is
//! refused while compiling, with the field that is at fault. Which names are columns is not known here.

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

mod row;
mod window;

/// Makes a struct a row of needed columns. The field `cpu_load` is the column `cpu-load`;
/// `#[column("…")]` names one that no Rust identifier can, such as a window.
#[proc_macro_derive(Columns, attributes(column))]
pub fn columns(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    row::expand_columns(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// Makes a struct of `f64` what a forecasting policy answers: the field `cpu_used` is the column
/// `predicted:cpu-used`.
#[proc_macro_derive(Forecast, attributes(column))]
pub fn forecast(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    row::expand_forecast(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
