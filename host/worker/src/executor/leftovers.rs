//! Processes that outlived what started them, found by the marks in their environment: those of an
//! earlier life of the agent, and those that left the process group of a stopped attempt.

use super::environment::{ATTEMPT, MARKER, TASK_ID, TERM};
use super::proc_scan::{self, Marked};
use super::process::ATTEMPTS;
use crate::attempt::AttemptKey;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long an ended process may take to leave the process table.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Kills what an earlier life left running and removes its files. Returns the attempts it found.
/// The caller holds the data folder's lock: nobody else's processes carry its marker.
pub(crate) fn reap(data_dir: &Path, marker: &str) -> BTreeSet<AttemptKey> {
    let mut attempts = BTreeSet::new();
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let found = proc_scan::marked(MARKER, marker);
        if found.is_empty() || Instant::now() > deadline {
            break;
        }
        attempts.extend(found.iter().filter_map(attempt_of));
        found.iter().for_each(kill_with_group);
        std::thread::sleep(Duration::from_millis(5));
    }
    remove_files(data_dir);
    attempts
}

/// Kills processes of a stopped attempt that made a process group of their own.
pub(crate) async fn kill_escaped(marker: &str, key: AttemptKey) {
    let marker = marker.to_owned();
    let killing = tokio::task::spawn_blocking(move || {
        let marked = proc_scan::marked(MARKER, &marker);
        marked.iter().filter(|found| attempt_of(found) == Some(key)).for_each(|found| {
            // SAFETY: has no preconditions. The process carried this attempt's name a moment ago.
            unsafe { libc::kill(found.pid, libc::SIGKILL) };
        });
    });
    killing.await.expect("a look at the process table does not panic");
}

/// Its group too: other members may have cleared their environment.
fn kill_with_group(found: &Marked) {
    // SAFETY: has no preconditions. Scripts never share the agent's own group.
    unsafe {
        if found.group > 1 && found.group != libc::getpgrp() {
            libc::kill(-found.group, libc::SIGKILL);
        }
        libc::kill(found.pid, libc::SIGKILL);
    }
}

fn attempt_of(found: &Marked) -> Option<AttemptKey> {
    let value = |name: &str| {
        found.environment.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    };
    Some(AttemptKey {
        task: value(TASK_ID)?.strip_prefix('t')?.parse().ok()?,
        number: value(ATTEMPT)?.parse().ok()?,
        term: value(TERM)?.parse().ok()?,
    })
}

fn remove_files(data_dir: &Path) {
    // What cannot be removed is in nobody's way: names of attempts never come again.
    let _ = std::fs::remove_dir_all(data_dir.join(ATTEMPTS));
    for entry in std::fs::read_dir(data_dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("groups-") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
