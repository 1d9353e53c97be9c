//! Both output streams of one attempt, shared between the executor, which writes, and the upload,
//! which reads.

use super::capture::Capture;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// A contiguous piece of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputChunk {
    /// Position in the stream as the script wrote it; jumps where a middle part was dropped.
    pub offset: u64,
    pub bytes: Vec<u8>,
}

/// What an attempt wrote. Its files go with the last holder.
#[derive(Debug)]
pub struct Output {
    stdout: Mutex<Capture>,
    stderr: Mutex<Capture>,
}

impl Stream {
    pub const ALL: [Stream; 2] = [Stream::Stdout, Stream::Stderr];
}

impl Output {
    /// Files, made only for large output, are `stem` with the stream's name as extension.
    pub(crate) fn new(stem: &Path, cap: u64) -> Output {
        Output {
            stdout: Mutex::new(Capture::new(stem.with_extension("stdout"), cap)),
            stderr: Mutex::new(Capture::new(stem.with_extension("stderr"), cap)),
        }
    }

    pub(crate) fn push(&self, stream: Stream, bytes: &[u8]) {
        self.capture(stream).push(bytes);
    }

    /// Bytes the script wrote so far, kept or not.
    pub fn total(&self, stream: Stream) -> u64 {
        self.capture(stream).total()
    }

    /// Bytes kept of it, in memory or on disk.
    pub fn kept(&self) -> u64 {
        Stream::ALL.iter().map(|stream| self.capture(*stream).kept()).sum()
    }

    pub fn is_empty(&self) -> bool {
        Stream::ALL.iter().all(|stream| self.total(*stream) == 0)
    }

    pub fn is_truncated(&self, stream: Stream) -> bool {
        self.capture(stream).is_truncated()
    }

    /// A kept piece from `offset` on, at most `max` bytes; its own offset is later where a part was
    /// dropped. `None` at the end. For attempts that have ended.
    pub fn read(&self, stream: Stream, offset: u64, max: usize) -> io::Result<Option<OutputChunk>> {
        let chunk = self.capture(stream).read(offset, max)?;
        Ok(chunk.map(|chunk| OutputChunk { offset: chunk.offset, bytes: chunk.bytes }))
    }

    /// As `read`, for attempts that still run: stops at the end of the head, because the tail moves.
    pub fn read_head(
        &self,
        stream: Stream,
        offset: u64,
        max: usize,
    ) -> io::Result<Option<OutputChunk>> {
        let capture = self.capture(stream);
        if offset >= capture.head_cap() {
            return Ok(None);
        }
        let chunk = capture.read(offset, max)?;
        Ok(chunk.map(|chunk| OutputChunk { offset: chunk.offset, bytes: chunk.bytes }))
    }

    fn capture(&self, stream: Stream) -> MutexGuard<'_, Capture> {
        let mutex = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        mutex.lock().expect("no holder of this lock panics")
    }
}
