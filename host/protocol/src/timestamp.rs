//! Points in time as RFC 3339 in UTC: `2026-10-25T01:30:00.000Z`. No time zones, no local time.

use crate::field::{Flaw, quote};
use pointsman_scheduler::time::Time;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A [`Time`] that is shown to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub Time);

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const SECONDS_PER_DAY: u64 = 86_400;

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.0 / NANOS_PER_SECOND;
        let ms = self.0.0 % NANOS_PER_SECOND / 1_000_000;
        let (year, month, day) = civil_from_days(seconds / SECONDS_PER_DAY);
        let second_of_day = seconds % SECONDS_PER_DAY;
        let (hour, minute, second) =
            (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

impl FromStr for Timestamp {
    type Err = Flaw;

    /// Reads any RFC 3339 time from 1970 to 2554. An offset is required: a time without one would
    /// mean another moment in each place.
    fn from_str(text: &str) -> Result<Timestamp, Flaw> {
        let flaw = |problem: &str| {
            let remedy = "write it like 2026-10-25T01:30:00Z or 2026-10-25T02:30:00+01:00";
            Flaw::new(format!("{} {problem}", quote(text)), remedy)
        };
        let bytes = text.as_bytes();
        let is_shaped = bytes.len() > 19
            && bytes.iter().take(19).enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                10 => matches!(byte, b'T' | b't' | b' '),
                13 | 16 => *byte == b':',
                _ => byte.is_ascii_digit(),
            });
        if !is_shaped {
            let has_no_zone = bytes.len() == 19 || bytes.len() == 10;
            return Err(flaw(if has_no_zone { "has no offset from UTC" } else { "is not a time" }));
        }
        let part = |range: std::ops::Range<usize>| number(&bytes[range]);
        let (year, month, day) = (part(0..4), part(5..7), part(8..10));
        let (hour, minute, second) = (part(11..13), part(14..16), part(17..19));
        let is_date = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
        if !is_date || hour > 23 || minute > 59 || second > 59 {
            return Err(flaw("is not a time"));
        }
        let rest = &bytes[19..];
        let (fraction_nanos, rest) = read_fraction(rest).ok_or_else(|| flaw("is not a time"))?;
        if rest.is_empty() {
            return Err(flaw("has no offset from UTC"));
        }
        let offset = read_offset(rest).ok_or_else(|| flaw("has no valid offset from UTC"))?;
        let days = days_from_civil(year as i64, month, day);
        let seconds = days * SECONDS_PER_DAY as i64 + (hour * 3600 + minute * 60 + second) as i64;
        u64::try_from(seconds - offset)
            .ok()
            .and_then(|seconds| seconds.checked_mul(NANOS_PER_SECOND)?.checked_add(fraction_nanos))
            .map(|nanos| Timestamp(Time(nanos)))
            .ok_or_else(|| flaw("is before 1970 or too far away"))
    }
}

/// All of them are digits.
fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// Nanoseconds of `.123`, if there is a fraction, and what follows. Finer digits are cut off.
fn read_fraction(text: &[u8]) -> Option<(u64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    let n_digits = digits.iter().take_while(|it| it.is_ascii_digit()).count();
    if n_digits == 0 {
        return None;
    }
    let (digits, rest) = digits.split_at(n_digits);
    let kept = &digits[..n_digits.min(9)];
    Some((number(kept) * 10u64.pow(9 - kept.len() as u32), rest))
}

/// Seconds east of UTC.
fn read_offset(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        b"Z" | b"z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let [h1, h2, b':', m1, m2] = digits else { return None };
    if ![h1, h2, m1, m2].iter().all(|it| it.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = (number(&[*h1, *h2]), number(&[*m1, *m2]));
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60) as i64)
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar. Years are counted
/// from March, so that the leap day is the last one; 400 of them have 146,097 days.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let since_year_0 = days + 719_468;
    let (era, day_of_era) = (since_year_0 / 146_097, since_year_0 % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The reverse; negative before 1970.
fn days_from_civil(year: i64, month: u64, day: u64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = ((month + 9) % 12) as i64;
    let day_of_year = (153 * month_from_march + 2) / 5 + day as i64 - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        crate::schema::TimestampText::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        crate::schema::TimestampText::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        crate::text::deserialize(deserializer)
    }
}

