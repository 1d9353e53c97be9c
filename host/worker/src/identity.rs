//! Who this worker is: a token in its data folder, under a lock for as long as the agent lives.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(crate) struct Identity {
    /// 64 hexadecimal digits; whoever has it is this worker.
    pub token: String,
    /// Holds the lock.
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("{path} is in use by another worker; give each its own data folder")]
    InUse { path: PathBuf },
    #[error("failed to read or write {path}")]
    File { path: PathBuf, source: io::Error },
}

impl Identity {
    /// Takes the identity kept in the folder, or makes one.
    pub fn take(data_dir: &Path) -> Result<Identity, IdentityError> {
        let path = data_dir.join("identity");
        let failed = |source| IdentityError::File { path: path.clone(), source };
        std::fs::create_dir_all(data_dir).map_err(failed)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(failed)?;
        // SAFETY: the descriptor is open as long as `file` lives.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            return Err(IdentityError::InUse { path });
        }
        let mut token = String::new();
        file.read_to_string(&mut token).map_err(failed)?;
        let token = token.trim().to_owned();
        if token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Identity { token, _file: file });
        }
        let token: String = random_bytes().map_err(failed)?.map(|it| format!("{it:02x}")).concat();
        file.set_len(0).map_err(failed)?;
        file.write_all(token.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        Ok(Identity { token, _file: file })
    }
}

impl Identity {
    /// A name of the data folder for processes to carry. Far too short to guess the token by.
    pub fn marker(&self) -> &str {
        &self.token[..16]
    }
}

fn random_bytes() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A number that no other life of any worker has.
pub(crate) fn random_number() -> io::Result<u64> {
    let bytes = random_bytes()?;
    Ok(bytes[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_workers_never_share_an_identity() {
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::take(folder.path()).unwrap();
        assert!(matches!(Identity::take(folder.path()), Err(IdentityError::InUse { .. })));
        let token = first.token.clone();
        drop(first);
        assert_eq!(Identity::take(folder.path()).unwrap().token, token, "it is kept");
    }
}
