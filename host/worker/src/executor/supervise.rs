//! The life of one attempt, from start to the report of its end.

use super::cgroup::{Group, Request};
use super::feedback::Sampled;
use super::output::Output;
use super::process::{Files, Process};
use super::strays::{self, Script};
use super::{Execution, ExecutorEvent, Shared, proc_scan, start_failed};
use crate::attempt::{End, Outcome, StopReason};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often a stopped group is looked at once its first process is gone.
const POLL_GROUP: Duration = Duration::from_millis(50);

/// How often a control group is asked whether it ran out of memory: the kernel may have killed
/// another process than the first.
const POLL_MEMORY: Duration = Duration::from_secs(1);

/// How long killed processes may take to end. Longer: they hang in the kernel, and the slot is
/// given away all the same.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// Why supervision went from waiting to ending.
enum Cause {
    Itself,
    Timeout,
    OutOfMemory,
    Stopped(StopReason),
}

/// One script while it runs.
struct Run<'a> {
    shared: &'a Shared,
    execution: &'a Execution,
    process: &'a Process,
    cgroup: Option<&'a Group>,
}

/// Runs one script to its end. The output is complete, and nothing of it runs any more, when this
/// returns.
pub(crate) async fn run(
    shared: &Shared,
    execution: &Execution,
    stopped: oneshot::Receiver<StopReason>,
) -> (End, Option<Arc<Output>>) {
    let request = Request { cpu_milli: execution.cpu_milli, memory: execution.memory };
    let cgroup = shared.cgroups.borrow_mut().as_mut().map(|it| it.take(request)).transpose();
    let cgroup = match cgroup {
        Ok(cgroup) => cgroup,
        Err(error) => return (start_failed(format!("failed to set its limits: {error}")), None),
    };
    let ended = run_in(shared, execution, cgroup.as_ref(), stopped).await;
    if let (Some(cgroups), Some(cgroup)) = (shared.cgroups.borrow_mut().as_mut(), cgroup) {
        cgroups.give_back(request, cgroup);
    }
    ended
}

async fn run_in(
    shared: &Shared,
    execution: &Execution,
    cgroup: Option<&Group>,
    stopped: oneshot::Receiver<StopReason>,
) -> (End, Option<Arc<Output>>) {
    let files = Files::new(&shared.options.data_dir, execution);
    let process = match Process::start(shared, execution, &files, cgroup) {
        Ok(process) => process,
        Err(reason) => {
            files.remove();
            return (start_failed(reason), None);
        }
    };
    let started = Instant::now();
    let slot = shared.groups.borrow_mut().add(process.group);
    let output = Arc::new(Output::new(files.stem(), shared.options.output_cap));
    if let Some(running) = shared.running.borrow_mut().get_mut(&execution.key) {
        running.sampled = Some(Sampled::new(process.group, started, files.feedback.clone()));
    }
    shared.emit(ExecutorEvent::Started { key: execution.key, output: Arc::clone(&output) });

    let run = Run { shared, execution, process: &process, cgroup };
    let cause = run.supervise(&output, stopped).await;
    // What the script left behind goes before the process id is given back.
    run.end_rest().await;
    let ran_out_of_memory = cgroup.is_some_and(Group::ran_out_of_memory);

    shared.groups.borrow_mut().remove(slot);
    process.drain(shared, &output);
    let ran = Some(started.elapsed());
    let outcome = match (cause, process.reap()) {
        (Cause::Timeout, _) => Outcome::Timeout,
        (Cause::OutOfMemory, _) => Outcome::OutOfMemory,
        (Cause::Stopped(reason), _) => Outcome::Stopped(reason),
        (Cause::Itself, Ok(_)) if ran_out_of_memory => Outcome::OutOfMemory,
        (Cause::Itself, Ok(status)) => outcome_of(shared, cgroup.is_some(), status),
        (Cause::Itself, Err(error)) => {
            Outcome::StartFailed(format!("failed to learn how the script ended: {error}"))
        }
    };
    files.remove();
    (End { outcome, ran }, Some(output))
}

