//! What a policy says about itself, checked as the host will when it admits it.

use crate::about::About;
use crate::catalogue::{self, Kind, nearest};
use crate::columns::{Columns, Forecast};

/// What a slot's manifest may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Scoring,
    Queue,
    Rescheduling,
    Forecasting,
}

impl Slot {
    fn name(self) -> &'static str {
        match self {
            Slot::Scoring => "scoring",
            Slot::Queue => "queue",
            Slot::Rescheduling => "rescheduling",
            Slot::Forecasting => "forecasting",
        }
    }

    fn keys(self) -> &'static [&'static str] {
        match self {
            Slot::Scoring => &["description", "node-local", "banded"],
            Slot::Queue => {
                &["description", "time-dependent", "interval-ms", "discipline", "group-by"]
            }
            Slot::Rescheduling => &["description", "interval-ms"],
            Slot::Forecasting => &["description", "horizon-ms", "interval-ms"],
        }
    }
}

/// Fails if a field of one of the rows is no column of the host's; each `export_…!` macro brings a
/// test that calls this.
///
/// # Panics
/// With all names that are wrong, and the nearest right ones.
#[track_caller]
pub fn assert_columns_known<Task: Columns, Worker: Columns>() {
    let check = |kind, names: &'static [&'static str]| {
        names.iter().filter_map(move |name| catalogue::check(kind, name).err())
    };
    let faults = check(Kind::Task, Task::NAMES).chain(check(Kind::Worker, Worker::NAMES));
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// As [`assert_columns_known`], for a forecasting policy.
///
/// # Panics
/// As [`assert_columns_known`].
#[track_caller]
pub fn assert_forecast_columns_known<Worker: Columns, Provided: Forecast>() {
    let needed = Worker::NAMES.iter().map(|name| catalogue::check_needed_for_forecast(name));
    let provided = Provided::PROVIDES.iter().map(|name| catalogue::check_forecast(name));
    let faults: Vec<String> = needed.chain(provided).filter_map(Result::err).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let n_lists: usize = Worker::WIDTHS.iter().sum();
    assert!(n_lists <= 256, "the columns and windows are {n_lists} lists; 256 are allowed");
}

/// # Errors
/// What the host would refuse.
pub(super) fn check(slot: Slot, about: &About) -> Result<(), String> {
    let n_name = about.name.chars().count();
    if !(1..=100).contains(&n_name) {
        return Err(format!("the policy's name has {n_name} characters; 1 to 100 are allowed"));
    }
    let n_version = about.version.chars().count();
    if n_version > 100 {
        return Err(format!("the version has {n_version} characters; at most 100 are allowed"));
    }
    let keys = slot.keys();
    for (at, (key, value)) in about.properties.iter().enumerate() {
        let slot = slot.name();
        if !keys.contains(&key.as_str()) {
            let hint = nearest(key, keys.iter().copied());
            let hint = hint.map_or_else(
                || format!("it has {}", keys.join(", ")),
                |it| format!("did you mean {it}?"),
            );
            return Err(format!("about() has {key:?}, which no {slot} policy has; {hint}"));
        }
        if about.properties[..at].iter().any(|(earlier, _)| earlier == key) {
            return Err(format!("about() has {key:?} twice"));
        }
        if key == "interval-ms" && !value.parse().is_ok_and(|ms| (100..=3_600_000).contains(&ms)) {
            return Err(format!("about() has an interval of {value} ms; use 100 to 3600000"));
        }
        if key == "horizon-ms" && !value.parse().is_ok_and(|ms| (1_000..=86_400_000).contains(&ms))
        {
            return Err(format!("about() has a horizon of {value} ms; use 1000 to 86400000"));
        }
    }
    if slot == Slot::Forecasting && !about.properties.iter().any(|(key, _)| key == "horizon-ms") {
        return Err("about() does not say how far ahead it looks: set horizon_ms".to_owned());
    }
    Ok(())
}

/// Whether the policy promises that about itself.
pub(super) fn promises(about: &About, key: &str) -> bool {
    about.properties.iter().any(|(it, value)| it == key && value == "true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Discipline;

    #[test]
    fn nothing_passes_that_the_host_would_refuse() {
        let about = || About::new("a", "1");
        for (slot, about, expected) in [
            (
                Slot::Scoring,
                About::new("", "1"),
                "the policy's name has 0 characters; 1 to 100 are allowed",
            ),
            (
                Slot::Scoring,
                about().discipline(Discipline::Strict),
                "about() has \"discipline\", which no scoring policy has; it has description, node-local, banded",
            ),
            (
                Slot::Queue,
                about().time_dependent(500).interval_ms(500),
                "about() has \"interval-ms\" twice",
            ),
            (
                Slot::Rescheduling,
                about().interval_ms(50),
                "about() has an interval of 50 ms; use 100 to 3600000",
            ),
        ] {
            assert_eq!(check(slot, &about), Err(expected.to_owned()));
        }
        assert_eq!(check(Slot::Queue, &about().time_dependent(500).description("a")), Ok(()));
    }
}
