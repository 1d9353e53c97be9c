//! What one output stream of an attempt wrote, byte for byte, under a cap.
//!
//! Small output stays in memory and never touches the disk; larger output moves to a file without a
//! name, which no script can replace and no crash leaves behind. Beyond the cap the first half and the last half are kept, the middle is dropped, and memory and disk
//! stay flat whatever the script writes. It knows bytes only: no characters, no lines.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Output up to this many bytes is kept in memory.
const MEMORY_MAX: usize = 16 * 1024;

/// The kept part of one stream.
#[derive(Debug)]
pub(crate) struct Capture {
    cap: u64,
    /// Bytes the script wrote.
    total: u64,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Memory {
        bytes: Vec<u8>,
        path: PathBuf,
    },
    /// Position of stream offset `o`: `o` in the head, then a ring over the tail's half.
    File(File),
    /// The disk refused; what was kept until then is lost, the script runs on.
    Failed,
}

/// A contiguous piece of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Position in the stream as the script wrote it; jumps where the middle was dropped.
    pub offset: u64,
    pub bytes: Vec<u8>,
}

impl Capture {
    /// `path` is made only when the output outgrows memory.
    pub fn new(path: PathBuf, cap: u64) -> Capture {
        Capture { cap: cap.max(2), total: 0, kept: Kept::Memory { bytes: Vec::new(), path } }
    }

    /// Bytes the script wrote, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn kept(&self) -> u64 {
        match &self.kept {
            Kept::Memory { .. } | Kept::File(_) => self.total.min(self.cap),
            Kept::Failed => 0,
        }
    }

    pub fn is_truncated(&self) -> bool {
        self.total > self.cap
    }

    /// Where the kept output goes on after `offset`: the same offset, or past the dropped middle.
    pub fn next_kept(&self, offset: u64) -> u64 {
        if offset < self.head_cap() || !self.is_truncated() {
            return offset;
        }
        offset.max(self.total - self.tail_cap())
    }

    /// Takes what the script wrote next. A full or broken disk ends the capture, never the script.
    pub fn push(&mut self, bytes: &[u8]) {
        self.spill_before(bytes.len());
        match &mut self.kept {
            Kept::Memory { bytes: kept, .. } => kept.extend_from_slice(bytes),
            Kept::File(_) => {
                if let Err(error) = self.write_file(bytes) {
                    self.fail(&error);
                }
            }
            Kept::Failed => {}
        }
        self.total += bytes.len() as u64;
    }

    /// A kept piece starting at `offset` or, where that was dropped, at the next kept byte; at most
    /// `max` bytes. `None` at the end of what has been written. While the script still writes, ask
    /// only for the head ([`Capture::head_cap`]): the tail moves.
    pub fn read(&self, offset: u64, max: usize) -> io::Result<Option<Chunk>> {
        let offset = self.next_kept(offset);
        if offset >= self.total {
            return Ok(None);
        }
        let mut length = (self.total - offset).min(max as u64);
        if offset < self.head_cap() {
            length = length.min(self.head_cap() - offset);
        } else {
            let ring_idx = (offset - self.head_cap()) % self.tail_cap();
            length = length.min(self.tail_cap() - ring_idx);
        }
        let mut bytes = vec![0; length as usize];
        match &self.kept {
            Kept::Memory { bytes: kept, .. } => {
                bytes.copy_from_slice(&kept[offset as usize..][..length as usize]);
            }
            Kept::File(file) => file.read_exact_at(&mut bytes, self.file_position(offset))?,
            Kept::Failed => return Ok(None),
        }
        Ok(Some(Chunk { offset, bytes }))
    }

    /// The first bytes of a stream, always kept.
    pub fn head_cap(&self) -> u64 {
        self.cap / 2
    }

    fn tail_cap(&self) -> u64 {
        self.cap - self.head_cap()
    }

    fn file_position(&self, offset: u64) -> u64 {
        match offset.checked_sub(self.head_cap()) {
            None => offset,
            Some(in_tail) => self.head_cap() + in_tail % self.tail_cap(),
        }
    }

    fn spill_before(&mut self, n_new: usize) {
        let Kept::Memory { bytes, path } = &self.kept else { return };
        if bytes.len() + n_new <= MEMORY_MAX.min(self.cap as usize) {
            return;
        }
        let written = nameless_file(path).and_then(|file| {
            file.write_all_at(bytes, 0)?;
            Ok(file)
        });
        match written {
            Ok(file) => self.kept = Kept::File(file),
            Err(error) => self.fail(&error),
        }
    }

    fn write_file(&self, mut bytes: &[u8]) -> io::Result<()> {
        let Kept::File(file) = &self.kept else { return Ok(()) };
        let mut offset = self.total;
        while !bytes.is_empty() {
            let position = self.file_position(offset);
            let end = if offset < self.head_cap() { self.head_cap() } else { self.cap };
            let length = bytes.len().min((end - position) as usize);
            file.write_all_at(&bytes[..length], position)?;
            bytes = &bytes[length..];
            offset += length as u64;
        }
        Ok(())
    }

    fn fail(&mut self, error: &io::Error) {
        tracing::warn!(%error, "failed to keep the output of a script; it runs on without");
        self.kept = Kept::Failed;
    }
}

