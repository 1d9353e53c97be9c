//! One look at the machine's process table: what each process group uses, and who carries a mark.
//!
//! Linux only. A process that ends during the look is left out.

use std::collections::HashMap;
use std::time::Duration;

/// What a process group uses at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct GroupUsage {
    /// Processes that are not zombies.
    pub n_alive: u32,
    /// Processor time so far, that of ended children which were waited for included.
    pub cpu: Duration,
    /// Resident bytes.
    pub memory: u64,
}

/// A process found by its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marked {
    pub pid: i32,
    pub group: i32,
    pub environment: Vec<(String, String)>,
}

/// Every process group of the machine, by its id.
pub(crate) fn group_usage() -> HashMap<i32, GroupUsage> {
    let mut groups: HashMap<i32, GroupUsage> = HashMap::new();
    for process in process_ids().filter_map(read_stat) {
        let usage = groups.entry(process.group).or_default();
        usage.n_alive += u32::from(!process.is_zombie);
        usage.cpu += process.cpu;
        usage.memory += process.memory;
    }
    groups
}

/// Processes whose environment at their start had this name with this value.
pub(crate) fn marked(name: &str, value: &str) -> Vec<Marked> {
    let is_marked = |(found, it): &(String, String)| found == name && it == value;
    let mut found = Vec::new();
    for pid in process_ids() {
        let environment = environment(pid);
        if environment.iter().any(is_marked)
            && let Some(process) = read_stat(pid)
        {
            found.push(Marked { pid, group: process.group, environment });
        }
    }
    found
}

/// The environment of a process at its start, as far as it is text; empty if it cannot be read.
pub(crate) fn environment(pid: i32) -> Vec<(String, String)> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let pairs = bytes.split(|byte| *byte == 0).filter_map(|entry| {
        let (name, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

/// Children of a process, zombies included, and the session of each.
pub(crate) fn children(pid: i32) -> Vec<(i32, i32)> {
    let with_session = |child: i32| read_stat(child).map(|it| (child, it.session));
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists: Vec<String> = threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok())
        .collect();
    if !lists.is_empty() {
        let children = lists.iter().flat_map(|it| it.split_whitespace());
        return children.filter_map(|it| it.parse().ok()).filter_map(with_session).collect();
    }
    // Kernels may be built without these lists.
    let processes = process_ids().filter_map(|it| Some((it, read_stat(it)?)));
    processes.filter(|(_, it)| it.parent == pid).map(|(child, it)| (child, it.session)).collect()
}

struct Process {
    parent: i32,
    group: i32,
    session: i32,
    is_zombie: bool,
    cpu: Duration,
    memory: u64,
}

fn process_ids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn read_stat(pid: i32) -> Option<Process> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command's name may hold spaces and brackets: fields count from the last bracket.
fn parse_stat(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_whitespace().collect();
    let number = |idx: usize| fields.get(idx)?.parse::<i64>().ok();
    let ticks = number(11)? + number(12)? + number(13)? + number(14)?;
    let pages = number(21)?.max(0) as u64;
    Some(Process {
        parent: i32::try_from(number(1)?).ok()?,
        group: i32::try_from(number(2)?).ok()?,
        session: i32::try_from(number(3)?).ok()?,
        is_zombie: fields[0] == "Z" || fields[0] == "X",
        cpu: Duration::from_secs_f64(ticks.max(0) as f64 / ticks_per_second()),
        memory: pages * page_size(),
    })
}

fn ticks_per_second() -> f64 {
    // SAFETY: reads a constant of the system.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

fn page_size() -> u64 {
    // SAFETY: reads a constant of the system.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_name_with_brackets_does_not_shift_the_fields() {
        let stat =
            "7 (a) (b c) S 1 42 43 0 -1 4194304 1 2 3 4 100 50 30 20 20 0 1 0 99 4096 10 1 2";
        let process = parse_stat(stat).expect("parses");
        assert_eq!((process.parent, process.group, process.session), (1, 42, 43));
        assert!(!process.is_zombie);
        assert_eq!(process.memory, 10 * page_size());
        assert_eq!(process.cpu, Duration::from_secs_f64(200.0 / ticks_per_second()));
    }

    #[test]
    fn this_process_is_found_in_its_group() {
        // SAFETY: has no preconditions.
        let group = unsafe { libc::getpgrp() };
        let usage = group_usage()[&group];
        assert!(usage.n_alive >= 1 && usage.memory > 0, "{usage:?}");
    }
}
