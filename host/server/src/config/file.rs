//! The file's content as text: once at the start, and later as a whole, never a half that its writer
//! has not finished.

use super::reader::place;
use super::{ConfigError, FILE_MAX, LoadError};
use pointsman_policy::{Writers, writers};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Why there is no content for the moment.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    #[error("another process has it open for writing")]
    BeingWritten,
    #[error("changed just now, and the system does not tell whether it is being written")]
    JustChanged,
    /// Truncated, to be written: nobody means that all settings go back to their defaults.
    #[error("is empty")]
    Empty,
    #[error("is no file")]
    NoFile,
    #[error("cannot be read: {0}")]
    Failed(#[from] io::Error),
}

impl Unread {
    /// It is about to be there: half of a file is no mistake.
    pub fn is_half(&self) -> bool {
        matches!(self, Unread::BeingWritten | Unread::JustChanged)
    }

    pub fn remedy(&self) -> &'static str {
        match self {
            Unread::BeingWritten => "it is read once that closes it",
            Unread::JustChanged => "it is read once it has not changed for a second",
            Unread::Empty => "write at least a comment to go back to all defaults",
            Unread::Failed(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "allow the user of the host to read it"
            }
            Unread::NoFile | Unread::Failed(_) => "put a configuration there; it is read at once",
        }
    }
}

/// Where the file system does not tell who writes, a file that changed so lately may be half written.
const YOUNG: Duration = Duration::from_secs(1);

/// Whatever can be read: a pipe too.
pub(super) fn read(path: &Path) -> Result<String, LoadError> {
    let failed = |source| LoadError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let bytes = read_bounded(&file).map_err(failed)?;
    text(path, bytes).map_err(|error| LoadError::Refused { errors: vec![error] })
}

/// The content, or what keeps it from being a text.
///
/// # Errors
/// It is not there as a whole now, and may be soon.
pub fn read_settled(path: &Path) -> Result<Result<String, ConfigError>, Unread> {
    // Opening a pipe would otherwise wait for somebody to write to it.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(Unread::NoFile);
    }
    let _lease = match writers(&file) {
        Writers::Nobody(lease) => Some(lease),
        Writers::Unknown if !is_young(&file.metadata()?) => None,
        Writers::Unknown => return Err(Unread::JustChanged),
        Writers::Somebody => return Err(Unread::BeingWritten),
    };
    let before = file.metadata()?;
    let bytes = read_bounded(&file)?;
    // It matters where there is no lease.
    if stamp(&file.metadata()?) != stamp(&before) {
        return Err(Unread::JustChanged);
    }
    if bytes.is_empty() {
        return Err(Unread::Empty);
    }
    Ok(text(path, bytes))
}

/// One byte more than is taken tells that it is too large.
fn read_bounded(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, ConfigError> {
    if bytes.len() as u64 > FILE_MAX {
        let problem = format!("has more than {FILE_MAX} bytes");
        return Err(ConfigError::of_file(path, problem, "name a configuration"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
        let (line, column) = place(&valid, valid.len());
        let error = ConfigError::of_file(path, "is no UTF-8", "save the file as UTF-8");
        ConfigError { line, column, ..error }
    })
}

fn stamp(metadata: &Metadata) -> (u64, i64, i64, i64, i64) {
    (
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
    )
}

/// By a clock that runs with this one.
fn is_young(metadata: &Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|it| SystemTime::now().duration_since(it).ok());
    age.is_some_and(|age| age < YOUNG)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn no_half_and_no_pipe_is_taken_for_a_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        let unread = || read_settled(&path).expect_err("there is no content").to_string();
        assert!(unread().starts_with("cannot be read"));
        let mut writer = File::create(&path).unwrap();
        writer.write_all(b"[retry]\n").unwrap();
        assert!(matches!(read_settled(&path), Err(Unread::BeingWritten)));
        writer.write_all(b"max_retries = 1\n").unwrap();
        drop(writer);
        assert_eq!(read_settled(&path).unwrap().unwrap(), "[retry]\nmax_retries = 1\n");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(read_settled(&path), Err(Unread::Empty)));
        std::fs::write(&path, b"a\n\xff").unwrap();
        assert_eq!(read_settled(&path).unwrap().unwrap_err().line, 2);
        std::fs::remove_file(&path).unwrap();
        let pipe = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the path is a string that ends with a zero byte.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        assert!(matches!(read_settled(&path), Err(Unread::NoFile)));
    }
}
