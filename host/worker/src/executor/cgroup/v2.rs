//! Version 2: one tree for all controllers. A group that hands controllers on must hold no process
//! itself, so that the agent moves into a group beside those of the scripts.

use super::{
    CPU_PERIOD_US, Controller, Hierarchy, LimitOptions, Opened, home, make_folder, membership,
    write,
};
use std::io;
use std::path::{Path, PathBuf};

/// The group into which the agent moves.
const AGENT: &str = "pointsman-agent";

/// What one core weighs.
const WEIGHT_PER_CORE: u64 = 100;
const WEIGHT_MAX: u64 = 10_000;

pub(super) fn is_mounted(options: &LimitOptions) -> bool {
    options.mounts.join("cgroup.controllers").exists()
}

pub(super) fn open(options: &LimitOptions, name: &str) -> Opened {
    match open_tree(options, name) {
        Ok((hierarchy, lacking)) => {
            let why =
                |it: &Controller| format!("the agent's group has no {} controller", it.name());
            let refused = lacking.iter().map(|it| (Some(*it), why(it))).collect();
            Opened { hierarchies: vec![hierarchy], refused }
        }
        Err(why) => Opened { hierarchies: Vec::new(), refused: vec![(None, why)] },
    }
}

fn open_tree(options: &LimitOptions, name: &str) -> Result<(Hierarchy, Vec<Controller>), String> {
    let parent = find(options).ok_or("the agent's own control group is not found")?;
    let there = std::fs::read_to_string(parent.join("cgroup.controllers")).unwrap_or_default();
    let is_there = |it: &Controller| there.split_whitespace().any(|name| name == it.name());
    let wanted = Controller::ALL.into_iter().filter(|it| options.wants(*it));
    let (controllers, lacking): (Vec<_>, Vec<_>) = wanted.partition(is_there);
    if controllers.is_empty() {
        let problem = "has neither memory nor cpu controller";
        return Err(format!("{} {problem}", parent.display()));
    }
    hand_on(&parent, &controllers)?;
    let base = parent.join(name);
    make_folder(&base).map_err(|error| error.to_string())?;
    pass(&base, &controllers).map_err(|error| error.to_string())?;
    if controllers.contains(&Controller::Cpu) {
        // As for version 1.
        let n_cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
        let _ = write(&base.join("cpu.weight"), weight(n_cores * 1000));
    }
    Ok((Hierarchy { controllers, home: parent, base }, lacking))
}

/// Lets groups below this one have controllers; moves the agent out of it if need be.
fn hand_on(parent: &Path, controllers: &[Controller]) -> Result<(), String> {
    let Err(refused) = pass(parent, controllers) else { return Ok(()) };
    let own = parent.join(AGENT);
    let moved = make_folder(&own).and_then(|()| write(&own.join("cgroup.procs"), 0));
    moved.and_then(|()| pass(parent, controllers)).map_err(|_| {
        format!(
            "{refused} (the agent needs a control group to itself, as by Delegate=yes of systemd)"
        )
    })
}

fn pass(group: &Path, controllers: &[Controller]) -> io::Result<()> {
    let names: Vec<String> = controllers.iter().map(|it| format!("+{}", it.name())).collect();
    write(&group.join("cgroup.subtree_control"), names.join(" "))
}

/// Where groups of earlier lives may be.
pub(super) fn homes(options: &LimitOptions) -> Vec<PathBuf> {
    find(options).into_iter().collect()
}

/// The group below which those of scripts are made: the agent's, or its parent once it has moved.
fn find(options: &LimitOptions) -> Option<PathBuf> {
    let text = std::fs::read_to_string(&options.membership).ok()?;
    let (_, path) = membership(&text, None)?;
    let path = path.strip_suffix(AGENT).unwrap_or(&path);
    Some(home(&options.mounts, path.trim_end_matches('/')))
}

pub(super) fn limit_memory(folder: &Path, bytes: u64) -> io::Result<()> {
    write(&folder.join("memory.max"), bytes)?;
    // Swap is no way round it, and who runs out ends as a whole; kernels may know neither.
    let _ = write(&folder.join("memory.swap.max"), 0);
    let _ = write(&folder.join("memory.oom.group"), 1);
    Ok(())
}

pub(super) fn limit_cpu(folder: &Path, cpu_milli: u64, quota_us: Option<u64>) -> io::Result<()> {
    write(&folder.join("cpu.weight"), weight(cpu_milli))?;
    let Some(quota_us) = quota_us else { return Ok(()) };
    write(&folder.join("cpu.max"), format!("{quota_us} {CPU_PERIOD_US}"))
}

fn weight(cpu_milli: u64) -> u64 {
    (cpu_milli.saturating_mul(WEIGHT_PER_CORE) / 1000).clamp(1, WEIGHT_MAX)
}
