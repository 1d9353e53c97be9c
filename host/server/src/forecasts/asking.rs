//! The thread that asks.

use super::judge::{Foretold, Judge, why_unfit};
use super::samples::Samples;
use super::{Around, ForecastDesk, ForecastStatus, Measured};
use crate::driver::tell_incident;
use crate::history::ms;
use pointsman_policy::{ForecastHost, ForecastingProfile, Needed, PredictedColumns};
use pointsman_scheduler::columns::WorkerColumn;
use pointsman_scheduler::event::{Event, Forecast, Measurements};
use pointsman_scheduler::record::PolicyStamp;
use pointsman_scheduler::{Time, WorkerId};
use pointsman_store::history::{Column, History};
use rustc_hash::FxHashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) struct Asking {
    desk: ForecastDesk,
    forecasts: ForecastHost,
    around: Around,
    runtime: tokio::runtime::Handle,
    /// None: nobody serves the slot.
    serving: Option<Serving>,
    /// What other policies were last told.
    predicted: PredictedColumns,
    /// Columns of which the log says so.
    told_unfit: Vec<WorkerColumn>,
    /// What was thought of generations that served before: one that comes back is judged by what it foretold.
    earlier: Vec<(PolicyStamp, Vec<Judge>)>,
}

/// A policy that serves, with what it needs.
struct Serving {
    stamp: PolicyStamp,
    profile: Arc<ForecastingProfile>,
    /// In the order of the profile's needs; None: the value of now.
    windows: Vec<Option<Samples>>,
    /// In the order of the profile's columns.
    judges: Vec<Judge>,
    due: Time,
    /// Times in a row that nobody answered.
    n_missed: u32,
    /// Until then, in milliseconds since the Unix epoch, the history had what was measured.
    filled_to: u64,
    status: ForecastStatus,
}

/// What is measured is taken in at least this often.
const LOOK: Duration = Duration::from_secs(5);
/// What was measured in a step has arrived so long after its end.
const GRACE: Duration = Duration::from_millis(50);
/// So often in a row nobody answers, and forecasts are no longer relied on.
const MISSED_MAX: u32 = 3;
/// Generations that are remembered beside the one that serves.
const EARLIER_MAX: usize = 4;
/// Rows that are read from the history to fill windows at most.
const FILL_MAX: usize = 2_000_000;
/// The history writes what was measured within this time, or windows begin without it.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

impl Asking {
    pub fn new(
        desk: ForecastDesk,
        forecasts: ForecastHost,
        around: Around,
        runtime: tokio::runtime::Handle,
    ) -> Asking {
        let (serving, predicted) = (None, PredictedColumns::default());
        Asking {
            desk,
            forecasts,
            around,
            runtime,
            serving,
            predicted,
            told_unfit: Vec::new(),
            earlier: Vec::new(),
        }
    }

    pub fn run(mut self) {
        loop {
            self.begin_round();
            self.desk.note_round();
            let work = self.desk.take(self.wait());
            if work.is_stopping {
                return;
            }
            if let Some(serving) = &mut self.serving {
                work.measured.iter().for_each(|it| serving.note(it));
                if serving.due <= self.around.clock.now() {
                    self.ask();
                }
            }
        }
    }

    /// Until something is to be done, whatever happens.
    fn wait(&self) -> Duration {
        if self.forecasts.has_swap() {
            return Duration::ZERO;
        }
        let due = self.serving.as_ref().map(|it| it.due.since(self.around.clock.now()));
        due.into_iter().chain(self.forecasts.wake_in()).chain([LOOK]).min().unwrap_or(LOOK)
    }

