//! Writing files so that a crash leaves the old or the new content, never a mixture.

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// A folder that only this user can enter. One that others can enter is closed to them.
///
/// # Errors
/// It cannot be made or closed, or is another user's, who could put anything there.
pub(crate) fn make_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let metadata = path.metadata()?;
    // SAFETY: asks for a number and cannot fail.
    if metadata.uid() != unsafe { libc::geteuid() } {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is another user's folder"));
    }
    if metadata.mode() & 0o077 != 0 {
        std::fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// What ends the names of files that are being written.
pub(crate) const BEING_WRITTEN: &str = ".tmp";

/// Writes beside it, then renames over it. When this returns a power cut leaves the new content;
/// after an error the old one is there and nothing beside it.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, |file| file.write_all(bytes).and_then(|()| file.sync_all()))?;
    // The new name is durable once its folder is.
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Returns when the disk has a file and its name.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The same without waiting for the disk: a power cut may leave anything under the name, so whoever
/// reads it has to find out.
pub(crate) fn write_unsynced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, |file| file.write_all(bytes))
}

fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}{BEING_WRITTEN}", std::process::id()));
    let beside = path.with_file_name(name);
    let written = File::create(&beside).and_then(|mut file| write(&mut file));
    let written = written.and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // It may never have been made.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_folder_that_others_can_enter_is_used_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().mode() & 0o777;
        let made = root.path().join("a/b");
        make_private_dir(&made).unwrap();
        assert_eq!(mode(&made), 0o700);
        std::fs::set_permissions(&made, Permissions::from_mode(0o777)).unwrap();
        make_private_dir(&made).unwrap();
        assert_eq!(mode(&made), 0o700);
    }

    #[test]
    fn nothing_is_left_beside_what_was_written() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        for text in ["old", "new"] {
            write_whole(&path, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn nothing_is_left_beside_what_could_not_be_written() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("state");
        std::fs::create_dir_all(path.join("in the way")).unwrap();
        assert!(write_whole(&path, b"new").is_err());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
