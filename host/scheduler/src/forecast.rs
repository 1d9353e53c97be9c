//! What is foretold of workers, taken into their columns.

use crate::effect::{Effect, Notice};
use crate::event::Forecast;
use crate::scheduler::Scheduler;
use crate::worker::{Predicted, WorkerIdx};
use rustc_hash::FxHashMap;

impl Scheduler {
    /// A worker of which it says nothing has no forecast any more.
    pub(crate) fn handle_forecast(&mut self, forecast: Forecast, effects: &mut Vec<Effect>) {
        let places: Vec<Option<usize>> =
            forecast.columns.iter().map(|column| column.place_predicted()).collect();
        let predicted = |values: &[f64]| {
            let mut predicted = Predicted::default();
            for (place, value) in places.iter().zip(values) {
                if let Some(place) = place {
                    predicted.values[*place] = *value;
                    predicted.horizon_ms = forecast.horizon_ms;
                }
            }
            predicted
        };
        let foretold = forecast
            .workers
            .iter()
            .filter_map(|(worker, values)| Some((self.workers.find(*worker)?, predicted(values))));
        let foretold: FxHashMap<WorkerIdx, Predicted> = foretold.collect();
        let now = |idx| foretold.get(&idx).copied().unwrap_or_default();
        // A change makes policies look at the worker again.
        let changed: Vec<WorkerIdx> = self
            .workers
            .iter()
            .filter(|(idx, worker)| !worker.predicted.is_same(&now(*idx)))
            .map(|(idx, _)| idx)
            .collect();
        for idx in changed {
            self.workers.change(idx).predicted = now(idx);
        }
        effects.push(Effect::Publish(Notice::Forecast(Box::new(forecast))));
    }
}
