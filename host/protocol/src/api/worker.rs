//! Workers.

use super::resources::AmountsView;
use super::state::WireWorkerState;
use crate::text;
use crate::timestamp::Timestamp;
use crate::worker::WireMeasurements;
use pointsman_scheduler::Time;
use pointsman_scheduler::columns::WorkerColumn;
use pointsman_scheduler::event::{Forecast, Measurements};
use pointsman_scheduler::ids::WorkerId;
use pointsman_scheduler::record::{WorkerRecord, WorkerState};
use pointsman_scheduler::resources::Free;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::WorkerIdText")]
    pub id: WorkerId,
    pub name: String,
    pub state: WireWorkerState,
    /// Somebody took it out of service; a lost one gets no work when it is back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
    /// Counted from 1; one per life of the worker process.
    pub incarnation: u32,
    pub capacity: AmountsView,
    /// Not held by a current attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<AmountsView>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// In words, whether tasks are kept within the resources they asked for, by what, or why not;
    /// empty: not told since the host started.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub limits: String,
    #[serde(default)]
    pub measurements: WireMeasurements,
    /// What the forecasting policy foretells of it; absent: nothing that can be relied on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<PredictedView>,
    /// Milliseconds since its last sync; absent: none since the host started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat_ms_ago: Option<u64>,
    /// Current attempts, assigned or running.
    pub running: u64,
    /// It failed one attempt after the other and gets no work before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_until: Option<Timestamp>,
}

/// What will be measured of a worker, some time after the newest measurement; absent: not foretold.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PredictedView {
    /// How far ahead.
    pub horizon_ms: f64,
    /// In [0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_used: Option<f64>,
    /// In [0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_used: Option<f64>,
    /// In [0, 1].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iops_used: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<f64>,
}

/// What is foretold of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ForecastView {
    #[serde(with = "text")]
    #[schemars(with = "crate::schema::WorkerIdText")]
    pub worker: WorkerId,
    pub predicted: PredictedView,
}

impl ForecastView {
    /// Workers of which something is foretold.
    pub fn of(forecast: &Forecast) -> Vec<ForecastView> {
        let of_worker = |(worker, values): &(WorkerId, Vec<f64>)| {
            let value = |wanted| {
                let found = forecast.columns.iter().zip(values).find(|(it, _)| **it == wanted);
                found.map(|(_, value)| *value).filter(|value| value.is_finite())
            };
            let predicted = PredictedView {
                horizon_ms: forecast.horizon_ms,
                cpu_used: value(WorkerColumn::PredictedCpuUsed),
                memory_used: value(WorkerColumn::PredictedMemoryUsed),
                iops_used: value(WorkerColumn::PredictedIopsUsed),
                rtt_ms: value(WorkerColumn::PredictedRttMs),
                connections: value(WorkerColumn::PredictedConnections),
            };
            let nothing = PredictedView { horizon_ms: forecast.horizon_ms, ..Default::default() };
            (predicted != nothing).then_some(ForecastView { worker: *worker, predicted })
        };
        forecast.workers.iter().filter_map(of_worker).collect()
    }
}

/// What is known of a worker apart from its record.
#[derive(Debug, Clone, Copy, Default)]
pub struct WorkerExtras<'a> {
    /// The volatile state, where it differs from the stored one.
    pub state: Option<WorkerState>,
    pub free: Option<&'a Free>,
    pub limits: &'a str,
    pub measurements: Option<Measurements>,
    pub predicted: Option<PredictedView>,
    /// How long ago the last sync came.
    pub silent_for: Option<Duration>,
    pub n_running: u64,
    pub quarantined_until: Option<Time>,
}

impl WorkerView {
    pub fn new(worker: &WorkerRecord, extras: WorkerExtras<'_>) -> WorkerView {
        WorkerView {
            id: worker.id,
            name: worker.name.clone(),
            state: extras.state.unwrap_or(worker.state).into(),
            drained: worker.is_drained,
            incarnation: worker.incarnation,
            capacity: AmountsView::from(&worker.capacity),
            free: extras.free.map(AmountsView::from),
            labels: worker.labels.clone(),
            limits: extras.limits.to_owned(),
            measurements: extras.measurements.unwrap_or_default().into(),
            predicted: extras.predicted,
            last_heartbeat_ms_ago: extras.silent_for.map(crate::worker::millis),
            running: extras.n_running,
            quarantined_until: extras.quarantined_until.map(Timestamp),
        }
    }
}
