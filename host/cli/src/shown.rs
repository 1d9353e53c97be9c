//! Values as people read them in tables.

use crate::output::Colour;
use pointsman_protocol::api::{Counts, StampView, WireJobState, WireTaskState, WireWorkerState};
use pointsman_protocol::timestamp::Timestamp;
use std::borrow::Cow;
use std::time::Duration;

pub fn task_colour(state: WireTaskState) -> Colour {
    match state {
        WireTaskState::Pending => Colour::Plain,
        WireTaskState::Assigned | WireTaskState::Running => Colour::Blue,
        WireTaskState::Succeeded => Colour::Green,
        WireTaskState::Failed => Colour::Red,
        WireTaskState::Skipped | WireTaskState::Cancelled => Colour::Yellow,
    }
}

pub fn job_colour(state: WireJobState) -> Colour {
    match state {
        WireJobState::Running => Colour::Blue,
        WireJobState::Succeeded => Colour::Green,
        WireJobState::Failed => Colour::Red,
        WireJobState::Cancelled => Colour::Yellow,
    }
}

pub fn worker_colour(state: WireWorkerState) -> Colour {
    match state {
        WireWorkerState::Live => Colour::Green,
        WireWorkerState::Suspect | WireWorkerState::Draining => Colour::Yellow,
        WireWorkerState::Lost => Colour::Red,
    }
}

/// Like `120 tasks: 3 pending, 4 running, 113 succeeded`.
pub fn counts(counts: Counts) -> String {
    let parts = [
        (counts.pending, "pending"),
        (counts.assigned, "assigned"),
        (counts.running, "running"),
        (counts.succeeded, "succeeded"),
        (counts.failed, "failed"),
        (counts.skipped, "skipped"),
        (counts.cancelled, "cancelled"),
    ];
    let shown: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    match counts.total() {
        0 => "no tasks".to_owned(),
        1 => format!("1 task: {}", shown.join(", ")),
        total => format!("{total} tasks: {}", shown.join(", ")),
    }
}

/// Microseconds with their fraction.
pub fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

/// Like `0.74 µs`, `38 µs`, `4.2 ms` or `12.3 s`.
pub fn duration(duration: Duration) -> String {
    let us = micros(duration);
    let (value, unit) = match us {
        us if us < 1e3 => (us, "µs"),
        us if us < 1e6 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    let digits = if value < 1.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

/// Like `21 KiB` or `17.6 MiB`.
pub fn bytes(n: usize) -> String {
    const KIB: f64 = 1024.0;
    let n = n as f64;
    if n < KIB {
        format!("{n} bytes")
    } else if n < KIB * KIB {
        format!("{:.0} KiB", n / KIB)
    } else {
        format!("{:.1} MiB", n / KIB / KIB)
    }
}

pub fn n_tasks(n: u32) -> String {
    if n == 1 { "1 task".to_owned() } else { format!("{n} tasks") }
}

/// Tasks that need nothing more.
pub fn n_ended(counts: Counts) -> u64 {
    counts.succeeded + counts.failed + counts.skipped + counts.cancelled
}

/// Bytes to one decimal, like `1.5 GiB`.
pub fn memory(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// A span in milliseconds, like `350 ms`, `12.3 s`, `4 min 5 s`.
pub fn span_ms(ms: u64) -> String {
    match ms {
        0..=999 => format!("{ms} ms"),
        1000..=119_999 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// How long before `now` that was.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    format!("{} ago", span_ms(now.0.0.saturating_sub(then.0.0) / 1_000_000))
}

pub fn between(from: Timestamp, to: Timestamp) -> String {
    span_ms(to.0.0.saturating_sub(from.0.0) / 1_000_000)
}

pub fn stamp(stamp: &StampView) -> String {
    format!("generation {} ({})", stamp.generation, stamp.digest)
}

/// What somebody else wrote, on one line: characters that move the cursor, change colours or turn the
/// direction of what follows become `\u{FFFD}`.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if text.contains(is_harmful) {
        Cow::Owned(text.replace(is_harmful, "\u{FFFD}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Control characters, and those that Unicode formats text by.
pub fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}')
}

/// For what is not known.
pub fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}

pub fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "-".to_owned(), |fraction| format!("{:.0} %", fraction * 100.0))
}
