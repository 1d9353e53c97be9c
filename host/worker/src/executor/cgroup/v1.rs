//! Version 1: a tree of its own for each controller.

use super::{
    CPU_PERIOD_US, Controller, Hierarchy, LimitOptions, Opened, home, make_folder, membership,
    write,
};
use std::io;
use std::path::{Path, PathBuf};

/// What one core weighs.
const SHARES_PER_CORE: u64 = 1024;
const SHARES_MIN: u64 = 2;
const SHARES_MAX: u64 = 262_144;

pub(super) fn open(options: &LimitOptions, name: &str) -> Opened {
    let mut opened = Opened { hierarchies: Vec::new(), refused: Vec::new() };
    for controller in Controller::ALL.into_iter().filter(|it| options.wants(*it)) {
        match open_one(options, controller, name) {
            Ok(hierarchy) => opened.hierarchies.push(hierarchy),
            Err(why) => opened.refused.push((Some(controller), why)),
        }
    }
    opened
}

fn open_one(
    options: &LimitOptions,
    controller: Controller,
    name: &str,
) -> Result<Hierarchy, String> {
    let home = find(options, controller).ok_or_else(|| {
        format!("{} has no {} controller", options.mounts.display(), controller.name())
    })?;
    let base = home.join(name);
    make_folder(&base).map_err(|error| error.to_string())?;
    if controller == Controller::Cpu {
        // All scripts together weigh as much as the machine has cores, not as one process. They run
        // without that too.
        let n_cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
        let _ = write(&base.join("cpu.shares"), shares(n_cores * 1000));
    }
    Ok(Hierarchy { controllers: vec![controller], home, base })
}

/// Where groups of earlier lives may be.
pub(super) fn homes(options: &LimitOptions) -> Vec<PathBuf> {
    Controller::ALL.into_iter().filter_map(|it| find(options, it)).collect()
}

fn find(options: &LimitOptions, controller: Controller) -> Option<PathBuf> {
    let text = std::fs::read_to_string(&options.membership).ok()?;
    let (names, path) = membership(&text, Some(controller))?;
    let mounts = [controller.name(), &names].map(|name| options.mounts.join(name));
    let mount = mounts.into_iter().find(|it| it.join("cgroup.procs").exists())?;
    Some(home(&mount, &path))
}

pub(super) fn limit_memory(folder: &Path, bytes: u64) -> io::Result<()> {
    write(&folder.join("memory.limit_in_bytes"), bytes)?;
    // Swap is no way round it. Kernels may be built without counting it.
    let _ = write(&folder.join("memory.memsw.limit_in_bytes"), bytes);
    Ok(())
}

pub(super) fn limit_cpu(folder: &Path, cpu_milli: u64, quota_us: Option<u64>) -> io::Result<()> {
    write(&folder.join("cpu.shares"), shares(cpu_milli))?;
    let Some(quota_us) = quota_us else { return Ok(()) };
    write(&folder.join("cpu.cfs_period_us"), CPU_PERIOD_US)?;
    write(&folder.join("cpu.cfs_quota_us"), quota_us)
}

fn shares(cpu_milli: u64) -> u64 {
    (cpu_milli.saturating_mul(SHARES_PER_CORE) / 1000).clamp(SHARES_MIN, SHARES_MAX)
}
