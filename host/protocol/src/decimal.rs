//! Decimal numbers as they are written, multiplied exactly: 0.1 cores are 100 milli-cores, without a
//! detour over floating point.

/// A number with at most 19 significant digits: `digits × 10^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal {
    is_negative: bool,
    digits: u64,
    exponent: i32,
}

/// Why a text is not a [`Decimal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadDecimal {
    NotANumber,
    TooManyDigits,
}

/// A decimal times a whole factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    Whole(u64),
    /// Not whole; the next whole number above.
    Between {
        ceiling: u64,
    },
    Negative,
    TooLarge,
}

/// Longer texts are refused before they are looked at.
const TEXT_MAX: usize = 64;

impl Decimal {
    /// Reads `-12.5` or, with an exponent, `1.25e1`: the numbers of JSON, leading zeros allowed.
    pub fn parse(text: &str) -> Result<Decimal, BadDecimal> {
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, read_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return Err(BadDecimal::NotANumber),
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        let are_digits = |part: &str| part.bytes().all(|it| it.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
            return Err(BadDecimal::NotANumber);
        }
        if text.len() > TEXT_MAX {
            return Err(BadDecimal::TooManyDigits);
        }
        let all = format!("{whole}{fraction}");
        let significant = all.trim_end_matches('0');
        let n_zeros = (all.len() - significant.len()) as i32;
        let digits = match significant.trim_start_matches('0') {
            "" => 0,
            significant => significant.parse().map_err(|_| BadDecimal::TooManyDigits)?,
        };
        let exponent = exponent - fraction.len() as i32 + n_zeros;
        Ok(Decimal { is_negative: is_negative && digits > 0, digits, exponent })
    }

    /// Exactly `self × factor`.
    pub fn times(self, factor: u64) -> Product {
        if self.is_negative {
            return Product::Negative;
        }
        let product = u128::from(self.digits) * u128::from(factor);
        if product == 0 {
            return Product::Whole(0);
        }
        let power = 10u128.checked_pow(self.exponent.unsigned_abs());
        let (quotient, is_whole) = match (power, self.exponent < 0) {
            (None, false) => return Product::TooLarge,
            // Divided by more than any product of two 64-bit numbers.
            (None, true) => (0, false),
            (Some(power), true) => (product / power, product.is_multiple_of(power)),
            (Some(power), false) => match product.checked_mul(power) {
                Some(scaled) => (scaled, true),
                None => return Product::TooLarge,
            },
        };
        match (u64::try_from(quotient), is_whole) {
            (Ok(whole), true) => Product::Whole(whole),
            (Ok(below), false) => below
                .checked_add(1)
                .map_or(Product::TooLarge, |ceiling| Product::Between { ceiling }),
            (Err(_), _) => Product::TooLarge,
        }
    }
}

fn read_exponent(text: &str) -> Result<i32, BadDecimal> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|it| it.is_ascii_digit()) {
        return Err(BadDecimal::NotANumber);
    }
    // Far outside of every range used, and far from overflow.
    let exponent: i32 = digits.parse().unwrap_or(100_000).min(100_000);
    Ok(if text.starts_with('-') { -exponent } else { exponent })
}

/// `value / 1000`, exactly, without trailing zeros.
pub(crate) fn format_thousandths(value: u64) -> String {
    let (whole, rest) = (value / 1000, value % 1000);
    if rest == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{rest:03}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, factor: u64, expect: Result<Product, BadDecimal>) {
        assert_eq!(Decimal::parse(text).map(|it| it.times(factor)), expect, "{text} × {factor}");
    }

    #[test]
    fn products_are_exact_and_never_wrap() {
        check("0.1", 1000, Ok(Product::Whole(100)));
        check("0.1111", 1000, Ok(Product::Between { ceiling: 112 }));
        check("1e3", 1000, Ok(Product::Whole(1_000_000)));
        check("1.50", 1000, Ok(Product::Whole(1500)));
        check("15E-1", 1000, Ok(Product::Whole(1500)));
        check("0", u64::MAX, Ok(Product::Whole(0)));
        check("-0", 1000, Ok(Product::Whole(0)));
        check("-0.5", 1000, Ok(Product::Negative));
        check("1", u64::MAX, Ok(Product::Whole(u64::MAX)));
        check("1.1", u64::MAX, Ok(Product::TooLarge));
        check("1e308", 1000, Ok(Product::TooLarge));
        check("1e99999999999", 1, Ok(Product::TooLarge));
        check("1e-99999999999", 1, Ok(Product::Between { ceiling: 1 }));
        check("0e99999999999", 1, Ok(Product::Whole(0)));
        check("18446744073709551615", 1, Ok(Product::Whole(u64::MAX)));
        check("18446744073709551616", 1, Err(BadDecimal::TooManyDigits));
        check("0.50000000000000000000000000000000", 1000, Ok(Product::Whole(500)));
        check(&format!("0.{}", "1".repeat(100)), 1, Err(BadDecimal::TooManyDigits));
        for text in [
            "", "-", ".", "1.", ".5", "1e", "1e+", "e1", "--1", "+1", "0x1", "1 ", "\u{ff18}",
            "1_0",
        ] {
            check(text, 1, Err(BadDecimal::NotANumber));
        }
    }
}
