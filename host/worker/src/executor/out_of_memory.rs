//! Whether the kernel killed for memory lately: the only way to tell such an end from any other
//! SIGKILL.

/// The kernel's count of kills for memory, as last seen.
#[derive(Debug)]
pub(crate) struct Kills {
    /// `None`: not told on this machine.
    seen: Option<u64>,
}

impl Kills {
    pub fn now() -> Kills {
        Kills { seen: count() }
    }

    /// Forgets older kills, so that they are not blamed on a later end.
    pub fn refresh(&mut self) {
        self.seen = count();
    }

    /// Whether the kernel killed for memory since the last look. For an attempt that has just died
    /// by a SIGKILL nobody here sent.
    pub fn has_new(&mut self) -> bool {
        let before = self.seen;
        self.refresh();
        matches!((before, self.seen), (Some(before), Some(now)) if now > before)
    }
}

/// Counts the whole machine's, limits of control groups included.
fn count() -> Option<u64> {
    let vmstat = std::fs::read_to_string("/proc/vmstat").ok()?;
    vmstat.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}
