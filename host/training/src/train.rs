//! The loop over epochs: shuffling, batches, choosing the best epoch, ending early.

use crate::descent::Descent;
use crate::network::Network;
use crate::options::{Options, TrainError};
use crate::samples::{Samples, Scaled, scale, validation_from};
use candle_core::{Device, Tensor};
use pointsman_forecast_models::weights::{HIDDEN_MAX, Info, LAYERS_MAX};
use pointsman_forecast_models::{Lstm, Weights};

const EPOCHS: usize = 30;
/// Epochs without a better one after which training ends.
const PATIENCE: usize = 8;
const BATCH: usize = 64;
/// A short series gives few batches an epoch: smaller ones, and more epochs, make up for it.
const BATCH_MIN: usize = 16;
const BATCHES_MIN: usize = 20;
const STRETCH_MAX: f64 = 4.0;
/// Differences beyond so many scales are cut.
const CLIP: f32 = 8.0;
/// Of windows to train from, and of windows to choose by.
const SAMPLES_MIN: usize = 20;

/// How far a training is. Errors are mean absolute errors on the part kept apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// How many there are at most.
    pub n_epochs: usize,
    pub validation_mae: f64,
    pub best_mae: f64,
}

#[derive(Debug, Clone)]
pub struct Trained {
    pub weights: Weights,
    /// How many were gone through.
    pub n_epochs: usize,
    /// The one that counts, from 1.
    pub best_epoch: usize,
    pub validation_mae: f64,
    /// That of persistence on the same part.
    pub persistence_mae: f64,
}

/// Trains on `series`, each a stretch without holes, all of them in the same unit; `progress` is told of every
/// epoch.
///
/// # Errors
/// If there are too few points, or an option is out of its range.
pub fn train(
    series: &[&[f64]],
    options: &Options,
    progress: &mut dyn FnMut(Epoch),
) -> Result<Trained, TrainError> {
    check(options)?;
    let window = options.window_for(series.iter().map(|values| values.len()).sum());
    let (mut fit, mut validation) = (Samples::new(window), Samples::new(window));
    for values in series {
        let cut = validation_from(values.len());
        fit.add(values, 0..cut, options.horizon);
        validation.add(values, cut..values.len(), options.horizon);
    }
    let (n_fit, n_validation) = (fit.n(), validation.n());
    if n_fit.min(n_validation) < SAMPLES_MIN {
        return Err(TrainError::TooFew { n_fit, n_validation, at_least: SAMPLES_MIN });
    }
    let fitted: Vec<&[f64]> = series.iter().map(|it| &it[..validation_from(it.len())]).collect();
    let info = Info {
        column: options.column.clone(),
        step_ms: options.step_ms,
        window,
        horizon: options.horizon,
        scale: scale(&fitted),
        clip: CLIP,
    };
    descend(options, info, &fit, &validation, progress)
}

fn check(options: &Options) -> Result<(), TrainError> {
    let window = options.window.unwrap_or(Options::WINDOW);
    for (name, value, least, most) in [
        ("window", window, 4, 256),
        ("horizon", options.horizon, 1, 1000),
        ("hidden", options.n_hidden, 1, HIDDEN_MAX),
        ("layers", options.n_layers, 1, LAYERS_MAX),
    ] {
        if !(least..=most).contains(&value) {
            return Err(TrainError::Option { name, value, least, most });
        }
    }
    Ok(())
}

fn descend(
    options: &Options,
    info: Info,
    fit: &Samples,
    validation: &Samples,
    progress: &mut dyn FnMut(Epoch),
) -> Result<Trained, TrainError> {
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let network = Network::new(options.n_layers, options.n_hidden, &mut rng)?;
    let batch = BATCH.min((fit.n() / 16).max(BATCH_MIN));
    let n_batches = fit.n().div_ceil(batch);
    let stretch = (BATCHES_MIN as f64 / n_batches as f64).clamp(1.0, STRETCH_MAX);
    let n_epochs = (EPOCHS as f64 * stretch) as usize;
    let mut descent = Descent::new(&network, n_epochs * n_batches)?;
    let scaled = fit.scaled(&info);
    let mut order: Vec<usize> = (0..fit.n()).collect();
    let mut best: Option<Trained> = None;
    for epoch in 1..=n_epochs {
        rng.shuffle(&mut order);
        for rows in order.chunks(batch) {
            let (steps, changes) = tensors(&scaled, rows)?;
            let loss = (network.forward(&steps)? - changes)?.abs()?.mean_all()?;
            descent.step(&network, &loss)?;
        }
        let weights = Weights::new(info.clone(), descent.mean().clone())?;
        let forecasts = Lstm::new(&weights).forecast_rows(&validation.windows());
        let validation_mae = validation.mae(&forecasts);
        if best.as_ref().is_none_or(|best| validation_mae < best.validation_mae) {
            let persistence_mae = validation.mae(&validation.persistence());
            let (n_epochs, best_epoch) = (epoch, epoch);
            best = Some(Trained { weights, n_epochs, best_epoch, validation_mae, persistence_mae });
        }
        let best = best.as_mut().expect("the first epoch is the best so far");
        best.n_epochs = epoch;
        progress(Epoch { epoch, n_epochs, validation_mae, best_mae: best.validation_mae });
        if epoch - best.best_epoch >= PATIENCE {
            break;
        }
    }
    Ok(best.expect("there is at least one epoch"))
}

/// The differences of some rows, a tensor [n, 1] per step, and their changes [n].
fn tensors(scaled: &Scaled, rows: &[usize]) -> candle_core::Result<(Vec<Tensor>, Tensor)> {
    let n_steps = scaled.differences[0].len();
    let step = |at: usize| {
        let values: Vec<f32> = rows.iter().map(|&row| scaled.differences[row][at]).collect();
        Tensor::from_vec(values, (rows.len(), 1), &Device::Cpu)
    };
    let steps: candle_core::Result<_> = (0..n_steps).map(step).collect();
    let changes: Vec<f32> = rows.iter().map(|&row| scaled.changes[row]).collect();
    Ok((steps?, Tensor::from_vec(changes, rows.len(), &Device::Cpu)?))
}