    /// Takes in swaps, and begins anew when another policy serves.
    fn begin_round(&mut self) {
        self.forecasts.begin_round();
        let incidents = self.forecasts.take_incidents();
        incidents.iter().for_each(tell_incident);
        if !incidents.is_empty() {
            let events = incidents.iter().map(|incident| incident.event()).collect();
            self.around.driver.tell_beside(events);
        }
        let serving = self.forecasts.serving();
        let stamp = serving.as_ref().map(|(stamp, _)| *stamp);
        if stamp == self.serving.as_ref().map(|it| it.stamp) {
            return;
        }
        let now = self.around.clock.now();
        let before = self.serving.take().map(|before| (before.stamp, before.judges));
        self.earlier.extend(before);
        let n_too_many = self.earlier.len().saturating_sub(EARLIER_MAX);
        self.earlier.drain(..n_too_many);
        self.serving = serving.map(|(stamp, profile)| Serving::new(stamp, profile, now));
        let known = self.earlier.iter().position(|(it, _)| Some(*it) == stamp);
        if let (Some(serving), Some(known)) = (&mut self.serving, known) {
            serving.judges = self.earlier.remove(known).1;
        }
        self.desk.show(self.serving.as_ref().map(|it| it.status.clone()));
        if let (Some(serving), Some(history)) = (&mut self.serving, &self.around.history) {
            serving.fill(history.history(), now);
        }
        // What another policy foretold holds no longer.
        self.tell(Forecast::default());
    }

    /// Tells others what can be relied on, and the scheduler what is foretold.
    fn tell(&mut self, forecast: Forecast) {
        let predicted = self.serving.as_ref().map(Serving::predicted).unwrap_or_default();
        if predicted != self.predicted {
            self.log(&predicted);
            self.predicted = predicted.clone();
            self.around.library.set_predicted(predicted);
        }
        self.around.driver.tell_beside(vec![Event::Forecast(forecast)]);
    }

    /// That nothing is foretold yet is no news.
    fn log(&mut self, predicted: &PredictedColumns) {
        let is_judged = self.serving.as_ref().is_some_and(|it| it.status.n_workers > 0);
        for (column, why) in predicted.unfit.iter().filter(|_| is_judged) {
            if !self.told_unfit.contains(column) {
                tracing::warn!("{} is unfit: {why}", column.info().name);
                self.told_unfit.push(*column);
            }
        }
        for column in &predicted.fit {
            if self.told_unfit.contains(column) {
                tracing::info!("{} is fit again", column.info().name);
                self.told_unfit.retain(|it| it != column);
            }
        }
    }

    fn ask(&mut self) {
        let now = self.around.clock.now();
        let Some(serving) = &mut self.serving else { return };
        serving.due = next_due(now, serving.profile.interval);
        let history = self.around.history.as_ref().map(|desk| desk.history());
        serving.judge(ms(now), history);
        let is_changed = serving.predicted() != self.predicted;
        if is_changed && serving.status.asked.is_some() {
            // Also if nobody answers now.
            self.tell(Forecast::default());
        }
        let Some(serving) = &mut self.serving else { return };
        let plain = serving.plain_columns();
        let asked = self.around.driver.query(move |scheduler, _, _| scheduler.live_columns(&plain));
        // The host is busy beyond measure, or ends.
        let Ok((workers, plain)) = self.runtime.block_on(asked) else { return };
        serving.keep(&workers.iter().copied().collect());
        let rows = serving.rows(&workers, &plain, ms(now));
        let begun = Instant::now();
        let (forecasts, profile) = (&mut self.forecasts, serving.profile.clone());
        let ask = |batch: &[Vec<f64>], n_rows| forecasts.forecast(&profile, batch, n_rows);
        match profile.in_batches(&rows.lists, rows.workers.len(), ask) {
            Ok(lists) => {
                serving.n_missed = 0;
                serving.note_answer(&rows, &lists, ms(now));
                let status = &mut serving.status;
                (status.asked, status.took) = (Some(now), begun.elapsed());
                status.n_workers = rows.workers.len();
                let forecast = serving.forecast(&rows, &lists);
                self.tell(forecast);
            }
            Err(_) => {
                serving.n_missed += 1;
                if serving.n_missed == MISSED_MAX {
                    self.tell(Forecast::default());
                }
            }
        }
        if let Some(serving) = &mut self.serving {
            serving.status.columns = serving.verdicts();
            self.desk.show(Some(serving.status.clone()));
        }
    }
}

/// What a policy is asked about.
struct Rows {
    workers: Vec<WorkerId>,
    lists: Vec<Vec<f64>>,
    /// For each provided column, the newest sample of each worker; NaN: none.
    newest: Vec<Vec<f64>>,
}