impl From<Time> for Timestamp {
    fn from(time: Time) -> Timestamp {
        Timestamp(time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expect: Result<&str, &str>) {
        match (text.parse::<Timestamp>(), expect) {
            (Ok(time), Ok(expected)) => assert_eq!(time.to_string(), expected, "{text}"),
            (Err(flaw), Err(expected)) => {
                assert!(flaw.problem.contains(expected), "{text}: {}", flaw.problem);
            }
            (got, expected) => panic!("{text}: {got:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_time_never_depends_on_the_place_where_it_is_read() {
        check("1970-01-01T00:00:00Z", Ok("1970-01-01T00:00:00.000Z"));
        check("2000-02-29T23:59:59.9999Z", Ok("2000-02-29T23:59:59.999Z"));
        check("2026-10-25T02:30:00+02:00", Ok("2026-10-25T00:30:00.000Z"));
        check("2026-10-25t02:30:00.5+01:00", Ok("2026-10-25T01:30:00.500Z"));
        check("2025-12-31T23:00:00-02:30", Ok("2026-01-01T01:30:00.000Z"));
        check("2554-07-21T23:34:33Z", Ok("2554-07-21T23:34:33.000Z"));
        check("2026-10-25T02:30:00", Err("has no offset"));
        check("2026-10-25T02:30:00.5", Err("has no offset"));
        check("2026-10-25", Err("has no offset"));
        check("2026-10-25T02:30:00+0100", Err("no valid offset"));
        check("2026-10-25T02:30:00+24:00", Err("no valid offset"));
        check("2026-02-29T00:00:00Z", Err("is not a time"));
        check("2100-02-29T00:00:00Z", Err("is not a time"));
        check("2026-13-01T00:00:00Z", Err("is not a time"));
        check("2026-10-25T24:00:00Z", Err("is not a time"));
        check("2026-10-25T02:30:00.Z", Err("is not a time"));
        check("yesterday", Err("is not a time"));
        check("1969-12-31T23:59:59Z", Err("is before 1970"));
        check("9999-12-31T23:59:59Z", Err("too far away"));
    }

    /// Through both nights in which clocks are set in Berlin: each minute once, in order, and equally long.
    #[test]
    fn times_go_on_evenly_where_clocks_are_set() {
        for (from, to) in [
            ("2026-03-28T22:00:00Z", "2026-03-29T04:00:00Z"),
            ("2026-10-24T22:00:00Z", "2026-10-25T04:00:00Z"),
        ] {
            let [from, to] = [from, to].map(|text| text.parse::<Timestamp>().unwrap().0);
            let minutes = (from.0..to.0).step_by(60_000_000_000).map(Time);
            let shown: Vec<String> = minutes.map(|time| Timestamp(time).to_string()).collect();
            assert_eq!(shown.len(), 6 * 60);
            assert!(shown.is_sorted_by(|a, b| a < b), "{shown:?}");
            assert!(shown.iter().all(|text| text.ends_with(":00.000Z")));
        }
        // 02:30 is there twice: before and after the clocks are set back.
        let [first, second] = ["+02:00", "+01:00"]
            .map(|offset| format!("2026-10-25T02:30:00{offset}").parse::<Timestamp>().unwrap().0);
        assert_eq!(second.since(first), std::time::Duration::from_secs(3600));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same_millisecond(nanos: u64) {
            let shown = Timestamp(Time(nanos)).to_string();
            let read: Timestamp = shown.parse().unwrap();
            prop_assert_eq!(read.0.0, nanos - nanos % 1_000_000);
        }

        #[test]
        fn every_day_follows_the_one_before(days in 0u64..213_000) {
            let (year, month, day) = civil_from_days(days);
            prop_assert!((1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day));
            prop_assert_eq!(days_from_civil(year as i64, month, day), days as i64);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*", near in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.Z+é-]{0,20}") {
            let _ = text.parse::<Timestamp>();
            let _ = near.parse::<Timestamp>();
        }
    }
}
