//! What can be chosen of a training, and why there is none.

use pointsman_forecast_models::weights::WeightsError;

/// What to train. The defaults are those that the documentation's table of accuracy was made with.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What is forecast, such as `cpu-used`: for the file's metadata.
    pub column: String,
    /// Time between two samples, 1 to 86,400,000.
    pub step_ms: u64,
    /// Samples of a window, 4 to 256. None: 30, or an eighth of the samples, at least 8, where these are few.
    pub window: Option<usize>,
    /// Steps from the last sample to the one that is forecast, 1 to 1,000.
    pub horizon: usize,
    /// 1 to 128.
    pub n_hidden: usize,
    /// 1 or 2.
    pub n_layers: usize,
    pub seed: u64,
}

impl Options {
    pub const WINDOW: usize = 30;
    pub const HIDDEN: usize = 24;

    pub fn new(column: &str, step_ms: u64) -> Options {
        Options {
            column: column.to_owned(),
            step_ms,
            window: None,
            horizon: 1,
            n_hidden: Options::HIDDEN,
            n_layers: 1,
            seed: 0,
        }
    }

    /// For so many samples to train from.
    pub(crate) fn window_for(&self, n_samples: usize) -> usize {
        self.window.unwrap_or(Options::WINDOW.min((n_samples / 8).max(8)))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(
        "there are {n_fit} windows to train from and {n_validation} to choose by; {at_least} of each are \
         needed: take more points or a smaller window"
    )]
    TooFew { n_fit: usize, n_validation: usize, at_least: usize },
    #[error("{name}: {value} is not a whole number from {least} to {most}")]
    Option { name: &'static str, value: usize, least: usize, most: usize },
    #[error("the weights cannot be stored")]
    Weights(#[from] WeightsError),
    #[error("the tensors do not fit together")]
    Tensors(#[from] candle_core::Error),
}
