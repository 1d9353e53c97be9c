//! The write-ahead log, looked at before SQLite does. SQLite takes the log up to the first frame
//! that is not whole and drops the rest without a word. That is right for a last write that a power
//! cut tore, which nobody was told of; it is wrong for damage with acknowledged writes behind it.

use super::opening::beside;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// What a look at the log found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogState {
    /// Nothing is in it.
    Empty,
    Whole,
    /// The last write was cut off at this byte, and so was never acknowledged.
    Torn {
        offset: u64,
    },
    /// A frame is damaged at this byte, and whole writes come after it.
    Damaged {
        offset: u64,
        n_frames_after: u64,
    },
}

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
/// The lowest bit tells the byte order of the sums.
const MAGIC: u32 = 0x377f_0682;

type Sum = (u32, u32);

struct Log {
    is_big_endian: bool,
    page: usize,
    salts: [u8; 8],
    sum: Sum,
}

struct Frame {
    is_ours: bool,
    is_blank: bool,
    is_commit: bool,
    /// As it stands in the frame; the next frame's goes on from here.
    stored: Sum,
    /// Goes on from what stands in the frame before.
    follows: bool,
}

pub(super) fn inspect(store: &Path) -> std::io::Result<LogState> {
    let path = beside(store, "-wal");
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(LogState::Empty),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut header = [0; HEADER];
    if length < HEADER as u64 {
        // Even its first write was not finished.
        return Ok(if length == 0 { LogState::Empty } else { LogState::Torn { offset: 0 } });
    }
    reader.read_exact(&mut header)?;
    let Some(log) = Log::parse(&header) else {
        let is_first_write = length == HEADER as u64;
        return Ok(if is_first_write {
            LogState::Torn { offset: 0 }
        } else {
            let n_frames_after = 0;
            LogState::Damaged { offset: 0, n_frames_after }
        });
    };
    walk(&log, reader, length)
}

/// Copies all whole frames to the log of `copy`, with sums that go on from one to the next, so that
/// SQLite takes them all. How many were left out.
pub(super) fn copy_whole_frames(store: &Path, copy: &Path) -> std::io::Result<u64> {
    let log_path = beside(store, "-wal");
    if !log_path.exists() {
        return Ok(0);
    }
    let bytes = std::fs::read(log_path)?;
    let header = bytes.first_chunk::<HEADER>();
    let Some((header, log)) = header.and_then(|header| Some((header, Log::parse(header)?))) else {
        return Ok(0);
    };
    let mut out = header.to_vec();
    let (mut before, mut sum, mut n_left_out) = (log.sum, log.sum, 0);
    for bytes in bytes[HEADER..].chunks_exact(FRAME_HEADER + log.page) {
        let frame = log.frame(bytes, before);
        before = frame.stored;
        if !frame.is_ours {
            continue;
        }
        if !frame.follows {
            n_left_out += 1;
            continue;
        }
        let (header, page) = bytes.split_at(FRAME_HEADER);
        sum = add(add(sum, &header[..8], log.is_big_endian), page, log.is_big_endian);
        out.extend_from_slice(&header[..16]);
        out.extend(sum.0.to_be_bytes());
        out.extend(sum.1.to_be_bytes());
        out.extend_from_slice(page);
    }
    std::fs::write(beside(copy, "-wal"), out)?;
    Ok(n_left_out)
}

