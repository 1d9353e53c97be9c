//! Judges forecasts. It owns what every judge of a forecaster has to agree on: how recorded series are
//! read, what the baselines say, how a backtest walks, and the gate that decides whether a forecast
//! column may be used. It trains nothing, and knows neither hosts nor policies.

pub mod gate;
pub mod series;
pub mod forecaster;
pub mod baselines;
pub mod backtest;
