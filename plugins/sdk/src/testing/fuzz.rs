//! One fuzzer per slot: what is checked of each answer.

use super::input::{Input, Shape};
use super::manifest::{self, Slot, assert_columns_known, assert_forecast_columns_known, promises};
use super::search::search;
use crate::about::About;
use crate::columns::{Forecast, NoColumns};
use crate::glue;
use crate::policy::{Action, Forecasting, Proposal, Queue, Rescheduling, Scoring};

/// Calls a policy with what a host may send at worst, some hundred batches of it: none and ten thousand
/// rows, missing, huge and negative values, every combination of them for few columns. Fails if
///
/// - what [`about`](Scoring::about) says would be refused, or changes, or a column is unknown;
/// - a call panics, answers too few scores, or one that is not from 0 to 1;
/// - equal calls get different answers: the policy keeps something;
/// - it says [`node_local`](About::node_local), and a score depends on the other rows;
/// - the [terms](Scoring::terms) of a score do not add up to it.
///
/// The inputs are the same each time. `POINTSMAN_FUZZ_SEED` (a whole number) makes others,
/// `POINTSMAN_FUZZ_ROUNDS` more of them than 300.
///
/// # Panics
/// With the fault, the simplest input that shows it, and the seed.
#[track_caller]
pub fn fuzz_scoring<P: Scoring>(policy: &P) {
    let about = check_about(Slot::Scoring, || policy.about());
    assert_columns_known::<P::Task, P::Worker>();
    let is_node_local = promises(&about, "node-local");
    search::<P::Task, P::Worker>(Shape::Scoring, |input| {
        let score = |input: &Input| glue::score(policy, &input.task(), &input.workers.columns);
        let scores = score(input);
        check_length("score", scores.len(), input.n_rows())?;
        for (row, score) in scores.iter().enumerate() {
            if !(0.0..=1.0).contains(score) {
                return Err(format!("the score of worker {row} is {score}, and not from 0 to 1"));
            }
        }
        let backwards = score(&input.backwards());
        check_same("the score of worker", &scores, &score(input), KEEPS)?;
        if is_node_local {
            let again: Vec<f64> = backwards.into_iter().rev().collect();
            check_same("the score of worker", &scores, &again, NOT_LOCAL)?;
            let alone = (0..input.n_rows()).flat_map(|row| score(&input.only(row)));
            check_same("the score of worker", &scores, &alone.collect::<Vec<_>>(), NOT_LOCAL)?;
        }
        check_terms(policy, input, &scores)
    });
}

const KEEPS: &str = "equal calls must get equal answers, and a policy keeps nothing between them";
const NOT_LOCAL: &str = "about() says node_local, and the other candidates matter";

/// As [`fuzz_scoring`], for ranks: they are finite, do not depend on the other rows, and stay the same
/// as time goes by unless the policy says that it is [`time_dependent`](About::time_dependent).
///
/// # Panics
/// As [`fuzz_scoring`].
#[track_caller]
pub fn fuzz_queue<P: Queue>(policy: &P) {
    let about = check_about(Slot::Queue, || policy.about());
    assert_columns_known::<P::Task, NoColumns>();
    let is_time_dependent = promises(&about, "time-dependent");
    search::<P::Task, NoColumns>(Shape::Queue, |input| {
        let rank = |input: &Input| glue::rank(policy, input.now_ms, &input.tasks.columns);
        let ranks = rank(input);
        check_length("rank", ranks.len(), input.n_rows())?;
        if let Some(row) = ranks.iter().position(|rank| !rank.is_finite()) {
            return Err(format!("the rank of task {row} is {}, and not finite", ranks[row]));
        }
        let mut backwards = rank(&input.backwards());
        backwards.reverse();
        check_same("the rank of task", &ranks, &rank(input), KEEPS)?;
        check_same("the rank of task", &ranks, &backwards, KEEPS)?;
        let later = rank(&input.later_by(3_600_000.0));
        if is_time_dependent {
            return match later.iter().position(|rank| !rank.is_finite()) {
                None => Ok(()),
                Some(row) => Err(format!("an hour later the rank of task {row} is {}", later[row])),
            };
        }
        let why = "ranks that change with time need about().time_dependent(…), or they get old";
        check_same("the rank of task", &ranks, &later, why)
    });
}

