//! How records look on disk: a version byte, then a postcard body of the structs here, which mirror
//! the core's. A field is only ever added by a new version with its own struct and conversion;
//! versions that were released stay readable. Around that lies the seal (see [`seal`]).

mod attempt;
mod job;
mod key;
pub(crate) mod seal;
mod status;
mod task;
mod worker;

use crate::store::StoreError;
use serde::{Deserialize, Serialize};

/// A core type with a stored form.
pub(crate) trait Stored: Sized {
    /// The version that is written.
    const VERSION: u8;

    /// Appends to what is in `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// `what` names the row in errors.
    fn decode(bytes: &[u8], what: impl Fn() -> String) -> Result<Self, StoreError>;
}

fn write<T: Serialize>(value: &T, version: u8, out: &mut Vec<u8>) {
    out.push(version);
    postcard::to_io(value, out).expect("writing to memory does not fail");
}

/// Reads a body of this version, or of an earlier one, which has the same shape so far.
fn read<'a, T: Deserialize<'a>>(
    bytes: &'a [u8],
    known: u8,
    what: impl Fn() -> String,
) -> Result<T, StoreError> {
    let unreadable = |problem: String| StoreError::Unreadable { what: what(), problem };
    let (version, body) = bytes.split_first().ok_or_else(|| unreadable("it is empty".into()))?;
    if *version == 0 {
        return Err(unreadable("its format has no number".into()));
    }
    if *version > known {
        let (found, known) = (u32::from(*version), u32::from(known));
        return Err(StoreError::NewerFormat { what: what(), found, known });
    }
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(unreadable(format!("{} bytes too many", rest.len()))),
        Err(error) => Err(unreadable(error.to_string())),
    }
}

/// Both directions of an enum whose variants carry nothing.
macro_rules! same_variants {
    ($core:ty, $stored:ty, $($variant:ident),*) => {
        impl From<$core> for $stored {
            fn from(value: $core) -> Self {
                match value { $(<$core>::$variant => <$stored>::$variant,)* }
            }
        }
        impl From<$stored> for $core {
            fn from(value: $stored) -> Self {
                match value { $(<$stored>::$variant => <$core>::$variant,)* }
            }
        }
    };
}
use same_variants;
