//! Expected run times from experience: the median of the last successes of a name.

use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::time::Duration;

/// Successes kept per name.
const KEPT: usize = 20;
/// Names kept; the one that was first noted longest ago goes.
const MAX_NAMES: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct RunTimes {
    by_name: FxHashMap<String, VecDeque<Duration>>,
    names: VecDeque<String>,
}

impl RunTimes {
    pub fn note(&mut self, name: String, ran: Duration) {
        if let Some(times) = self.by_name.get_mut(&name) {
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
        self.names.push_back(name.clone());
        self.by_name.insert(name, VecDeque::from([ran]));
    }

    /// The lower median.
    pub fn median(&self, name: &str) -> Option<Duration> {
        let mut times: Vec<Duration> = self.by_name.get(name)?.iter().copied().collect();
        times.sort_unstable();
        times.get(times.len().saturating_sub(1) / 2).copied()
    }
}
