//! Control groups: one for each running attempt, so that the kernel keeps it within what it asked
//! for, names who ran out of memory, and lists every process of it wherever that hid.
//!
//! Groups lie below the agent's own one, in a folder of this life of the agent. They are used
//! again for attempts with the same limits: making one costs as much as starting a process.

mod group;
mod v1;
mod v2;

pub(crate) use group::Group;

use std::io;
use std::path::{Path, PathBuf};

/// What of a task's request is enforced while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitOptions {
    /// More memory than asked for ends the attempt.
    pub memory: bool,
    pub cpu: CpuLimit,
    /// Where control groups are mounted.
    pub mounts: PathBuf,
    /// Which groups this process is in, as in `/proc/self/cgroup`.
    pub membership: PathBuf,
}

/// A closed set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuLimit {
    /// What it asked for is its share when cores are short; idle cores are free to all.
    Weight,
    /// Never more than it asked for, even if cores are idle.
    Quota,
    Off,
}

impl Default for LimitOptions {
    fn default() -> LimitOptions {
        LimitOptions {
            memory: true,
            cpu: CpuLimit::Weight,
            mounts: PathBuf::from("/sys/fs/cgroup"),
            membership: PathBuf::from("/proc/self/cgroup"),
        }
    }
}

impl LimitOptions {
    /// Nothing is enforced.
    pub fn off() -> LimitOptions {
        LimitOptions { memory: false, cpu: CpuLimit::Off, ..LimitOptions::default() }
    }

    fn wants(&self, controller: Controller) -> bool {
        match controller {
            Controller::Memory => self.memory,
            Controller::Cpu => self.cpu != CpuLimit::Off,
        }
    }
}

/// What one attempt asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub cpu_milli: u64,
    /// Bytes; 0: no limit.
    pub memory: u64,
}

/// The groups of one life of the agent.
#[derive(Debug)]
pub(crate) struct Cgroups {
    cpu: CpuLimit,
    hierarchies: Vec<Hierarchy>,
    version: Version,
    /// Empty groups, for the next attempt with the same request.
    free: Vec<(Request, Group)>,
    n_made: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Controller {
    Memory,
    Cpu,
}

/// One mounted tree of groups.
#[derive(Debug)]
struct Hierarchy {
    controllers: Vec<Controller>,
    /// The group of the agent itself.
    home: PathBuf,
    /// The folder of this life.
    base: PathBuf,
}

/// Folders of all lives of all agents begin so.
const PREFIX: &str = "pointsman-";

/// Less would not even start a program.
const MEMORY_MIN: u64 = 8 << 20;

/// Free groups kept.
const FREE_MAX: usize = 64;

const CPU_PERIOD_US: u64 = 100_000;
const CPU_QUOTA_MIN_US: u64 = 1000;

impl Controller {
    const ALL: [Controller; 2] = [Controller::Memory, Controller::Cpu];

    fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
        }
    }
}

impl Cgroups {
    /// `marker` and `life` name the folder. Also answers in words what is enforced, or why not.
    pub fn open(options: &LimitOptions, marker: &str, life: u64) -> (Option<Cgroups>, String) {
        if !Controller::ALL.into_iter().any(|it| options.wants(it)) {
            return (None, "not enforced: turned off in the configuration".to_owned());
        }
        let name = format!("{PREFIX}{marker}-{life:016x}");
        let (version, opened) = match v2::is_mounted(options) {
            true => (Version::V2, v2::open(options, &name)),
            false => (Version::V1, v1::open(options, &name)),
        };
        let mut cgroups = Cgroups {
            cpu: options.cpu,
            hierarchies: opened.hierarchies,
            version,
            free: Vec::new(),
            n_made: 0,
        };
        let mut refused = opened.refused;
        if !cgroups.hierarchies.is_empty()
            && let Err(error) = cgroups.probe()
        {
            cgroups.bases().for_each(remove_tree);
            cgroups.hierarchies.clear();
            refused = vec![(None, error.to_string())];
        }
        let told = describe(&cgroups, &refused);
        let is_usable = !cgroups.hierarchies.is_empty();
        (is_usable.then_some(cgroups), told)
    }

