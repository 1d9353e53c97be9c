//! A peer behind a script that drives it: a line of JSON asks, a line answers, the end of the input ends it.

use super::Setting;
use super::installed::Installed;
use super::work::{Measured, Missing, NOOP_TASKS, PATIENCE, PAUSE, SETTLE, WARM_UP, Work};
use super::work::{failed, resident_mib, stamp};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

pub fn measure(script: &str, work: Work, setting: &Setting) -> Measured {
    let folder = tempfile::tempdir().map_err(failed)?;
    let (mut driver, _) = Driver::start(&setting.installed, script, folder.path())?;
    let measured = driver.measure(work, setting.n_slots, folder.path());
    measured.map_err(|missing| match missing {
        Missing::Failed(problem) => failed(format!("{problem}{}", last_words(folder.path()))),
        cannot @ Missing::Cannot(_) => cannot,
    })
}

/// Which versions a script drives.
pub fn version(script: &str, installed: &Installed) -> Result<String, Missing> {
    let folder = tempfile::tempdir().map_err(failed)?;
    let (_driver, hello) = Driver::start(installed, script, folder.path())?;
    Ok(hello["version"].as_str().unwrap_or("no version told").to_owned())
}

struct Driver {
    process: Child,
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
    server_id: u32,
}

impl Driver {
    /// Also what it says of itself.
    fn start(
        installed: &Installed,
        script: &str,
        folder: &Path,
    ) -> Result<(Driver, Value), Missing> {
        let log = File::create(folder.join("driver.log")).map_err(failed)?;
        let mut command = Command::new(&installed.python);
        command.arg(installed.scripts.join(script)).arg(folder);
        // A group of its own, which ends as a whole if the script does not end what it started.
        command.env("PYTHONDONTWRITEBYTECODE", "1").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut process = command.spawn().map_err(failed)?;
        let requests = process.stdin.take();
        let lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            // Nobody listens once the driver was dropped.
            lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let mut driver = Driver { process, requests, answers, server_id: 0 };
        let hello = driver.answer()?;
        let server_id = hello["server_id"].as_u64().and_then(|id| id.try_into().ok());
        driver.server_id = server_id.ok_or_else(|| failed("no server's process id told"))?;
        Ok((driver, hello))
    }

    fn measure(&mut self, work: Work, n_slots: usize, folder: &Path) -> Measured {
        let is_noop = work == Work::Noop;
        let hire = json!({ "do": "hire", "slots": n_slots, "noop": is_noop });
        match work {
            Work::Processes { n } => {
                self.ask(&hire)?;
                self.rate("processes", n / WARM_UP, &json!({ "argv": ["/bin/true"] }))?;
                self.rate("processes", n, &json!({ "argv": ["/bin/true"] }))
            }
            Work::Noop => {
                self.ask(&hire)?;
                self.rate("noop", NOOP_TASKS / WARM_UP, &json!({}))?;
                self.rate("noop", NOOP_TASKS, &json!({}))
            }
            Work::Latency { n } => {
                self.ask(&hire)?;
                self.latency(n / WARM_UP, folder)?;
                self.latency(n, folder)
            }
            Work::Waiting { n } => {
                let before = resident_mib(self.server_id)?;
                self.ask(&json!({ "do": "fill", "n": n }))?;
                // Nothing tells when a peer has put away what it took: its memory is read when it is still.
                std::thread::sleep(SETTLE);
                Ok(vec![before, resident_mib(self.server_id)?])
            }
        }
    }

    fn rate(&mut self, what: &str, n: usize, more: &Value) -> Measured {
        let mut request = more.clone();
        request["do"] = what.into();
        request["n"] = n.into();
        let answer = self.ask(&request)?;
        let seconds = answer["seconds"].as_f64().ok_or_else(|| failed("no time told"))?;
        Ok(vec![n as f64 / seconds])
    }

    fn latency(&mut self, n: usize, folder: &Path) -> Measured {
        let file = folder.join("stamps");
        let answer = self.ask(&json!({
            "do": "latency", "n": n, "argv": ["/bin/sh", "-c", stamp(&file)], "file": file,
            "pause_ms": PAUSE.as_millis() as u64,
        }))?;
        let values = answer["ms"].as_array().into_iter().flatten().filter_map(Value::as_f64);
        Ok(values.collect())
    }

    fn ask(&mut self, request: &Value) -> Result<Value, Missing> {
        let requests = self.requests.as_mut().expect("it is taken when this is dropped");
        writeln!(requests, "{request}").map_err(failed)?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value, Missing> {
        // A driver has a deadline of its own, and more to say then.
        let patience = PATIENCE + Duration::from_secs(30);
        let line = self.answers.recv_timeout(patience).map_err(failed)?;
        let answer: Value = serde_json::from_str(&line).map_err(failed)?;
        match (answer["cannot"].as_str(), answer["failed"].as_str()) {
            (Some(reason), _) => Err(Missing::Cannot(reason.to_owned())),
            (None, Some(problem)) => Err(failed(problem)),
            (None, None) => Ok(answer),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.requests.take());
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            // The standard library waits for a process without a deadline only.
            std::thread::sleep(Duration::from_millis(20));
        }
        let group = Pid::from_raw(self.process.id().cast_signed());
        // Not waited for yet, so the id is still that of this group.
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.process.wait();
    }
}

/// The ends of the logs in that folder.
fn last_words(folder: &Path) -> String {
    let mut words = String::new();
    for name in ["driver.log", "server.log", "scheduler.log", "worker.log"] {
        let log = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let n_skipped = log.lines().count().saturating_sub(5);
        for line in log.lines().skip(n_skipped) {
            words.push_str(&format!("\n    {name}: {line}"));
        }
    }
    words
}
