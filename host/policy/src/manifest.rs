//! What a policy says about itself, checked and turned into the scheduler's profiles.

use crate::bindings::types::Manifest;
use crate::forecaster::{self, ForecastingProfile};
use crate::nearest::hint;
use pointsman_scheduler::Slot;
use pointsman_scheduler::columns::{ColumnInfo, TaskColumn, WorkerColumn};
use pointsman_scheduler::policies::{GroupBy, QueueProfile, ReschedulingProfile, ScoringProfile};
use pointsman_scheduler::record::PolicyStamp;
use pointsman_scheduler::settings::Discipline;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// Why a manifest is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error("the manifest's {0} has {1} characters; {2} are allowed")]
    Length(&'static str, usize, &'static str),
    #[error("the manifest has an unknown property {key:?}{hint}; a {slot} policy has {known}")]
    UnknownKey { key: String, hint: String, slot: &'static str, known: String },
    #[error("the manifest has the property {0:?} twice")]
    Twice(String),
    #[error("{key} names the unknown {kind} column {column:?}{hint}")]
    UnknownColumn { key: &'static str, kind: &'static str, column: String, hint: String },
    #[error("{0} names no column; a policy without columns cannot tell its rows apart")]
    NoColumns(&'static str),
    #[error("needs-worker asks for {n_lists} lists of values; at most {most} are sent")]
    TooManyLists { n_lists: usize, most: usize },
    #[error("{key} is {value:?}; {expected}")]
    Value { key: &'static str, value: String, expected: &'static str },
    #[error("{0}")]
    Conflict(&'static str),
}

/// The profile of a policy, by what it is made for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Profile {
    Scoring(Arc<ScoringProfile>),
    Queue(Arc<QueueProfile>),
    Rescheduling(Arc<ReschedulingProfile>),
    Forecasting(Arc<ForecastingProfile>),
}

impl Profile {
    /// What each list of worker values is of; a window is several lists.
    pub fn worker_lists(&self) -> Vec<ColumnInfo> {
        let infos = |columns: &[WorkerColumn]| columns.iter().map(|it| it.info()).collect();
        match self {
            Profile::Scoring(profile) => infos(&profile.needs_worker),
            Profile::Queue(_) => Vec::new(),
            Profile::Rescheduling(profile) => infos(&profile.needs_worker),
            Profile::Forecasting(profile) => profile.lists(),
        }
    }

    /// As [`Self::worker_lists`], of task values.
    pub fn task_lists(&self) -> Vec<ColumnInfo> {
        let columns: &[TaskColumn] = match self {
            Profile::Scoring(profile) => &profile.needs_task,
            Profile::Queue(profile) => &profile.needs_task,
            Profile::Rescheduling(profile) => &profile.needs_task,
            Profile::Forecasting(_) => &[],
        };
        columns.iter().map(|column| column.info()).collect()
    }

    /// The needed worker columns as the manifest names them.
    pub fn worker_names(&self) -> Vec<String> {
        match self {
            Profile::Scoring(_) | Profile::Queue(_) | Profile::Rescheduling(_) => {
                self.worker_lists().iter().map(|column| column.name.to_owned()).collect()
            }
            Profile::Forecasting(profile) => {
                profile.needs.iter().map(|it| it.to_string()).collect()
            }
        }
    }

    pub fn task_names(&self) -> Vec<&'static str> {
        self.task_lists().iter().map(|column| column.name).collect()
    }

    /// The columns that it adds.
    pub fn provided_names(&self) -> Vec<String> {
        match self {
            Profile::Scoring(_) | Profile::Queue(_) | Profile::Rescheduling(_) => Vec::new(),
            Profile::Forecasting(profile) => profile.provided_names(),
        }
    }

    pub fn is_node_local(&self) -> bool {
        match self {
            Profile::Scoring(profile) => profile.node_local,
            Profile::Queue(_) | Profile::Rescheduling(_) | Profile::Forecasting(_) => false,
        }
    }

    /// The same profile under another stamp.
    pub fn stamped(&self, stamp: PolicyStamp) -> Profile {
        match self {
            Profile::Scoring(it) => {
                Profile::Scoring(Arc::new(ScoringProfile { stamp, ..(**it).clone() }))
            }
            Profile::Queue(it) => {
                Profile::Queue(Arc::new(QueueProfile { stamp, ..(**it).clone() }))
            }
            Profile::Rescheduling(it) => {
                Profile::Rescheduling(Arc::new(ReschedulingProfile { stamp, ..(**it).clone() }))
            }
            Profile::Forecasting(it) => Profile::Forecasting(it.clone()),
        }
    }
}

