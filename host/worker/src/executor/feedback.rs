//! What a running script says of itself in its feedback file, and what it uses.
//!
//! The file holds lines `phase=NAME` and `progress=0.42`, or JSON objects with these keys, one per
//! line; the last of each wins. Only its end is read.

use super::proc_scan::GroupUsage;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes read from the end of the file.
const READ_MAX: u64 = 4096;

/// Characters of a phase.
const PHASE_MAX: usize = 200;

/// One measurement of a running attempt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Feedback {
    /// At most 200 characters, none of them a control character.
    pub phase: Option<String>,
    /// In [0, 1].
    pub progress: Option<f64>,
    /// Since process start.
    pub duration: Duration,
    /// Cores in use since the last measurement.
    pub cpu_usage: Option<f64>,
    /// Megabytes (10^6 bytes) resident.
    pub memory_mb: Option<f64>,
}

/// A running process group between two measurements.
#[derive(Debug)]
pub(crate) struct Sampled {
    pub group: i32,
    started: Instant,
    file: PathBuf,
    /// Processor time at the last measurement, and when that was.
    last: (Duration, Instant),
}

impl Sampled {
    pub fn new(group: i32, started: Instant, file: PathBuf) -> Sampled {
        Sampled { group, started, file, last: (Duration::ZERO, started) }
    }

    /// `usage`: `None` if the group was not seen.
    pub fn feedback(&mut self, now: Instant, usage: Option<GroupUsage>) -> Feedback {
        let (phase, progress) = read(&self.file);
        let span = now.saturating_duration_since(self.last.1).as_secs_f64();
        let cpu_usage = usage.filter(|_| span > 0.0).map(|usage| {
            // Less than before: a process ended that nobody in the group waited for.
            usage.cpu.saturating_sub(self.last.0).as_secs_f64() / span
        });
        if let Some(usage) = usage {
            self.last = (usage.cpu, now);
        }
        Feedback {
            phase,
            progress,
            duration: now.saturating_duration_since(self.started),
            cpu_usage,
            memory_mb: usage.map(|usage| usage.memory as f64 / 1e6),
        }
    }
}

fn read(path: &Path) -> (Option<String>, Option<f64>) {
    read_end(path).map(|text| parse(&text)).unwrap_or_default()
}

/// The end of a regular file, from a line's start; `None` if there is none. Does not wait on a
/// named pipe and follows no link.
fn read_end(path: &Path) -> Option<String> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW;
    let mut file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() {
        return None;
    }
    let skipped = metadata.len().saturating_sub(READ_MAX);
    file.seek(SeekFrom::Start(skipped)).ok()?;
    let mut bytes = Vec::new();
    file.take(READ_MAX).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match skipped {
        0 => Some(text),
        _ => text.split_once('\n').map(|(_, whole_lines)| whole_lines.to_owned()),
    }
}

/// What cannot be understood is passed over: a script's typing error is not the agent's.
fn parse(text: &str) -> (Option<String>, Option<f64>) {
    let (mut phase, mut progress) = (None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("phase=") {
            phase = Some(clean(name));
        } else if let Some(number) = line.strip_prefix("progress=") {
            progress = number.trim().parse().ok().and_then(fraction).or(progress);
        } else if line.starts_with('{')
            && let Ok(object) = serde_json::from_str::<serde_json::Value>(line)
        {
            phase = object["phase"].as_str().map(clean).or(phase);
            progress = object["progress"].as_f64().and_then(fraction).or(progress);
        }
    }
    (phase.filter(|phase| !phase.is_empty()), progress)
}

fn clean(phase: &str) -> String {
    phase.trim().chars().filter(|c| !c.is_control()).take(PHASE_MAX).collect()
}

fn fraction(number: f64) -> Option<f64> {
    number.is_finite().then(|| number.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_each_kind_wins_and_nonsense_is_passed_over() {
        let check = |text: &str, phase: Option<&str>, progress: Option<f64>| {
            assert_eq!(parse(text), (phase.map(str::to_owned), progress), "{text:?}");
        };
        check("", None, None);
        check("phase=load\nprogress=0.1\nphase=train\nprogress=0.42\n", Some("train"), Some(0.42));
        check("progress=0.5\nprogress=many\n", None, Some(0.5));
        check("progress=NaN\nprogress=7\n", None, Some(1.0));
        check("{\"phase\":\"fit\",\"progress\":0.9}\n{broken\n", Some("fit"), Some(0.9));
        check("phase= a\u{7}b \n", Some("ab"), None);
        check(&format!("phase={}", "x".repeat(300)), Some(&"x".repeat(200)), None);
    }

    #[test]
    fn only_the_end_of_a_large_file_is_read_and_a_pipe_does_not_block() {
        let dir = tempfile::tempdir().expect("temp folder");
        let path = dir.path().join("feedback");
        let lines: String =
            (0..=100_000).map(|n| format!("progress={}\n", n as f64 / 1e5)).collect();
        std::fs::write(&path, lines).expect("writes");
        assert_eq!(read(&path), (None, Some(1.0)));
        assert_eq!(read(&dir.path().join("absent")), (None, None));
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("makes a pipe");
        assert_eq!(read(&fifo), (None, None));
    }
}
