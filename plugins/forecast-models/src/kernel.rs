//! One layer of an LSTM for a handful of workers at once: each worker is a lane, so that one weight serves
//! all lanes and no lane looks at another. Gates in PyTorch's order: i, f, g, o.
//!
//! The arithmetic is written once, in [`step`]; it is inlined into one entry for each instruction set, where
//! the compiler makes vectors of the lanes.

use crate::activation::{sigmoid, tanh};
use crate::sum::Sum;

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
    /// [n_inputs + n_hidden]: the inputs of the next step, then the hidden values of the step before.
    pub inputs: Vec<Lanes>,
    /// [n_hidden]
    pub cell: Vec<Lanes>,
    /// [n_hidden]: the hidden values of the last step.
    pub hidden: Vec<Lanes>,
    /// [4][n_hidden]: what the gates i, f, g, o are in the course of a step.
    gates: [Vec<Lanes>; 4],
}

impl State {
    pub fn new(layer: &Layer) -> State {
        let zero = vec![[0.0; LANES]; layer.n_hidden];
        State {
            inputs: vec![[0.0; LANES]; layer.n_inputs + layer.n_hidden],
            cell: zero.clone(),
            hidden: zero.clone(),
            gates: [0, 1, 2, 3].map(|_| zero.clone()),
        }
    }

    /// Back to the initial state.
    pub fn reset(&mut self) {
        for lanes in [&mut self.inputs, &mut self.cell, &mut self.hidden] {
            lanes.fill([0.0; LANES]);
        }
    }

    /// As [`State::reset`] for one lane.
    pub fn reset_lane(&mut self, lane: usize) {
        for lanes in [&mut self.inputs, &mut self.cell, &mut self.hidden] {
            lanes.iter_mut().for_each(|it| it[lane] = 0.0);
        }
    }
}

/// One step: takes the first `n_inputs` entries of `state.inputs`, and leaves the new hidden values in
/// `state.hidden`.
pub(crate) fn advance(layer: &Layer, state: &mut State) {
    #[cfg(target_arch = "wasm32")]
    {
        #[target_feature(enable = "simd128")]
        fn with_simd128(layer: &Layer, state: &mut State) {
            step(layer, state);
        }
        with_simd128(layer, state)
    }
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2(layer: &Layer, state: &mut State) {
            step(layer, state);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the instructions are there.
            unsafe { with_avx2(layer, state) }
        } else {
            step(layer, state)
        }
    }
    #[cfg(not(any(target_arch = "wasm32", target_arch = "x86_64")))]
    step(layer, state)
}

/// c' = σ(f)·c + σ(i)·tanh(g), h' = σ(o)·tanh(c'), where i, f, g and o are affine in the inputs and in h
/// (S. Hochreiter and J. Schmidhuber 1997, with the forget gate of F. Gers et al. 2000, as in PyTorch).
#[inline(always)]
fn step(layer: &Layer, state: &mut State) {
    let State { inputs, cell, hidden, gates } = state;
    add_up(layer, inputs, gates);
    apply(gates, cell.as_flattened_mut(), hidden.as_flattened_mut());
    inputs[layer.n_inputs..].copy_from_slice(hidden);
}

#[inline(always)]
fn add_up(layer: &Layer, inputs: &[Lanes], gates: &mut [Vec<Lanes>; 4]) {
    let units = layer.weights.chunks_exact(layer.n_inputs + layer.n_hidden).zip(&layer.bias);
    for (unit, (weights, bias)) in units.enumerate() {
        let mut sums = [0, 1, 2, 3].map(|gate: usize| Sum::new(bias[gate]));
        for (weight, input) in weights.iter().zip(inputs) {
            for (sum, weight) in sums.iter_mut().zip(weight) {
                sum.add(*weight, input);
            }
        }
        for (gate, sum) in gates.iter_mut().zip(sums) {
            gate[unit] = sum.lanes();
        }
    }
}

/// One loop over all units and lanes, without any structure that keeps it from becoming vector code.
#[inline(always)]
fn apply(gates: &[Vec<Lanes>; 4], cell: &mut [f32], hidden: &mut [f32]) {
    let n = cell.len();
    let [i, f, g, o] = [0, 1, 2, 3].map(|gate: usize| &gates[gate].as_flattened()[..n]);
    let hidden = &mut hidden[..n];
    for at in 0..n {
        let c = sigmoid(f[at]) * cell[at] + sigmoid(i[at]) * tanh(g[at]);
        cell[at] = c;
        hidden[at] = sigmoid(o[at]) * tanh(c);
    }
}
