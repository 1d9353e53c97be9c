//! Expected run times from experience: the median of the last successes of a name.

use crate::record::{Outcome, TaskStatus};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::Duration;

/// Successes kept per name.
const KEPT: usize = 20;
/// Names kept; the one that was first noted longest ago goes.
const MAX_NAMES: usize = 10_000;

#[derive(Debug, Default)]
pub struct RunTimes {
    by_name: FxHashMap<String, VecDeque<Duration>>,
    names: VecDeque<String>,
}

impl RunTimes {
    /// An attempt at a task of that name succeeded.
    pub fn note(&mut self, name: &str, ran: Duration) {
        if let Some(times) = self.by_name.get_mut(name) {
            if times.len() == KEPT {
                times.pop_front();
            }
            times.push_back(ran);
            return;
        }
        if self.names.len() == MAX_NAMES
            && let Some(oldest) = self.names.pop_front()
        {
            self.by_name.remove(&oldest);
        }
        self.names.push_back(name.to_owned());
        self.by_name.insert(name.to_owned(), VecDeque::from([ran]));
    }

    /// A task of that name succeeded, as its status says.
    pub fn note_success(&mut self, name: &str, status: &TaskStatus) {
        if let Some(attempt) = status.attempts.last()
            && let (Some(started), Some(ended), Some(Outcome::Succeeded)) =
                (attempt.started, attempt.ended, &attempt.outcome)
        {
            self.note(name, ended.since(started));
        }
    }

    /// The lower median.
    pub fn median(&self, name: &str) -> Option<Duration> {
        let mut times: Vec<Duration> = self.by_name.get(name)?.iter().copied().collect();
        times.sort_unstable();
        times.get(times.len().saturating_sub(1) / 2).copied()
    }
}
