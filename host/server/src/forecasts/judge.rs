//! The gate on the host's side: each forecast is remembered until its moment has come, and then compared
//! with what was measured, and with what would have been said without any model.

use super::samples::Samples;
use pointsman_forecast::backtest::NOISE;
use pointsman_forecast::gate::{Gate, Matured, Verdict};
use pointsman_scheduler::WorkerId;
use pointsman_scheduler::columns::WorkerColumn;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Of one column that is foretold.
#[derive(Debug)]
pub(super) struct Judge {
    /// The measured column.
    pub column: WorkerColumn,
    pub samples: Samples,
    gate: Gate,
    /// In the order of their moments.
    waiting: VecDeque<Round>,
    /// For which something was remembered last.
    last_step: Option<u64>,
    horizon_steps: u64,
    /// Steps from one remembered forecast to the next: a long horizon in short steps is not kept in full.
    stride: u64,
}

/// Rounds that wait for their moment at most.
const WAITING_MAX: u64 = 128;

/// Forecasts for one step.
#[derive(Debug)]
struct Round {
    step: u64,
    rows: Vec<Foretold>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Foretold {
    pub worker: WorkerId,
    pub forecast: f64,
    /// The newest sample when that was said.
    pub newest: f64,
}

/// What was measured so long before is another plain forecast.
const SEASON_MS: u64 = 86_400_000;

impl Judge {
    /// It is asked every `interval_ms`, and may be late by another such time.
    pub fn new(column: WorkerColumn, step_ms: u64, horizon_ms: u64, interval_ms: u64) -> Judge {
        let horizon_steps = horizon_ms.div_ceil(step_ms).max(1);
        let n_kept = 2 * interval_ms.div_ceil(step_ms) + 2;
        Judge {
            column,
            samples: Samples::new(step_ms, n_kept as usize),
            gate: Gate::new(NOISE),
            waiting: VecDeque::new(),
            last_step: None,
            horizon_steps,
            stride: horizon_steps.div_ceil(WAITING_MAX),
        }
    }

    /// Remembers what was foretold after the step `newest`; said again for the same step it counts once.
    pub fn note(&mut self, newest: u64, rows: Vec<Foretold>) {
        let step = newest + self.horizon_steps;
        let is_due = self.last_step.is_none_or(|last| last + self.stride <= step);
        if is_due && !rows.is_empty() {
            self.last_step = Some(step);
            self.waiting.push_back(Round { step, rows });
        }
    }

    /// Takes in every forecast whose step is over. `seasonal` answers what was measured of workers after
    /// the first time and not after the second, in milliseconds since the Unix epoch.
    pub fn mature(
        &mut self,
        now_ms: u64,
        mut seasonal: impl FnMut(u64, u64) -> FxHashMap<WorkerId, f64>,
    ) {
        let over = self.samples.newest(now_ms);
        while let Some(round) = self.waiting.pop_front_if(|round| round.step <= over) {
            let to_ms = round.step * self.samples.step_ms;
            let before = to_ms.checked_sub(SEASON_MS).filter(|to| *to >= self.samples.step_ms);
            let before = before.map(|to| seasonal(to - self.samples.step_ms, to));
            let matured = round.rows.iter().map(|row| Matured {
                forecast: row.forecast,
                // NaN is left out.
                actual: self.samples.mean(row.worker, round.step).unwrap_or(f64::NAN),
                persistence: row.newest,
                seasonal: before.as_ref().and_then(|it| it.get(&row.worker).copied()),
            });
            self.gate.note_round(matured);
        }
    }

