//! Output of attempts, one file per stream, under names made of numbers alone: no text of a client
//! ever becomes part of a path.

use pointsman_scheduler::{AttemptRef, TaskId};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
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
    folder: PathBuf,
    /// Tasks whose output is to be removed, by a thread of its own.
    forgotten: Sender<TaskId>,
}

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece {
    pub bytes: Vec<u8>,
    /// Bytes of the stream that are there altogether.
    pub total: u64,
}

impl Logs {
    /// # Errors
    /// If the folder cannot be made.
    pub fn open(folder: PathBuf) -> io::Result<Logs> {
        std::fs::create_dir_all(&folder)?;
        let (forgotten, to_remove) = channel::<TaskId>();
        let root = folder.clone();
        std::thread::Builder::new().name("log-removal".to_owned()).spawn(move || {
            while let Ok(task) = to_remove.recv() {
                // Most tasks write nothing and have no folder.
                let _ = std::fs::remove_dir_all(root.join(task.0.to_string()));
            }
        })?;
        Ok(Logs { folder, forgotten })
    }

    pub fn forget(&self, task: TaskId) {
        // The thread lives as long as this sender.
        let _ = self.forgotten.send(task);
    }

    /// Writes a piece where it belongs; the same piece again changes nothing.
    ///
    /// # Errors
    /// As the file system's; `InvalidInput` beyond the cap.
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
        let path = self.path(attempt, stream);
        let folder = path.parent().expect("the path has a folder");
        std::fs::create_dir_all(folder)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).custom_flags(libc::O_NOFOLLOW);
        let mut file = options.open(&path)?;
        file.seek(SeekFrom::Start(offset))?;
        file.write_all(bytes)
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
        let path = self.path(attempt, stream);
        let mut options = OpenOptions::new();
        let file = match options.read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Piece::default()),
            Err(error) => return Err(error),
        };
        read_piece(file, offset, max)
    }

    fn path(&self, attempt: AttemptRef, stream: Stream) -> PathBuf {
        let AttemptRef { task, attempt, term } = attempt;
        let file = format!("{attempt}-{}.{}", term.0, stream.name());
        self.folder.join(task.0.to_string()).join(file)
    }
}

fn read_piece(mut file: File, offset: u64, max: u64) -> io::Result<Piece> {
    let total = file.metadata()?.len();
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes)?;
    Ok(Piece { bytes, total })
}
