//! The process groups that run now, on disk, and the watchdog that ends them when the agent dies.
//!
//! Each running attempt owns one slot of a small file. A child process of the agent waits on a pipe
//! that closes when the agent ends in whatever way, `kill -9` included; it then kills every group in
//! the file, and what left its group: everything in the control groups of this life or, where there
//! are none, everything that carries the mark of this life. An orderly end leaves nothing to it.

use super::ExecutorOptions;
use super::environment::{DEFAULT_PATH, LIFE};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Bytes per slot: a number and a newline.
const SLOT: usize = 12;

/// `$1` is the file of groups, `$2` the mark of this life, the rest folders of control groups. `kill`
/// needs no `--`: dash has none.
const WATCHDOG: &str = r#"trap '' HUP INT TERM
read -r _
while read -r group; do [ "$group" -gt 1 ] && kill -9 "-$group"; done < "$1"
file=$1 mark=$2
shift 2
if [ $# -eq 0 ]; then
    for environ in $(grep -Fls "$mark" /proc/[0-9]*/environ); do
        pid=${environ#/proc/}
        kill -9 "${pid%/environ}"
    done
fi
for pass in 1 2 3 4 5 6 7 8 9 10; do
    left=
    for base; do
        [ -e "$base/cgroup.kill" ] && echo 1 > "$base/cgroup.kill"
        for procs in "$base"/*/cgroup.procs; do
            while read -r pid; do [ "$pid" -gt 1 ] && kill -9 "$pid" && left=1; done < "$procs"
        done
    done
    [ -z "$left" ] && break
    [ "$pass" -gt 5 ] && sleep 1
done
for base; do rmdir "$base"/*/ "$base"; done
rm -f "$file""#;

#[derive(Debug)]
pub(crate) struct Groups {
    file: File,
    path: PathBuf,
    free: Vec<usize>,
    n_slots: usize,
    /// What finds processes that left their group.
    mark: String,
    bases: Vec<PathBuf>,
    watchdog: Option<Child>,
}

/// A slot held by one running group.
#[derive(Debug)]
pub(crate) struct Slot(usize);

impl Groups {
    /// Makes the file; the life in its name keeps a dying watchdog of an earlier life off this life's
    /// groups. `bases` are the folders of this life's control groups.
    pub fn open(options: &ExecutorOptions, bases: Vec<PathBuf>) -> io::Result<Groups> {
        let path = options.data_dir.join(format!("groups-{:016x}", options.life));
        let file = File::options().write(true).create(true).truncate(true).open(&path)?;
        let mark = format!("{LIFE}={}", options.life_marker());
        let (free, n_slots) = (Vec::new(), 0);
        let mut groups = Groups { file, path, free, n_slots, mark, bases, watchdog: None };
        groups.watch();
        Ok(groups)
    }

    /// Records a group, so that it cannot outlive the agent.
    pub fn add(&mut self, group: i32) -> Slot {
        self.watch();
        let slot_idx = self.free.pop().unwrap_or_else(|| {
            self.n_slots += 1;
            self.n_slots - 1
        });
        self.write(slot_idx, group);
        Slot(slot_idx)
    }

    pub fn remove(&mut self, slot: Slot) {
        self.write(slot.0, 0);
        self.free.push(slot.0);
    }

    fn write(&self, slot_idx: usize, group: i32) {
        let line = format!("{group:<width$}\n", width = SLOT - 1);
        if let Err(error) = self.file.write_all_at(line.as_bytes(), (slot_idx * SLOT) as u64) {
            tracing::warn!(%error, path = %self.path.display(), "failed to record a process group; \
                its processes would outlive a crash of this agent");
        }
    }

    /// Starts the watchdog, also again after someone killed it.
    fn watch(&mut self) {
        if let Some(watchdog) = &mut self.watchdog
            && matches!(watchdog.try_wait(), Ok(None))
        {
            return;
        }
        let watchdog = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "pointsman-watchdog"])
            .arg(&self.path)
            .arg(&self.mark)
            .args(&self.bases)
            .env_clear()
            .env("PATH", DEFAULT_PATH)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.watchdog = watchdog
            .inspect_err(|error| {
                tracing::warn!(%error, "failed to start the watchdog; scripts would outlive a \
                    crash of this agent until it is started again");
            })
            .ok();
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            drop(watchdog.stdin.take());
            // It sees the end of its input and ends; waiting reaps it.
            let _ = watchdog.wait();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}