/// As [`fuzz_scoring`], for proposals: each has a reason of 1 to 200 characters, none depends on the
/// other rows, and waiting tasks are cancelled or raised at most.
///
/// # Panics
/// As [`fuzz_scoring`].
#[track_caller]
pub fn fuzz_rescheduling<P: Rescheduling>(policy: &P) {
    check_about(Slot::Rescheduling, || policy.about());
    assert_columns_known::<P::Task, P::Worker>();
    search::<P::Task, P::Worker>(Shape::Rescheduling, |input| {
        let review = |input: &Input| {
            let (tasks, workers) = (&input.tasks.columns, &input.workers.columns);
            glue::review(policy, input.now_ms, tasks, &input.on_worker, workers)
        };
        let proposals = review(input);
        for (row, proposal) in &proposals {
            let is_waiting = input.on_worker[*row as usize] == glue::NO_WORKER;
            check_proposal(proposal, is_waiting)
                .map_err(|fault| format!("the proposal for task {row} {fault}"))?;
        }
        let backwards = review(&input.backwards());
        let last = input.n_rows().wrapping_sub(1) as u32;
        let backwards = backwards.into_iter().rev().map(|(row, proposal)| (last - row, proposal));
        for again in [review(input), backwards.collect()] {
            if let Some((row, _)) = first_difference(&proposals, &again) {
                return Err(format!("the proposal for task {row} changes; {KEEPS}"));
            }
        }
        Ok(())
    });
}

/// As [`fuzz_scoring`], for forecasts: they are finite and do not depend on the other rows.
///
/// # Panics
/// As [`fuzz_scoring`].
#[track_caller]
pub fn fuzz_forecasting<P: Forecasting>(policy: &P) {
    check_about(Slot::Forecasting, || policy.about());
    assert_forecast_columns_known::<P::Worker, P::Forecast>();
    search::<NoColumns, P::Worker>(Shape::Forecasting, |input| {
        let forecast = |input: &Input| glue::forecast(policy, &input.workers.columns);
        let lists = forecast(input);
        let (again, backwards) = (forecast(input), forecast(&input.backwards()));
        for (at, (name, list)) in P::Forecast::PROVIDES.iter().zip(&lists).enumerate() {
            if let Some(row) = list.iter().position(|value| !value.is_finite()) {
                return Err(format!("{name} of worker {row} is {}, and not finite", list[row]));
            }
            let what = format!("{name} of worker");
            check_same(&what, list, &again[at], KEEPS)?;
            let backwards: Vec<f64> = backwards[at].iter().rev().copied().collect();
            check_same(&what, list, &backwards, KEEPS)?;
        }
        Ok(())
    });
}

#[track_caller]
fn check_about(slot: Slot, about: impl Fn() -> About) -> About {
    let first = about();
    let checked = manifest::check(slot, &first);
    assert!(checked.is_ok(), "{}", checked.unwrap_err());
    assert!(first == about(), "about() answers differently the second time");
    first
}

fn check_length(function: &str, n_answers: usize, n_rows: usize) -> Result<(), String> {
    if n_answers == n_rows {
        return Ok(());
    }
    Err(format!("{function} answers {n_answers} values for {n_rows} rows"))
}

/// Bit by bit: the host compares answers in the same way.
fn check_same(what: &str, first: &[f64], again: &[f64], why: &str) -> Result<(), String> {
    check_length("a second call", again.len(), first.len())?;
    let differs = |(first, again): (&f64, &f64)| first.to_bits() != again.to_bits();
    match first.iter().zip(again).position(differs) {
        None => Ok(()),
        Some(row) => {
            let (first, again) = (first[row], again[row]);
            Err(format!("{what} {row} is {first:?}, then {again:?}; {why}"))
        }
    }
}

fn check_terms<P: Scoring>(policy: &P, input: &Input, scores: &[f64]) -> Result<(), String> {
    // Each explanation may look at all rows.
    const N_EXPLAINED: usize = 50;
    for (row, score) in scores.iter().enumerate().take(N_EXPLAINED) {
        let terms = glue::explain(policy, &input.task(), &input.workers.columns, row as u32)?;
        if terms.iter().any(|(name, _)| name.trim().is_empty()) {
            return Err(format!("a term of worker {row} has no name"));
        }
        let sum = terms.iter().fold(0.0, |sum, (_, term)| sum + term);
        if sum.is_nan() || (sum - score).abs() > 1e-9 {
            return Err(format!("terms of worker {row} add up to {sum}, and its score is {score}"));
        }
    }
    Ok(())
}

fn check_proposal(proposal: &Proposal, is_waiting: bool) -> Result<(), String> {
    let Proposal { action, reason } = proposal;
    let n_chars = reason.chars().count();
    if !(1..=200).contains(&n_chars) {
        return Err(format!("has a reason of {n_chars} characters; 1 to 200 are shown"));
    }
    match action {
        Action::Migrate | Action::Requeue if is_waiting => {
            Err(format!("is {action:?}, and the task is waiting"))
        }
        Action::Migrate | Action::Requeue | Action::Cancel | Action::RaisePriority(_) => Ok(()),
    }
}

/// What one of the lists has where the other has something else.
fn first_difference<'a>(
    a: &'a [(u32, Proposal)],
    b: &'a [(u32, Proposal)],
) -> Option<&'a (u32, Proposal)> {
    let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    a.get(at).or(b.get(at))
}
