//! One layer of an LSTM for a handful of workers at once: each worker is a lane, so that one weight serves
//! all lanes and no lane looks at another. Gates in PyTorch's order: i, f, g, o.
//!
//! The arithmetic is written once, in [`step`]; it is inlined into one entry for each instruction set, where
//! the compiler makes vectors of the lanes.

use crate::activation::{sigmoid, tanh};

/// Workers that go through a layer together: eight accumulators of SIMD128, four of AVX2.
pub(crate) const LANES: usize = 8;
pub(crate) type Lanes = [f32; LANES];

/// Weights of a layer, those of a hidden unit side by side.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    pub n_hidden: usize,
    pub n_inputs: usize,
    /// [n_hidden]: the sum of both biases of gates i, f, g, o.
    pub bias: Vec<[f32; 4]>,
    /// [n_hidden][n_inputs + n_hidden]: gates i, f, g, o of each input, then of each hidden unit.
    pub weights: Vec<[f32; 4]>,
}

/// What a layer carries from step to step.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// [n_inputs + n_hidden]: the inputs of this step, then the hidden values of the step before.
    pub inputs: Vec<Lanes>,
    /// [n_hidden]
    pub cell: Vec<Lanes>,
    /// [n_hidden]: the hidden values of this step.
    pub hidden: Vec<Lanes>,
}

impl State {
    pub fn new(layer: &Layer) -> State {
        State {
            inputs: vec![[0.0; LANES]; layer.n_inputs + layer.n_hidden],
            cell: vec![[0.0; LANES]; layer.n_hidden],
            hidden: vec![[0.0; LANES]; layer.n_hidden],
        }
    }

    pub fn reset(&mut self) {
        for lanes in [&mut self.inputs, &mut self.cell, &mut self.hidden] {
            lanes.fill([0.0; LANES]);
        }
    }
}

/// One step: takes the first `n_inputs` entries of `state.inputs`, and leaves the new hidden values in
/// `state.hidden`. Lanes whose `is_on` is 0 (the others: 1) stay in the initial state.
pub(crate) fn advance(layer: &Layer, state: &mut State, is_on: &Lanes) {
    #[cfg(target_arch = "wasm32")]
    {
        #[target_feature(enable = "simd128")]
        fn with_simd128(layer: &Layer, state: &mut State, is_on: &Lanes) {
            step(layer, state, is_on);
        }
        with_simd128(layer, state, is_on)
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2(layer: &Layer, state: &mut State, is_on: &Lanes) {
            step(layer, state, is_on);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the instructions are there.
            unsafe { with_avx2(layer, state, is_on) }
        } else {
            step(layer, state, is_on)
        }
    }
    #[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
    step(layer, state, is_on)
}

/// c' = σ(f)·c + σ(i)·tanh(g), h' = σ(o)·tanh(c'), where i, f, g and o are affine in the inputs and in h
/// (S. Hochreiter and J. Schmidhuber 1997, with the forget gate of F. Gers et al. 2000, as in PyTorch).
#[inline(always)]
fn step(layer: &Layer, state: &mut State, is_on: &Lanes) {
    let n_columns = layer.n_inputs + layer.n_hidden;
    let inputs = &state.inputs[..n_columns];
    let units = layer.weights.chunks_exact(n_columns).zip(&layer.bias);
    for ((weights, bias), (cell, hidden)) in units.zip(state.cell.iter_mut().zip(&mut state.hidden))
    {
        let mut gates = bias.map(|bias| [bias; LANES]);
        for (weight, input) in weights.iter().zip(inputs) {
            for (gate, weight) in gates.iter_mut().zip(weight) {
                for lane in 0..LANES {
                    gate[lane] += weight * input[lane];
                }
            }
        }
        let [i, f, g, o] = gates;
        for lane in 0..LANES {
            let kept = sigmoid(f[lane]) * cell[lane];
            let c = (kept + sigmoid(i[lane]) * tanh(g[lane])) * is_on[lane];
            cell[lane] = c;
            hidden[lane] = sigmoid(o[lane]) * tanh(c);
        }
    }
    state.inputs[layer.n_inputs..].copy_from_slice(&state.hidden);
}
