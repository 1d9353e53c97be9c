//! One script as a process group: its start, its pipes, its end.

use super::cgroup::Group;
use super::spawn::{Spawned, spawn};
use super::{Execution, Shared, Stream, environment, simple_command, strays};
use crate::executor::output::Output;
use std::ffi::{CString, NulError};
use std::io::{self, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;

/// The folder below the data folder that holds everything of running attempts.
pub(crate) const ATTEMPTS: &str = "attempts";

/// A longer script does not fit into one argument (128 KiB) and is run from a file.
const ARGUMENT_MAX: usize = 120_000;

/// Bytes read from one stream after the script's end: more than any pipe holds.
const DRAIN_MAX: usize = 2 << 20;

/// The files of one attempt.
#[derive(Debug)]
pub(crate) struct Files {
    /// The fresh working folder, whose path is also the stem of the other files.
    folder: PathBuf,
    makes_folder: bool,
    pub feedback: PathBuf,
    script: PathBuf,
}

/// A started script. Its process id stays taken until [`Process::reap`], so that signals cannot
/// hit a stranger.
#[derive(Debug)]
pub(crate) struct Process {
    /// Its first process, whose number is also that of its process group and of its session.
    pub group: i32,
    /// Readable once the first process has ended.
    ended: AsyncFd<OwnedFd>,
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

impl Files {
    pub fn new(data_dir: &Path, execution: &Execution) -> Files {
        let folder = data_dir.join(ATTEMPTS).join(execution.key.to_string());
        Files {
            makes_folder: execution.workdir.is_none(),
            feedback: folder.with_extension("feedback"),
            script: folder.with_extension("script"),
            folder,
        }
    }

    pub fn stem(&self) -> &Path {
        &self.folder
    }

    /// Removes what the attempt left. A folder that is not empty goes in the background: nobody
    /// waits for it, and what cannot be removed goes at the agent's next start.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.feedback);
        let _ = std::fs::remove_file(&self.script);
        if self.makes_folder && std::fs::remove_dir(&self.folder).is_err() {
            let folder = self.folder.clone();
            tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder));
        }
    }
}

impl Process {
    /// The error says what could not be done and is meant for the submitter.
    pub fn start(
        shared: &Shared,
        execution: &Execution,
        files: &Files,
        cgroup: Option<&Group>,
    ) -> Result<Process, String> {
        let workdir = working_folder(execution, files)?;
        let environment = environment::of_script(
            &shared.base_environment,
            &shared.options,
            execution,
            workdir,
            &files.feedback,
        );
        let environment = environment.map_err(|_| "env holds a NUL character".to_owned())?;
        let start = |arguments: Vec<CString>| match cgroup {
            None => spawn(&arguments, &environment, workdir),
            Some(group) => {
                let entered = group.enter(shared.homes.clone())?;
                let spawned = spawn(&group.wrapped(arguments), &environment, workdir);
                let left = entered.leave();
                if let (Err(_), Ok(spawned)) = (&left, &spawned) {
                    kill(spawned.pid);
                }
                left.and(spawned)
            }
        };
        let start = |arguments| strays::started(|| start(arguments), |spawned| spawned.pid);
        let without_shell = simple_command::words(&execution.script).and_then(|words| {
            let words: Result<Vec<CString>, NulError> =
                words.into_iter().map(CString::new).collect();
            start(words.ok()?).ok()
        });
        let spawned = match without_shell {
            Some(spawned) => spawned,
            // It also says in its own words why a program cannot be started.
            None => start(shell(execution, files)?).map_err(|error| not_spawned(&error))?,
        };
        let pid = spawned.pid;
        Process::supervised(spawned).map_err(|error| {
            kill(pid);
            format!("failed to supervise the script's process: {error}")
        })
    }

    fn supervised(spawned: Spawned) -> io::Result<Process> {
        Ok(Process {
            group: spawned.pid,
            ended: watch(open_process(spawned.pid)?)?,
            stdout: pipe::Receiver::from_owned_fd(spawned.stdout)?,
            stderr: pipe::Receiver::from_owned_fd(spawned.stderr)?,
        })
    }

    /// Waits for the end of the first process; others of its group may live on.
    pub async fn ended(&self) {
        // An error would mean that the event loop is gone; the reaping then waits by itself.
        let _ = self.ended.readable().await;
    }

