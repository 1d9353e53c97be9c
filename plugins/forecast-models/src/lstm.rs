//! Inference: what a stored LSTM says the last value of each window becomes. It goes by the differences
//! between neighbouring samples, divided by a scale, and answers the *change* from the last value: a network
//! that sees raw values has to learn first that tomorrow resembles today, and loses to a rule that just says so.

use crate::kernel::{LANES, Lanes, Layer, State, advance};
use crate::suffix::{SAMPLES_MIN, Suffix, suffix};
use crate::weights::{Info, Weights};

/// A stored network, laid out for inference.
#[derive(Debug, Clone)]
pub struct Lstm {
    info: Info,
    layers: Vec<Layer>,
    /// [n_hidden]
    head: Vec<f32>,
    head_bias: f32,
}

impl Lstm {
    pub fn new(weights: &Weights) -> Lstm {
        Lstm {
            info: weights.info().clone(),
            layers: weights.interleaved(),
            head: weights.head().to_vec(),
            head_bias: weights.head_bias(),
        }
    }

    /// What the weights were made for.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Forecasts for many workers: `samples[i][worker]`, the oldest sample first, in the unit that the
    /// weights were trained in; a policy gets windows just so. Answers one finite value per worker: what the
    /// column will be `horizon` steps after the last sample.
    ///
    /// What is not finite is missing, as is what a shorter list lacks. The model goes by the samples after
    /// the last hole; with fewer than three of them the answer is the newest known value, and 0 where none
    /// is known. Of more lists than the window has samples the last ones count; fewer are a short history.
    pub fn forecast<S: AsRef<[f64]>>(&self, samples: &[S]) -> Vec<f64> {
        let n_workers = samples.iter().map(|list| list.as_ref().len()).max().unwrap_or(0);
        let sample = |age: usize, worker: usize| {
            let at = samples.len().checked_sub(age + 1)?;
            samples[at].as_ref().get(worker).copied()
        };
        self.forecast_by(n_workers, sample)
    }

    /// As [`Lstm::forecast`], for `windows[worker][i]`, the oldest sample first.
    pub fn forecast_rows<R: AsRef<[f64]>>(&self, windows: &[R]) -> Vec<f64> {
        let sample = |age: usize, worker: usize| {
            let window = windows[worker].as_ref();
            window.get(window.len().checked_sub(age + 1)?).copied()
        };
        self.forecast_by(windows.len(), sample)
    }

    /// `sample(age, worker)` with age 0 for the newest; None is missing.
    fn forecast_by(
        &self,
        n_workers: usize,
        sample: impl Fn(usize, usize) -> Option<f64>,
    ) -> Vec<f64> {
        let mut states: Vec<State> = self.layers.iter().map(State::new).collect();
        let mut answers = Vec::with_capacity(n_workers);
        for first in (0..n_workers).step_by(LANES) {
            let n_lanes = LANES.min(n_workers - first);
            let known = |age: usize, lane: usize| sample(age, first + lane).unwrap_or(f64::NAN);
            let suffixes: Vec<Suffix> = (0..n_lanes)
                .map(|lane| suffix((0..self.info.window).map(|age| known(age, lane))))
                .collect();
            let changes = self.changes(&mut states, &suffixes, &known);
            answers.extend(suffixes.iter().zip(changes).map(|(suffix, change)| {
                let (Suffix::Whole { last, .. } | Suffix::Short { last }) = *suffix;
                let moved = last + f64::from(change) * self.info.scale;
                if matches!(suffix, Suffix::Whole { .. }) && moved.is_finite() {
                    moved
                } else {
                    last
                }
            }));
        }
        answers
    }

    /// Scaled changes of up to [`LANES`] workers; those of short ones mean nothing.
    fn changes(
        &self,
        states: &mut [State],
        suffixes: &[Suffix],
        known: &impl Fn(usize, usize) -> f64,
    ) -> Lanes {
        let n_samples = |suffix: &Suffix| match *suffix {
            Suffix::Whole { n, .. } => n,
            Suffix::Short { .. } => 0,
        };
        let longest = suffixes.iter().map(n_samples).max().unwrap_or(0);
        if longest < SAMPLES_MIN {
            return [0.0; LANES];
        }
        states.iter_mut().for_each(State::reset);
        for age in (0..longest - 1).rev() {
            for (lane, suffix) in suffixes.iter().enumerate() {
                let n = n_samples(suffix);
                if n == age + 2 && n < longest {
                    // Its history begins here; the longer ones beside it moved its state.
                    states.iter_mut().for_each(|state| state.reset_lane(lane));
                }
                let is_in = n > age + 1;
                states[0].inputs[0][lane] = if is_in {
                    self.info.scaled(known(age + 1, lane), known(age, lane))
                } else {
                    0.0
                };
            }
            self.advance_all(states);
        }
        self.read_out(&states[states.len() - 1])
    }

