//! Decimal numbers as they are written, taken over into integers without a detour over floating
//! point.

/// `digits × 10^exponent`, not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    digits: u64,
    exponent: i32,
}

/// Why a text is not a number that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadNumber {
    #[error("is not a decimal number")]
    Malformed,
    #[error("is negative")]
    Negative,
    #[error("has more than 19 significant digits")]
    TooManyDigits,
    #[error("is too large")]
    TooLarge,
}

impl Decimal {
    /// Reads a number in the notation of JSON.
    pub fn parse(text: &str) -> Result<Decimal, BadNumber> {
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return Err(BadNumber::Malformed),
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let are_digits = |part: &str| part.bytes().all(|it| it.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
            return Err(BadNumber::Malformed);
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_end_matches('0');
        let n_zeros = all.len() - significant.len();
        let digits = match significant.trim_start_matches('0') {
            "" => return Ok(Decimal { digits: 0, exponent: 0 }),
            significant => significant.parse().map_err(|_| BadNumber::TooManyDigits)?,
        };
        if is_negative {
            return Err(BadNumber::Negative);
        }
        let shift = i32::try_from(fraction.len()).map_err(|_| BadNumber::TooManyDigits)?
            - i32::try_from(n_zeros).map_err(|_| BadNumber::TooLarge)?;
        Ok(Decimal { digits, exponent: exponent - shift })
    }

    pub fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// Whether `self × 10^power` is a whole number.
    pub fn is_whole_times(self, power: i32) -> bool {
        // The last digit is not 0 unless the number is 0.
        self.digits == 0 || self.exponent + power >= 0
    }

    /// `self × factor × 10^power`, rounded to the nearest whole number, halves up.
    pub fn times(self, factor: u64, power: i32) -> Result<u64, BadNumber> {
        let product = u128::from(self.digits) * u128::from(factor);
        if product == 0 {
            return Ok(0);
        }
        let exponent = self.exponent + power;
        let scale = 10u128.checked_pow(exponent.unsigned_abs());
        let rounded = match (scale, exponent < 0) {
            (None, true) => 0,
            (None, false) => return Err(BadNumber::TooLarge),
            (Some(scale), true) => {
                let (quotient, rest) = (product / scale, product % scale);
                quotient + u128::from(rest >= scale - rest)
            }
            (Some(scale), false) => product.checked_mul(scale).ok_or(BadNumber::TooLarge)?,
        };
        u64::try_from(rounded).map_err(|_| BadNumber::TooLarge)
    }
}

fn read_exponent(text: &str) -> Result<i32, BadNumber> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err(BadNumber::Malformed);
    }
    // Far outside of every range used, and far from overflow.
    let exponent: i32 = digits.parse().unwrap_or(100_000).min(100_000);
    Ok(if text.starts_with('-') { -exponent } else { exponent })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, factor: u64, power: i32, expect: Result<u64, BadNumber>) {
        let got = Decimal::parse(text).and_then(|it| it.times(factor, power));
        assert_eq!(got, expect, "{text} × {factor} × 10^{power}");
    }

    #[test]
    fn no_digit_is_lost_and_nothing_wraps() {
        check("0.1", 1, 9, Ok(100_000_000));
        check("1029.000000001", 1, 9, Ok(1_029_000_000_001));
        check("0.30000000000000004", 1, 9, Ok(300_000_000));
        check("0.0000000005", 1, 9, Ok(1));
        check("0.00000000049", 1, 9, Ok(0));
        check("1.25e1", 1, 0, Ok(13));
        check("12E-1", 10, 0, Ok(12));
        check("0.000", 1, 9, Ok(0));
        check("-0.0", 1, 9, Ok(0));
        check("18446744073709551615", 1, 0, Ok(u64::MAX));
        check("18446744073.709551616", 1, 9, Err(BadNumber::TooManyDigits));
        check("18446744073.8", 1, 9, Err(BadNumber::TooLarge));
        check("1e400000", 1, 9, Err(BadNumber::TooLarge));
        check("1e-400000", 1, 9, Ok(0));
        check("-1", 1, 9, Err(BadNumber::Negative));
        for text in ["", "-", ".", "1.", ".5", "1e", "NaN", "inf", "+1", "1 ", "0x1", "\"1\""] {
            check(text, 1, 9, Err(BadNumber::Malformed));
        }
    }
}
