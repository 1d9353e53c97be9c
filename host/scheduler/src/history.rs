//! A worker's last measurements, and the straight line through them: where its load stands, how fast
//! it rises and how sure that is. Volatile: a restarted host begins anew.
//!
//! The line is that of ordinary least squares of the measured value y over the time t: the slope is
//! b = Sxy / Sxx with Sxy = Σ(t − t̄)(y − ȳ) and Sxx = Σ(t − t̄)², the line's value at t is
//! ȳ + b (t − t̄), and the standard error of b is √(SSE / (n − 2) / Sxx), where SSE is the sum of the
//! squared distances from the line. Formulas: Draper and Smith, Applied Regression Analysis (3rd
//! edition, 1998), sections 1.2 to 1.4; NIST/SEMATECH e-Handbook of Statistical Methods, 4.1.4.1.

use crate::event::Measurements;
use crate::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// Measurements kept: a minute at the usual heartbeat of 5 s.
pub(crate) const KEPT: usize = 12;
/// With fewer values there is no line: two noisy ones would always rise or fall.
pub(crate) const ENOUGH: usize = 8;
/// Workers also report when something happened. What comes closer to the last measurement that was
/// kept is left out, or a burst of reports would be all that is kept.
const LEAST_APART: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(crate) struct History {
    samples: VecDeque<Sample>,
    pub cpu: Line,
    pub memory: Line,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Time,
    cpu: Option<f64>,
    memory: Option<f64>,
}

/// All NaN until there are enough values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Line {
    /// The line's value at the last measurement that was kept, held within 0 and 1.
    pub fitted: f64,
    /// Per second.
    pub slope: f64,
    /// Standard error of the slope, per second.
    pub slope_error: f64,
}

impl Default for Line {
    fn default() -> Line {
        Line { fitted: f64::NAN, slope: f64::NAN, slope_error: f64::NAN }
    }
}

impl History {
    pub fn note(&mut self, now: Time, measured: &Measurements) {
        if self.samples.back().is_some_and(|last| last.at.after(LEAST_APART) > now) {
            return;
        }
        if self.samples.len() == KEPT {
            self.samples.pop_front();
        }
        let Measurements { cpu_used: cpu, memory_used: memory, .. } = *measured;
        self.samples.push_back(Sample { at: now, cpu, memory });
        self.cpu = self.line(now, |sample| sample.cpu);
        self.memory = self.line(now, |sample| sample.memory);
    }

    fn line(&self, now: Time, value: impl Fn(&Sample) -> Option<f64>) -> Line {
        let mut points = [(0.0, 0.0); KEPT];
        let mut n = 0;
        for sample in &self.samples {
            if let Some(value) = value(sample) {
                // Seconds before now: small numbers, whose squares are exact enough.
                points[n] = (-now.since(sample.at).as_secs_f64(), value);
                n += 1;
            }
        }
        Line::through(&points[..n])
    }
}

impl Line {
    /// Through points (seconds, value) of which the line's value is wanted at 0 s.
    fn through(points: &[(f64, f64)]) -> Line {
        if points.len() < ENOUGH {
            return Line::default();
        }
        let n = points.len() as f64;
        let t_mean = points.iter().map(|(t, _)| t).sum::<f64>() / n;
        let y_mean = points.iter().map(|(_, y)| y).sum::<f64>() / n;
        // At least a second apart, so that this is not 0.
        let sxx: f64 = points.iter().map(|(t, _)| (t - t_mean).powi(2)).sum();
        let sxy: f64 = points.iter().map(|(t, y)| (t - t_mean) * (y - y_mean)).sum();
        let slope = sxy / sxx;
        let distance = |(t, y): &(f64, f64)| y - y_mean - slope * (t - t_mean);
        let sse: f64 = points.iter().map(|point| distance(point).powi(2)).sum();
        Line {
            fitted: (y_mean - slope * t_mean).clamp(0.0, 1.0),
            slope,
            slope_error: (sse / (n - 2.0) / sxx).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(samples: impl IntoIterator<Item = (u64, Option<f64>)>) -> History {
        let mut history = History::default();
        for (at_ms, cpu_used) in samples {
            let measured = Measurements { cpu_used, ..Measurements::default() };
            history.note(Time::ZERO.after(Duration::from_millis(at_ms)), &measured);
        }
        history
    }

    fn close(line: Line, expected: [f64; 3]) {
        for (value, expected) in [line.fitted, line.slope, line.slope_error].iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12, "{line:?} against {expected:?}");
        }
    }

    #[test]
    fn the_line_is_that_of_least_squares() {
        // Worked out by hand: t̄ = 3.5, ȳ = 0.45, and SSE = Syy − Sxy² / Sxx.
        let values = [0.1, 0.2, 0.2, 0.4, 0.6, 0.6, 0.7, 0.8];
        let samples = (0..).zip(values).map(|(at, value)| (at * 1000, Some(value)));
        let (sxx, sxy, syy) = (42.0, 4.4, 0.48);
        let slope: f64 = sxy / sxx;
        let error = ((syy - sxy * slope) / 6.0_f64 / sxx).sqrt();
        close(noted(samples).cpu, [0.45 + 3.5 * slope, slope, error]);
    }

    #[test]
    fn there_is_no_line_through_too_few_values() {
        let rising = |n: u64| (0..n).map(|i| (i * 5000, Some(i as f64 / 100.0)));
        assert!(noted(rising(7)).cpu.slope.is_nan());
        close(noted(rising(8)).cpu, [0.07, 0.002, 0.0]);
        let history = noted(rising(8));
        assert!(history.memory.slope.is_nan() && history.memory.fitted.is_nan());
        // Gaps are no values, and what is measured late counts at its time.
        let with_gaps = rising(9).chain([(45_000, None), (50_000, Some(0.1))]);
        close(noted(with_gaps).cpu, [0.1, 0.002, 0.0]);
    }

    #[test]
    fn only_the_last_minute_counts_and_no_burst_of_reports() {
        let flat_then_rising = |at: u64| Some(if at < 20 { 0.3 } else { 0.01 * at as f64 });
        let samples = (0..32).map(|i| (i * 5000, flat_then_rising(i)));
        close(noted(samples).cpu, [0.31, 0.002, 0.0]);
        let bursts = (0..8_u64).flat_map(|i| {
            (0..50).map(move |j| (i * 5000 + j, Some(if j == 0 { i as f64 / 100.0 } else { 0.9 })))
        });
        close(noted(bursts).cpu, [0.07, 0.002, 0.0]);
    }
}
