//! What is foretold of workers, taken into their columns.

use crate::columns::WorkerColumn;
use crate::effect::{Effect, Notice};
use crate::event::Forecast;
use crate::ids::WorkerId;
use crate::record::WorkerState;
use crate::scheduler::Scheduler;
use crate::scores::fill_worker_columns;
use crate::worker::{Predicted, WorkerIdx};
use rustc_hash::FxHashMap;

impl Scheduler {
    /// The workers that are there, and for each of `columns` a list with a value for each of them; NaN
    /// where it is missing.
    pub fn live_columns(&self, columns: &[WorkerColumn]) -> (Vec<WorkerId>, Vec<Vec<f64>>) {
        let live = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.life.is_some() && worker.state != WorkerState::Lost);
        let live: Vec<WorkerIdx> = live.map(|(idx, _)| idx).collect();
        let mut lists = Vec::new();
        fill_worker_columns(&self.workers, columns, &live, &mut lists);
        (live.iter().map(|idx| self.workers.get(*idx).record.id).collect(), lists)
    }

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
