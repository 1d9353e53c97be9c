//! Spans of time as people write them: `30m`, `1h30m`, `500ms`, or a whole number of seconds.

use crate::decimal::{BadDecimal, Decimal, Product};
use crate::field::{Flaw, quote};
use std::time::Duration;

/// Ten years of 365 days.
pub const DURATION_MAX: Duration = Duration::from_secs(3650 * 24 * 3600);

const REMEDY: &str =
    "write it like \"30m\", \"1h30m\" or \"500ms\" (units d, h, m, s, ms), or as whole seconds";

/// Units with their milliseconds, the largest first.
const UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads whole numbers with units, the larger units first, each at most once.
///
/// # Errors
/// If it is anything else, zero, or more than [`DURATION_MAX`].
pub fn parse_duration(text: &str) -> Result<Duration, Flaw> {
    let malformed = || Flaw::new(format!("{} is not a duration", quote(text)), REMEDY);
    if text.starts_with('-') {
        return Err(Flaw::new(format!("{} is negative", quote(text)), REMEDY));
    }
    let mut left = text;
    let mut units = UNITS.iter();
    let mut total_ms: u64 = 0;
    while !left.is_empty() {
        let n_digits = left.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = left.split_at(n_digits);
        let n_letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, rest) = rest.split_at(n_letters);
        // Units already passed are used up: `30m1h` and `1m1m` are mistakes.
        let (_, unit_ms) = units.find(|(name, _)| *name == unit).ok_or_else(malformed)?;
        if digits.is_empty() {
            return Err(malformed());
        }
        // More digits than a u64 holds are too large, however many.
        let part_ms = digits.parse().unwrap_or(u64::MAX).saturating_mul(*unit_ms);
        total_ms = total_ms.saturating_add(part_ms);
        left = rest;
    }
    if text.is_empty() {
        return Err(malformed());
    }
    in_range(Duration::from_millis(total_ms), text)
}

/// From the text of a JSON number of seconds.
///
/// # Errors
/// If it is negative, zero, not whole, or more than [`DURATION_MAX`].
pub fn parse_seconds(number: &str) -> Result<Duration, Flaw> {
    let flaw = |why: &str| Flaw::new(format!("{} {why}", quote(number)), REMEDY);
    match Decimal::parse(number).map(|it| it.times(1)) {
        Ok(Product::Whole(seconds)) => in_range(Duration::from_secs(seconds), number),
        Ok(Product::TooLarge) | Err(BadDecimal::TooManyDigits) => in_range(Duration::MAX, number),
        Ok(Product::Between { .. }) => Err(flaw("is not a whole number of seconds")),
        Ok(Product::Negative) => Err(flaw("is negative")),
        Err(BadDecimal::NotANumber) => Err(flaw("is not a number")),
    }
}

fn in_range(span: Duration, written: &str) -> Result<Duration, Flaw> {
    if span.is_zero() {
        return Err(Flaw::new(
            format!("{} is zero", quote(written)),
            "give a positive duration, or leave the key out",
        ));
    }
    if span > DURATION_MAX {
        let problem = format!("{} is too long", quote(written));
        return Err(Flaw::new(problem, "give at most \"3650d\", or leave the key out"));
    }
    Ok(span)
}

/// The text that [`parse_duration`] reads as this span, to the millisecond; `0s` if it is shorter.
pub fn format_duration(span: Duration) -> String {
    let mut left = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, unit_ms) in UNITS {
        if left >= unit_ms {
            text.push_str(&format!("{}{unit}", left / unit_ms));
            left %= unit_ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(read: fn(&str) -> Result<Duration, Flaw>, text: &str, expect: Result<u64, &str>) {
        match (read(text), expect) {
            (Ok(span), Ok(expected_ms)) => assert_eq!(span.as_millis(), u128::from(expected_ms)),
            (Err(flaw), Err(expected)) => {
                assert!(flaw.problem.contains(expected), "{text:?}: {}", flaw.problem);
            }
            (got, expected) => panic!("{text:?}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_duration_is_never_guessed() {
        let text = |text, expect| check(parse_duration, text, expect);
        text("30m", Ok(1_800_000));
        text("1h30m", Ok(5_400_000));
        text("500ms", Ok(500));
        text("1d2h3m4s5ms", Ok(93_784_005));
        text("3650d", Ok(DURATION_MAX.as_millis() as u64));
        text("3651d", Err("too long"));
        text("99999999999999999999999d", Err("too long"));
        text("0s", Err("zero"));
        text("-5m", Err("negative"));
        for malformed in ["", "5", "m", "30m1h", "1m1m", "1.5h", "5 m", "5M", "5min", "٣s", "1h30"]
        {
            text(malformed, Err("not a duration"));
        }
        let number = |text, expect| check(parse_seconds, text, expect);
        number("90", Ok(90_000));
        number("60.0", Ok(60_000));
        number("-1", Err("negative"));
        number("0", Err("zero"));
        number("1.5", Err("not a whole number of seconds"));
        number("1e18", Err("too long"));
        number("1e400", Err("too long"));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same_span(ms in 1..=DURATION_MAX.as_millis() as u64) {
            let span = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(span)).unwrap(), span);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*", near in "[0-9dhms.]{0,40}") {
            let _ = parse_duration(&text);
            let _ = parse_duration(&near);
            let _ = parse_seconds(&text);
        }
    }
}
