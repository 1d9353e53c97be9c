//! Trains the LSTMs that forecasting policies run: on the CPU, with candle, from recorded series. It owns the
//! recipe and nothing else: series come from whoever reads them, weights go out in the format of
//! `pointsman-forecast-models`, whose inference is also what judges an epoch. The same series, options and
//! seed give the same weights, to the byte.
//!
//! The recipe is one for all series. The network sees differences divided by a robust scale and answers the
//! change; absolute error, AdamW with a rate that falls along a cosine, and the running mean of the weights
//! rather than the weights. The last fifth of what it is given is kept apart: the epoch that does best there
//! is the one that counts, and training ends when none got better for a while. The head starts at zero,
//! so that all begins with persistence.

mod options;
mod samples;
mod network;
mod cell;
mod descent;
mod train;

pub use options::{Options, TrainError};
pub use train::{Epoch, Trained, train};
