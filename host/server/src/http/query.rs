//! Parameters of paths and queries, refused by name.

use super::answer::Failure;
use super::known::{self, Known};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use pointsman_protocol::problem::Problem;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

/// Items of a list at most, and unless asked otherwise.
pub const LIMIT_MAX: usize = 1000;
pub const LIMIT_DEFAULT: usize = 100;

/// The query's parameters, each taken once by name.
#[derive(Debug)]
pub struct Query {
    pairs: Vec<(String, String)>,
    allowed: Vec<&'static str>,
    /// In development builds only.
    known: Option<&'static Known>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query, Failure> {
        let query = parts.uri.query().unwrap_or("");
        let pairs = serde_urlencoded_pairs(query);
        let known = cfg!(debug_assertions).then(|| known::find(&parts.method, parts.uri.path()));
        Ok(Query { pairs, allowed: Vec::new(), known: known.flatten() })
    }
}

/// For routes without parameters: refuses all.
#[derive(Debug)]
pub struct NoQuery;

impl<S: Sync> FromRequestParts<S> for NoQuery {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<NoQuery, Failure> {
        Query::from_request_parts(parts, state).await?.finish()?;
        Ok(NoQuery)
    }
}

impl Query {
    pub fn take(&mut self, name: &'static str) -> Option<String> {
        self.allowed.push(name);
        let position = self.pairs.iter().position(|(key, _)| key == name)?;
        Some(self.pairs.remove(position).1)
    }

    pub fn parse<T>(&mut self, name: &'static str) -> Result<Option<T>, Failure>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(text) = self.take(name) else { return Ok(None) };
        // The readers of numbers take a sign that nobody needs.
        if text.starts_with('+') {
            let problem = format!("{text:?} begins with a sign");
            return Err(Failure(Problem::bad_parameter(name, problem)));
        }
        let parsed = text.parse().map(Some);
        parsed.map_err(|error: T::Err| Failure(Problem::bad_parameter(name, error)))
    }

    /// How many items: 1 to 1000.
    pub fn limit(&mut self) -> Result<usize, Failure> {
        self.limit_within(LIMIT_DEFAULT, LIMIT_MAX)
    }

    /// How many items: 1 to `max`.
    pub fn limit_within(&mut self, default: usize, max: usize) -> Result<usize, Failure> {
        let Some(text) = self.take("limit") else { return Ok(default) };
        match text.parse() {
            Ok(limit) if (1..=max).contains(&limit) && !text.starts_with('+') => Ok(limit),
            Ok(_) | Err(_) => {
                let problem = format!("{text:?} is not a number from 1 to {max}");
                Err(Failure(Problem::bad_parameter("limit", problem)))
            }
        }
    }

    /// Refuses what nobody asked for.
    ///
    /// # Panics
    /// In development builds, if the operation describes other parameters than were taken.
    pub fn finish(self) -> Result<(), Failure> {
        if let Some(known) = self.known {
            let taken: BTreeSet<&str> = self.allowed.iter().copied().collect();
            assert_eq!(taken, known.query, "parameters taken, and those described");
        }
        match self.pairs.first() {
            None => Ok(()),
            Some((name, _)) => {
                let allowed = match self.allowed.as_slice() {
                    [] => "none".to_owned(),
                    allowed => allowed.join(", "),
                };
                let repeated = self.allowed.contains(&name.as_str());
                let problem = if repeated { "is given twice" } else { "is no parameter here" };
                let problem = format!("{problem}; this route takes: {allowed}");
                Err(Failure(Problem::bad_parameter(name, problem)))
            }
        }
    }
}

/// Decodes `a=1&b=%20`; text that is no valid encoding is taken as it is.
fn serde_urlencoded_pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match (bytes[at], hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// An id from the path.
///
/// # Errors
/// 400, saying what an id looks like.
pub fn path_id<T>(text: &str) -> Result<T, Failure>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| Failure(Problem::bad_parameter("id", error)))
}
