//! One step of gradient descent, and the running mean of the weights along the way.

use crate::network::Network;
use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use pointsman_forecast_models::weights::Tensors;

const LEARNING_RATE: f64 = 8e-3;
/// Of the learning rate, at the end of the cosine.
const RATE_LEFT: f64 = 0.05;
const WARM_UP_STEPS: f64 = 50.0;
const WEIGHT_DECAY: f64 = 0.1;
/// Longer gradients are shortened to this.
const GRADIENT_MAX: f64 = 1.0;
/// Of the mean of the weights, kept in each step; less in the first ones.
const MEAN_KEPT: f64 = 0.99;

/// AdamW (I. Loshchilov and F. Hutter 2019) with a learning rate that falls along half a cosine.
pub(crate) struct Descent {
    optimizer: AdamW,
    n_steps: f64,
    step: f64,
    mean: Tensors,
}

impl Descent {
    pub fn new(network: &Network, n_steps: usize) -> Result<Descent> {
        let settings =
            ParamsAdamW { lr: LEARNING_RATE, weight_decay: WEIGHT_DECAY, ..ParamsAdamW::default() };
        let optimizer = AdamW::new(network.variables().cloned().collect(), settings)?;
        let mean = network.tensors()?;
        Ok(Descent { optimizer, n_steps: n_steps as f64, step: 0.0, mean })
    }

    pub fn step(&mut self, network: &Network, loss: &Tensor) -> Result<()> {
        let mut gradients = loss.backward()?;
        shorten(network, &mut gradients)?;
        let cosine = 0.5 * (1.0 + (std::f64::consts::PI * self.step / self.n_steps).cos());
        let warm = ((self.step + 1.0) / WARM_UP_STEPS).min(1.0);
        let rate = LEARNING_RATE * warm * (cosine * (1.0 - RATE_LEFT) + RATE_LEFT);
        self.optimizer.set_learning_rate(rate);
        self.optimizer.step(&gradients)?;
        self.step += 1.0;
        let kept = MEAN_KEPT.min(self.step / (9.0 + self.step)) as f32;
        for (mean, now) in self.mean.values_mut().zip(network.tensors()?.values()) {
            for (mean, now) in mean.values.iter_mut().zip(&now.values) {
                *mean = *mean * kept + now * (1.0 - kept);
            }
        }
        Ok(())
    }

    /// The running mean of the weights.
    pub fn mean(&self) -> &Tensors {
        &self.mean
    }
}

/// All gradients together become no longer than [`GRADIENT_MAX`].
fn shorten(network: &Network, gradients: &mut GradStore) -> Result<()> {
    let mut squares = 0.0;
    for variable in network.variables() {
        if let Some(gradient) = gradients.get(variable) {
            squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
    }
    let length = squares.sqrt();
    if length > GRADIENT_MAX {
        for variable in network.variables() {
            if let Some(gradient) = gradients.remove(variable) {
                gradients.insert(variable, (gradient * (GRADIENT_MAX / length))?);
            }
        }
    }
    Ok(())
}
