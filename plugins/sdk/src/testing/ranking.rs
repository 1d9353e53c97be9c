//! The order in which a policy would take workers or tasks, as people read it.

use super::Table;
use crate::columns::Columns;
use crate::policy::{Queue, Scoring};
use std::fmt;

/// Names from the first to the last. Displays as one line per place: fit for
/// [`assert_golden`](super::assert_golden).
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    pub places: Vec<Place>,
}

/// A row with the policy's answer about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    pub name: String,
    /// Score or rank.
    pub value: f64,
    /// What the score is made of; empty for ranks.
    pub terms: Vec<(&'static str, f64)>,
}

impl Ranking {
    /// From the first place to the last.
    pub fn names(&self) -> Vec<&str> {
        self.places.iter().map(|place| place.name.as_str()).collect()
    }
}

/// The workers from the highest score to the lowest. Equal scores stay as in the table; the host would
/// take the least loaded one first.
pub fn ranking<P: Scoring>(policy: &P, task: &P::Task, workers: &Table<P::Worker>) -> Ranking {
    let rows = workers.rows();
    let scores = policy.score_all(task, rows);
    let places = workers.names().iter().zip(scores).enumerate().map(|(index, (name, value))| {
        Place { name: name.clone(), value, terms: policy.explain(task, rows, index) }
    });
    let mut places: Vec<Place> = places.collect();
    places.sort_by(|a, b| b.value.total_cmp(&a.value));
    Ranking { places }
}

/// The tasks from the lowest rank to the highest. Equal ranks stay as in the table; the host goes by the
/// time of submission.
pub fn order<P: Queue>(policy: &P, now_ms: f64, tasks: &Table<P::Task>) -> Ranking {
    let places = tasks.names().iter().zip(tasks.rows().iter()).map(|(name, task)| Place {
        name: name.clone(),
        value: policy.rank(now_ms, &task),
        terms: Vec::new(),
    });
    let mut places: Vec<Place> = places.collect();
    places.sort_by(|a, b| a.value.total_cmp(&b.value));
    Ranking { places }
}

impl fmt::Display for Ranking {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let width = self.places.iter().map(|place| place.name.chars().count()).max().unwrap_or(0);
        for Place { name, value, terms } in &self.places {
            write!(formatter, "{name:width$}  {}", Rounded(*value))?;
            for (at, (term, value)) in terms.iter().enumerate() {
                let separator = if at == 0 { "  = " } else { " + " };
                write!(formatter, "{separator}{} {term}", Rounded(*value))?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}

/// To six decimals: the last bits differ between machines' mathematical libraries.
struct Rounded(f64);

impl fmt::Display for Rounded {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let rounded = (self.0 * 1e6).round() / 1e6;
        write!(formatter, "{}", if rounded.is_finite() { rounded } else { self.0 })
    }
}

impl<C: Columns> fmt::Debug for Table<C> {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.debug_struct("Table").field("names", &self.names()).finish_non_exhaustive()
    }
}
