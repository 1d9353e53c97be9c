//! The control group of one attempt.

use super::{Version, write};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Group {
    version: Version,
    /// One in each hierarchy, that of memory first if there is one.
    folders: Vec<PathBuf>,
    counts_memory: bool,
    /// Kills for memory before the attempt that is in it now, and at the last look.
    n_killed_before: u64,
    n_killed_seen: AtomicU64,
    /// Nothing was left of the attempt at the last look.
    was_empty: AtomicBool,
}

/// The calling thread is in a group, so that what it starts is from the first instruction on. It
/// alone, not the agent.
#[derive(Debug)]
#[must_use]
pub(crate) struct Entered {
    homes: Vec<PathBuf>,
    /// Told to kill nobody for memory: the victim could be the agent, part of which is in here.
    paused: Option<PathBuf>,
}

/// A group that holds more than this is not used again: what its last attempt left behind, such as
/// files in memory, would count for the next.
const RENEWED_MAX: u64 = 2 << 20;

/// Run by a shell: moves into the group of `$0` and becomes the rest.
const ENTER: &str = r#"echo 0 > "$0" || { echo 'pointsman: failed to enter the control group' >&2; exit 126; }
exec "$@""#;

impl Group {
    pub(super) fn new(version: Version, folders: Vec<PathBuf>, counts_memory: bool) -> Group {
        Group {
            version,
            folders,
            counts_memory,
            n_killed_before: 0,
            n_killed_seen: AtomicU64::new(0),
            was_empty: AtomicBool::new(false),
        }
    }

    /// Puts the calling thread into the group until it leaves. In version 2 threads cannot move
    /// alone; there [`Group::wrapped`] does it.
    pub fn enter(&self, homes: Vec<PathBuf>) -> io::Result<Entered> {
        if self.version == Version::V2 {
            return Ok(Entered { homes: Vec::new(), paused: None });
        }
        let paused = self.counts_memory.then(|| self.folders[0].join("memory.oom_control"));
        if let Some(paused) = &paused {
            write(paused, 1)?;
        }
        let entered = Entered { homes, paused };
        for folder in &self.folders {
            if let Err(error) = write(&folder.join("tasks"), 0) {
                entered.leave()?;
                return Err(error);
            }
        }
        Ok(entered)
    }

    /// The command that runs another one within the group, where the caller cannot enter.
    pub fn wrapped(&self, arguments: Vec<CString>) -> Vec<CString> {
        if self.version == Version::V1 {
            return arguments;
        }
        let path = self.folders[0].join("cgroup.procs");
        let path = CString::new(path.as_os_str().as_bytes()).expect("paths hold no NUL");
        let enter = CString::new(ENTER).expect("it holds no NUL");
        let shell = [c"/bin/sh".to_owned(), c"-c".to_owned(), enter, path];
        shell.into_iter().chain(arguments).collect()
    }

    /// Whether a wrapped command gets in.
    pub(super) fn check_wrapped(&self) -> io::Result<()> {
        let arguments = self.wrapped(vec![c"/bin/true".to_owned()]);
        let words: Vec<&OsStr> =
            arguments.iter().map(|it| OsStr::from_bytes(it.as_bytes())).collect();
        let done = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output()?;
        match done.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned())),
        }
    }

    /// Every process in it.
    pub fn pids(&self) -> Vec<i32> {
        pids_in(&self.folders[0])
    }

    /// Whether no process is in it.
    pub fn is_empty(&self) -> bool {
        let is_empty = self.pids().is_empty();
        self.was_empty.store(is_empty, Ordering::Relaxed);
        is_empty
    }

    /// Kills every process in it. Those that are forked meanwhile are there at the next look.
    pub fn kill(&self) {
        kill_in(&self.folders[0]);
    }

    /// Whether the kernel killed for memory in it.
    pub fn ran_out_of_memory(&self) -> bool {
        let n_killed = self.n_killed();
        self.n_killed_seen.store(n_killed, Ordering::Relaxed);
        n_killed > self.n_killed_before
    }

    fn n_killed(&self) -> u64 {
        if !self.counts_memory {
            return 0;
        }
        let file = match self.version {
            Version::V1 => "memory.oom_control",
            Version::V2 => "memory.events",
        };
        let text = std::fs::read_to_string(self.folders[0].join(file)).unwrap_or_default();
        let found =
            text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok());
        found.unwrap_or(0)
    }

    /// Makes it ready for the next attempt, after a last look at [`Group::ran_out_of_memory`]. False: it has
    /// to go. Every file of the kernel's that is read costs a short script a part of its time.
    pub(super) fn renew(&mut self) -> bool {
        self.n_killed_before = *self.n_killed_seen.get_mut();
        let is_empty = std::mem::take(self.was_empty.get_mut()) || self.pids().is_empty();
        is_empty && self.usage() <= RENEWED_MAX
    }

    fn usage(&self) -> u64 {
        if !self.counts_memory {
            return 0;
        }
        let file = match self.version {
            Version::V1 => "memory.usage_in_bytes",
            Version::V2 => "memory.current",
        };
        let text = std::fs::read_to_string(self.folders[0].join(file)).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    /// What cannot be removed yet goes when the agent ends.
    pub(super) fn remove(self) {
        for folder in &self.folders {
            if let Err(error) = std::fs::remove_dir(folder) {
                tracing::debug!(%error, path = %folder.display(), "failed to remove a control group");
            }
        }
    }
}

