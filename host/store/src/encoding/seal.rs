//! The seal of a row: the CRC-32 of its table, key and body. It tells a changed body, and one that
//! lies under another key or in another table than it was written to. The sum comes first, so that
//! every later version of a body can be told from a damaged one.

use super::Stored;
use std::fmt;

/// Bytes of the sum before the body.
const SUM_BYTES: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Number(i64),
    Text(String),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Number(number) => write!(f, "{number}"),
            Key::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// Of a row without a body: what its columns hold.
pub(crate) fn sum(table: &str, key: &Key, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(table.as_bytes());
    match key {
        Key::Number(number) => {
            hasher.update(&[0]);
            hasher.update(&number.to_le_bytes());
        }
        Key::Text(text) => {
            hasher.update(&[1]);
            hasher.update(text.as_bytes());
            hasher.update(&[0]);
        }
    }
    hasher.update(body);
    hasher.finalize()
}

/// Replaces what is in `out` by the sealed record.
pub(crate) fn seal<T: Stored>(table: &str, key: &Key, record: &T, out: &mut Vec<u8>) {
    out.clear();
    out.extend([0; SUM_BYTES]);
    record.encode(out);
    let sum = sum(table, key, &out[SUM_BYTES..]);
    out[..SUM_BYTES].copy_from_slice(&sum.to_le_bytes());
}

/// The same for a body that is encoded already.
pub(crate) fn seal_body(table: &str, key: &Key, body: &[u8]) -> Vec<u8> {
    let mut sealed = sum(table, key, body).to_le_bytes().to_vec();
    sealed.extend_from_slice(body);
    sealed
}

/// The body, if the seal is whole.
pub(crate) fn open<'a>(table: &str, key: &Key, sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (expected, body) = sealed.split_first_chunk::<SUM_BYTES>()?;
    (u32::from_le_bytes(*expected) == sum(table, key, body)).then_some(body)
}
