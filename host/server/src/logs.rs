//! Output of attempts, one file per stream, under names made of numbers alone: no text of a client
//! ever becomes part of a path. Scripts may run as the same user as the host and put links into its
//! folders: every step of a path is opened by itself and follows none.

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::sys::statvfs::fstatvfs;
use pointsman_scheduler::{AttemptRef, TaskId};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};

/// Bytes kept of one stream at most; workers cap lower.
pub const STREAM_MAX: u64 = 64 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub fn find(name: &str) -> Option<Stream> {
        match name {
            "stdout" => Some(Stream::Stdout),
            "stderr" => Some(Stream::Stderr),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

#[derive(Debug)]
pub struct Logs {
    /// Opened once: whatever happens to its path, logs are in this folder and no other.
    folder: OwnedFd,
    /// Tasks whose output is to be removed, by a thread of its own.
    forgotten: Sender<TaskId>,
    /// Bytes of a volume of so many that output leaves free.
    reserve: fn(u64) -> u64,
}

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    pub bytes: Vec<u8>,
    /// Bytes of the stream that are there altogether.
    pub total: u64,
    /// Whether the script wrote more than was kept.
    pub truncated: bool,
}

/// Read and written by the host alone.
const FILE_MODE: Mode = Mode::S_IRUSR.union(Mode::S_IWUSR).union(Mode::S_IRGRP);
const FOLDER_MODE: Mode = Mode::S_IRWXU.union(Mode::S_IRGRP).union(Mode::S_IXGRP);

impl Logs {
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(folder: PathBuf) -> io::Result<Logs> {
        Logs::open_beside(folder, reserved)
    }

    fn open_beside(folder: PathBuf, reserve: fn(u64) -> u64) -> io::Result<Logs> {
        std::fs::create_dir_all(&folder)?;
        let (forgotten, to_remove) = channel::<TaskId>();
        let root = folder;
        let folder = OwnedFd::from(File::open(&root)?);
        std::thread::Builder::new().name("log-removal".to_owned()).spawn(move || {
            while let Ok(task) = to_remove.recv() {
                // Most tasks write nothing and have no folder.
                let _ = std::fs::remove_dir_all(root.join(task.0.to_string()));
            }
        })?;
        Ok(Logs { folder, forgotten, reserve })
    }

    pub fn forget(&self, task: TaskId) {
        // The thread lives as long as this sender.
        let _ = self.forgotten.send(task);
    }

    /// Writes a piece where it belongs; the same piece again changes nothing.
    ///
    /// # Errors
    /// As the file system's; `InvalidInput` beyond the cap; `StorageFull` while the volume has hardly more
    /// left than is kept for the store.
    pub fn write(
        &self,
        attempt: AttemptRef,
        stream: Stream,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<()> {
        if offset.saturating_add(bytes.len() as u64) > STREAM_MAX {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        self.check_room(bytes.len() as u64)?;
        let folder = match mkdirat(&self.folder, task_folder(attempt).as_str(), FOLDER_MODE) {
            Ok(()) | Err(nix::Error::EEXIST) => self.open_folder(attempt)?,
            Err(error) => return Err(error.into()),
        };
        let mut file =
            open_file(&folder, &file_name(attempt, stream), OFlag::O_RDWR | OFlag::O_CREAT)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
    }

    /// The store may lie on the same volume, and comes first.
    fn check_room(&self, n_bytes: u64) -> io::Result<()> {
        let volume = fstatvfs(&self.folder)?;
        let bytes = |n_blocks: u64| n_blocks.saturating_mul(volume.fragment_size());
        let reserved = (self.reserve)(bytes(volume.blocks()));
        match bytes(volume.blocks_available()) < reserved.saturating_add(n_bytes) {
            true => Err(io::Error::from(io::ErrorKind::StorageFull)),
            false => Ok(()),
        }
    }

    /// Notes that the script wrote more than was kept, of which something has been written.
    ///
    /// # Errors
    /// As the file system's.
    pub fn note_truncated(&self, attempt: AttemptRef, stream: Stream) -> io::Result<()> {
        let folder = self.open_folder(attempt)?;
        open_file(&folder, &mark_name(attempt, stream), OFlag::O_RDWR | OFlag::O_CREAT)?;
        Ok(())
    }

    /// At most `max` bytes from `offset` on; nothing if the attempt wrote nothing.
    ///
    /// # Errors
    /// As the file system's.
    pub fn read(
        &self,
        attempt: AttemptRef,
        stream: Stream,
        offset: u64,
        max: u64,
    ) -> io::Result<Piece> {
        let open = |name: String| -> io::Result<Option<File>> {
            let opened =
                self.open_folder(attempt).and_then(|it| open_file(&it, &name, OFlag::O_RDONLY));
            match opened {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                opened => opened.map(Some),
            }
        };
        let Some(file) = open(file_name(attempt, stream))? else { return Ok(Piece::default()) };
        let truncated = open(mark_name(attempt, stream))?.is_some();
        Ok(Piece { truncated, ..read_piece(file, offset, max)? })
    }

    fn open_folder(&self, attempt: AttemptRef) -> io::Result<OwnedFd> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(&self.folder, task_folder(attempt).as_str(), flags, Mode::empty())?)
    }
}

/// A twentieth, at most 1 GiB.
fn reserved(volume: u64) -> u64 {
    (volume / 20).min(1 << 30)
}

fn task_folder(attempt: AttemptRef) -> String {
    attempt.task.0.to_string()
}

fn file_name(attempt: AttemptRef, stream: Stream) -> String {
    format!("{}-{}.{}", attempt.attempt, attempt.term.0, stream.name())
}

fn mark_name(attempt: AttemptRef, stream: Stream) -> String {
    format!("{}.truncated", file_name(attempt, stream))
}

/// A plain file with no other name: neither a link nor a pipe, whoever put it there.
fn open_file(folder: impl AsFd, name: &str, flags: OFlag) -> io::Result<File> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(folder, name, flags, FILE_MODE)?);
    let metadata = file.metadata()?;
    match metadata.is_file() && metadata.nlink() == 1 {
        true => Ok(file),
        false => Err(io::Error::other("something else is in the place of the log")),
    }
}

fn read_piece(mut file: File, offset: u64, max: u64) -> io::Result<Piece> {
    let total = file.metadata()?.len();
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(Piece { bytes, total, truncated: false })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pointsman_scheduler::Term;

    const ATTEMPT: AttemptRef = AttemptRef { task: TaskId(1), attempt: 1, term: Term(1) };

    #[test]
    fn output_never_takes_what_is_kept_for_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let full = Logs::open_beside(folder.path().to_owned(), |_| u64::MAX).unwrap();
        let refused = full.write(ATTEMPT, Stream::Stdout, 0, b"x").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
        assert_eq!(full.read(ATTEMPT, Stream::Stdout, 0, 10).unwrap(), Piece::default());
        let roomy = Logs::open_beside(folder.path().to_owned(), |_| 0).unwrap();
        roomy.write(ATTEMPT, Stream::Stdout, 0, b"x").unwrap();
        // What is there is read all the same.
        assert_eq!(full.read(ATTEMPT, Stream::Stdout, 0, 10).unwrap().bytes, b"x");
    }

    #[test]
    fn the_reserve_never_takes_a_small_volume_whole() {
        assert_eq!(reserved(256 << 20), (256 << 20) / 20);
        assert_eq!(reserved(1 << 40), 1 << 30);
    }
}
