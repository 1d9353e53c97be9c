//! From a struct to its names and the code that reads it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Field, Fields, LitStr, Result};

/// The implementation of `Columns` for `input`.
///
/// # Errors
/// At the place in the struct that is at fault; all fields' faults at once.
pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let fields = named_fields(input)?;
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "a row of columns has no generic parameters: its columns are fixed",
        ));
    }
    let names = column_names(fields)?;
    let row = &input.ident;
    let places = 0..fields.len();
    let members = fields.iter().map(|field| &field.ident);
    let types = fields.iter().map(|field| &field.ty);
    Ok(quote! {
        #[automatically_derived]
        impl ::pointsman_policy_sdk::Columns for #row {
            const NAMES: &'static [&'static str] = &[#(#names),*];

            #[inline]
            fn read(value: impl ::core::ops::Fn(usize) -> f64) -> Self {
                let _ = &value;
                #row {
                    #(#members: <#types as ::pointsman_policy_sdk::Value>::from_column(value(#places)),)*
                }
            }
        }
    })
}

type NamedFields = syn::punctuated::Punctuated<Field, syn::Token![,]>;

fn named_fields(input: &DeriveInput) -> Result<&NamedFields> {
    let found = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => return Ok(&fields.named),
            Fields::Unit => "write `NoColumns` for a row without columns",
            Fields::Unnamed(_) => "a column has a name: use a struct with named fields",
        },
        Data::Enum(_) | Data::Union(_) => "a row of columns is a struct with named fields",
    };
    Err(Error::new(input.ident.span(), found))
}

/// One per field, all different.
fn column_names(fields: &NamedFields) -> Result<Vec<LitStr>> {
    let mut names: Vec<LitStr> = Vec::new();
    let mut faults: Option<Error> = None;
    for field in fields {
        let name = column_name(field).and_then(|name| match is_taken(&names, &name) {
            false => Ok(name),
            true => Err(Error::new(
                name.span(),
                format!("two fields are the column `{}`; a row reads it once", name.value()),
            )),
        });
        match (name, &mut faults) {
            (Ok(name), _) => names.push(name),
            (Err(fault), None) => faults = Some(fault),
            (Err(fault), Some(faults)) => faults.combine(fault),
        }
    }
    faults.map_or(Ok(names), Err)
}

fn is_taken(names: &[LitStr], name: &LitStr) -> bool {
    names.iter().any(|earlier| earlier.value() == name.value())
}

/// The field's `#[column("…")]`, or its own name with hyphens.
fn column_name(field: &Field) -> Result<LitStr> {
    let mut attributes = field.attrs.iter().filter(|attribute| attribute.path().is_ident("column"));
    let ident = field.ident.as_ref().expect("the fields are named");
    let Some(attribute) = attributes.next() else {
        return Ok(LitStr::new(&ident.unraw().to_string().replace('_', "-"), ident.span()));
    };
    if let Some(second) = attributes.next() {
        return Err(Error::new(second.span(), format!("`{ident}` is one column, not two")));
    }
    let name: LitStr = attribute.parse_args().map_err(|error| {
        Error::new(error.span(), format!("name the column of `{ident}`: `#[column(\"cpu-load\")]`"))
    })?;
    let text = name.value();
    // A comma separates names in the manifest, where blanks around them are cut.
    if text.is_empty() || text.contains([',', '"']) || text.contains(char::is_whitespace) {
        return Err(Error::new(
            name.span(),
            format!("`{ident}`: {text:?} is no column's name; names have no blanks and no commas"),
        ));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    fn names(input: &DeriveInput) -> std::result::Result<Vec<String>, Vec<String>> {
        expand(input)
            .map_err(|error| error.into_iter().map(|it| it.to_string()).collect::<Vec<_>>())?;
        let names = named_fields(input).and_then(column_names).expect("it was expanded");
        Ok(names.iter().map(LitStr::value).collect())
    }

    #[test]
    fn a_field_is_the_column_of_its_name_unless_it_says_otherwise() {
        let row = parse_quote! {
            struct Row { cpu_load: f64, #[column("a:b@c")] other: Option<f64>, r#gpu: f64 }
        };
        assert_eq!(names(&row), Ok(vec!["cpu-load".into(), "a:b@c".into(), "gpu".into()]));
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
                struct Row { cpu: f64, #[column("cpu")] b: f64, #[column] c: f64, #[column("x y")] d: f64 }
            },
            &[
                "two fields are the column `cpu`; a row reads it once",
                "name the column of `c`: `#[column(\"cpu-load\")]`",
                "`d`: \"x y\" is no column's name; names have no blanks and no commas",
            ],
        );
        check(
            parse_quote! { struct Row { #[column("a")] #[column("b")] cpu: f64 } },
            &["`cpu` is one column, not two"],
        );
    }
}