/// The manifest's one line for people; empty if it has none.
pub(crate) fn description(manifest: &Manifest) -> &str {
    let property = manifest.properties.iter().find(|(key, _)| key == "description");
    property.map_or("", |(_, value)| value)
}

const SCORING_KEYS: &[&str] =
    &["description", "needs-worker", "needs-task", "node-local", "banded"];
const QUEUE_KEYS: &[&str] =
    &["description", "needs-task", "time-dependent", "interval-ms", "discipline", "group-by"];
const RESCHEDULING_KEYS: &[&str] = &["description", "needs-worker", "needs-task", "interval-ms"];
const FORECASTING_KEYS: &[&str] =
    &["description", "needs-worker", "provides", "horizon-ms", "interval-ms"];

/// Measurements come with each worker's sync; more often there is nothing new to see.
const DEFAULT_REVIEW: Duration = Duration::from_secs(5);
const DEFAULT_REFRESH: Duration = Duration::from_secs(1);

/// Checks `manifest` as that of a policy for `slot`.
///
/// # Errors
/// Names the property, what is wrong with it and what is allowed.
pub(crate) fn profile(
    manifest: &Manifest,
    slot: Slot,
    stamp: PolicyStamp,
) -> Result<Profile, ManifestError> {
    check_text(manifest)?;
    let keys = match slot {
        Slot::Scoring => SCORING_KEYS,
        Slot::Queue => QUEUE_KEYS,
        Slot::Rescheduling => RESCHEDULING_KEYS,
        Slot::Forecasting => FORECASTING_KEYS,
    };
    let properties = Properties::of(manifest, keys, slot)?;
    let name = manifest.name.clone();
    let needs_task = properties.columns("needs-task", "task", TaskColumn::find, task_names)?;
    Ok(match slot {
        Slot::Scoring => {
            let needs_worker = properties.worker_columns()?;
            if needs_worker.is_empty() {
                return Err(ManifestError::NoColumns("needs-worker"));
            }
            let node_local = properties.flag("node-local")?;
            let banded = properties.flag("banded")?;
            Profile::Scoring(Arc::new(ScoringProfile {
                stamp,
                name,
                needs_worker,
                needs_task,
                node_local,
                banded,
            }))
        }
        Slot::Queue => {
            if needs_task.is_empty() {
                return Err(ManifestError::NoColumns("needs-task"));
            }
            let interval = properties.interval()?;
            let is_time_dependent = properties.flag("time-dependent")?;
            if interval.is_some() && !is_time_dependent {
                return Err(ManifestError::Conflict(
                    "interval-ms says when ranks are refreshed; it needs time-dependent = true",
                ));
            }
            Profile::Queue(Arc::new(QueueProfile {
                stamp,
                name,
                needs_task,
                refresh: is_time_dependent.then(|| interval.unwrap_or(DEFAULT_REFRESH)),
                discipline: properties.discipline()?,
                group_by: properties.group_by()?,
            }))
        }
        // Without task columns `on-worker` still tells the rows apart.
        Slot::Rescheduling => Profile::Rescheduling(Arc::new(ReschedulingProfile {
            stamp,
            name,
            needs_task,
            needs_worker: properties.worker_columns()?,
            interval: properties.interval()?.unwrap_or(DEFAULT_REVIEW),
        })),
        Slot::Forecasting => {
            Profile::Forecasting(Arc::new(forecaster::profile(name, &properties)?))
        }
    })
}

