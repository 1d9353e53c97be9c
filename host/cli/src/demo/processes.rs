//! The processes of the demonstration: this binary again, as host and as workers. They end with it,
//! also when it is killed, unless they are to be left running.

use super::stage::{N_WORKERS, Stage, WORKER_CPU, WORKER_MEMORY};
use crate::output::Output;
use anyhow::{Context, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub struct Processes {
    binary: PathBuf,
    /// They are to outlive the demonstration.
    keep: bool,
    host: Option<Child>,
    address: String,
    workers: Vec<(String, Child)>,
}

/// Policies are compiled at the first start.
const HOST_PATIENCE: Duration = Duration::from_secs(90);
/// From TERM to KILL at the end.
const END_PATIENCE: Duration = Duration::from_secs(15);

impl Processes {
    /// # Errors
    /// If the path of this binary is not known.
    pub fn new(keep: bool) -> anyhow::Result<Processes> {
        let binary = std::env::current_exe().context("failed to find this binary")?;
        let (address, workers) = (String::new(), Vec::new());
        Ok(Processes { binary, keep, host: None, address, workers })
    }

    fn command(&self, stage: &Stage, name: &str) -> anyhow::Result<Command> {
        let log = File::create(stage.log(name)).context("failed to make a log file")?;
        let mut command = Command::new(&self.binary);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .env_remove("POINTSMAN_HOST")
            .env_remove("POINTSMAN_TOKEN_FILE")
            // Signals from the terminal reach the demonstration alone, which ends them in order.
            .process_group(0)
            .kill_on_drop(!self.keep);
        if !self.keep {
            let end_with_parent =
                || nix::sys::prctl::set_pdeathsig(Signal::SIGTERM).map_err(std::io::Error::from);
            // SAFETY: between fork and exec it makes one system call and allocates nothing.
            unsafe { command.pre_exec(end_with_parent) };
        }
        Ok(command)
    }

    /// Its address.
    ///
    /// # Errors
    /// If it does not come to listen.
    pub async fn start_host(&mut self, stage: &Stage) -> anyhow::Result<String> {
        let mut command = self.command(stage, "host")?;
        command.arg("serve").arg("--config").arg(stage.config()).stdout(Stdio::piped());
        let mut host = command.spawn().context("failed to start the host")?;
        let stdout = host.stdout.take().expect("it was asked for");
        self.host = Some(host);
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(HOST_PATIENCE, lines.next_line()).await;
        let line = line.context("the host did not listen in time")?.context("the host ended")?;
        let address = line.as_deref().and_then(|line| line.strip_prefix("listening on "));
        let log = stage.log("host");
        let address =
            address.ok_or_else(|| anyhow!("the host did not start; see {}", log.display()))?;
        self.address = address.to_owned();
        Ok(self.address.clone())
    }

    /// # Errors
    /// If one cannot be started.
    pub fn start_workers(&mut self, stage: &Stage, address: &str) -> anyhow::Result<()> {
        for number in 1..=N_WORKERS {
            let name = format!("worker-{number}");
            let mut command = self.command(stage, &name)?;
            command.args(["worker", "--host", address, "--name", &name]);
            command.args(["--cpu", WORKER_CPU, "--memory", WORKER_MEMORY]);
            command.arg("--data-dir").arg(stage.worker_dir(&name));
            let worker = command.spawn().with_context(|| format!("failed to start {name}"))?;
            self.workers.push((name, worker));
        }
        Ok(())
    }

    pub fn host_pid(&self) -> Option<u32> {
        self.host.as_ref().and_then(Child::id)
    }

    pub fn worker_pids(&self) -> Vec<(String, u32)> {
        let pid = |(name, worker): &(String, Child)| worker.id().map(|pid| (name.clone(), pid));
        self.workers.iter().filter_map(pid).collect()
    }

    /// # Errors
    /// If one has ended by itself.
    pub fn check(&mut self) -> anyhow::Result<()> {
        for (name, worker) in &mut self.workers {
            if let Some(status) = worker.try_wait()? {
                bail!("{name} ended with {status}");
            }
        }
        Ok(())
    }

    /// At once, without a chance to say good-bye.
    ///
    /// # Errors
    /// If there is no such worker.
    pub async fn kill_worker(&mut self, name: &str) -> anyhow::Result<u32> {
        let found = self.workers.iter().position(|(known, _)| known == name);
        let found = found.with_context(|| format!("there is no worker {name}"))?;
        let (_, mut worker) = self.workers.remove(found);
        let pid = worker.id().with_context(|| format!("{name} has ended already"))?;
        worker.kill().await.with_context(|| format!("failed to kill {name}"))?;
        Ok(pid)
    }

    /// Workers first: they tell the host what ends with them.
    pub async fn end(mut self) {
        let mut workers: Vec<Child> = self.workers.drain(..).map(|(_, child)| child).collect();
        workers.iter().for_each(terminate);
        for worker in &mut workers {
            wait_or_kill(worker).await;
        }
        if let Some(host) = &mut self.host {
            terminate(host);
            wait_or_kill(host).await;
        }
    }

    /// Leaves them running and says how to go on.
    pub fn leave(self, stage: &Stage, output: Output) {
        let pids = self.worker_pids().into_iter().map(|(_, pid)| pid).chain(self.host_pid());
        let pids: Vec<String> = pids.map(|pid| pid.to_string()).collect();
        let binary = self.binary.display();
        if output.json {
            return;
        }
        output.line("");
        output
            .line(format!("host and workers go on running; see them at {}/ or try:", self.address));
        output.line(format!("  export POINTSMAN_HOST={}", self.address));
        for command in
            ["status", "workers", "policy list", "run 'echo hello'", "policy rollback queue"]
        {
            output.line(format!("  {binary} {command}"));
        }
        output.line(format!("  edit {} and see: {binary} policy list", stage.config().display()));
        output.line(format!("  drop a .wasm into {}", stage.policies().display()));
        output.line(format!("to end them: kill {}", pids.join(" ")));
        output.line(format!("all they wrote is in {}", stage.folder().display()));
    }
}

fn terminate(child: &Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

async fn wait_or_kill(child: &mut Child) {
    if tokio::time::timeout(END_PATIENCE, child.wait()).await.is_err() {
        // It may have ended by itself.
        let _ = child.kill().await;
    }
}
