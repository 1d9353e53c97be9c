//! The network as candle sees it: variables by PyTorch's names, and the forward pass that gradients come from.

use crate::cell::Cell;
use candle_core::{DType, Device, Result, Tensor, Var};
use pointsman_forecast_models::weights::{Tensor as Stored, Tensors, expected};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct Network {
    n_layers: usize,
    n_hidden: usize,
    variables: BTreeMap<String, Var>,
}

impl Network {
    /// As PyTorch begins, uniform within ±1/√H, but for two things: forget gates begin open (bias 1), and
    /// the head is 0, so that the first forecast is persistence.
    pub fn new(n_layers: usize, n_hidden: usize, rng: &mut fastrand::Rng) -> Result<Network> {
        let spread = 1.0 / (n_hidden as f32).sqrt();
        let mut tensors = Tensors::new();
        for (name, shape) in expected(n_layers, n_hidden) {
            let n = shape.iter().product();
            let mut values: Vec<f32> = (0..n).map(|_| (rng.f32() * 2.0 - 1.0) * spread).collect();
            if name.starts_with("head.") {
                values.fill(0.0);
            } else if name.starts_with("lstm.bias_ih") {
                values[n_hidden..2 * n_hidden].fill(1.0);
            }
            tensors.insert(name, Stored { shape, values });
        }
        Network::of(n_layers, n_hidden, &tensors)
    }

    pub fn of(n_layers: usize, n_hidden: usize, tensors: &Tensors) -> Result<Network> {
        let variable = |stored: &Stored| {
            let (values, shape) = (stored.values.as_slice(), stored.shape.as_slice());
            Var::from_tensor(&Tensor::from_slice(values, shape, &Device::Cpu)?)
        };
        let variables: Result<_> =
            tensors.iter().map(|(name, it)| Ok((name.clone(), variable(it)?))).collect();
        Ok(Network { n_layers, n_hidden, variables: variables? })
    }

    /// In the order of their names.
    pub fn variables(&self) -> impl Iterator<Item = &Var> {
        self.variables.values()
    }

    pub fn tensors(&self) -> Result<Tensors> {
        let stored = |variable: &Var| -> Result<Stored> {
            let values = variable.flatten_all()?.to_vec1()?;
            Ok(Stored { shape: variable.dims().to_vec(), values })
        };
        self.variables.iter().map(|(name, it)| Ok((name.clone(), stored(it)?))).collect()
    }

    /// `steps[t]` holds the scaled differences [n, 1] of all rows at time t. Answers scaled changes [n].
    pub fn forward(&self, steps: &[Tensor]) -> Result<Tensor> {
        let mut hidden = self.run_layer(0, steps)?;
        if self.n_layers > 1 {
            hidden = self.run_layer(1, &hidden)?;
        }
        let last = hidden.last().expect("a window has at least one difference");
        let change = last.matmul(&self.variables["head.weight"].t()?)?;
        change.broadcast_add(&self.variables["head.bias"])?.squeeze(1)
    }

    /// The hidden values [n, H] after each step.
    fn run_layer(&self, layer: usize, steps: &[Tensor]) -> Result<Vec<Tensor>> {
        let of = |name: &str| &self.variables[&format!("lstm.{name}_l{layer}")];
        let (from_input, from_hidden) = (of("weight_ih").t()?, of("weight_hh").t()?);
        let bias = (of("bias_ih").as_tensor() + of("bias_hh").as_tensor())?;
        let n = steps.first().map_or(Ok(0), |step| step.dim(0))?;
        let mut cell = Tensor::zeros((n, self.n_hidden), DType::F32, &Device::Cpu)?;
        let mut all: Vec<Tensor> = Vec::with_capacity(steps.len());
        for step in steps {
            let mut gates = step.matmul(&from_input)?.broadcast_add(&bias)?;
            if let Some(hidden) = all.last() {
                gates = (gates + hidden.matmul(&from_hidden)?)?;
            }
            let out = gates.apply_op2(&cell, Cell)?;
            cell = out.get(1)?;
            all.push(out.get(0)?);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_forecast_models::weights::Info;
    use pointsman_forecast_models::{Lstm, Weights};

    /// Largest difference, in scaled changes, between candle's forward pass and the inference of policies.
    fn check(n_layers: usize) {
        let mut rng = fastrand::Rng::with_seed(2);
        let mut tensors =
            Network::new(n_layers, 7, &mut rng).and_then(|it| it.tensors()).expect("fits");
        // The head, too, has something to say.
        for tensor in tensors.values_mut() {
            tensor.values.iter_mut().for_each(|value| *value += rng.f32() - 0.5);
        }
        let network = Network::of(n_layers, 7, &tensors).expect("fits");
        let column = "cpu-used".to_owned();
        let info = Info { column, step_ms: 1000, window: 20, horizon: 1, scale: 1.0, clip: 100.0 };
        let lstm = Lstm::new(&Weights::new(info, tensors).expect("good weights"));
        let windows: Vec<Vec<f64>> =
            (0..9).map(|_| (0..20).map(|_| rng.f64() * 4.0).collect()).collect();
        let step = |at: usize| {
            let difference = |window: &Vec<f64>| (window[at + 1] - window[at]) as f32;
            let values: Vec<f32> = windows.iter().map(difference).collect();
            Tensor::from_vec(values, (windows.len(), 1), &Device::Cpu)
        };
        let steps: Vec<Tensor> = (0..19).map(|at| step(at).expect("fits")).collect();
        let changes: Vec<f32> = network.forward(&steps).and_then(|it| it.to_vec1()).expect("fits");
        let forecasts = lstm.forecast_rows(&windows);
        let off =
            forecasts.iter().zip(&windows).zip(changes).map(|((forecast, window), change)| {
                (forecast - window[19] - f64::from(change)).abs()
            });
        let off = off.fold(0.0, f64::max);
        println!("{n_layers} layers: at most {off:.1e} off");
        assert!(off < 1e-5, "{n_layers}: {off}");
    }

    #[test]
    fn candle_and_the_inference_of_policies_agree() {
        check(1);
        check(2);
    }
}
