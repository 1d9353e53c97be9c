//! Seconds as people write them, and the whole nanoseconds that the simulator counts in.

use crate::decimal::Decimal;

pub use crate::decimal::BadNumber;

pub const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANO_DIGITS: i32 = 9;

/// Whole nanoseconds from a decimal number of seconds; what is finer is rounded to the nearest.
///
/// # Errors
/// If the text is not a number in the notation of JSON, negative, or more than 584 years.
pub fn parse_seconds(text: &str) -> Result<u64, BadNumber> {
    Decimal::parse(text)?.times(1, NANO_DIGITS)
}

/// Seconds with as many decimals as needed, such as `12.5`: what `sleep` reads.
pub fn format_exact(ns: u64) -> String {
    let (whole, rest) = (ns / NANOS_PER_SECOND, ns % NANOS_PER_SECOND);
    if rest == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{rest:09}");
    text.trim_end_matches('0').to_owned()
}

/// Seconds to three decimals, rounded to the nearest, halves up.
pub fn format_millis(ns: u64) -> String {
    let ms = ns / 1_000_000 + u64::from(ns % 1_000_000 >= 500_000);
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// A factor for run times: a positive decimal number, applied exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale(Decimal);

/// Why a text is not a [`Scale`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadScale {
    #[error("{0:?} {1}; give a positive decimal number, such as 0.05")]
    Number(String, BadNumber),
    #[error("a scale of 0 leaves no run time; give a positive decimal number, such as 0.05")]
    Zero,
}

impl Scale {
    /// Rounded to the nearest nanosecond, halves up; saturates at `u64::MAX`.
    pub fn apply(self, ns: u64) -> u64 {
        self.0.times(ns, 0).unwrap_or(u64::MAX)
    }
}

impl Default for Scale {
    /// One: nothing changes.
    fn default() -> Scale {
        Scale(Decimal::parse("1").expect("1 is a decimal number"))
    }
}

impl std::str::FromStr for Scale {
    type Err = BadScale;

    fn from_str(text: &str) -> Result<Scale, BadScale> {
        let number = Decimal::parse(text).map_err(|bad| BadScale::Number(text.to_owned(), bad))?;
        if number.is_zero() { Err(BadScale::Zero) } else { Ok(Scale(number)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_come_back_as_they_were_written() {
        for text in ["0", "7", "0.000000001", "12.5", "501.24", "18446744073.709551615"] {
            assert_eq!(format_exact(parse_seconds(text).unwrap()), text);
        }
        assert_eq!(format_millis(1_234_499_999), "1.234");
        assert_eq!(format_millis(1_234_500_000), "1.235");
        assert_eq!(format_millis(59_999_500_000), "60.000");
        assert_eq!(format_millis(u64::MAX), "18446744073.710");
    }

    #[test]
    fn scaling_is_exact_and_never_wraps() {
        let scale = |text: &str| text.parse::<Scale>();
        assert_eq!(scale("0.1").unwrap().apply(10_000_000_000), 1_000_000_000);
        assert_eq!(scale("0.5").unwrap().apply(3), 2);
        assert_eq!(scale("1e3").unwrap().apply(u64::MAX), u64::MAX);
        assert_eq!(Scale::default().apply(u64::MAX), u64::MAX);
        assert!(matches!(scale("0"), Err(BadScale::Zero)));
        assert!(matches!(scale("-1"), Err(BadScale::Number(_, BadNumber::Negative))));
        assert!(matches!(scale("NaN"), Err(BadScale::Number(_, BadNumber::Malformed))));
    }
}
