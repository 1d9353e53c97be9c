//! The walk over the last part of a series: what each model would have said, always fed the true past, and
//! what came.

use crate::baselines::{
    AutoRegression, N_LAGS, Persistence, SeasonalNaive, TrainingMean, fit_holt_winters,
};
use crate::forecaster::Forecaster;
use crate::gate::{Gate, Matured, Verdict};
use crate::series::{Segment, Series};

/// The part of each segment that models are fitted to; the rest is the test.
const TRAINING_PART: f64 = 0.7;
/// An error that counts as nothing, in the unit of the column: what is measured is a fraction, ms or a count.
pub const NOISE: f64 = 0.001;

/// Index of the first point of the test: floor(0.7 n).
pub fn cut(n_points: usize) -> usize {
    (n_points as f64 * TRAINING_PART) as usize
}

/// The first 70 % of each segment, all that a model may be fitted to.
pub fn training(series: &Series) -> Vec<&[f64]> {
    series.segments.iter().map(|it| &it.values[..cut(it.values.len())]).collect()
}

/// One model on the test part of one series; errors in the unit of the series.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub model: String,
    pub mae: f64,
    pub rmse: f64,
    /// MAE by that of persistence; None if persistence makes no error.
    pub to_persistence: Option<f64>,
}

/// A model's rounds as the gate sees them.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub model: String,
    /// Over the whole test part.
    pub whole: Verdict,
    /// The part of rounds after which the gate, looking at the latest ones only, held the model fit: 0 to 1.
    pub fit_part: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub series: String,
    pub column: String,
    pub horizon: usize,
    pub n_points: usize,
    pub n_test: usize,
    /// Persistence first, then what other baselines the series allows, then the models asked for.
    pub rows: Vec<Row>,
    /// Of the models asked for.
    pub judged: Vec<Judged>,
}

impl Report {
    pub fn row(&self, model: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.model == model)
    }
}

#[derive(Debug, thiserror::Error)]
#[error(
    "{series} has too few points for a test: the last 30 % of no segment lie {horizon} steps or more after its first point"
)]
pub struct TooShort {
    series: String,
    horizon: usize,
}

/// # Errors
/// If no point of the test lies `horizon` steps after another.
pub fn run(
    series: &Series,
    horizon: usize,
    models: &[(&str, &dyn Forecaster)],
) -> Result<Report, TooShort> {
    let horizon = horizon.max(1);
    let test = Test { series, horizon };
    let n_test = test.segments().map(|(segment, from)| segment.values.len() - from).sum();
    if n_test == 0 {
        return Err(TooShort { series: series.name.clone(), horizon });
    }
    let mut rows = Vec::new();
    let mut measure = |name: &str, model: &dyn Forecaster| rows.push(test.row(name, model));
    let training = training(series);
    measure("persistence", &Persistence);
    if let Some(naive) = test.seasonal() {
        measure("seasonal naive", &naive);
    }
    measure("training mean", &TrainingMean::fit(&training));
    if let Some(model) = AutoRegression::fit(&training, N_LAGS, horizon) {
        measure("AR(12)", &model);
    }
    measure("Holt-Winters", &fit_holt_winters(&training, series.season(), horizon));
    models.iter().for_each(|(name, model)| measure(name, *model));
    let persistence_mae = rows[0].mae;
    for row in &mut rows {
        row.to_persistence = (persistence_mae > 0.0).then(|| row.mae / persistence_mae);
    }
    Ok(Report {
        series: series.name.clone(),
        column: series.column.clone(),
        horizon,
        n_points: series.n_points(),
        n_test,
        rows,
        judged: models.iter().map(|(name, model)| test.judge(name, *model)).collect(),
    })
}

struct Test<'a> {
    series: &'a Series,
    horizon: usize,
}