impl Entered {
    /// Back to the agent's own group.
    pub fn leave(mut self) -> io::Result<()> {
        self.go_home()
    }

    fn go_home(&mut self) -> io::Result<()> {
        for home in self.homes.drain(..) {
            write(&home.join("tasks"), 0)?;
        }
        match self.paused.take() {
            Some(paused) => write(&paused, 0),
            None => Ok(()),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if let Err(error) = self.go_home() {
            tracing::error!(%error, "failed to leave a script's control group");
        }
    }
}

pub(super) fn kill_in(folder: &Path) {
    let kill = folder.join("cgroup.kill");
    if kill.exists() && write(&kill, 1).is_ok() {
        return;
    }
    for pid in pids_in(folder) {
        // SAFETY: has no preconditions. The process was in the group a moment ago.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
}

/// Not the agent itself, one thread of which may be in the group of a script that starts.
fn pids_in(folder: &Path) -> Vec<i32> {
    let own = i32::try_from(std::process::id()).expect("process ids are positive 32-bit numbers");
    let text = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    let pids = text.lines().filter_map(|line| line.parse().ok());
    // 0 stands for processes that cannot be seen from here, and would signal our own group.
    pids.filter(|pid| *pid > 1 && *pid != own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2 as the kernel has it, also where version 1 has the controllers.
    fn mounted() -> Option<PathBuf> {
        let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
        let mount = mounts.into_iter().find(|it| it.join("cgroup.controllers").exists())?;
        let text = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let (_, path) = super::super::membership(&text, None)?;
        Some(super::super::home(mount, &path))
    }

    #[test]
    fn the_kernel_s_version_2_lists_and_kills_who_was_put_in() {
        let name = format!("pointsman-test-{}", std::process::id());
        let folder = mounted().map(|it| it.join(name));
        let Some(folder) = folder.filter(|it| std::fs::create_dir(it).is_ok()) else {
            return eprintln!("skipped: no control groups of version 2 can be made");
        };
        let group = Group::new(Version::V2, vec![folder.clone()], false);
        group.check_wrapped().expect("a program gets in");
        assert!(group.pids().is_empty());
        // A child that nobody waits for, in a session of its own.
        let script = "setsid sleep 600 & exec sleep 600";
        let arguments = ["/bin/sh", "-c", script].map(|it| CString::new(it).expect("no NUL"));
        let arguments = group.wrapped(arguments.into());
        let words = arguments.iter().map(|it| OsStr::from_bytes(it.as_bytes()));
        let words: Vec<&OsStr> = words.collect();
        let mut first = Command::new(words[0]).args(&words[1..]).spawn().expect("starts");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        let until = |n: usize| {
            while group.pids().len() != n {
                assert!(std::time::Instant::now() < deadline, "{:?}", group.pids());
                std::thread::yield_now();
            }
        };
        until(2);
        group.kill();
        first.wait().expect("reaped");
        until(0);
        group.remove();
        assert!(!folder.exists());
    }
}
