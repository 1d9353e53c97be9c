//! Files that an operator puts beside a policy, for it to read while it is configured: in the drop-in
//! folder, the folder of the policy's name holds them. Weights of a model come this way.

use crate::generation::Digest;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Files of one policy at most.
pub(crate) const MAX_FILES: usize = 16;
/// Bytes of them together at most.
pub(crate) const MAX_BYTES: usize = 8 << 20;

/// The files of one policy. Cheap to clone.
#[derive(Clone, Default)]
pub struct Assets {
    files: Arc<BTreeMap<String, Arc<[u8]>>>,
    /// Of names and contents; None: there are no files.
    digest: Option<Digest>,
}

impl Assets {
    /// By name.
    pub fn of(files: BTreeMap<String, Arc<[u8]>>) -> Assets {
        let digest = (!files.is_empty()).then(|| Digest::of(&encode(&files)));
        Assets { files: Arc::new(files), digest }
    }

    /// The files of a folder; none if it is not there.
    ///
    /// # Errors
    /// It holds too much, or cannot be read.
    pub fn read(folder: &Path) -> Result<Assets, String> {
        let names = names(folder).map_err(|error| error.told(folder))?;
        let mut files = BTreeMap::new();
        let mut n_bytes = 0;
        for name in names {
            let path = folder.join(&name);
            let cannot = |error| format!("{} cannot be read: {error}", path.display());
            let metadata = std::fs::metadata(&path).map_err(cannot)?;
            if !metadata.is_file() {
                return Err(format!("{} is no file", path.display()));
            }
            n_bytes += metadata.len() as usize;
            if n_bytes > MAX_BYTES {
                return Err(too_large(folder));
            }
            let bytes = std::fs::read(&path).map_err(cannot)?;
            files.insert(name, Arc::from(bytes));
        }
        Ok(Assets::of(files))
    }

    pub(crate) fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// # Errors
    /// There is no such file; says which there are.
    pub(crate) fn get(&self, name: &str) -> Result<&[u8], String> {
        if let Some(bytes) = self.files.get(name) {
            return Ok(bytes);
        }
        let names: Vec<&str> = self.files.keys().map(String::as_str).collect();
        Err(match names.as_slice() {
            [] => format!("there is no file {name:?} beside the policy, nor any other"),
            names => format!(
                "there is no file {name:?} beside the policy; there is {}",
                names.join(", ")
            ),
        })
    }

    /// As one piece, to be kept under [`Self::digest`].
    pub(crate) fn encoded(&self) -> Vec<u8> {
        encode(&self.files)
    }

    /// What [`Self::encoded`] gave; None: it is something else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Assets> {
        let files: BTreeMap<String, Vec<u8>> = postcard::from_bytes(bytes).ok()?;
        Some(Assets::of(files.into_iter().map(|(name, bytes)| (name, bytes.into())).collect()))
    }
}

impl fmt::Debug for Assets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.files.keys()).finish()
    }
}

fn encode(files: &BTreeMap<String, Arc<[u8]>>) -> Vec<u8> {
    let files: BTreeMap<&str, &[u8]> =
        files.iter().map(|(name, bytes)| (name.as_str(), &**bytes)).collect();
    postcard::to_stdvec(&files).expect("text and bytes can be written to memory")
}

/// Why a folder has no list of files.
pub(crate) enum NoNames {
    TooMany,
    Unreadable(std::io::Error),
}

impl NoNames {
    pub fn told(self, folder: &Path) -> String {
        let folder = folder.display();
        match self {
            NoNames::TooMany => {
                format!("{folder} holds more than {MAX_FILES} files; keep the needed ones there")
            }
            NoNames::Unreadable(error) => format!("{folder} cannot be read: {error}"),
        }
    }
}

pub(crate) fn too_large(folder: &Path) -> String {
    let mib = MAX_BYTES >> 20;
    format!("the files in {} are larger than {mib} MiB together", folder.display())
}

/// The names of its files, hidden ones left out; none if it is not there or no folder.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, NoNames> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            return match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Ok(Vec::new()),
                _ => Err(NoNames::Unreadable(error)),
            };
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(NoNames::Unreadable)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || entry.path().is_dir() {
            continue;
        }
        if names.len() == MAX_FILES {
            return Err(NoNames::TooMany);
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_kept_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let none = Assets::read(&folder.path().join("none")).unwrap();
        assert_eq!(none.digest(), None);
        let told = none.get("a").unwrap_err();
        assert_eq!(told, "there is no file \"a\" beside the policy, nor any other");
        for name in ["a", "b", ".hidden"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        std::fs::create_dir(folder.path().join("within")).unwrap();
        let assets = Assets::read(folder.path()).unwrap();
        assert_eq!(assets.get("b"), Ok(&b"b"[..]));
        let told = assets.get("c").unwrap_err();
        assert_eq!(told, "there is no file \"c\" beside the policy; there is a, b");
        let again = Assets::decode(&assets.encoded()).unwrap();
        assert_eq!(again.digest(), assets.digest());
        assert_eq!(Digest::of(&assets.encoded()), assets.digest().unwrap());
        assert!(Assets::decode(b"junk").is_none());
        std::fs::write(folder.path().join("b"), "a").unwrap();
        assert_ne!(Assets::read(folder.path()).unwrap().digest(), assets.digest());
    }

    #[test]
    fn too_much_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("large"), vec![0; MAX_BYTES + 1]).unwrap();
        assert!(Assets::read(folder.path()).unwrap_err().ends_with("larger than 8 MiB together"));
        for i in 0..MAX_FILES {
            std::fs::write(folder.path().join(i.to_string()), "").unwrap();
        }
        assert!(Assets::read(folder.path()).unwrap_err().contains("more than 16 files"));
    }
}