    /// Takes what the script writes, for as long as it is polled; never ready.
    pub async fn capture(&self, shared: &Shared, output: &Output) {
        tokio::join!(
            capture(&self.stdout, Stream::Stdout, shared, output),
            capture(&self.stderr, Stream::Stderr, shared, output),
        );
        std::future::pending().await
    }

    /// Takes what is in the pipes now. Does not wait for their end: a process that left the group
    /// may hold them open for ever.
    pub fn drain(&self, shared: &Shared, output: &Output) {
        for (pipe, stream) in [(&self.stdout, Stream::Stdout), (&self.stderr, Stream::Stderr)] {
            let mut buffer = shared.read_buffer.borrow_mut();
            let mut n_read = 0;
            while n_read < DRAIN_MAX {
                // Past the event loop, which may not have noticed yet that the pipe is readable.
                let length = match nix::unistd::read(pipe, &mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => length,
                };
                output.push(stream, &buffer[..length]);
                n_read += length;
            }
        }
    }

    pub fn signal_group(&self, signal: libc::c_int) {
        // SAFETY: has no preconditions; the group's id is still taken by the unreaped process.
        // A failure means that nobody is left to be signalled.
        unsafe { libc::kill(-self.group, signal) };
    }

    /// The exit status of the first process, which must have ended; frees its process id.
    pub fn reap(self) -> io::Result<ExitStatus> {
        wait(self.group)
    }
}

/// Ends a script that has just been started, all of it.
fn kill(pid: i32) {
    // SAFETY: has no preconditions; the process is our child and not reaped.
    unsafe { libc::kill(-pid, libc::SIGKILL) };
    let _ = wait(pid);
}

fn wait(pid: i32) -> io::Result<ExitStatus> {
    strays::forget(pid);
    let mut status = 0;
    loop {
        // SAFETY: writes to a number that outlives the call.
        if unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid {
            return Ok(ExitStatus::from_raw(status));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

async fn capture(pipe: &pipe::Receiver, stream: Stream, shared: &Shared, output: &Output) {
    while pipe.readable().await.is_ok() {
        let mut buffer = shared.read_buffer.borrow_mut();
        match pipe.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => output.push(stream, &buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn working_folder<'a>(execution: &'a Execution, files: &'a Files) -> Result<&'a Path, String> {
    match &execution.workdir {
        Some(workdir) => {
            let workdir = Path::new(workdir);
            if !workdir.is_absolute() {
                return Err(format!("workdir {} must be an absolute path", workdir.display()));
            }
            if !workdir.is_dir() {
                return Err(format!("workdir {} is no folder on this worker", workdir.display()));
            }
            Ok(workdir)
        }
        None => match std::fs::create_dir(&files.folder) {
            Ok(()) => Ok(&files.folder),
            Err(error) => {
                Err(format!("failed to make the folder {}: {error}", files.folder.display()))
            }
        },
    }
}

fn shell(execution: &Execution, files: &Files) -> Result<Vec<CString>, String> {
    let script = &execution.script;
    let in_c =
        |text: &[u8]| CString::new(text).map_err(|_| "the script holds a NUL character".to_owned());
    let mut arguments = vec![c"/bin/sh".to_owned()];
    if script.len() > ARGUMENT_MAX {
        write_new(&files.script, script.as_bytes())
            .map_err(|error| format!("failed to write {}: {error}", files.script.display()))?;
        arguments.push(in_c(files.script.as_os_str().as_bytes())?);
    } else if script.starts_with(['-', '+']) {
        // The shell would take it for options.
        arguments.extend([c"-c".to_owned(), in_c(format!("\n{script}").as_bytes())?]);
    } else {
        arguments.extend([c"-c".to_owned(), in_c(script.as_bytes())?]);
    }
    Ok(arguments)
}

/// Another script may have put something there under this name.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    super::capture::new_file(path)?.write_all(bytes)
}

fn not_spawned(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::E2BIG) => "env is too large for the system: one value may hold 128 KiB, all \
                              together 2 MiB at most"
            .to_owned(),
        _ => format!("failed to start the script: {error}"),
    }
}

/// A descriptor that becomes readable when the process ends.
fn open_process(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes two integers; the process is our child and not reaped, so the id is its own.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = i32::try_from(descriptor).expect("descriptors are small");
    // SAFETY: just opened, owned by nobody else; the kernel sets close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn watch(process: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned, so it stays open and the same as long as it is registered.
    let registered = unsafe { AsyncFd::register_with_interest(process, Interest::READABLE) };
    Ok(registered?)
}
