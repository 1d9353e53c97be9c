//! Amounts and durations as settings: read from configuration files and command lines by the same
//! rules as submissions.

use crate::duration::{format_duration, parse_duration, parse_seconds};
use crate::field::Flaw;
use crate::quantity::{format_cpu, format_memory, parse_cpu, parse_memory, parse_memory_bytes};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

/// Thousandths of a core; written as a number of cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpu(pub u64);

/// Bytes; written like `8GB`, or as a whole number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory(pub u64);

/// A positive span of time; written like `1h30m`, or as a whole number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// What a value may be written as in a file.
trait Setting: Sized {
    const EXPECTED: &str;
    fn from_number(number: &str) -> Result<Self, Flaw>;
    fn from_text(text: &str) -> Result<Self, Flaw>;
}

impl Setting for Cpu {
    const EXPECTED: &str = "a number of cores, like 0.5 or 4";

    fn from_number(number: &str) -> Result<Cpu, Flaw> {
        parse_cpu(number).map(Cpu)
    }

    fn from_text(text: &str) -> Result<Cpu, Flaw> {
        let problem = format!("is the text {}", crate::field::quote(text));
        Err(Flaw::new(problem, "write the number of cores without quotes"))
    }
}

impl Setting for Memory {
    const EXPECTED: &str = "an amount of memory, like \"8GB\"";

    fn from_number(number: &str) -> Result<Memory, Flaw> {
        parse_memory_bytes(number).map(Memory)
    }

    fn from_text(text: &str) -> Result<Memory, Flaw> {
        parse_memory(text).map(Memory)
    }
}

impl Setting for Span {
    const EXPECTED: &str = "a duration, like \"30m\"";

    fn from_number(number: &str) -> Result<Span, Flaw> {
        parse_seconds(number).map(Span)
    }

    fn from_text(text: &str) -> Result<Span, Flaw> {
        parse_duration(text).map(Span)
    }
}

impl FromStr for Cpu {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Cpu, Flaw> {
        Cpu::from_number(text)
    }
}

impl FromStr for Memory {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Memory, Flaw> {
        Memory::from_text(text)
    }
}

impl FromStr for Span {
    type Err = Flaw;

    fn from_str(text: &str) -> Result<Span, Flaw> {
        Span::from_text(text)
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_cpu(self.0))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_memory(self.0))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format_duration(self.0))
    }
}

impl Serialize for Cpu {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0 as f64 / 1000.0)
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cpu {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cpu, D::Error> {
        deserializer.deserialize_any(SettingVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Memory, D::Error> {
        deserializer.deserialize_any(SettingVisitor(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
        deserializer.deserialize_any(SettingVisitor(PhantomData))
    }
}

struct SettingVisitor<T>(PhantomData<T>);

impl<T: Setting> Visitor<'_> for SettingVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        T::from_number(&number.to_string()).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        T::from_number(&number.to_string()).map_err(E::custom)
    }

    /// The shortest decimal number that reads as this one is the one that was written.
    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        T::from_number(&format!("{number:?}")).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
    struct Worker {
        cpu: Cpu,
        memory: Memory,
        interval: Span,
    }

    #[track_caller]
    fn check(toml: &str, expect: Result<(u64, u64, u64), &str>) {
        match (toml::from_str::<Worker>(toml), expect) {
            (Ok(worker), Ok((cpu, memory, ms))) => {
                let interval = Span(Duration::from_millis(ms));
                assert_eq!(worker, Worker { cpu: Cpu(cpu), memory: Memory(memory), interval });
                let again = toml::to_string(&worker).unwrap();
                assert_eq!(toml::from_str::<Worker>(&again).unwrap(), worker);
            }
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (got, expected) => panic!("{toml}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn settings_follow_the_rules_of_submissions() {
        check("cpu = 0.1\nmemory = '8GB'\ninterval = '5s'", Ok((100, 8_000_000_000, 5000)));
        check("cpu = 64\nmemory = 4096\ninterval = 90", Ok((64_000, 4096, 90_000)));
        check("cpu = '4'\nmemory = '8GB'\ninterval = '5s'", Err("without quotes"));
        check("cpu = 0.0001\nmemory = '8GB'\ninterval = '5s'", Err("finer than 0.001"));
        check("cpu = nan\nmemory = '8GB'\ninterval = '5s'", Err("is not a number"));
        check("cpu = 1\nmemory = '8GBs'\ninterval = '5s'", Err("is not an amount of memory"));
        check("cpu = 1\nmemory = -1\ninterval = '5s'", Err("is negative"));
        check("cpu = 1\nmemory = 1\ninterval = 'banana'", Err("is not a duration"));
        check("cpu = 1\nmemory = 1\ninterval = true", Err("expected a duration, like \"30m\""));
    }
}
