//! Sigmoid and tanh, written so that the compiler turns a loop over lanes into vector code on every target:
//! no branch, no call, no conversion that only some targets have. The same operations in the same order
//! everywhere, so that a policy and a backtest answer the same to the last bit.

/// 1.5 · 2^23 + 127: adding it rounds to whole numbers, and leaves the number plus the bias of an exponent
/// in the lowest bits.
const ROUND_AND_BIAS: f32 = 12_582_912.0 + 127.0;
/// ln 2 in two parts: products of the first with small whole numbers are exact.
const LN2_HIGH: f32 = 355.0 / 512.0;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// Beyond this, sigmoid is 0 or 1 to the precision that is promised.
const LARGEST: f32 = 30.0;

/// `exp(x)` for |x| ≤ 2 · [`LARGEST`], to about 2e-7 of itself: range reduction to |r| ≤ ln 2 / 2 and the
/// polynomial of Cephes' `expf` (S. Moshier, Cephes Mathematical Library, single precision).
#[inline(always)]
fn exp(x: f32) -> f32 {
    let biased = x * std::f32::consts::LOG2_E + ROUND_AND_BIAS;
    let n = biased - ROUND_AND_BIAS;
    let power = f32::from_bits(biased.to_bits() << 23);
    let r = (x - n * LN2_HIGH) - n * LN2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 0.5;
    (p * r * r + r + 1.0) * power
}

#[inline(always)]
fn within(x: f32, largest: f32) -> f32 {
    // Unlike `clamp`, one instruction a side in vector code.
    let x = if x < -largest { -largest } else { x };
    if x > largest { largest } else { x }
}

/// 1 / (1 + exp(-x)), from 0 to 1; absolute error at most 1e-6. NaN only for NaN.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-within(x, LARGEST)))
}

/// tanh(x) = 2 · sigmoid(2x) - 1, from -1 to 1; absolute error at most 1e-6. NaN only for NaN.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    2.0 / (1.0 + exp(-2.0 * within(x, LARGEST))) - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_within_a_millionth_everywhere() {
        let check = |x: f32| {
            let exact = f64::from(x);
            let of_sigmoid = f64::from(sigmoid(x)) - 1.0 / (1.0 + (-exact).exp());
            let of_tanh = f64::from(tanh(x)) - exact.tanh();
            assert!(
                of_sigmoid.abs() <= 1e-6 && of_tanh.abs() <= 1e-6,
                "{x}: {of_sigmoid} {of_tanh}"
            );
        };
        (-400_000..=400_000).for_each(|at| check(at as f32 * 1e-4));
        for x in [1e-30, 1e-7, 50.0, 88.0, 89.0, 200.0, 1e10, f32::MAX, f32::INFINITY] {
            check(x);
            check(-x);
        }
        assert!(sigmoid(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
    }
}
