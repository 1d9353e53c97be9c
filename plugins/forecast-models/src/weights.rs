//! Stored weights: a safetensors file with the names, shapes and gate order of PyTorch's `nn.LSTM`, and what
//! the network goes by in the file's metadata. The README describes the format. Reading trusts nothing: every
//! number has its bounds, and an error names the tensor or key and what is expected there.

mod error;
mod file;
mod info;
#[cfg(test)]
mod tests;

pub use error::WeightsError;
pub use info::Info;

use crate::kernel::Layer;
use std::collections::BTreeMap;

/// What the metadata's `format` has to be.
pub const FORMAT: &str = "pointsman-lstm/1";
/// Larger files are refused unread.
pub const BYTES_MAX: usize = 4 << 20;
pub const LAYERS_MAX: usize = 2;
pub const HIDDEN_MAX: usize = 128;
/// Larger weights, and those that are no finite numbers, are refused: with them, sums could overflow.
pub const WEIGHT_MAX: f32 = 1e6;
/// The difference is the only input of the first layer.
pub const N_INPUTS: usize = 1;

/// Values in rows, the last dimension running fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

/// By PyTorch's names.
pub type Tensors = BTreeMap<String, Tensor>;

/// The weights of a network that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Weights {
    info: Info,
    n_layers: usize,
    n_hidden: usize,
    /// Exactly those of [`expected`], all values within bounds.
    tensors: Tensors,
}

impl Weights {
    /// # Errors
    /// If a tensor is missing, superfluous or of another shape than the others make it, or a value is out of
    /// bounds; or something is wrong with `info`.
    pub fn new(info: Info, tensors: Tensors) -> Result<Weights, WeightsError> {
        info.check()?;
        let n_hidden = n_hidden(&tensors)?;
        let n_layers = if tensors.keys().any(|name| name.ends_with("_l1")) { 2 } else { 1 };
        let expected = expected(n_layers, n_hidden);
        for (name, shape) in &expected {
            let tensor = tensors.get(name).ok_or_else(|| WeightsError::MissingTensor {
                tensor: name.clone(),
                expected: shape.clone(),
            })?;
            check(name, tensor, shape)?;
        }
        match tensors.keys().find(|name| !expected.contains_key(*name)) {
            Some(name) => Err(WeightsError::UnknownTensor { tensor: error::shortened(name) }),
            None => Ok(Weights { info, n_layers, n_hidden, tensors }),
        }
    }

    /// Reads a file's content.
    ///
    /// # Errors
    /// As [`Weights::new`], and if the bytes are no safetensors file of this format.
    pub fn read(bytes: &[u8]) -> Result<Weights, WeightsError> {
        let (info, tensors) = file::read(bytes)?;
        Weights::new(info, tensors)
    }

    /// A file's content. Equal weights give equal bytes.
    pub fn write(&self) -> Vec<u8> {
        file::write(&self.info, &self.tensors)
    }

    pub fn info(&self) -> &Info {
        &self.info
    }

    pub fn n_layers(&self) -> usize {
        self.n_layers
    }

    pub fn n_hidden(&self) -> usize {
        self.n_hidden
    }

    pub fn tensors(&self) -> &Tensors {
        &self.tensors
    }

    /// The lowest first, laid out for inference.
    pub(crate) fn interleaved(&self) -> Vec<Layer> {
        (0..self.n_layers).map(|at| self.layer(at)).collect()
    }

    pub(crate) fn head(&self) -> &[f32] {
        &self.tensors["head.weight"].values
    }

    pub(crate) fn head_bias(&self) -> f32 {
        self.tensors["head.bias"].values[0]
    }

    fn layer(&self, at: usize) -> Layer {
        let of = |name: &str| &self.tensors[&format!("lstm.{name}_l{at}")].values;
        let (weight_ih, weight_hh) = (of("weight_ih"), of("weight_hh"));
        let (bias_ih, bias_hh) = (of("bias_ih"), of("bias_hh"));
        let (n_hidden, n_inputs) = (self.n_hidden, n_inputs(at, self.n_hidden));
        let gates = |from: &[f32], n: usize, unit: usize, at: usize| {
            [0, 1, 2, 3].map(|gate| from[(gate * n_hidden + unit) * n + at])
        };
        let mut bias = Vec::with_capacity(n_hidden);
        let mut weights = Vec::with_capacity(n_hidden * (n_inputs + n_hidden));
        for unit in 0..n_hidden {
            let (of_input, of_hidden) = (gates(bias_ih, 1, unit, 0), gates(bias_hh, 1, unit, 0));
            bias.push([0, 1, 2, 3].map(|gate| of_input[gate] + of_hidden[gate]));
            weights.extend((0..n_inputs).map(|at| gates(weight_ih, n_inputs, unit, at)));
            weights.extend((0..n_hidden).map(|at| gates(weight_hh, n_hidden, unit, at)));
        }
        Layer { n_hidden, n_inputs, bias, weights }
    }
}

fn n_inputs(layer: usize, n_hidden: usize) -> usize {
    if layer == 0 { N_INPUTS } else { n_hidden }
}

/// Names and shapes of all tensors of such a network.
pub fn expected(n_layers: usize, n_hidden: usize) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    for layer in 0..n_layers {
        let mut add = |name: &str, shape: &[usize]| {
            shapes.insert(format!("lstm.{name}_l{layer}"), shape.to_vec())
        };
        add("weight_ih", &[4 * n_hidden, n_inputs(layer, n_hidden)]);
        add("weight_hh", &[4 * n_hidden, n_hidden]);
        add("bias_ih", &[4 * n_hidden]);
        add("bias_hh", &[4 * n_hidden]);
    }
    shapes.insert("head.weight".to_owned(), vec![1, n_hidden]);
    shapes.insert("head.bias".to_owned(), vec![1]);
    shapes
}

/// As the head has it, to which all else is compared.
fn n_hidden(tensors: &Tensors) -> Result<usize, WeightsError> {
    let tensor = "head.weight".to_owned();
    let wanted = || format!("[1, H] with H from 1 to {HIDDEN_MAX}");
    match tensors.get(&tensor).map(|it| it.shape.as_slice()) {
        Some(&[1, n_hidden]) if (1..=HIDDEN_MAX).contains(&n_hidden) => Ok(n_hidden),
        Some(shape) => {
            Err(WeightsError::Shape { tensor, found: format!("{shape:?}"), expected: wanted() })
        }
        None => {
            Err(WeightsError::Shape { tensor, found: "nothing".to_owned(), expected: wanted() })
        }
    }
}

fn check(name: &str, tensor: &Tensor, shape: &[usize]) -> Result<(), WeightsError> {
    if tensor.shape != shape || tensor.values.len() != shape.iter().product::<usize>() {
        return Err(WeightsError::Shape {
            tensor: name.to_owned(),
            found: format!("{:?}", tensor.shape),
            expected: format!("{shape:?}"),
        });
    }
    let is_good = |value: &f32| (-WEIGHT_MAX..=WEIGHT_MAX).contains(value);
    match tensor.values.iter().find(|value| !is_good(value)) {
        Some(&value) => Err(WeightsError::Value { tensor: name.to_owned(), value }),
        None => Ok(()),
    }
}