impl Serving {
    fn new(stamp: PolicyStamp, profile: Arc<ForecastingProfile>, now: Time) -> Serving {
        let interval_ms = profile.interval.as_millis() as u64;
        let horizon_ms = profile.horizon.as_millis() as u64;
        let samples = |need: &Needed| {
            need.window.map(|it| Samples::new(it.step_ms, (it.from_ms / it.step_ms) as usize + 1))
        };
        let judge = |column: &WorkerColumn| {
            let own = profile.needs.iter().find(|it| it.column == *column && it.window.is_some());
            let own = own.and_then(|it| it.window).map(|it| it.step_ms);
            // A whole number of seconds.
            let step_ms = own.unwrap_or(interval_ms.div_ceil(1_000) * 1_000);
            Judge::new(*column, step_ms, horizon_ms, interval_ms)
        };
        let judges: Vec<Judge> = profile.provides.iter().map(judge).collect();
        let status = ForecastStatus {
            policy: stamp,
            horizon: profile.horizon,
            interval: profile.interval,
            asked: None,
            n_workers: 0,
            took: Duration::ZERO,
            columns: judges.iter().map(|it| (it.column, it.verdict())).collect(),
        };
        let windows = profile.needs.iter().map(samples).collect();
        // At once, and from then on where steps end.
        Serving { stamp, profile, windows, judges, due: now, n_missed: 0, filled_to: 0, status }
    }

    fn note(&mut self, measured: &Measured) {
        let Measured { at, worker, measurements } = measured;
        if ms(*at) > self.filled_to {
            self.note_at(ms(*at), *worker, measurements);
        }
    }

    fn note_at(&mut self, at_ms: u64, worker: WorkerId, measurements: &Measurements) {
        for (need, samples) in self.profile.needs.iter().zip(&mut self.windows) {
            if let (Some(samples), Some(value)) = (samples, measured(measurements, need.column)) {
                samples.note(worker, at_ms, value);
            }
        }
        for judge in &mut self.judges {
            if let Some(value) = measured(measurements, judge.column) {
                judge.samples.note(worker, at_ms, value);
            }
        }
    }

