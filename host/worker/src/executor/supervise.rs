//! The life of one attempt, from start to the report of its end.

use super::feedback::Sampled;
use super::output::Output;
use super::process::{Files, Process};
use super::{Execution, ExecutorEvent, Shared, leftovers, proc_scan, start_failed};
use crate::attempt::{End, Outcome, StopReason};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often a stopped group is looked at once its first process is gone.
const POLL_GROUP: Duration = Duration::from_millis(50);

/// Why supervision went from waiting to ending.
enum Cause {
    Itself,
    Timeout,
    Stopped(StopReason),
}

/// Runs one script to its end. The output is complete when this returns.
pub(crate) async fn run(
    shared: &Shared,
    execution: &Execution,
    stopped: oneshot::Receiver<StopReason>,
) -> (End, Option<Arc<Output>>) {
    let files = Files::new(&shared.options.data_dir, execution);
    let process = match Process::start(shared, execution, &files) {
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

    let cause = supervise(shared, execution, &process, &output, stopped).await;

    // What the script left behind goes before the process id is given back.
    process.signal_group(libc::SIGKILL);
    shared.groups.borrow_mut().remove(slot);
    process.drain(shared, &output);
    let ran = Some(started.elapsed());
    let outcome = match (cause, process.reap()) {
        (Cause::Timeout, _) => Outcome::Timeout,
        (Cause::Stopped(reason), _) => Outcome::Stopped(reason),
        (Cause::Itself, Ok(status)) => outcome_of(shared, status),
        (Cause::Itself, Err(error)) => {
            Outcome::StartFailed(format!("failed to learn how the script ended: {error}"))
        }
    };
    files.remove();
    (End { outcome, ran }, Some(output))
}

/// Waits for the end, ending the group when its time is over or it is told to.
async fn supervise(
    shared: &Shared,
    execution: &Execution,
    process: &Process,
    output: &Output,
    stopped: oneshot::Receiver<StopReason>,
) -> Cause {
    let mut capture = std::pin::pin!(process.capture(shared, output));
    let timeout = async {
        match execution.timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let cause = tokio::select! {
        biased;
        () = process.ended() => Cause::Itself,
        Ok(reason) = stopped => Cause::Stopped(reason),
        () = timeout => Cause::Timeout,
        () = &mut capture => unreachable!("capturing never ends by itself"),
    };
    match cause {
        Cause::Itself => {}
        Cause::Timeout | Cause::Stopped(_) => {
            tokio::select! {
                biased;
                () = end_group(shared, execution, process) => {}
                () = &mut capture => unreachable!("capturing never ends by itself"),
            }
        }
    }
    cause
}

/// TERM to the whole group; KILL to whoever is left after the grace, even if the first process is
/// gone. Returns when the first process has ended.
async fn end_group(shared: &Shared, execution: &Execution, process: &Process) {
    let deadline = tokio::time::Instant::now() + shared.options.kill_grace;
    process.signal_group(libc::SIGTERM);
    // A stopped process could not act on the TERM.
    process.signal_group(libc::SIGCONT);
    let first_ended = tokio::time::timeout_at(deadline, process.ended()).await.is_ok();
    if first_ended {
        while tokio::time::Instant::now() < deadline && is_alive(process.group).await {
            tokio::time::sleep_until(deadline.min(tokio::time::Instant::now() + POLL_GROUP)).await;
        }
    }
    process.signal_group(libc::SIGKILL);
    process.ended().await;
    leftovers::kill_escaped(&shared.options.marker, execution.key).await;
}

async fn is_alive(group: i32) -> bool {
    let scanned = tokio::task::spawn_blocking(proc_scan::group_usage).await;
    let usage = scanned.expect("a look at the process table does not panic");
    usage.get(&group).is_some_and(|usage| usage.n_alive > 0)
}

fn outcome_of(shared: &Shared, status: ExitStatus) -> Outcome {
    // The shell's own status for a child that was killed.
    const SHELL_SIGKILL: i32 = 128 + libc::SIGKILL;
    let was_killed = status.signal() == Some(libc::SIGKILL) || status.code() == Some(SHELL_SIGKILL);
    if was_killed && shared.out_of_memory.borrow_mut().has_new() {
        return Outcome::OutOfMemory;
    }
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::ExitCode(code),
        (None, Some(signal)) => Outcome::Signal(signal),
        (None, None) => Outcome::StartFailed(format!("the system reported the end {status}")),
    }
}