impl Run<'_> {
    /// Waits for the end, ending the script when its time is over or it is told to.
    async fn supervise(&self, output: &Output, stopped: oneshot::Receiver<StopReason>) -> Cause {
        let mut capture = std::pin::pin!(self.process.capture(self.shared, output));
        let timeout = async {
            match self.execution.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        let cause = tokio::select! {
            biased;
            () = self.process.ended() => Cause::Itself,
            Ok(reason) = stopped => Cause::Stopped(reason),
            () = timeout => Cause::Timeout,
            () = self.out_of_memory() => Cause::OutOfMemory,
            () = &mut capture => unreachable!("capturing never ends by itself"),
        };
        let ending = async {
            match cause {
                Cause::Itself => {}
                // As if the kernel had chosen all of it.
                Cause::OutOfMemory => {
                    self.process.signal_group(libc::SIGKILL);
                    self.process.ended().await;
                }
                Cause::Timeout | Cause::Stopped(_) => self.end_in_time().await,
            }
        };
        tokio::select! {
            biased;
            () = ending => {}
            () = &mut capture => unreachable!("capturing never ends by itself"),
        }
        cause
    }

    /// Ready once the kernel has killed for memory among these processes.
    async fn out_of_memory(&self) {
        let Some(cgroup) = self.cgroup else { return std::future::pending().await };
        loop {
            tokio::time::sleep(POLL_MEMORY).await;
            if cgroup.ran_out_of_memory() {
                return;
            }
        }
    }

    /// TERM to all of it; KILL to the whole group after the grace, or once nobody is left, even if
    /// the first process is gone. Returns when the first process has ended.
    async fn end_in_time(&self) {
        let deadline = tokio::time::Instant::now() + self.shared.options.kill_grace;
        self.signal_all(libc::SIGTERM);
        // A stopped process could not act on the TERM.
        self.signal_all(libc::SIGCONT);
        let first_ended = tokio::time::timeout_at(deadline, self.process.ended()).await.is_ok();
        if first_ended {
            while tokio::time::Instant::now() < deadline && self.is_alive().await {
                let next = tokio::time::Instant::now() + POLL_GROUP;
                tokio::time::sleep_until(deadline.min(next)).await;
            }
        }
        self.process.signal_group(libc::SIGKILL);
        self.process.ended().await;
    }

    /// Each process once: in its group, or out of it but in the control group.
    fn signal_all(&self, signal: libc::c_int) {
        self.process.signal_group(signal);
        for pid in self.cgroup.map(Group::pids).unwrap_or_default() {
            // SAFETY: have no preconditions. The process was in the control group a moment ago.
            unsafe {
                if libc::getpgid(pid) != self.process.group {
                    libc::kill(pid, signal);
                }
            }
        }
    }

    async fn is_alive(&self) -> bool {
        if let Some(cgroup) = self.cgroup {
            return !cgroup.pids().is_empty();
        }
        let scanned = tokio::task::spawn_blocking(proc_scan::group_usage).await;
        let usage = scanned.expect("a look at the process table does not panic");
        usage.get(&self.process.group).is_some_and(|usage| usage.n_alive > 0)
    }

    /// Kills what is left once the first process has ended, and waits until it is gone.
    async fn end_rest(&self) {
        self.process.signal_group(libc::SIGKILL);
        let deadline = Instant::now() + GONE_WITHIN;
        let mut pause = Duration::from_micros(200);
        while self.kill_rest() {
            if Instant::now() > deadline {
                tracing::error!(
                    attempt = %self.execution.key,
                    "killed processes of a script do not end; they hang in the kernel"
                );
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(POLL_GROUP);
        }
    }

    /// Answers whether anything was there.
    fn kill_rest(&self) -> bool {
        match self.cgroup {
            Some(cgroup) if cgroup.is_empty() => false,
            Some(cgroup) => {
                cgroup.kill();
                true
            }
            None => strays::kill(Script {
                key: self.execution.key,
                pid: self.process.group,
                marker: &self.shared.options.life_marker(),
            }),
        }
    }
}

/// Without a control group that tells, a kill for memory is known only of the whole machine.
fn outcome_of(shared: &Shared, is_told_exactly: bool, status: ExitStatus) -> Outcome {
    // The shell's own status for a child that was killed.
    const SHELL_SIGKILL: i32 = 128 + libc::SIGKILL;
    let was_killed = status.signal() == Some(libc::SIGKILL) || status.code() == Some(SHELL_SIGKILL);
    if was_killed && !is_told_exactly && shared.out_of_memory.borrow_mut().has_new() {
        return Outcome::OutOfMemory;
    }
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::ExitCode(code),
        (None, Some(signal)) => Outcome::Signal(signal),
        (None, None) => Outcome::StartFailed(format!("the system reported the end {status}")),
    }
}