    pub fn verdict(&self) -> Verdict {
        self.gate.verdict()
    }
}

/// Why a column is not to be relied on, for people.
pub(super) fn why_unfit(verdict: &Verdict) -> String {
    let Verdict { n_matured, mae, persistence_mae, seasonal_mae, .. } = verdict;
    let (baseline, plain) = match seasonal_mae {
        Some(seasonal) if seasonal < persistence_mae => (*seasonal, "the value of a day before"),
        Some(_) | None => (*persistence_mae, "the newest value"),
    };
    let ratio = verdict.ratio.unwrap_or(f64::NAN);
    format!(
        "over {n_matured} forecasts it is off by {mae:.3} on average, {plain} by {baseline:.3} \
         ({ratio:.2} times as much; 1.1 is borne)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers whose load is a ramp, of which `ahead` is foretold, relative to where it will be.
    fn run(judge: &mut Judge, rounds: std::ops::Range<u64>, off_by: f64) {
        let load = |worker: u32, step: u64| ((step + u64::from(worker)) % 10) as f64 / 10.0;
        for step in rounds {
            let mut rows = Vec::new();
            for worker in 1..=3 {
                let (id, at_ms) = (WorkerId(worker), step * 1_000);
                judge.samples.note(id, at_ms, load(worker, step));
                let forecast = load(worker, step + 1) + off_by;
                rows.push(Foretold { worker: id, forecast, newest: load(worker, step) });
            }
            judge.note(step, rows);
            judge.mature(step * 1_000, |_, _| FxHashMap::default());
        }
    }

    #[test]
    fn no_bad_forecaster_is_borne_for_more_than_ten_rounds_and_a_good_one_comes_back() {
        let judge = || Judge::new(WorkerColumn::CpuUsed, 1_000, 1_000, 1_000);
        let mut good = judge();
        run(&mut good, 100..150, 0.0);
        assert!(good.verdict().is_fit && good.verdict().n_matured >= 30);
        let mut bad = judge();
        run(&mut bad, 100..105, 0.5);
        assert!(bad.verdict().is_fit, "too few to tell");
        run(&mut bad, 105..111, 0.5);
        assert!(!bad.verdict().is_fit);
        let why = why_unfit(&bad.verdict());
        assert!(why.contains("off by 0.500 on average, the newest value by 0.180"), "{why}");
        run(&mut bad, 111..150, 0.0);
        assert!(bad.verdict().is_fit, "it forecasts well again");
    }

    #[test]
    fn nothing_is_forgotten_that_is_asked_about_seldom() {
        let mut judge = Judge::new(WorkerColumn::CpuUsed, 1_000, 1_000, 10_000);
        for step in 100..200 {
            judge.samples.note(WorkerId(1), step * 1_000, 0.5);
            if step % 10 == 0 {
                judge.mature(step * 1_000, |_, _| FxHashMap::default());
                judge
                    .note(step, vec![Foretold { worker: WorkerId(1), forecast: 0.5, newest: 0.5 }]);
            }
        }
        assert_eq!(judge.verdict().n_matured, 9);
    }

    #[test]
    fn no_horizon_makes_it_remember_without_bound() {
        let mut judge = Judge::new(WorkerColumn::CpuUsed, 1_000, 86_400_000, 1_000);
        for step in 0..90_000 {
            judge.samples.note(WorkerId(1), step * 1_000, 0.5);
            judge.note(step, vec![Foretold { worker: WorkerId(1), forecast: 0.5, newest: 0.5 }]);
            judge.mature(step * 1_000, |_, _| FxHashMap::default());
            assert!(judge.waiting.len() <= WAITING_MAX as usize + 1);
        }
        assert!(judge.verdict().n_matured > 0);
    }

    #[test]
    fn what_a_day_before_would_have_said_is_what_a_forecast_has_to_beat() {
        let mut judge = Judge::new(WorkerColumn::CpuUsed, 1_000, 1_000, 1_000);
        let first = 2 * SEASON_MS / 1_000;
        for step in first..first + 40 {
            let load = if step % 2 == 0 { 0.2 } else { 0.8 };
            judge.samples.note(WorkerId(1), step * 1_000, load);
            let row = Foretold { worker: WorkerId(1), forecast: 0.5, newest: load };
            judge.note(step, vec![row]);
            // A day before it was the same.
            judge.mature(step * 1_000, |from_ms, to_ms| {
                assert_eq!(to_ms - from_ms, 1_000);
                let load = if (to_ms / 1_000) % 2 == 0 { 0.2 } else { 0.8 };
                [(WorkerId(1), load)].into_iter().collect()
            });
        }
        let verdict = judge.verdict();
        assert!(!verdict.is_fit && verdict.seasonal_mae == Some(0.0), "{verdict:?}");
        assert!(why_unfit(&verdict).contains("the value of a day before by 0.000"));
    }
}