fn check_text(manifest: &Manifest) -> Result<(), ManifestError> {
    let n_name = manifest.name.chars().count();
    if !(1..=100).contains(&n_name) {
        return Err(ManifestError::Length("name", n_name, "1 to 100"));
    }
    let n_version = manifest.version.chars().count();
    if n_version > 100 {
        return Err(ManifestError::Length("version", n_version, "at most 100"));
    }
    Ok(())
}

fn task_names() -> Vec<&'static str> {
    TaskColumn::ALL.iter().map(|column| column.info().name).collect()
}

fn worker_names() -> Vec<&'static str> {
    WorkerColumn::ALL.iter().map(|column| column.info().name).collect()
}

/// The properties, each known and named once.
pub(crate) struct Properties<'a>(&'a [(String, String)]);

impl<'a> Properties<'a> {
    fn of(
        manifest: &'a Manifest,
        known: &[&'static str],
        slot: Slot,
    ) -> Result<Properties<'a>, ManifestError> {
        let properties = &manifest.properties;
        for (i, (key, _)) in properties.iter().enumerate() {
            if !known.contains(&key.as_str()) {
                return Err(ManifestError::UnknownKey {
                    key: key.clone(),
                    hint: hint(key, known.iter().copied()),
                    slot: slot.name(),
                    known: known.join(", "),
                });
            }
            if properties[..i].iter().any(|(earlier, _)| earlier == key) {
                return Err(ManifestError::Twice(key.clone()));
            }
        }
        Ok(Properties(properties))
    }

    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(it, _)| it == key).map(|(_, value)| value.trim())
    }

    fn columns<C: PartialEq>(
        &self,
        key: &'static str,
        kind: &'static str,
        find: fn(&str) -> Option<C>,
        names: fn() -> Vec<&'static str>,
    ) -> Result<Vec<C>, ManifestError> {
        let mut columns = Vec::new();
        let text = self.get(key).unwrap_or_default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let column = find(name).ok_or_else(|| ManifestError::UnknownColumn {
                key,
                kind,
                column: name.to_owned(),
                hint: hint(name, names()),
            })?;
            columns.push(column);
        }
        Ok(columns)
    }

    fn worker_columns(&self) -> Result<Vec<WorkerColumn>, ManifestError> {
        self.columns("needs-worker", "worker", WorkerColumn::find, worker_names)
    }

    fn flag(&self, key: &'static str) -> Result<bool, ManifestError> {
        match self.get(key) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(value) => Err(ManifestError::Value {
                key,
                value: value.to_owned(),
                expected: "write true or false",
            }),
        }
    }

    pub fn interval(&self) -> Result<Option<Duration>, ManifestError> {
        self.milliseconds(
            "interval-ms",
            100..=3_600_000,
            "write a whole number from 100 to 3600000",
        )
    }

    pub fn milliseconds(
        &self,
        key: &'static str,
        range: RangeInclusive<u64>,
        expected: &'static str,
    ) -> Result<Option<Duration>, ManifestError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(ms) if range.contains(&ms) => Ok(Some(Duration::from_millis(ms))),
            _ => Err(ManifestError::Value { key, value: value.to_owned(), expected }),
        }
    }

    fn group_by(&self) -> Result<Option<GroupBy>, ManifestError> {
        let Some(value) = self.get("group-by") else { return Ok(None) };
        match GroupBy::find(value) {
            Some(group_by) => Ok(Some(group_by)),
            None => Err(ManifestError::Value {
                key: "group-by",
                value: value.to_owned(),
                expected: "write tenant or job",
            }),
        }
    }

    fn discipline(&self) -> Result<Option<Discipline>, ManifestError> {
        match self.get("discipline") {
            None => Ok(None),
            Some("greedy") => Ok(Some(Discipline::Greedy)),
            Some("strict") => Ok(Some(Discipline::Strict)),
            Some("backfill") => Ok(Some(Discipline::Backfill)),
            Some(value) => Err(ManifestError::Value {
                key: "discipline",
                value: value.to_owned(),
                expected: "write greedy, strict or backfill",
            }),
        }
    }
}