    fn advance_all(&self, states: &mut [State]) {
        for at in 0..states.len() {
            advance(&self.layers[at], &mut states[at]);
            if let Some([below, above]) = states.get_mut(at..at + 2) {
                above.inputs[..below.hidden.len()].copy_from_slice(&below.hidden);
            }
        }
    }

    fn read_out(&self, state: &State) -> Lanes {
        let mut changes = [self.head_bias; LANES];
        for (weight, hidden) in self.head.iter().zip(&state.hidden) {
            for lane in 0..LANES {
                changes[lane] += weight * hidden[lane];
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{Tensor, expected};

    fn info(scale: f64) -> Info {
        let column = "cpu-used".to_owned();
        Info { column, step_ms: 60_000, window: 8, horizon: 1, scale, clip: 8.0 }
    }

    fn network(n_layers: usize, n_hidden: usize, spread: f32, scale: f64) -> Lstm {
        let mut random = fastrand::Rng::with_seed(3);
        let tensor = |shape: Vec<usize>| {
            let n = shape.iter().product();
            let values = std::iter::repeat_with(|| (random.f32() * 2.0 - 1.0) * spread);
            Tensor { values: values.take(n).collect(), shape }
        };
        let shapes = expected(n_layers, n_hidden);
        let names: Vec<String> = shapes.keys().cloned().collect();
        let tensors = names.into_iter().zip(shapes.into_values().map(tensor)).collect();
        Lstm::new(&Weights::new(info(scale), tensors).expect("good weights"))
    }

    fn windows(n: usize) -> Vec<Vec<f64>> {
        let mut random = fastrand::Rng::with_seed(4);
        (0..n).map(|_| (0..8).map(|_| random.f64()).collect()).collect()
    }

    #[test]
    fn no_worker_looks_at_another() {
        for n_layers in [1, 2] {
            let lstm = network(n_layers, 5, 0.7, 0.1);
            let windows = windows(21);
            let together = lstm.forecast_rows(&windows);
            let alone: Vec<f64> =
                windows.iter().map(|window| lstm.forecast_rows(&[window])[0]).collect();
            assert_eq!(together, alone);
            assert!(together.windows(2).all(|pair| pair[0] != pair[1]), "{together:?}");
        }
    }

    #[test]
    fn a_short_history_is_taken_as_if_it_were_alone() {
        let lstm = network(2, 5, 0.7, 0.1);
        let window = &windows(1)[0];
        for n_missing in 1..=5 {
            let mut holed = window.clone();
            holed[n_missing - 1] = f64::NAN;
            let whole = lstm.forecast_rows(&[&window[n_missing..]])[0];
            // In a batch beside longer ones.
            assert_eq!(lstm.forecast_rows(&[&holed, window])[0], whole);
            assert_ne!(lstm.forecast_rows(&[window])[0], whole);
        }
        // More than the window holds is no longer looked at.
        let longer = [&[9.0, 9.0][..], window].concat();
        assert_eq!(lstm.forecast_rows(&[&longer]), lstm.forecast_rows(&[window]));
    }

    #[test]
    fn too_little_to_go_by_gives_the_newest_known_value() {
        const NAN: f64 = f64::NAN;
        let lstm = network(1, 5, 0.7, 0.1);
        for (window, expected) in [
            (&[][..], 0.0),
            (&[NAN, NAN, NAN, NAN], 0.0),
            (&[NAN, NAN, NAN, 0.5], 0.5),
            (&[0.1, NAN, 0.4, 0.5], 0.5),
            (&[0.1, 0.2, 0.3, f64::INFINITY], 0.3),
            (&[0.1, 0.2, 0.3, NAN, NAN], 0.3),
        ] {
            assert_eq!(lstm.forecast_rows(&[window]), [expected], "{window:?}");
        }
        assert_eq!(lstm.forecast::<Vec<f64>>(&[]), [] as [f64; 0]);
        // Lists of different lengths: the last worker has a single sample.
        assert_eq!(lstm.forecast(&[vec![0.1], vec![0.2], vec![0.3, 0.7]])[1], 0.7);
    }

    #[test]
    fn no_window_gives_anything_but_finite_numbers() {
        let odd = [
            f64::NAN,
            f64::INFINITY,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE,
            f64::EPSILON,
            0.0,
            -0.0,
            1.0,
            1e300,
        ];
        let mut random = fastrand::Rng::with_seed(5);
        for (spread, scale) in [(0.7, 0.1), (1e6, f64::MAX), (1e6, f64::MIN_POSITIVE), (1e6, 1.0)] {
            let lstm = network(2, 5, spread, scale);
            let window = |_| (0..8).map(|_| odd[random.usize(..odd.len())]).collect::<Vec<_>>();
            let answers = lstm.forecast_rows(&(0..2000).map(window).collect::<Vec<_>>());
            assert!(answers.iter().all(|it| it.is_finite()), "{spread} {scale}");
        }
    }
}
