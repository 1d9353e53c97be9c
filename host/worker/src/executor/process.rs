//! One script as a process group: its start, its pipes, its end.
//!
//! Started without a hook between fork and exec, so that the standard library can spawn without
//! copying the agent's memory map: forking a process of 200 MB takes ten times as long.

use super::{Execution, Shared, Stream, environment, simple_command};
use crate::executor::output::Output;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
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
    child: Child,
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
    pub fn start(shared: &Shared, execution: &Execution, files: &Files) -> Result<Process, String> {
        let workdir = working_folder(execution, files)?;
        let spawn = |mut command: Command| {
            let base = &shared.base_environment;
            environment::set(&mut command, base, &shared.options, execution, &files.feedback);
            command
                .env("PWD", workdir)
                .current_dir(workdir)
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        };
        let without_shell = simple_command::words(&execution.script).and_then(|words| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]);
            spawn(command).ok()
        });
        let child = match without_shell {
            Some(child) => child,
            // It also says in its own words why a program cannot be started.
            None => spawn(shell(execution, files)?).map_err(|error| not_spawned(&error))?,
        };
        Process::supervised(child).map_err(|(mut child, error)| {
            let _ = child.kill();
            let _ = child.wait();
            format!("failed to supervise the script's process: {error}")
        })
    }

    fn supervised(mut child: Child) -> Result<Process, (Child, io::Error)> {
        let group = i32::try_from(child.id()).expect("process ids are positive 32-bit numbers");
        let stdout = child.stdout.take().map(OwnedFd::from).expect("asked for a pipe");
        let stderr = child.stderr.take().map(OwnedFd::from).expect("asked for a pipe");
        let watched = || {
            let ended = watch(open_process(group)?)?;
            Ok((
                ended,
                pipe::Receiver::from_owned_fd(stdout)?,
                pipe::Receiver::from_owned_fd(stderr)?,
            ))
        };
        match watched() {
            Ok((ended, stdout, stderr)) => Ok(Process { child, group, ended, stdout, stderr }),
            Err(error) => Err((child, error)),
        }
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
    pub fn reap(mut self) -> io::Result<ExitStatus> {
        self.child.wait()
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

fn shell(execution: &Execution, files: &Files) -> Result<Command, String> {
    let script = &execution.script;
    if script.contains('\0') {
        return Err("the script holds a NUL character".to_owned());
    }
    let mut command = Command::new("/bin/sh");
    if script.len() > ARGUMENT_MAX {
        std::fs::write(&files.script, script)
            .map_err(|error| format!("failed to write {}: {error}", files.script.display()))?;
        command.arg(&files.script);
    } else if script.starts_with(['-', '+']) {
        // The shell would take it for options.
        command.arg("-c").arg(format!("\n{script}"));
    } else {
        command.arg("-c").arg(script);
    }
    Ok(command)
}

fn not_spawned(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::E2BIG) => "env is too large for the system: one value may hold 128 KiB, all \
                              together 2 MiB at most"
            .to_owned(),
        _ => format!("failed to start /bin/sh: {error}"),
    }
}

/// Marks every descriptor this process inherited itself as not to be inherited further. What the
/// standard library opens is marked already.
pub(crate) fn keep_descriptors_to_ourselves() {
    // SAFETY: changes one flag of open descriptors, which matters only to a later exec. A kernel
    // older than 5.11 refuses; scripts then see what the agent was started with.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
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