    /// Takes in what was measured before the policy served.
    fn fill(&mut self, history: &History, now: Time) {
        let spans = self.profile.needs.iter().filter_map(|it| it.window);
        let span = spans.map(|it| it.from_ms + 3 * it.step_ms).max().unwrap_or(0);
        history.flush(FLUSH_PATIENCE);
        match history.recent(ms(now).saturating_sub(span), FILL_MAX) {
            Ok(rows) => {
                self.filled_to = rows.last().map_or(0, |row| row.at_ms);
                for row in &rows {
                    if let Some(worker) = row.worker {
                        self.note_at(row.at_ms, worker, &row.measurements);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "forecasts begin without what was measured before")
            }
        }
    }

    fn judge(&mut self, now_ms: u64, history: Option<&History>) {
        for judge in &mut self.judges {
            let column = history_column(judge.column);
            judge.mature(now_ms, |from_ms, to_ms| {
                let means = history.map(|it| it.means(column, from_ms, to_ms));
                means.and_then(Result::ok).unwrap_or_default().into_iter().collect()
            });
        }
    }

    /// Needed without a window.
    fn plain_columns(&self) -> Vec<WorkerColumn> {
        let needs = self.profile.needs.iter();
        needs.filter(|it| it.window.is_none()).map(|it| it.column).collect()
    }

    fn keep(&mut self, live: &FxHashSet<WorkerId>) {
        self.windows.iter_mut().flatten().for_each(|samples| samples.keep(live));
        self.judges.iter_mut().for_each(|judge| judge.samples.keep(live));
    }

    /// Of the workers that are measured, in their order. `plain` holds a list for each column of
    /// [`Self::plain_columns`].
    fn rows(&self, workers: &[WorkerId], plain: &[Vec<f64>], now_ms: u64) -> Rows {
        let newest = |judge: &Judge, worker: WorkerId| {
            let samples = &judge.samples;
            samples.sample(worker, samples.newest(now_ms)).unwrap_or(f64::NAN)
        };
        let is_measured =
            |worker: WorkerId| self.judges.iter().any(|judge| !newest(judge, worker).is_nan());
        let rows: Vec<usize> =
            (0..workers.len()).filter(|row| is_measured(workers[*row])).collect();
        let mut lists = Vec::with_capacity(self.profile.n_lists());
        let mut plain = plain.iter();
        for (need, samples) in self.profile.needs.iter().zip(&self.windows) {
            let (Some(window), Some(samples)) = (need.window, samples) else {
                let list = plain.next().expect("as many as were asked for");
                lists.push(rows.iter().map(|row| list[*row]).collect());
                continue;
            };
            let first = lists.len();
            lists.resize_with(first + window.n_samples(), || Vec::with_capacity(rows.len()));
            let last = samples.newest(now_ms).saturating_sub(window.to_ms / window.step_ms);
            for row in &rows {
                let values = samples.window(workers[*row], last, window.n_samples());
                lists[first..].iter_mut().zip(values).for_each(|(list, value)| list.push(value));
            }
        }
        let workers: Vec<WorkerId> = rows.iter().map(|row| workers[*row]).collect();
        let newest_of =
            |judge: &Judge| workers.iter().map(|worker| newest(judge, *worker)).collect();
        let newest = self.judges.iter().map(newest_of).collect();
        Rows { workers, lists, newest }
    }

    /// Remembers what was said, to be compared with what comes.
    fn note_answer(&mut self, rows: &Rows, lists: &[Vec<f64>], now_ms: u64) {
        for ((judge, list), newest) in self.judges.iter_mut().zip(lists).zip(&rows.newest) {
            let said = rows.workers.iter().zip(list).zip(newest);
            let said = said.filter(|(_, newest)| !newest.is_nan());
            let said = said.map(|((worker, forecast), newest)| Foretold {
                worker: *worker,
                forecast: *forecast,
                newest: *newest,
            });
            let said = said.collect();
            judge.note(judge.samples.newest(now_ms), said);
        }
    }

    /// Of the columns that can be relied on, and of workers that are measured.
    fn forecast(&self, rows: &Rows, lists: &[Vec<f64>]) -> Forecast {
        let fit = self.predicted().fit;
        let places: Vec<usize> = (0..self.judges.len())
            .filter(|at| fit.contains(&predicted_of(self.judges[*at].column)))
            .collect();
        let value = |at: &usize, row: usize| {
            if rows.newest[*at][row].is_nan() { f64::NAN } else { lists[*at][row] }
        };
        let values = |row| places.iter().map(|at| value(at, row)).collect();
        Forecast {
            horizon_ms: self.profile.horizon.as_secs_f64() * 1e3,
            columns: places.iter().map(|at| predicted_of(self.judges[*at].column)).collect(),
            workers: rows.workers.iter().enumerate().map(|(row, id)| (*id, values(row))).collect(),
        }
    }

    fn predicted(&self) -> PredictedColumns {
        let mut predicted = PredictedColumns::default();
        for judge in &self.judges {
            let (column, verdict) = (predicted_of(judge.column), judge.verdict());
            if self.n_missed >= MISSED_MAX {
                let why = format!("{} does not answer", self.profile.name);
                predicted.unfit.push((column, why));
            } else if self.status.n_workers == 0 {
                let why = format!("{} has foretold nothing yet", self.profile.name);
                predicted.unfit.push((column, why));
            } else if verdict.is_fit {
                predicted.fit.push(column);
            } else {
                predicted.unfit.push((column, why_unfit(&verdict)));
            }
        }
        predicted
    }

    fn verdicts(&self) -> Vec<(WorkerColumn, pointsman_forecast::gate::Verdict)> {
        self.judges.iter().map(|judge| (judge.column, judge.verdict())).collect()
    }
}

/// Right after the next whole multiple of the interval, where steps end.
fn next_due(now: Time, interval: Duration) -> Time {
    let interval = interval.as_nanos() as u64;
    Time((now.0 / interval + 1) * interval).after(GRACE)
}

fn measured(measurements: &Measurements, column: WorkerColumn) -> Option<f64> {
    let values = [
        measurements.cpu_used,
        measurements.memory_used,
        measurements.iops_used,
        measurements.rtt_ms,
        measurements.connections.map(f64::from),
    ];
    values[column.place_measured()?]
}

fn predicted_of(column: WorkerColumn) -> WorkerColumn {
    let place = column.place_measured().expect("only measured columns are foretold");
    WorkerColumn::PREDICTED[place]
}

fn history_column(column: WorkerColumn) -> Column {
    const COLUMNS: [Column; 5] =
        [Column::CpuUsed, Column::MemoryUsed, Column::IopsUsed, Column::RttMs, Column::Connections];
    COLUMNS[column.place_measured().expect("only measured columns are foretold")]
}
