//! `#[derive(Columns)]`: a struct whose fields are the columns that a policy needs. Owns what is
//! refused while compiling, with the field that is at fault. Which names and types are columns is
//! the SDK's to say.

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

mod row;

/// Makes a struct a row. The field `cpu_load` is the column `cpu-load`; `#[column("…")]` names one
/// that no Rust identifier can.
#[proc_macro_derive(Columns, attributes(column))]
pub fn columns(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    row::expand(&input).unwrap_or_else(|error| error.to_compile_error()).into()
}
