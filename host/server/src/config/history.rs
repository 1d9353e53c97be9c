//! `[history]`: what is kept of measurements and feedback.

use super::section::Section;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistorySection {
    pub enabled: bool,
    /// From a minute to ten years.
    pub keep: Duration,
    /// Of measurements, and as many of feedback.
    pub rows: u64,
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn read(section: &mut Section) -> HistorySection {
    HistorySection {
        enabled: section.flag("enabled", true),
        keep: section.duration("keep", MINUTE..=3650 * DAY, 30 * DAY),
        rows: section.whole("rows", 1..=1_000_000_000, 5_000_000),
    }
}
