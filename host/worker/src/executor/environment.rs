//! The environment of a script: a fixed minimum of the machine's, the task's own, and the
//! `POINTSMAN_` names. Nothing else of the agent's environment reaches a script.

use super::{Execution, ExecutorOptions};
use std::ffi::OsString;
use std::path::Path;

/// Taken over from the agent where set.
const OF_THE_MACHINE: [&str; 9] =
    ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"];

/// Where the agent itself was started without a PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// By which a later life of the agent finds what an earlier one left.
pub(crate) const MARKER: &str = "POINTSMAN_WORKER";
pub(crate) const TASK_ID: &str = "POINTSMAN_TASK_ID";
pub(crate) const ATTEMPT: &str = "POINTSMAN_ATTEMPT";
pub(crate) const TERM: &str = "POINTSMAN_TERM";

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

/// Sets the whole environment of a command. Later names win: the task's over the machine's, and
/// the `POINTSMAN_` names over both.
pub(crate) fn set(
    command: &mut std::process::Command,
    base: &[(String, OsString)],
    options: &ExecutorOptions,
    execution: &Execution,
    feedback: &Path,
) {
    let key = &execution.key;
    command.env_clear();
    command.envs(base.iter().map(|(name, value)| (name, value)));
    if !execution.devices.is_empty() || options.hides_devices {
        let devices: Vec<String> = execution.devices.iter().map(u16::to_string).collect();
        command.env("CUDA_VISIBLE_DEVICES", devices.join(","));
    }
    command
        .envs(&execution.env)
        .env(TASK_ID, format!("t{}", key.task))
        .env("POINTSMAN_TASK_NAME", &execution.task_name)
        .env("POINTSMAN_JOB_ID", &execution.job)
        .env(ATTEMPT, key.number.to_string())
        .env(TERM, key.term.to_string())
        .env("POINTSMAN_FEEDBACK", feedback)
        .env(MARKER, &options.marker);
}
