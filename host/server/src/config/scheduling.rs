//! `[heartbeat]`, `[retry]`, `[quarantine]`, `[queues]`, `[retention]`, `[rescheduling]`: the scheduler's settings.

use super::section::Section;
use pointsman_protocol::duration::format_duration;
use pointsman_protocol::name::parse_name;
use pointsman_scheduler::Settings;
use pointsman_scheduler::settings::{
    Discipline, Heartbeat, Quarantine, QueueSettings, Rescheduling, Retry,
};
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const RESERVE_AFTER: Duration = Duration::from_secs(600);
const MS: Duration = Duration::from_millis(1);

pub(super) fn read(root: &mut Section) -> Settings {
    let defaults = Settings::default();
    let (retention_finished, retention_finished_for) = root.with("retention", |it| {
        let n_tasks = it.whole("finished", 1..=100_000_000, defaults.retention_finished);
        (n_tasks, it.duration_or_off("finished_for", SECOND..=3650 * DAY, None))
    });
    Settings {
        heartbeat: root.with("heartbeat", |it| read_heartbeat(it, &defaults.heartbeat)),
        retry: root.with("retry", |it| read_retry(it, &defaults.retry)),
        quarantine: root.with("quarantine", |it| read_quarantine(it, &defaults.quarantine)),
        queues: root.with("queues", read_queues),
        rescheduling: root.with("rescheduling", |it| read_rescheduling(it, &defaults.rescheduling)),
        retention_finished,
        retention_finished_for,
        max_placements_per_round: defaults.max_placements_per_round,
    }
}

fn read_heartbeat(section: &mut Section, defaults: &Heartbeat) -> Heartbeat {
    let range = 10 * MS..=DAY;
    let heartbeat = Heartbeat {
        interval: section.duration("interval", range.clone(), defaults.interval),
        suspect_after: section.duration("suspect_after", range.clone(), defaults.suspect_after),
        lost_after: section.duration("lost_after", range, defaults.lost_after),
    };
    let [interval, suspect, lost] =
        [heartbeat.interval, heartbeat.suspect_after, heartbeat.lost_after].map(format_duration);
    let keys = ["suspect_after", "interval"];
    if section.is_sound(&keys) && heartbeat.interval * 2 > heartbeat.suspect_after {
        let problem = format!(
            "suspect_after ({suspect}) is shorter than two intervals of {interval}, so one late \
             heartbeat would make a suspect"
        );
        section.refuse_relation(keys, problem, "raise suspect_after or lower interval");
    }
    let keys = ["lost_after", "suspect_after"];
    if section.is_sound(&keys) && heartbeat.suspect_after >= heartbeat.lost_after {
        let problem = format!("lost_after ({lost}) is not longer than suspect_after ({suspect})");
        section.refuse_relation(keys, problem, "raise lost_after or lower suspect_after");
    }
    heartbeat
}

fn read_retry(section: &mut Section, defaults: &Retry) -> Retry {
    let count = |number: u64| u32::try_from(number).expect("the range is checked");
    let max_retries = count(section.whole("max_retries", 0..=100, defaults.max_retries.into()));
    let losses = section.whole("max_worker_losses", 0..=100, defaults.max_worker_losses.into());
    let mut backoff = section.section("backoff");
    let base = backoff.duration("base", MS..=DAY, defaults.base);
    let factor = backoff.number("factor", 1.0..=100.0, defaults.factor);
    let cap = backoff.duration("cap", MS..=DAY, defaults.cap);
    if backoff.is_sound(&["cap", "base"]) && cap < base {
        let [cap, base] = [cap, base].map(format_duration);
        let problem = format!("cap ({cap}) is shorter than base ({base})");
        backoff.refuse_relation(["cap", "base"], problem, "raise cap or lower base");
    }
    Retry { max_retries, max_worker_losses: count(losses), base, factor, cap }
}

fn read_quarantine(section: &mut Section, defaults: &Quarantine) -> Quarantine {
    let after = section.whole("after", 0..=1000, defaults.after.into());
    let range = MS..=DAY;
    let quarantine = Quarantine {
        after: u32::try_from(after).expect("the range is checked"),
        within: section.duration("within", range.clone(), defaults.within),
        base: section.duration("base", range.clone(), defaults.base),
        cap: section.duration("cap", range, defaults.cap),
    };
    if section.is_sound(&["cap", "base"]) && quarantine.cap < quarantine.base {
        let [cap, base] = [quarantine.cap, quarantine.base].map(format_duration);
        let problem = format!("cap ({cap}) is shorter than base ({base})");
        section.refuse_relation(["cap", "base"], problem, "raise cap or lower base");
    }
    quarantine
}

fn read_queues(section: &mut Section) -> BTreeMap<String, QueueSettings> {
    let mut queues = BTreeMap::new();
    let mut names = section.keys();
    if !names.iter().any(|name| name == "default") {
        names.push("default".to_owned());
    }
    for written in names {
        let settings = read_queue(&mut section.named(&written));
        match parse_name(&written) {
            Err(flaw) => section.refuse(&written, flaw.problem, flaw.remedy),
            Ok(name) if queues.contains_key(&name) => {
                let problem = "looks the same as the name of another queue";
                section.refuse(&written, problem, "choose another name");
            }
            Ok(name) => {
                queues.insert(name, settings);
            }
        }
    }
    queues
}

fn read_queue(section: &mut Section) -> QueueSettings {
    let disciplines = [
        ("greedy", Discipline::Greedy),
        ("strict", Discipline::Strict),
        ("backfill", Discipline::Backfill),
    ];
    QueueSettings {
        limit: Some(section.whole("limit", 1..=100_000_000, 1_000_000)),
        discipline: section.choice("discipline", &disciplines),
        reserve_after: section.duration_or_off(
            "reserve_after",
            SECOND..=30 * DAY,
            Some(RESERVE_AFTER),
        ),
    }
}

fn read_rescheduling(section: &mut Section, defaults: &Rescheduling) -> Rescheduling {
    let count = |number: u64| u32::try_from(number).expect("the range is checked");
    Rescheduling {
        cool_down: section.duration("cool_down", SECOND..=DAY, defaults.cool_down),
        rate_per_minute: count(section.whole(
            "rate_per_minute",
            0..=1_000_000,
            defaults.rate_per_minute.into(),
        )),
        per_worker: count(section.whole("per_worker", 0..=1000, defaults.per_worker.into())),
    }
}
