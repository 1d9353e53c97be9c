//! Processes that left the session of their script, where no control group lists them: they become
//! children of the agent once what started them is gone, and are found among these.

use super::environment::{self, LIFE};
use super::proc_scan;
use crate::attempt::AttemptKey;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, RwLock, RwLockWriteGuard};

/// First processes of scripts that run now, of all agents in this process.
static STARTED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Shared by those who start a process, until it is in [`STARTED`]; taken alone to look for strays,
/// so that nobody takes for one what has just been started.
static STARTING: RwLock<()> = RwLock::new(());

/// Whose strays are looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script<'a> {
    pub key: AttemptKey,
    /// Its first process, which is also its session.
    pub pid: i32,
    pub marker: &'a str,
}

/// Orphans of scripts come to this process, not to the machine's first one.
pub(crate) fn adopt_orphans() {
    // SAFETY: sets a flag of this process.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) } != 0 {
        let error = io::Error::last_os_error();
        tracing::warn!(%error, "what scripts leave running is found only by its environment");
    }
}

/// Starts a process by `start`, and counts it as no stray until [`forget`].
pub(crate) fn started<T, E>(
    start: impl FnOnce() -> Result<T, E>,
    pid: impl FnOnce(&T) -> i32,
) -> Result<T, E> {
    let _starting = STARTING.read().expect("no holder of this lock panics");
    let process = start()?;
    started_pids().insert(pid(&process));
    Ok(process)
}

/// Before the process is reaped.
pub(crate) fn forget(pid: i32) {
    started_pids().remove(&pid);
}

fn started_pids() -> MutexGuard<'static, BTreeSet<i32>> {
    STARTED.lock().expect("no holder of this lock panics")
}

fn while_none_starts() -> RwLockWriteGuard<'static, ()> {
    STARTING.write().expect("no holder of this lock panics")
}

/// Kills what is left of a script whose first process has ended and is not reaped yet. Answers
/// whether anything was there: killed, it leaves children of its own to the next look.
pub(crate) fn kill(script: Script) -> bool {
    let _alone = while_none_starts();
    let started = started_pids();
    let runs_alone = started.iter().all(|pid| *pid == script.pid);
    let mut found = false;
    for (child, session) in children() {
        if started.contains(&child) || !is_stray(child, session, script, runs_alone) {
            continue;
        }
        found = true;
        // SAFETY: have no preconditions; a child that is not reaped keeps its number.
        unsafe {
            libc::kill(child, libc::SIGKILL);
            libc::waitpid(child, std::ptr::null_mut(), libc::WNOHANG);
        }
    }
    found
}

/// Reaps orphans of scripts that have ended: nobody else waits for them.
pub(crate) fn reap_orphans() {
    let _alone = while_none_starts();
    let started = started_pids();
    // SAFETY: has no preconditions.
    let own_session = unsafe { libc::getsid(0) };
    let orphans = children().into_iter().filter(|(_, session)| *session != own_session);
    for (child, _) in orphans.filter(|(child, _)| !started.contains(child)) {
        // SAFETY: has no preconditions.
        unsafe { libc::waitpid(child, std::ptr::null_mut(), libc::WNOHANG) };
    }
}

/// One that cleared its environment is nobody's for certain; it goes when nothing else runs.
fn is_stray(child: i32, session: i32, script: Script, runs_alone: bool) -> bool {
    if session == script.pid {
        return true;
    }
    // SAFETY: has no preconditions.
    if session == unsafe { libc::getsid(0) } {
        // Not a script's: each has a session of its own.
        return false;
    }
    let environment = proc_scan::environment(child);
    let value =
        |name: &str| environment.iter().find(|(it, _)| it == name).map(|(_, it)| it.as_str());
    match value(LIFE) {
        Some(marker) => {
            marker == script.marker && environment::attempt_of(&environment) == Some(script.key)
        }
        None => runs_alone,
    }
}

/// Children of this process, and the session of each.
fn children() -> Vec<(i32, i32)> {
    let own = i32::try_from(std::process::id()).expect("process ids are positive 32-bit numbers");
    proc_scan::children(own)
}
