//! Windows of measurements as forecasting policies name them: `cpu-used@-29m..0s/1m`.

const FORM: &str = "write a window as @<from>..<to>/<step>, such as @-29m..0s/1m";

/// How many samples the window behind the `@` has: at least two.
///
/// # Errors
/// What is to be written instead.
pub(crate) fn n_samples(text: &str) -> Result<usize, &'static str> {
    let (range, step) = text.split_once('/').ok_or(FORM)?;
    let (from, to) = range.split_once("..").ok_or(FORM)?;
    let from_ms = before(from).ok_or(FORM)?;
    let to_ms = before(to).ok_or("let the window end at or before the newest measurement, 0s")?;
    let step_ms = milliseconds(step).ok_or(FORM)?;
    if step_ms < 1_000 {
        return Err("let the step be at least 1s");
    }
    if from_ms <= to_ms {
        return Err("let the window begin before its end");
    }
    if from_ms > 31 * 24 * 3_600_000 {
        return Err("look back 31 days (744h) at most");
    }
    if from_ms / step_ms > 4096 {
        return Err("look back 4096 steps at most");
    }
    if !(from_ms - to_ms).is_multiple_of(step_ms) {
        return Err("let the step divide what lies between the ends");
    }
    let n_samples = (from_ms - to_ms) / step_ms + 1;
    if n_samples > 256 {
        return Err("let a window have 256 samples at most");
    }
    Ok(n_samples as usize)
}

/// How long before now `-5m` is; now is `0s` or `-0s`.
fn before(text: &str) -> Option<u64> {
    let ms = milliseconds(text.strip_prefix('-').unwrap_or(text))?;
    (text.starts_with('-') || ms == 0).then_some(ms)
}

fn milliseconds(text: &str) -> Option<u64> {
    let (digits, unit) = text.split_at(text.find(|it: char| !it.is_ascii_digit())?);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sample_is_miscounted() {
        for (text, expected) in [
            ("-29m..0s/1m", Ok(30)),
            ("-10s..-5s/1s", Ok(6)),
            ("-48h..-24h/1h", Ok(25)),
            ("-5m/1m", Err(FORM)),
            ("5m..0s/1m", Err(FORM)),
            ("-5m..5m/1m", Err("let the window end at or before the newest measurement, 0s")),
            ("-1m..-5m/1m", Err("let the window begin before its end")),
            ("-5m..0s/2m", Err("let the step divide what lies between the ends")),
            ("-5m..0s/10ms", Err("let the step be at least 1s")),
            ("-745h..-744h/1h", Err("look back 31 days (744h) at most")),
            ("-2h..-1h/1s", Err("look back 4096 steps at most")),
            ("-5m..0s/1s", Err("let a window have 256 samples at most")),
        ] {
            assert_eq!(n_samples(text), expected, "{text}");
        }
    }
}
