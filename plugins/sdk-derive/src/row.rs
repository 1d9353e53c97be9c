//! From a struct to the names of its columns and the code that reads or writes them.

use crate::window;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields, LitStr, Result};

/// The implementation of `Columns` for `input`.
///
/// # Errors
/// At the place in the struct that is at fault; all fields' faults at once.
pub(crate) fn expand_columns(input: &DeriveInput) -> Result<TokenStream> {
    let fields = named_fields(input)?;
    let columns = columns(fields)?;
    let names = columns.iter().map(|column| &column.name);
    let widths = columns.iter().map(check_width);
    let row = &input.ident;
    let members = fields.iter().map(|field| &field.ident);
    let types = fields.iter().map(|field| &field.ty);
    let places = 0..fields.len();
    Ok(quote! {
        #[automatically_derived]
        impl ::pointsman_policy_sdk::Columns for #row {
            const NAMES: &'static [&'static str] = &[#(#names),*];
            const WIDTHS: &'static [usize] = &[#(#widths),*];

            #[inline]
            fn read(_value: impl ::core::ops::Fn(usize) -> f64) -> Self {
                #row {
                    #(#members: <#types as ::pointsman_policy_sdk::Value>::read(|at| {
                        _value(at + const { ::pointsman_policy_sdk::glue::first_list::<Self>(#places) })
                    }),)*
                }
            }
        }
    })
}

/// The implementation of `Forecast` for `input`.
///
/// # Errors
/// As for [`expand_columns`].
pub(crate) fn expand_forecast(input: &DeriveInput) -> Result<TokenStream> {
    let fields = named_fields(input)?;
    if fields.is_empty() {
        return Err(Error::new(input.ident.span(), "name a column to forecast: `cpu_used: f64`"));
    }
    let columns = columns(fields)?;
    if let Some(column) = columns.iter().find(|column| column.n_samples.is_some()) {
        return Err(Error::new(column.name.span(), "a forecast is one value, not a window"));
    }
    let names = columns.iter().map(|column| {
        let name = column.name.value();
        let name = name.strip_prefix("predicted:").unwrap_or(&name);
        LitStr::new(&format!("predicted:{name}"), column.name.span())
    });
    let (forecast, places) = (&input.ident, 0..fields.len());
    let members = fields.iter().map(|field| {
        let member = &field.ident;
        quote_spanned!(field.ty.span()=> self.#member)
    });
    Ok(quote! {
        #[automatically_derived]
        impl ::pointsman_policy_sdk::Forecast for #forecast {
            const PROVIDES: &'static [&'static str] = &[#(#names),*];

            #[inline]
            fn value(&self, column: usize) -> f64 {
                match column {
                    #(#places => #members,)*
                    _ => ::core::panic!("no column is forecast in this place"),
                }
            }
        }
    })
}

type NamedFields = syn::punctuated::Punctuated<Field, syn::Token![,]>;

fn named_fields(input: &DeriveInput) -> Result<&NamedFields> {
    let fault = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) if input.generics.params.is_empty() => return Ok(&fields.named),
            Fields::Named(_) => {
                let fault = "a row of columns has no generic parameters: its columns are fixed";
                return Err(Error::new(input.generics.span(), fault));
            }
            Fields::Unit => "write `NoColumns` for a row without columns",
            Fields::Unnamed(_) => "a column has a name: use a struct with named fields",
        },
        Data::Enum(_) | Data::Union(_) => "a row of columns is a struct with named fields",
    };
    Err(Error::new(input.ident.span(), fault))
}

/// One field.
struct Column<'a> {
    field: &'a Field,
    name: LitStr,
    /// If it is a window.
    n_samples: Option<usize>,
}

/// One per field, all different.
fn columns(fields: &NamedFields) -> Result<Vec<Column<'_>>> {
    let mut columns: Vec<Column> = Vec::new();
    let mut faults: Option<Error> = None;
    for field in fields {
        let is_taken = |name: &LitStr| columns.iter().any(|it| it.name.value() == name.value());
        let column = column(field).and_then(|column| match is_taken(&column.name) {
            false => Ok(column),
            true => {
                let (name, span) = (column.name.value(), column.name.span());
                Err(Error::new(span, format!("two fields are the column `{name}`; read it once")))
            }
        });
        match (column, &mut faults) {
            (Ok(column), _) => columns.push(column),
            (Err(fault), None) => faults = Some(fault),
            (Err(fault), Some(faults)) => faults.combine(fault),
        }
    }
    faults.map_or(Ok(columns), Err)
}

