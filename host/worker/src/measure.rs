//! What the worker measures of its machine: cpu, memory, disk operations, connections.

mod elsewhere;

use elsewhere::Elsewhere;
use pointsman_protocol::worker::{WireCapacity, WireMeasurements};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use sysinfo::System;

pub(crate) struct Meter {
    system: System,
    capacity: WireCapacity,
    last_disk: Option<(Instant, u64)>,
    /// Operations a second that count as full; grows with what was seen.
    iops_max: f64,
    elsewhere: Option<Elsewhere>,
}

/// What even a plain disk does.
const IOPS_FLOOR: f64 = 1000.0;

impl Meter {
    /// What the file `elsewhere` says takes the place of what is measured.
    pub fn new(capacity: WireCapacity, elsewhere: Option<PathBuf>) -> Meter {
        let mut system = System::new();
        system.refresh_cpu_usage();
        let elsewhere = elsewhere.map(Elsewhere::new);
        Meter { system, capacity, last_disk: None, iops_max: IOPS_FLOOR, elsewhere }
    }

    pub fn measure(&mut self, rtt: Option<Duration>) -> WireMeasurements {
        let measured = self.measure_machine(rtt);
        match &mut self.elsewhere {
            Some(elsewhere) => elsewhere.replace(measured),
            None => measured,
        }
    }

    fn measure_machine(&mut self, rtt: Option<Duration>) -> WireMeasurements {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let n_cores = self.system.cpus().len() as f64;
        let busy_cores = f64::from(self.system.global_cpu_usage()) / 100.0 * n_cores;
        let offered_cores = self.capacity.cpu_milli as f64 / 1000.0;
        let memory = self.system.total_memory();
        WireMeasurements {
            cpu_used: share(busy_cores, offered_cores.min(n_cores)),
            memory_used: share(self.system.used_memory() as f64, memory as f64),
            iops_used: self.iops(),
            rtt_ms: rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
            connections: connections(),
        }
    }

    fn iops(&mut self) -> Option<f64> {
        let now = Instant::now();
        let n_done = disk_operations()?;
        let (then, n_before) = self.last_disk.replace((now, n_done))?;
        let seconds = now.duration_since(then).as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let rate = n_done.saturating_sub(n_before) as f64 / seconds;
        self.iops_max = self.iops_max.max(rate);
        share(rate, self.iops_max)
    }
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| (part / whole).clamp(0.0, 1.0))
}

/// Reads and writes completed since the start of the machine, over all whole disks.
fn disk_operations() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/diskstats").ok()?;
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let name = fields.get(2)?;
        let is_virtual = ["loop", "ram", "zram", "dm-"].iter().any(|it| name.starts_with(it));
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok());
        if is_virtual { None } else { Some(number(3)? + number(7)?) }
    };
    Some(text.lines().filter_map(of_line).sum())
}

/// Established TCP connections of the machine.
fn connections() -> Option<u32> {
    const ESTABLISHED: &str = "01";
    let count = |path: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        let states = text.lines().skip(1).filter_map(|line| line.split_whitespace().nth(3));
        Some(states.filter(|state| *state == ESTABLISHED).count() as u32)
    };
    let (v4, v6) = (count("/proc/net/tcp"), count("/proc/net/tcp6"));
    if v4.is_none() && v6.is_none() { None } else { Some(v4.unwrap_or(0) + v6.unwrap_or(0)) }
}

/// What this machine has, less nothing: cores and memory.
pub fn machine_capacity() -> WireCapacity {
    let mut system = System::new();
    system.refresh_memory();
    let n_cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    WireCapacity { cpu_milli: n_cores as u64 * 1000, memory: system.total_memory(), gpus: 0 }
}
