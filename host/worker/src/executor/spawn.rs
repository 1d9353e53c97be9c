//! Starts a program with everything about it defined: arguments, environment, working folder, three
//! descriptors, a session of its own, and signals as the system has them at first.
//!
//! By `posix_spawn`, which copies nothing of the agent's memory map: forking a process of 200 MB
//! takes ten times as long. The standard library uses it too, but cannot make a session with it.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What runs; not reaped yet.
#[derive(Debug)]
pub(crate) struct Spawned {
    /// Also the number of its process group and of its session.
    pub pid: i32,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

/// Starts `arguments[0]`, a path. Standard input is empty; the umask is the agent's.
pub(crate) fn spawn(
    arguments: &[CString],
    environment: &[CString],
    workdir: &Path,
) -> io::Result<Spawned> {
    let (stdout, stdout_inside) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let (stderr, stderr_inside) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    let workdir = CString::new(workdir.as_os_str().as_bytes())?;
    let mut actions = FileActions::new()?;
    actions.open_null(libc::STDIN_FILENO)?;
    actions.duplicate(&stdout_inside, libc::STDOUT_FILENO)?;
    actions.duplicate(&stderr_inside, libc::STDERR_FILENO)?;
    actions.change_folder(&workdir)?;
    let attributes = Attributes::new()?;
    keep_descriptors_to_ourselves();
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    let mut pid = 0;
    // SAFETY: both lists end with a null pointer and point to texts that outlive the call, as do
    // actions and attributes, which are initialised.
    let error = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            arguments[0],
            &raw const actions.0,
            &raw const attributes.0,
            arguments.as_ptr(),
            environment.as_ptr(),
        )
    };
    check(error)?;
    Ok(Spawned { pid, stdout, stderr })
}

fn pointers(texts: &[CString]) -> Vec<*mut libc::c_char> {
    let texts = texts.iter().map(|text| text.as_ptr().cast_mut());
    texts.chain([std::ptr::null_mut()]).collect()
}

/// Marks every open descriptor as not to be inherited. Whatever started the agent may have left some
/// open, and not every library marks its own.
pub(crate) fn keep_descriptors_to_ourselves() {
    // SAFETY: changes one flag of open descriptors, which matters only to a later exec. A kernel
    // older than 5.11 refuses; scripts then see what was not marked.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

fn check(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// What the new process does with its descriptors before it becomes the program.
struct FileActions(libc::posix_spawn_file_actions_t);

impl FileActions {
    fn new() -> io::Result<FileActions> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: initialises what it is given, and is told by its answer whether it has.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: initialised just now.
        Ok(FileActions(unsafe { actions.assume_init() }))
    }

    fn open_null(&mut self, target: libc::c_int) -> io::Result<()> {
        let path = c"/dev/null".as_ptr();
        // SAFETY: initialised; the path is copied.
        check(unsafe {
            libc::posix_spawn_file_actions_addopen(&raw mut self.0, target, path, libc::O_RDONLY, 0)
        })
    }

    fn duplicate(&mut self, source: &OwnedFd, target: libc::c_int) -> io::Result<()> {
        let source = source.as_raw_fd();
        // SAFETY: initialised.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&raw mut self.0, source, target) })
    }

    fn change_folder(&mut self, path: &CStr) -> io::Result<()> {
        // SAFETY: initialised; the path is copied.
        check(unsafe { libc::posix_spawn_file_actions_addchdir_np(&raw mut self.0, path.as_ptr()) })
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: initialised, and used no more.
        unsafe { libc::posix_spawn_file_actions_destroy(&raw mut self.0) };
    }
}

/// A new session, no signal blocked, none ignored.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: initialises what it is given, and is told by its answer whether it has.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: initialised just now.
        let mut attributes = Attributes(unsafe { attributes.assume_init() });
        let flags = libc::POSIX_SPAWN_SETSID
            | libc::POSIX_SPAWN_SETSIGDEF as libc::c_short
            | libc::POSIX_SPAWN_SETSIGMASK as libc::c_short;
        let (all, none) = (nix::sys::signal::SigSet::all(), nix::sys::signal::SigSet::empty());
        // SAFETY: initialised; both sets are copied.
        unsafe {
            check(libc::posix_spawnattr_setflags(&raw mut attributes.0, flags))?;
            check(libc::posix_spawnattr_setsigdefault(&raw mut attributes.0, all.as_ref()))?;
            check(libc::posix_spawnattr_setsigmask(&raw mut attributes.0, none.as_ref()))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: initialised, and used no more.
        unsafe { libc::posix_spawnattr_destroy(&raw mut self.0) };
    }
}