fn walk(log: &Log, mut reader: impl Read, length: u64) -> std::io::Result<LogState> {
    let frame_bytes = (FRAME_HEADER + log.page) as u64;
    let offset = |number: u64| HEADER as u64 + number * frame_bytes;
    let n_frames = (length - HEADER as u64) / frame_bytes;
    let mut buffer = vec![0; FRAME_HEADER + log.page];
    let mut before = log.sum;
    let mut walk = Walk::default();
    for number in 0..n_frames {
        reader.read_exact(&mut buffer)?;
        let frame = log.frame(&buffer, before);
        before = frame.stored;
        walk.take(number, &frame);
    }
    // A frame that the file ends in.
    let rest = (length - HEADER as u64) % frame_bytes;
    let mut start = vec![0; (rest as usize).min(FRAME_HEADER)];
    reader.read_exact(&mut start)?;
    let is_cut = rest > 0 && walk.first_bad.is_none() && log.may_begin_frame(&start);
    Ok(match walk.first_bad {
        Some(bad) if walk.n_frames_after > 0 => {
            LogState::Damaged { offset: offset(bad), n_frames_after: walk.n_frames_after }
        }
        _ if is_cut || walk.is_torn || walk.n_open > 0 => {
            LogState::Torn { offset: offset(walk.n_committed) }
        }
        _ => LogState::Whole,
    })
}

/// What is known after each frame.
#[derive(Default)]
struct Walk {
    /// Frames up to the last whole write.
    n_committed: u64,
    /// Whole frames of a write that has not ended.
    n_open: u64,
    first_bad: Option<u64>,
    /// The write in which the bad frame lies has an end.
    is_past_write: bool,
    /// Whole frames of later writes: those are begun only when the one before is safe.
    n_frames_after: u64,
    /// What is not whole was written by this life of the log; older lives leave their frames behind.
    is_torn: bool,
}

impl Walk {
    fn take(&mut self, number: u64, frame: &Frame) {
        let is_whole = frame.is_ours && frame.follows;
        if self.first_bad.is_none() && is_whole {
            self.n_open += 1;
            if frame.is_commit {
                self.n_committed = number + 1;
                self.n_open = 0;
            }
            return;
        }
        self.first_bad.get_or_insert(number);
        self.is_torn |= frame.is_ours || (frame.is_blank && self.first_bad == Some(number));
        if self.is_past_write && is_whole {
            self.n_frames_after += 1;
        }
        self.is_past_write |= frame.is_ours && frame.is_commit;
    }
}

impl Log {
    fn parse(header: &[u8; HEADER]) -> Option<Log> {
        let magic = be32(header, 0);
        if magic & !1 != MAGIC {
            return None;
        }
        let is_big_endian = magic & 1 == 1;
        let log = Log {
            is_big_endian,
            page: be32(header, 8) as usize,
            salts: header[16..24].try_into().expect("eight bytes"),
            sum: add((0, 0), &header[..24], is_big_endian),
        };
        let is_whole = log.sum == (be32(header, 24), be32(header, 28));
        (is_whole && log.page.is_power_of_two() && log.page >= 512).then_some(log)
    }

    fn frame(&self, bytes: &[u8], before: Sum) -> Frame {
        let (header, page) = bytes.split_at(FRAME_HEADER);
        let sum = add(add(before, &header[..8], self.is_big_endian), page, self.is_big_endian);
        let stored = (be32(header, 16), be32(header, 20));
        Frame {
            is_ours: header[8..16] == self.salts,
            is_blank: header.iter().all(|byte| *byte == 0),
            is_commit: be32(header, 4) != 0,
            stored,
            follows: sum == stored,
        }
    }

    fn may_begin_frame(&self, start: &[u8]) -> bool {
        let salts = start.get(8..).unwrap_or_default();
        let n_known = salts.len().min(self.salts.len());
        salts[..n_known] == self.salts[..n_known]
    }
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// SQLite's sum: over pairs of words, each pair stirred into both halves.
fn add(sum: Sum, bytes: &[u8], is_big_endian: bool) -> Sum {
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().expect("four bytes");
        if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    };
    let (mut first, mut second) = sum;
    for pair in bytes.chunks_exact(8) {
        first = first.wrapping_add(word(&pair[..4])).wrapping_add(second);
        second = second.wrapping_add(word(&pair[4..])).wrapping_add(first);
    }
    (first, second)
}
