//! Columns as a forecasting policy needs them: as they are now, or a window of samples.

use pointsman_scheduler::columns::WorkerColumn;
use std::fmt;

/// Lists that one row may be made of.
pub(crate) const MAX_LISTS: usize = 256;

/// Samples at equal distances, relative to the newest measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Milliseconds before the newest measurement; at least `to_ms`.
    pub from_ms: u64,
    pub to_ms: u64,
    /// At least 1,000; divides what lies between.
    pub step_ms: u64,
}

impl Window {
    /// At least two.
    pub fn n_samples(self) -> usize {
        ((self.from_ms - self.to_ms) / self.step_ms) as usize + 1
    }
}

/// One entry of a forecaster's `needs-worker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    pub column: WorkerColumn,
    /// None: the value of now.
    pub window: Option<Window>,
}

impl Needed {
    pub fn n_lists(self) -> usize {
        self.window.map_or(1, Window::n_samples)
    }
}

impl fmt::Display for Needed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.column.info().name)?;
        match self.window {
            None => Ok(()),
            Some(Window { from_ms, to_ms, step_ms }) => {
                write!(f, "@-{}..", span(from_ms))?;
                if to_ms > 0 {
                    f.write_str("-")?;
                }
                write!(f, "{}/{}", span(to_ms), span(step_ms))
            }
        }
    }
}

/// Milliseconds in the largest unit that holds them exactly.
fn span(ms: u64) -> String {
    match ms {
        0 => "0s".to_owned(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// Longer ago than any measurement is kept for.
const MAX_SPAN_MS: u64 = 31 * 24 * 3_600_000;
/// Of each worker so many are kept at most.
const MAX_STEPS: u64 = 4096;

/// Reads what stands behind the `@`: `<from>..<to>/<step>`.
///
/// # Errors
/// What is to be written instead.
pub(crate) fn parse(text: &str) -> Result<Window, &'static str> {
    const FORM: &str = "write a window as <from>..<to>/<step>, such as @-29m..0s/1m";
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
    if from_ms > MAX_SPAN_MS {
        return Err("look back 31 days (744h) at most");
    }
    if from_ms / step_ms > MAX_STEPS {
        return Err("look back 4096 steps at most");
    }
    if (from_ms - to_ms) % step_ms != 0 {
        return Err("let the step divide what lies between the ends");
    }
    Ok(Window { from_ms, to_ms, step_ms })
}

/// How long before now `-5m` is; now is `0s` or `-0s`.
fn before(text: &str) -> Option<u64> {
    let ms = milliseconds(text.strip_prefix('-').unwrap_or(text))?;
    (text.starts_with('-') || ms == 0).then_some(ms)
}

fn milliseconds(text: &str) -> Option<u64> {
    let at = text.find(|it: char| !it.is_ascii_digit())?;
    let (digits, unit) = text.split_at(at);
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
    fn a_window_reads_as_it_is_written() {
        for (text, n_samples) in [
            ("cpu-used@-29m..0s/1m", 30),
            ("rtt-ms@-10s..-5s/1s", 6),
            ("memory-used@-3001ms..-1ms/1500ms", 3),
            ("connections@-48h..-24h/1h", 25),
        ] {
            let (name, window) = text.split_once('@').unwrap();
            let column = WorkerColumn::find(name).unwrap();
            let needed = Needed { column, window: Some(parse(window).unwrap()) };
            assert_eq!((needed.to_string().as_str(), needed.n_lists()), (text, n_samples));
        }
        assert_eq!(parse("-0s..0s/1s"), Err("let the window begin before its end"));
    }

    #[test]
    fn no_window_is_guessed_at() {
        for text in [
            "",
            "-5m..0s",
            "-5m/1m",
            "5m..0s/1m",
            "-5m..5m/1m",
            "-5m..0s/0s",
            "-5m..0s/10ms",
            "-5m..0s/2m",
            "-1m..-5m/1m",
            "-5..0/1",
            "-5min..0s/1m",
            "-1.5m..0s/1m",
            "-99999999999999999999h..0s/1m",
            "-5124095576030431h..0s/1m",
            "-800h..0s/4h",
            "--5m..0s/1m",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
