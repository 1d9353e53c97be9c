//! Why weights are refused.

use super::{BYTES_MAX, WEIGHT_MAX};
use safetensors::SafeTensorError;

#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("the file has {n_bytes} bytes; weights have at most {BYTES_MAX}")]
    TooLarge { n_bytes: usize },
    #[error("this is no safetensors file")]
    NotSafetensors(#[source] SafeTensorError),
    #[error("the metadata lack the key {key:?}: {expected}")]
    MissingKey { key: &'static str, expected: &'static str },
    #[error("{key} in the metadata is {value:?}: {expected}")]
    Key { key: &'static str, value: String, expected: &'static str },
    #[error("the tensor {tensor} is missing; expected is one of shape {expected:?}")]
    MissingTensor { tensor: String, expected: Vec<usize> },
    #[error("the tensor {tensor} is {found}; expected is {expected}")]
    Shape { tensor: String, found: String, expected: String },
    #[error("the tensor {tensor} has values of type {found}; expected is F32")]
    Type { tensor: String, found: String },
    #[error(
        "the tensor {tensor} has the value {value}; expected are numbers from -{WEIGHT_MAX} to {WEIGHT_MAX}"
    )]
    Value { tensor: String, value: f32 },
    #[error(
        "there is a tensor {tensor:?}; expected are lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, \
         lstm.bias_hh_l0, all four once more with _l1 for a second layer, head.weight and head.bias"
    )]
    UnknownTensor { tensor: String },
}

/// The beginning of what a file says, fit for a message.
pub(crate) fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut short: String = text.chars().take(CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