    /// A whole life of a group, so that what is promised at the start holds.
    fn probe(&mut self) -> io::Result<()> {
        let request = Request { cpu_milli: 1000, memory: MEMORY_MIN };
        let group = self.take(request)?;
        group.enter(self.homes())?.leave()?;
        group.check_wrapped()?;
        self.give_back(request, group);
        Ok(())
    }

    /// An empty group with these limits.
    pub fn take(&mut self, request: Request) -> io::Result<Group> {
        let found = self.free.iter().position(|(limits, _)| *limits == request);
        if let Some(idx) = found {
            return Ok(self.free.swap_remove(idx).1);
        }
        self.n_made += 1;
        let name = self.n_made.to_string();
        let folders: Vec<PathBuf> = self.hierarchies.iter().map(|it| it.base.join(&name)).collect();
        for (hierarchy, folder) in self.hierarchies.iter().zip(&folders) {
            make_folder(folder)?;
            for controller in &hierarchy.controllers {
                self.limit(folder, *controller, request)?;
            }
        }
        Ok(Group::new(self.version, folders, self.has_memory()))
    }

    fn limit(&self, folder: &Path, controller: Controller, request: Request) -> io::Result<()> {
        match (controller, self.version) {
            (Controller::Memory, _) if request.memory == 0 => Ok(()),
            (Controller::Memory, Version::V1) => v1::limit_memory(folder, bytes(request)),
            (Controller::Memory, Version::V2) => v2::limit_memory(folder, bytes(request)),
            (Controller::Cpu, Version::V1) => {
                v1::limit_cpu(folder, request.cpu_milli, self.quota(request))
            }
            (Controller::Cpu, Version::V2) => {
                v2::limit_cpu(folder, request.cpu_milli, self.quota(request))
            }
        }
    }

    /// Microseconds of processor time in each period.
    fn quota(&self, request: Request) -> Option<u64> {
        let is_limited = self.cpu == CpuLimit::Quota && request.cpu_milli > 0;
        is_limited.then(|| (request.cpu_milli * CPU_PERIOD_US / 1000).max(CPU_QUOTA_MIN_US))
    }

    /// Where the agent itself is, to return to.
    pub fn homes(&self) -> Vec<PathBuf> {
        self.hierarchies.iter().map(|it| it.home.clone()).collect()
    }

    /// The folders that hold all groups of this life.
    pub fn bases(&self) -> impl Iterator<Item = &Path> {
        self.hierarchies.iter().map(|it| it.base.as_path())
    }

    /// Takes back a group whose attempt has ended.
    pub fn give_back(&mut self, request: Request, mut group: Group) {
        if self.free.len() < FREE_MAX && group.renew() {
            self.free.push((request, group));
        } else {
            group.remove();
        }
    }

    fn has_memory(&self) -> bool {
        self.hierarchies.iter().any(|it| it.controllers.contains(&Controller::Memory))
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for base in self.bases() {
            remove_tree(base);
        }
    }
}

/// What opening found.
struct Opened {
    hierarchies: Vec<Hierarchy>,
    /// What cannot be enforced, and why; None: nothing at all.
    refused: Vec<(Option<Controller>, String)>,
}

fn describe(cgroups: &Cgroups, refused: &[(Option<Controller>, String)]) -> String {
    let version = match cgroups.version {
        Version::V1 => "cgroup v1",
        Version::V2 => "cgroup v2",
    };
    let enforced: Vec<&str> =
        cgroups.hierarchies.iter().flat_map(|it| &it.controllers).map(|it| it.name()).collect();
    let reasons: Vec<String> = refused.iter().map(|(_, why)| why.clone()).collect();
    let reasons = reasons.join("; ");
    match (enforced.as_slice(), refused) {
        ([], _) => format!("not enforced: {reasons}"),
        (["memory"], []) => format!("memory enforced by {version}, cpu turned off"),
        (["cpu"], []) => format!("cpu enforced by {version}, memory turned off"),
        (_, []) => format!("enforced by {version}"),
        (enforced, _) => {
            format!("{} enforced by {version}; the rest not: {reasons}", enforced.join(", "))
        }
    }
}

