//! The environment of a script: a fixed minimum of the machine's, the task's own, and the
//! `POINTSMAN_` names. Nothing else of the agent's environment reaches a script.

use super::{Execution, ExecutorOptions};
use crate::attempt::AttemptKey;
use std::collections::BTreeMap;
use std::ffi::{CString, NulError, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

/// Taken over from the agent where set.
const OF_THE_MACHINE: [&str; 9] =
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];

/// Where the agent itself was started without a PATH.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// By which a later life of the agent finds what an earlier one left.
pub(crate) const MARKER: &str = "POINTSMAN_WORKER";
/// By which a life finds its own, and no other's.
pub(crate) const LIFE: &str = "POINTSMAN_WORKER_LIFE";
const TASK_ID: &str = "POINTSMAN_TASK_ID";
const ATTEMPT: &str = "POINTSMAN_ATTEMPT";
const TERM: &str = "POINTSMAN_TERM";

pub(crate) fn of_the_machine() -> Vec<(String, OsString)> {
    let mut environment: Vec<(String, OsString)> = OF_THE_MACHINE
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)))
        .collect();
    for (name, value) in [("PATH", DEFAULT_PATH), ("HOME", "/")] {
        if !environment.iter().any(|(present, _)| present == name) {
            environment.push((name.to_owned(), value.into()));
        }
    }
    environment
}

/// The whole environment of a script, as `name=value`. Later names win: the task's over the machine's,
/// and the `POINTSMAN_` names over both.
///
/// # Errors
/// If a name or value cannot be in an environment.
pub(crate) fn of_script(
    base: &[(String, OsString)],
    options: &ExecutorOptions,
    execution: &Execution,
    workdir: &Path,
    feedback: &Path,
) -> Result<Vec<CString>, NulError> {
    let key = &execution.key;
    let mut all: BTreeMap<&str, OsString> = BTreeMap::new();
    all.extend(base.iter().map(|(name, value)| (name.as_str(), value.clone())));
    if !execution.devices.is_empty() || options.hides_devices {
        let devices: Vec<String> = execution.devices.iter().map(u16::to_string).collect();
        all.insert("CUDA_VISIBLE_DEVICES", devices.join(",").into());
    }
    all.extend(execution.traceparent.iter().map(|it| ("TRACEPARENT", it.into())));
    all.extend(execution.env.iter().map(|(name, value)| (name.as_str(), value.into())));
    all.extend([
        ("PWD", workdir.into()),
        (TASK_ID, format!("t{}", key.task).into()),
        ("POINTSMAN_TASK_NAME", execution.task_name.clone().into()),
        ("POINTSMAN_JOB_ID", execution.job.clone().into()),
        (ATTEMPT, key.number.to_string().into()),
        (TERM, key.term.to_string().into()),
        ("POINTSMAN_FEEDBACK", feedback.into()),
        (MARKER, options.marker.clone().into()),
        (LIFE, options.life_marker().into()),
    ]);
    let joined = all.into_iter().map(|(name, value)| {
        let mut entry = name.as_bytes().to_vec();
        entry.push(b'=');
        entry.extend(value.into_vec());
        CString::new(entry)
    });
    joined.collect()
}

/// The attempt whose script started with this environment.
pub(crate) fn attempt_of(environment: &[(String, String)]) -> Option<AttemptKey> {
    let value = |name: &str| {
        environment.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    };
    Some(AttemptKey {
        task: value(TASK_ID)?.strip_prefix('t')?.parse().ok()?,
        number: value(ATTEMPT)?.parse().ok()?,
        term: value(TERM)?.parse().ok()?,
    })
}
