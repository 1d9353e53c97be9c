//! Reads JSON as schemas have it. serde alone would take a list where a struct is expected, its fields in
//! their order, and would refuse 2.0 where a whole number is.

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use std::fmt;

/// # Errors
/// If it is no JSON, or not of that type.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = T::deserialize(Strict(&mut reader))?;
    reader.end()?;
    Ok(value)
}

/// Around everything that reads or is read.
struct Strict<T>(T);

macro_rules! forwards {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(Strict(visitor))
        })*
    };
}

macro_rules! takes_whole_numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.0.$method(Whole(visitor))
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
    type Error = D::Error;

    forwards! {
        deserialize_any deserialize_bool deserialize_f32 deserialize_f64 deserialize_char deserialize_str
        deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option deserialize_unit
        deserialize_seq deserialize_map deserialize_identifier deserialize_ignored_any
    }

    takes_whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, Strict(visitor))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_newtype_struct(name, Strict(visitor))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(len, Strict(visitor))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple_struct(name, len, Strict(visitor))
    }

    /// As a map, which is never a list.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(Strict(visitor))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, Strict(visitor))
    }
}

macro_rules! visits {
    ($($method:ident $type:ty,)*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.0.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Strict<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    visits! {
        visit_bool bool, visit_i64 i64, visit_u64 u64, visit_f64 f64, visit_str &str,
        visit_borrowed_str &'de str, visit_string String, visit_bytes &[u8],
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.0.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_some(Strict(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.0.visit_newtype_struct(Strict(inner))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.0.visit_seq(Strict(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(Strict(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, variant: A) -> Result<V::Value, A::Error> {
        self.0.visit_enum(Strict(variant))
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Strict<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Strict(inner))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_element_seed(Strict(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.0.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.0.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.0.next_value_seed(Strict(seed))
    }
}

impl<'de, A: EnumAccess<'de>> EnumAccess<'de> for Strict<A> {
    type Error = A::Error;
    type Variant = Strict<A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, variant) = self.0.variant_seed(seed)?;
        Ok((value, Strict(variant)))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Strict<A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.0.newtype_variant_seed(Strict(seed))
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.0.tuple_variant(len, Strict(visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.struct_variant(fields, Strict(visitor))
    }
}

/// For whole numbers, also those that are written with a point or an exponent.
struct Whole<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for Whole<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    visits! { visit_i64 i64, visit_u64 u64, }

    fn visit_f64<E: Error>(self, number: f64) -> Result<V::Value, E> {
        // Both limits are exact as floats; below them the conversions are, too.
        let is_whole = number.fract() == 0.0;
        if is_whole && (0.0..18_446_744_073_709_551_616.0).contains(&number) {
            self.0.visit_u64(number as u64)
        } else if is_whole && (-9_223_372_036_854_775_808.0..0.0).contains(&number) {
            self.0.visit_i64(number as i64)
        } else {
            self.0.visit_f64(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_protocol::worker::{RegisterRequest, SyncRequest};

    fn check<T: DeserializeOwned + serde::Serialize>(json: &str, expect: Result<&str, &str>) {
        let found = from_slice::<T>(json.as_bytes()).map_err(|error| error.to_string());
        match (found, expect) {
            (Ok(value), Ok(expected)) => {
                assert_eq!(serde_json::to_string(&value).expect("it is writable"), expected);
            }
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{json}: {found}"),
            (Ok(_), Err(expected)) => panic!("{json} is taken, expected {expected}"),
            (Err(found), Ok(_)) => panic!("{json}: {found}"),
        }
    }

    #[test]
    fn no_struct_is_read_from_a_list_and_every_whole_number_is_taken() {
        let sync = check::<SyncRequest>;
        sync(
            r#"{"seq":1.0,"life":2e3,"later":[{"a":1.5}]}"#,
            Ok(r#"{"seq":1,"life":2000,"acked_command":0}"#),
        );
        sync(
            r#"{"seq":1,"life":2,"finished":[{"attempt":[1,2.0,3],"failure":{"kind":"exit_code","code":-7.0,"x":[]}}]}"#,
            Ok(
                r#"{"seq":1,"life":2,"acked_command":0,"finished":[{"attempt":[1,2,3],"failure":{"kind":"exit_code","code":-7}}]}"#,
            ),
        );
        sync(
            r#"{"seq":1978246029247707.0,"life":9007199254740993}"#,
            Ok(r#"{"seq":1978246029247707,"life":9007199254740993,"acked_command":0}"#),
        );
        sync("[1,2]", Err("invalid type: sequence"));
        sync(r#"{"seq":1,"life":2,"measurements":[]}"#, Err("invalid type: sequence"));
        sync(
            r#"{"seq":1,"life":2,"measurements":null}"#,
            Ok(r#"{"seq":1,"life":2,"acked_command":0}"#),
        );
        sync(r#"{"seq":1.5,"life":2}"#, Err("floating point"));
        sync(r#"{"seq":-1.0,"life":2}"#, Err("-1"));
        sync(r#"{"seq":18446744073709551616,"life":2}"#, Err("floating point"));
        sync(r#"{"seq":1,"life":2} "#, Ok(r#"{"seq":1,"life":2,"acked_command":0}"#));
        sync(r#"{"seq":1,"life":2}{"#, Err("trailing characters"));
        let failed = |failure: &str| {
            format!(
                r#"{{"seq":1,"life":2,"finished":[{{"attempt":[1,1,1],"failure":{failure}}}]}}"#
            )
        };
        sync(&failed(r#"["timeout"]"#), Err("invalid type: sequence"));
        sync(&failed(r#"{"kind":"exit_code"}"#), Err("missing field `code`"));
        sync(&failed(r#"{"kind":"tired"}"#), Err("unknown variant `tired`"));
        sync(&failed(r#"{"kind":{"timeout":null}}"#), Err("invalid type: map"));
        let register = check::<RegisterRequest>;
        register(
            r#"{"protocol":1,"name":"a","token":"","life":1,"n":1,"capacity":[1,2,3]}"#,
            Err("invalid type: sequence"),
        );
    }
}
