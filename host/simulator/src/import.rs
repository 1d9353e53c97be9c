//! Recorded workloads from elsewhere. Files are taken plain or gzipped, whatever they are called;
//! what is inconsistent is refused with the place and the remedy, never repaired in silence.

pub mod alibaba;
pub mod lanl;
pub mod swf;
pub mod wfcommons;

mod names;

use std::io::Read;
use std::path::{Path, PathBuf};

/// Unpacked files larger than this are refused: 512 MiB.
pub const MAX_BYTES: u64 = 512 << 20;

/// A format that is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    WfCommons,
    Alibaba,
    Swf,
}

/// The format that a text seems to be in, by its header or top-level keys. None: none, perhaps a
/// job file of the project's own.
pub fn format_of(text: &str) -> Option<Format> {
    #[derive(serde::Deserialize)]
    struct Keys {
        #[serde(rename = "schemaVersion")]
        version: Option<serde::de::IgnoredAny>,
        workflow: Option<serde::de::IgnoredAny>,
    }
    if text.starts_with("task_name,") {
        return Some(Format::Alibaba);
    }
    if swf::is_log(text) {
        return Some(Format::Swf);
    }
    let keys: Keys = serde_json::from_str(text).ok()?;
    (keys.version.is_some() || keys.workflow.is_some()).then_some(Format::WfCommons)
}

/// Why a file's text could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("failed to read {path}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("failed to unpack {path}: the gzip data is damaged or cut off", path = path.display())]
    Gzip { path: PathBuf, source: std::io::Error },
    #[error("{path} is larger than 512 MiB unpacked", path = path.display())]
    TooLarge { path: PathBuf },
    #[error("{path} is not UTF-8 text (byte {valid_up_to})", path = path.display())]
    NotText { path: PathBuf, valid_up_to: usize },
}

/// The text of a file, unpacked if it begins like gzip.
///
/// # Errors
/// If it cannot be read or unpacked, is larger than [`MAX_BYTES`] or is not UTF-8.
pub fn read_text(path: &Path) -> Result<String, ReadError> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let path_buf = || path.to_owned();
    let io = |source| ReadError::Io { path: path_buf(), source };
    let mut packed = Vec::new();
    let file = std::fs::File::open(path).map_err(io)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut packed).map_err(io)?;
    let bytes = if packed.starts_with(&GZIP) {
        let mut unpacked = Vec::new();
        flate2::read::MultiGzDecoder::new(&packed[..])
            .take(MAX_BYTES + 1)
            .read_to_end(&mut unpacked)
            .map_err(|source| ReadError::Gzip { path: path_buf(), source })?;
        unpacked
    } else {
        packed
    };
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge { path: path_buf() });
    }
    String::from_utf8(bytes).map_err(|bad| ReadError::NotText {
        path: path_buf(),
        valid_up_to: bad.utf8_error().valid_up_to(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_file_is_never_taken_for_a_recording() {
        assert_eq!(format_of(r#"{"name":"a","tasks":[]}"#), None);
        assert_eq!(format_of(r#"[{"task_name":"a","script":"true"}]"#), None);
        assert_eq!(format_of("task_name = \"a\"\n"), None);
        assert_eq!(format_of(""), None);
        let recording = r#"{"name":"a","schemaVersion":"1.3","workflow":{}}"#;
        assert_eq!(format_of(recording), Some(Format::WfCommons));
        assert_eq!(format_of(alibaba::HEADER), Some(Format::Alibaba));
        let log = "; Version: 2.2\n 1 0 3 4 5 6 7 8 9 10 1 12 13 14 15 16 17 18\n";
        assert_eq!(format_of(log), Some(Format::Swf));
        assert_eq!(format_of("; only a comment\n"), None);
    }
}
