//! Processes of this machine: found by what they carry in their environment, killed, frozen, woken.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A process that ends with its owner, however that ends.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// What it says is appended to the file `log`.
    pub fn spawn(binary: &Path, args: &[&str], log: &Path) -> Process {
        let log = File::options().create(true).append(true).open(log).expect("a log");
        let child = Command::new(binary)
            .args(args)
            .env_remove("POINTSMAN_HOST")
            .env_remove("POINTSMAN_TOKEN_FILE")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        Process(child.expect("the binary is there"))
    }

    pub fn id(&self) -> i32 {
        self.0.id().try_into().expect("process ids are small")
    }

    pub fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal to whichever of the processes are there.
pub fn send(ids: &[i32], signal: Signal) {
    for id in ids {
        let _ = kill(Pid::from_raw(*id), signal);
    }
}

/// Processes in whose environment, as they were started, all of these begin an entry.
pub fn with_environment(beginnings: &[String]) -> Vec<i32> {
    let ids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let carries_all = |id: &i32| {
        // Gone, or somebody else's.
        let Ok(environment) = std::fs::read(format!("/proc/{id}/environ")) else { return false };
        let carried: Vec<&[u8]> = environment.split(|byte| *byte == 0).collect();
        let is_carried = |it: &String| carried.iter().any(|entry| entry.starts_with(it.as_bytes()));
        beginnings.iter().all(is_carried)
    };
    ids.filter(carries_all).collect()
}
