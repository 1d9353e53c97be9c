//! The pointwise half of an LSTM's step as one operation of candle, with its gradient. Out of candle's own
//! operations it would be a dozen, most of them on parts of a tensor, whose gradients candle pads with zeros
//! and adds up: several times the work.

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, bail};

/// (gates [n, 4H], c [n, H]) → [2, n, H], first h', then c'. Gates in the order i, f, g, o, before their
/// activations: c' = σ(f)·c + σ(i)·tanh(g), h' = σ(o)·tanh(c').
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell;

/// After their activations.
struct Gates {
    i: f32,
    f: f32,
    g: f32,
    o: f32,
}

impl Gates {
    /// Of hidden unit `at` of a row.
    fn of(row: &[f32], at: usize) -> Gates {
        let n_hidden = row.len() / 4;
        let sigmoid = |gate: usize| 1.0 / (1.0 + (-row[gate * n_hidden + at]).exp());
        Gates { i: sigmoid(0), f: sigmoid(1), g: row[2 * n_hidden + at].tanh(), o: sigmoid(3) }
    }
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&storage.as_slice::<f32>()?[from..to]),
        None => bail!("the cell takes contiguous tensors"),
    }
}

impl CustomOp2 for Cell {
    fn name(&self) -> &'static str {
        "lstm-cell"
    }

    fn cpu_fwd(
        &self,
        gates: &CpuStorage,
        gates_layout: &Layout,
        cell: &CpuStorage,
        cell_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, n_hidden) = cell_layout.shape().dims2()?;
        if gates_layout.shape().dims2()? != (n, 4 * n_hidden) {
            bail!("{:?} are no gates for {:?}", gates_layout.shape(), cell_layout.shape());
        }
        let (gates, cell) = (values(gates, gates_layout)?, values(cell, cell_layout)?);
        let mut out = vec![0.0; 2 * n * n_hidden];
        let (hidden, new_cell) = out.split_at_mut(n * n_hidden);
        for (row, gates) in gates.chunks_exact(4 * n_hidden).enumerate() {
            for unit in 0..n_hidden {
                let at = row * n_hidden + unit;
                let Gates { i, f, g, o } = Gates::of(gates, unit);
                let c = f * cell[at] + i * g;
                (new_cell[at], hidden[at]) = (c, o * c.tanh());
            }
        }
        Ok((CpuStorage::F32(out), Shape::from((2, n, n_hidden))))
    }

    fn bwd(
        &self,
        gates: &Tensor,
        cell: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (n, n_hidden) = cell.dims2()?;
        let all = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let (gates, cell, out, grad) = (all(gates)?, all(cell)?, all(out)?, all(grad)?);
        let (grad_hidden, grad_new_cell) = grad.split_at(n * n_hidden);
        let new_cell = &out[n * n_hidden..];
        let mut grad_gates = vec![0.0; gates.len()];
        let mut grad_cell = vec![0.0; cell.len()];
        let rows = gates.chunks_exact(4 * n_hidden).zip(grad_gates.chunks_exact_mut(4 * n_hidden));
        for (row, (gates, grad_gates)) in rows.enumerate() {
            for unit in 0..n_hidden {
                let at = row * n_hidden + unit;
                let Gates { i, f, g, o } = Gates::of(gates, unit);
                let shown = new_cell[at].tanh();
                let of_cell = grad_new_cell[at] + grad_hidden[at] * o * (1.0 - shown * shown);
                grad_gates[unit] = of_cell * g * i * (1.0 - i);
                grad_gates[n_hidden + unit] = of_cell * cell[at] * f * (1.0 - f);
                grad_gates[2 * n_hidden + unit] = of_cell * i * (1.0 - g * g);
                grad_gates[3 * n_hidden + unit] = grad_hidden[at] * shown * o * (1.0 - o);
                grad_cell[at] = of_cell * f;
            }
        }
        let grad_gates = Tensor::from_vec(grad_gates, (n, 4 * n_hidden), &Device::Cpu)?;
        let grad_cell = Tensor::from_vec(grad_cell, (n, n_hidden), &Device::Cpu)?;
        Ok((Some(grad_gates), Some(grad_cell)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{D, Var};
    use candle_nn::ops::sigmoid;

    /// Of candle's own operations.
    fn plain(gates: &Tensor, cell: &Tensor) -> Result<Tensor> {
        let gates = gates.chunk(4, D::Minus1)?;
        let (i, f) = (sigmoid(&gates[0])?, sigmoid(&gates[1])?);
        let (g, o) = (gates[2].tanh()?, sigmoid(&gates[3])?);
        let new_cell = ((f * cell)? + (i * g)?)?;
        Tensor::stack(&[(o * new_cell.tanh()?)?, new_cell], 0)
    }

    fn random(shape: &[usize], random: &mut fastrand::Rng) -> Tensor {
        let n = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| random.f32() * 6.0 - 3.0).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor")
    }

    fn off(a: &Tensor, b: &Tensor) -> f32 {
        let difference = (a - b).and_then(|it| it.abs()?.max_all()?.to_scalar());
        difference.expect("equal shapes")
    }

    #[test]
    fn values_and_gradients_are_those_of_the_plain_operations() {
        let mut rng = fastrand::Rng::with_seed(1);
        let gates = Var::from_tensor(&random(&[5, 12], &mut rng)).expect("a variable");
        let cell = Var::from_tensor(&random(&[5, 3], &mut rng)).expect("a variable");
        // Each output counts differently.
        let by = random(&[2, 5, 3], &mut rng);
        let fused = gates.apply_op2(&cell, Cell).expect("fits");
        let plain = plain(&gates, &cell).expect("fits");
        assert!(off(&fused, &plain) < 1e-6);
        let gradients = |out: &Tensor| (out * &by).and_then(|it| it.sum_all()?.backward());
        let (fused, plain) = (gradients(&fused).expect("one"), gradients(&plain).expect("one"));
        for variable in [&gates, &cell] {
            let of = |grads: &candle_core::backprop::GradStore| {
                grads.get(variable).expect("a gradient").clone()
            };
            assert!(off(&of(&fused), &of(&plain)) < 1e-5);
        }
    }
}
