//! Processes that outlived an earlier life of the agent, found by their control groups and by the
//! marks in their environment.

use super::cgroup::{self, LimitOptions};
use super::environment::{self, MARKER};
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
pub(crate) fn reap(data_dir: &Path, marker: &str, limits: &LimitOptions) -> BTreeSet<AttemptKey> {
    let mut attempts = BTreeSet::new();
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let found = proc_scan::marked(MARKER, marker);
        if found.is_empty() || Instant::now() > deadline {
            break;
        }
        attempts.extend(found.iter().filter_map(|it| environment::attempt_of(&it.environment)));
        found.iter().for_each(kill_with_group);
        // Children of an agent that is no more: nothing tells when they are gone.
        std::thread::sleep(Duration::from_millis(5));
    }
    // Also what cleared its environment.
    cgroup::reap(limits, marker);
    remove_files(data_dir);
    attempts
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

fn remove_files(data_dir: &Path) {
    // What cannot be removed is in nobody's way: names of attempts never come again.
    let _ = std::fs::remove_dir_all(data_dir.join(ATTEMPTS));
    for entry in std::fs::read_dir(data_dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("groups-") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