/// Ends what earlier lives left in their groups, and removes these. The caller holds the lock of the
/// data folder that `marker` names.
pub(crate) fn reap(options: &LimitOptions, marker: &str) {
    let prefix = format!("{PREFIX}{marker}-");
    let homes = match v2::is_mounted(options) {
        true => v2::homes(options),
        false => v1::homes(options),
    };
    for entry in homes.iter().flat_map(std::fs::read_dir).flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            tracing::info!(path = %entry.path().display(), "removing control groups of an earlier life");
            remove_tree(&entry.path());
        }
    }
}

/// How often the removal of what has just been killed is tried.
const REMOVALS: u32 = 200;

/// Kills what is left in the groups below a folder, and removes all of them.
fn remove_tree(base: &Path) {
    for _ in 0..REMOVALS {
        for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
            // Of files, of which every group is full, there is nothing to remove.
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                group::kill_in(&entry.path());
                let _ = std::fs::remove_dir(entry.path());
            }
        }
        match std::fs::remove_dir(base) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                // The killed ones are somebody else's children: nothing tells when they are gone.
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            Ok(()) | Err(_) => return,
        }
    }
    tracing::warn!(path = %base.display(), "failed to remove control groups; the next start tries again");
}

fn bytes(request: Request) -> u64 {
    request.memory.max(MEMORY_MIN)
}

fn make_folder(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(|error| told("make", path, &error)),
    }
}

fn write(path: &Path, value: impl ToString) -> io::Result<()> {
    std::fs::write(path, value.to_string()).map_err(|error| told("write", path, &error))
}

/// The system's errors do not name the file.
fn told(what: &str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("failed to {what} {}: {error}", path.display()))
}

/// The path of this process's group in one hierarchy, as `/proc/self/cgroup` has it: lines like
/// `4:cpu,cpuacct:/a/b`, or `0::/a/b` for version 2. Also the names that share the hierarchy.
fn membership(text: &str, controller: Option<Controller>) -> Option<(String, String)> {
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, path) = (fields.next()?, fields.next()?);
        let is_it = match controller {
            Some(controller) => names.split(',').any(|name| name == controller.name()),
            None => names.is_empty(),
        };
        is_it.then(|| (names.to_owned(), path.trim_start_matches('/').to_owned()))
    })
}

/// Within a container the path may be that of the machine outside, of which only the own part is
/// mounted.
fn home(mount: &Path, path: &str) -> PathBuf {
    let home = mount.join(path);
    if home.is_dir() { home } else { mount.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_own_group_is_found_in_each_hierarchy() {
        let check = |text: &str, controller: Option<Controller>, expect: Option<(&str, &str)>| {
            let found = membership(text, controller);
            let found = found.as_ref().map(|(names, path)| (names.as_str(), path.as_str()));
            assert_eq!(found, expect, "{text:?}");
        };
        let (memory, cpu) = (Some(Controller::Memory), Some(Controller::Cpu));
        let v1 =
            "9:name=systemd:/a\n4:memory:/user.slice/x:y\n3:cpuset:/\n2:cpu,cpuacct:/b\n0::/c\n";
        check(v1, memory, Some(("memory", "user.slice/x:y")));
        check(v1, cpu, Some(("cpu,cpuacct", "b")));
        check(v1, None, Some(("", "c")));
        check("0::/\n", None, Some(("", "")));
        check("0::/\n", memory, None);
        check("nonsense", memory, None);
    }
}