/// By the field's `#[column("…")]`, or by its own name with hyphens.
fn column(field: &Field) -> Result<Column<'_>> {
    let mut attributes = field.attrs.iter().filter(|attribute| attribute.path().is_ident("column"));
    let ident = field.ident.as_ref().expect("the fields are named");
    let Some(attribute) = attributes.next() else {
        let name = LitStr::new(&ident.unraw().to_string().replace('_', "-"), ident.span());
        return Ok(Column { field, name, n_samples: None });
    };
    if let Some(second) = attributes.next() {
        return Err(Error::new(second.span(), format!("`{ident}` is one column, not two")));
    }
    let name: LitStr = attribute.parse_args().map_err(|error| {
        Error::new(error.span(), format!("name the column of `{ident}`: `#[column(\"cpu-load\")]`"))
    })?;
    let text = name.value();
    let wrong = |fault: &str| Error::new(name.span(), format!("`{ident}`: {fault}"));
    // A comma separates names in the manifest, where blanks around them are cut.
    if text.is_empty() || text.contains([',', '"']) || text.contains(char::is_whitespace) {
        return Err(wrong(&format!("{text:?} is no column's name: they have no blanks or commas")));
    }
    let n_samples = match text.split_once('@') {
        None => None,
        Some((_, window)) => Some(window::n_samples(window).map_err(wrong)?),
    };
    Ok(Column { field, name, n_samples })
}

/// The number of lists that a field reads, checked while the policy is compiled: a window of n samples
/// is an array of n.
fn check_width(column: &Column) -> TokenStream {
    let (ty, name) = (&column.field.ty, column.name.value());
    let (width, fault) = match column.n_samples {
        None => (1, format!("`{name}` is one number: write f64 or Option<f64>")),
        Some(n) => (n, format!("`{name}` has {n} samples: write [f64; {n}]")),
    };
    quote_spanned! {ty.span()=> {
        ::core::assert!(<#ty as ::pointsman_policy_sdk::Value>::WIDTH == #width, #fault);
        #width
    }}
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn messages(error: Error) -> Vec<String> {
        error.into_iter().map(|it| it.to_string()).collect()
    }

    fn names(input: &DeriveInput) -> std::result::Result<Vec<String>, Vec<String>> {
        expand_columns(input).map_err(messages)?;
        let columns = named_fields(input).and_then(columns).expect("it was expanded");
        Ok(columns.iter().map(|column| column.name.value()).collect())
    }

    #[test]
    fn a_field_is_the_column_of_its_name_unless_it_says_otherwise() {
        let row = parse_quote! {
            struct Row { cpu_load: f64, #[column("a:b")] other: Option<f64>, r#gpu: f64 }
        };
        assert_eq!(names(&row), Ok(vec!["cpu-load".into(), "a:b".into(), "gpu".into()]));
        assert_eq!(names(&parse_quote! { struct Row {} }), Ok(Vec::new()));
    }

    #[test]
    fn nothing_but_a_row_of_different_columns_is_taken() {
        let check = |row: DeriveInput, expected: &[&str]| {
            let expected = expected.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(names(&row), Err(expected));
        };
        check(parse_quote! { struct Row; }, &["write `NoColumns` for a row without columns"]);
        check(
            parse_quote! { struct Row(f64); },
            &["a column has a name: use a struct with named fields"],
        );
        check(parse_quote! { enum Row { A } }, &["a row of columns is a struct with named fields"]);
        check(
            parse_quote! { struct Row<T> { cpu: T } },
            &["a row of columns has no generic parameters: its columns are fixed"],
        );
        check(
            parse_quote! {
                struct Row {
                    cpu: f64,
                    #[column("cpu")] b: f64,
                    #[column] c: f64,
                    #[column("x y")] d: f64,
                    #[column("cpu-used@-5m..0s/2m")] e: [f64; 3],
                }
            },
            &[
                "two fields are the column `cpu`; read it once",
                "name the column of `c`: `#[column(\"cpu-load\")]`",
                "`d`: \"x y\" is no column's name: they have no blanks or commas",
                "`e`: let the step divide what lies between the ends",
            ],
        );
        check(
            parse_quote! { struct Row { #[column("a")] #[column("b")] cpu: f64 } },
            &["`cpu` is one column, not two"],
        );
    }

    #[test]
    fn a_forecast_is_of_single_values() {
        let check = |forecast: DeriveInput, expected: &str| {
            let found = expand_forecast(&forecast).map(|_| ()).map_err(messages);
            assert_eq!(found, Err(vec![expected.to_owned()]));
        };
        check(parse_quote! { struct Soon {} }, "name a column to forecast: `cpu_used: f64`");
        check(
            parse_quote! { struct Soon { #[column("cpu-used@-1m..0s/1m")] cpu: [f64; 2] } },
            "a forecast is one value, not a window",
        );
        let soon = parse_quote! { struct Soon { cpu_used: f64 } };
        let text = expand_forecast(&soon).expect("it is one").to_string();
        assert!(text.contains("\"predicted:cpu-used\""), "{text}");
    }
}
