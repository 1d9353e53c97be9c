//! Whether anybody writes to a file. While a lease is held nobody begins to: the kernel makes whoever
//! opens the file for writing wait until it is given back.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Sets the signal of a lease; see fcntl(2).
const F_SETSIG: libc::c_int = 10;

/// Nobody has the file open for writing, until this is dropped.
#[derive(Debug)]
pub struct Lease<'a>(&'a File);

/// What the system says of a file's writers.
#[derive(Debug)]
pub enum Writers<'a> {
    Nobody(Lease<'a>),
    Somebody,
    /// The file belongs to another user, or its file system does not tell.
    Unknown,
}

/// Of a file that is open for reading only.
pub fn writers(file: &File) -> Writers<'_> {
    let fd = file.as_raw_fd();
    // SAFETY: plain system calls on an open descriptor. Whoever wants to write while the lease is held
    // has a signal sent to this process; one that is ignored by default takes the place of SIGIO,
    // which would end it.
    let result = unsafe {
        match libc::fcntl(fd, F_SETSIG, libc::SIGURG) {
            0 => libc::fcntl(fd, libc::F_SETLEASE, libc::F_RDLCK),
            failed => failed,
        }
    };
    if result == 0 {
        return Writers::Nobody(Lease(file));
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::EAGAIN) => Writers::Somebody,
        _ => Writers::Unknown,
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // SAFETY: a plain system call on a descriptor that is still open. Closing it would end the
        // lease too.
        unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::sync::mpsc::channel;

    #[test]
    fn no_writer_is_overlooked_and_none_begins_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p");
        let mut writer = File::create(&path).unwrap();
        writer.write_all(b"half").unwrap();
        let reader = File::open(&path).unwrap();
        assert!(matches!(writers(&reader), Writers::Somebody));
        drop(writer);
        let Writers::Nobody(lease) = writers(&reader) else { panic!("nobody writes") };
        let (began, begun) = channel();
        let late = std::thread::spawn(move || {
            fs::write(path, b"late").unwrap();
            began.send(()).unwrap();
        });
        assert_eq!(io::read_to_string(&reader).unwrap(), "half");
        assert!(begun.try_recv().is_err(), "it was written to under a lease");
        drop(lease);
        begun.recv().unwrap();
        late.join().unwrap();
    }
}