impl Test<'_> {
    /// Segments with the index of their first point to forecast.
    fn segments(&self) -> impl Iterator<Item = (&Segment, usize)> {
        let from = |segment: &Segment| cut(segment.values.len()).max(self.horizon);
        let segments = self.series.segments.iter().map(move |it| (it, from(it)));
        segments.filter(|(segment, from)| *from < segment.values.len())
    }

    /// Only if all points of the test are older than a season.
    fn seasonal(&self) -> Option<SeasonalNaive> {
        let naive = SeasonalNaive { season: self.series.season()? };
        self.segments().all(|(_, from)| from >= naive.lag(self.horizon)).then_some(naive)
    }

    fn row(&self, name: &str, model: &dyn Forecaster) -> Row {
        let (mut absolute, mut squared, mut n) = (0.0, 0.0, 0.0);
        for (segment, from) in self.segments() {
            let values = &segment.values;
            let forecasts = model.walk(values, from..values.len(), self.horizon);
            for (forecast, value) in forecasts.iter().zip(&values[from..]) {
                let error = forecast - value;
                absolute += error.abs();
                squared += error * error;
                n += 1.0;
            }
        }
        let rmse = f64::sqrt(squared / n);
        Row { model: name.to_owned(), mae: absolute / n, rmse, to_persistence: None }
    }

    /// Each segment is a worker; the k-th points of all tests make a round.
    fn judge(&self, name: &str, model: &dyn Forecaster) -> Judged {
        let matured: Vec<Vec<Matured>> =
            self.segments().map(|it| self.matured(it, model)).collect();
        let n_rounds = matured.iter().map(Vec::len).max().unwrap_or(0);
        let (mut whole, mut latest) = (Gate::over_all(NOISE), Gate::new(NOISE));
        let mut n_fit = 0;
        for round in 0..n_rounds {
            let samples = || matured.iter().filter_map(|it| it.get(round).copied());
            whole.note_round(samples());
            latest.note_round(samples());
            n_fit += usize::from(latest.verdict().is_fit);
        }
        let fit_part = n_fit as f64 / n_rounds.max(1) as f64;
        Judged { model: name.to_owned(), whole: whole.verdict(), fit_part }
    }

    fn matured(&self, (segment, from): (&Segment, usize), model: &dyn Forecaster) -> Vec<Matured> {
        let values = &segment.values;
        let lag = self.series.season().map(|season| SeasonalNaive { season }.lag(self.horizon));
        let forecasts = model.walk(values, from..values.len(), self.horizon);
        let matured = forecasts.into_iter().zip(from..).map(|(forecast, target)| Matured {
            forecast,
            actual: values[target],
            persistence: values[target - self.horizon],
            seasonal: lag.and_then(|lag| Some(values[target.checked_sub(lag)?])),
        });
        matured.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(segments: &[&[f64]]) -> Series {
        let segment = |values: &&[f64]| Segment { worker: None, values: values.to_vec() };
        Series {
            name: "a".to_owned(),
            column: "cpu-used".to_owned(),
            step_ms: 300_000,
            segments: segments.iter().map(segment).collect(),
        }
    }

    /// Knows what comes: the worst cheat there is.
    struct Oracle(f64);

    impl Forecaster for Oracle {
        fn walk(
            &self,
            values: &[f64],
            targets: std::ops::Range<usize>,
            _horizon: usize,
        ) -> Vec<f64> {
            targets.map(|target| values[target] + self.0).collect()
        }
    }

    #[test]
    fn each_segment_has_its_own_test_and_the_gate_sees_the_same_numbers() {
        let rising: Vec<f64> = (0..100).map(f64::from).collect();
        let falling: Vec<f64> = (0..50).map(|at| f64::from(at) * -2.0).collect();
        let series = series(&[&rising, &falling]);
        let models: [(&str, &dyn Forecaster); 2] = [("good", &Oracle(0.5)), ("bad", &Oracle(9.0))];
        let report = run(&series, 2, &models).expect("long enough");
        assert_eq!((report.n_points, report.n_test), (150, 45));
        let persistence = report.row("persistence").expect("a row");
        assert_eq!(persistence.mae, (30.0 * 2.0 + 15.0 * 4.0) / 45.0);
        assert_eq!(report.row("seasonal naive"), None, "younger than a day");
        let good = report.row("good").expect("a row");
        assert_eq!((good.mae, good.rmse), (0.5, 0.5));
        assert_eq!(good.to_persistence, Some(0.5 / persistence.mae));
        let [good, bad] = report.judged.as_slice() else { panic!("{:?}", report.judged) };
        assert_eq!((good.whole.ratio, good.whole.n_matured), (Some(0.5 / persistence.mae), 45));
        assert_eq!((good.whole.is_fit, good.fit_part), (true, 1.0));
        // Two workers: judged from the 15th of 30 rounds on.
        assert_eq!((bad.whole.is_fit, bad.fit_part), (false, 14.0 / 30.0));
        run(&super::tests::series(&[&[1.0]]), 1, &[]).expect_err("nothing to test");
    }
}
