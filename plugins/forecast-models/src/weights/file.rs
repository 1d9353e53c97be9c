//! The container: reading by `safetensors`; writing by hand, since that crate keeps metadata in an order
//! that differs from run to run, and equal weights are to give equal bytes.

use super::error::shortened;
use super::{BYTES_MAX, Info, Tensor, Tensors, WeightsError};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

pub(super) fn read(bytes: &[u8]) -> Result<(Info, Tensors), WeightsError> {
    if bytes.len() > BYTES_MAX {
        return Err(WeightsError::TooLarge { n_bytes: bytes.len() });
    }
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(WeightsError::NotSafetensors)?;
    // Copied, since the crate's map is of one type or another, depending on its features.
    let metadata = header.metadata().iter().flat_map(|map| map.iter());
    let metadata = metadata.map(|(key, value)| (key.clone(), value.clone())).collect();
    let info = Info::from_metadata(&metadata)?;
    let file = SafeTensors::deserialize(bytes).map_err(WeightsError::NotSafetensors)?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            let found = format!("{:?}", view.dtype());
            return Err(WeightsError::Type { tensor: shortened(name), found });
        }
        let (values, rest) = view.data().as_chunks::<4>();
        assert!(rest.is_empty(), "safetensors compared shape, type and length");
        let values = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        tensors.insert(name.to_owned(), Tensor { shape: view.shape().to_vec(), values });
    }
    Ok((info, tensors))
}

/// Eight bytes with the header's length, the header as JSON padded to eight bytes, the values.
pub(super) fn write(info: &Info, tensors: &Tensors) -> Vec<u8> {
    let metadata: Map<String, Value> =
        info.to_metadata().into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    let mut header = Map::from_iter([("__metadata__".to_owned(), Value::Object(metadata))]);
    let mut values = Vec::new();
    for (name, tensor) in tensors {
        let begin = values.len();
        values.extend(tensor.values.iter().flat_map(|value| value.to_le_bytes()));
        let offsets = [begin, values.len()];
        let entry = json!({ "dtype": "F32", "shape": tensor.shape, "data_offsets": offsets });
        header.insert(name.clone(), entry);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(values);
    bytes
}