/// A file that goes with its last descriptor.
fn nameless_file(path: &Path) -> io::Result<File> {
    let file = new_file(path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

/// A new file, whatever a script put there under its name: no link is followed.
pub(crate) fn new_file(path: &Path) -> io::Result<File> {
    let open = || File::options().read(true).write(true).create_new(true).mode(0o600).open(path);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            open()
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(capture: &Capture) -> Vec<Chunk> {
        let (mut chunks, mut offset) = (Vec::new(), 0);
        while let Some(chunk) = capture.read(offset, 7000).expect("reads") {
            offset = chunk.offset + chunk.bytes.len() as u64;
            chunks.push(chunk);
        }
        chunks
    }

    /// Writes `n_bytes` of a pattern in pieces of `piece` bytes; checks each kept byte.
    fn check(cap: u64, n_bytes: usize, piece: usize, expect_kept: u64) {
        let dir = tempfile::tempdir().expect("temp folder");
        let pattern: Vec<u8> = (0..n_bytes).map(|idx| (idx % 251) as u8).collect();
        let mut capture = Capture::new(dir.path().join("stream"), cap);
        pattern.chunks(piece).for_each(|piece| capture.push(piece));
        let mut n_kept = 0;
        for chunk in kept(&capture) {
            let at = chunk.offset as usize;
            assert_eq!(chunk.bytes, pattern[at..at + chunk.bytes.len()], "at {at}");
            n_kept += chunk.bytes.len() as u64;
        }
        assert_eq!(n_kept, expect_kept);
        assert_eq!(capture.total(), n_bytes as u64);
        assert_eq!(capture.is_truncated(), n_bytes as u64 > cap);
        if let Kept::File(file) = &capture.kept {
            let on_disk = file.metadata().expect("its size").len();
            assert!(on_disk <= cap, "{on_disk} bytes on disk under a cap of {cap}");
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("folder").count(), 0);
    }

    #[test]
    fn output_is_byte_exact_up_to_the_cap_and_keeps_head_and_tail_beyond() {
        check(1 << 20, 0, 1, 0);
        check(1 << 20, 100, 7, 100);
        check(1 << 20, 16 * 1024, 4096, 16 * 1024);
        check(1 << 20, 16 * 1024 + 1, 4096, 16 * 1024 + 1);
        check(1 << 20, 1 << 20, 4096, 1 << 20);
        check(1 << 20, (1 << 20) + 1, 65536, 1 << 20);
        check(100_000, 1_000_003, 65536, 100_000);
        check(33, 1000, 1000, 33);
        check(10, 11, 1, 10);
    }

    #[test]
    fn small_output_never_touches_the_disk() {
        let dir = tempfile::tempdir().expect("temp folder");
        let mut capture = Capture::new(dir.path().join("stream"), 1 << 20);
        capture.push(b"hello");
        assert_eq!(std::fs::read_dir(dir.path()).expect("folder").count(), 0);
        assert_eq!(kept(&capture), [Chunk { offset: 0, bytes: b"hello".to_vec() }]);
    }

    #[test]
    fn what_a_script_put_in_the_place_of_the_file_is_left_alone() {
        let dir = tempfile::tempdir().expect("temp folder");
        let (victim, path) = (dir.path().join("victim"), dir.path().join("stream"));
        std::fs::write(&victim, "precious").expect("writes");
        let plants: [fn(&Path, &Path) -> io::Result<()>; 2] = [
            |victim, path| std::os::unix::fs::symlink(victim, path),
            |a, b| std::fs::hard_link(a, b),
        ];
        for plant in plants {
            plant(&victim, &path).expect("plants");
            let mut capture = Capture::new(path.clone(), 1 << 20);
            capture.push(&[1; 20_000]);
            capture.push(&[2; 20_000]);
            assert_eq!(capture.read(19_999, 2).expect("reads").expect("kept").bytes, [1, 2]);
            assert_eq!(std::fs::read_to_string(&victim).expect("reads"), "precious");
        }
    }

    #[test]
    fn a_broken_disk_does_not_stop_the_script() {
        let mut capture = Capture::new(PathBuf::from("/nonexistent/stream"), 1 << 20);
        capture.push(&[1; 20_000]);
        capture.push(&[1; 20_000]);
        assert_eq!(capture.total(), 40_000);
        assert_eq!(capture.read(0, 10).expect("reads"), None);
    }
}
