//! Looks for an input on which a policy fails, and for the simplest one.

use super::input::{Input, Shape, inputs};
use crate::columns::Columns;
use std::cell::Cell;
use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

/// Used unless `POINTSMAN_FUZZ_SEED` says otherwise: the same in every run, so that a test does not fail
/// by chance.
const SEED: u64 = 1;
/// Used unless `POINTSMAN_FUZZ_ROUNDS` says otherwise.
const N_ROUNDS: usize = 300;
/// Simplifying ends after so many calls.
const N_TRIES: usize = 2_000;

/// Runs `check` on many inputs.
///
/// # Panics
/// With the first fault, the simplest input that shows one, and the seed.
#[track_caller]
pub(super) fn search<Task: Columns, Worker: Columns>(
    shape: Shape,
    check: impl Fn(&Input) -> Result<(), String>,
) {
    let seed = from_environment("POINTSMAN_FUZZ_SEED").unwrap_or(SEED);
    let n_rounds = from_environment("POINTSMAN_FUZZ_ROUNDS").unwrap_or(N_ROUNDS as u64) as usize;
    for input in inputs::<Task, Worker>(shape, seed, n_rounds) {
        if let Err(fault) = attempt(&check, &input) {
            let mut simplifier = Simplifier { check: &check, fault, input, n_tries: 0 };
            simplifier.remove_rows();
            simplifier.make_values_plain();
            let Simplifier { fault, input, .. } = simplifier;
            panic!("{fault}\n{input}  found with POINTSMAN_FUZZ_SEED={seed}");
        }
    }
}

#[track_caller]
fn from_environment(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is {text:?}, and should be a whole number")))
}

/// A panic of the policy is a fault like others.
fn attempt(check: &impl Fn(&Input) -> Result<(), String>, input: &Input) -> Result<(), String> {
    silence_panics();
    IS_SILENT.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| check(input)));
    IS_SILENT.set(false);
    outcome.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Err(format!("the policy panicked: {}", text.unwrap_or("without a message")))
    })
}

thread_local! {
    static IS_SILENT: Cell<bool> = const { Cell::new(false) };
}

/// Simplifying a panic makes hundreds of them, and the last one tells it all.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_SILENT.get() {
                hook(info);
            }
        }));
    });
}

/// A failing input on its way to the simplest one. The fault may become another one meanwhile.
struct Simplifier<'a, F> {
    check: &'a F,
    fault: String,
    input: Input,
    n_tries: usize,
}

impl<F: Fn(&Input) -> Result<(), String>> Simplifier<'_, F> {
    /// Takes `simpler` if it fails too.
    fn offer(&mut self, simpler: Input) -> bool {
        self.n_tries += 1;
        if self.n_tries > N_TRIES {
            return false;
        }
        let Err(fault) = attempt(self.check, &simpler) else { return false };
        (self.fault, self.input) = (fault, simpler);
        true
    }

    /// In pieces: half of the rows, a quarter, and so on to single ones.
    fn remove_rows(&mut self) {
        let mut n_removed = self.input.n_rows() / 2;
        while n_removed > 0 {
            let mut at = 0;
            while at < self.input.n_rows() {
                let n_rows = self.input.n_rows();
                let removed = at..(at + n_removed).min(n_rows);
                let is_all = removed.len() == n_rows;
                if is_all || !self.offer(self.input.without(removed)) {
                    at += n_removed;
                }
            }
            n_removed /= 2;
        }
    }

    fn make_values_plain(&mut self) {
        for at in 0..self.input.values_mut().count() {
            for plain in [0.0, 1.0, -1.0] {
                let mut simpler = self.input.clone();
                let value = simpler.values_mut().nth(at).expect("there are as many");
                if value.to_bits() == f64::to_bits(plain) {
                    break;
                }
                *value = plain;
                if self.offer(simpler) {
                    break;
                }
            }
        }
    }
}
