//! Compiled components kept on disk, so that a start does not compile again. Only files written
//! here are taken: the folder is private, and each file carries a checksum.

use crate::admission::{Compiler, Refusal, Stage};
use crate::disk::{make_private_dir, write_whole};
use crate::engine::PolicyEngine;
use crate::generation::Digest;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wasmtime::component::Component;

/// More files than this: the oldest go.
const MAX_FILES: usize = 64;
const CHECKSUM: usize = 32;

/// A folder of compiled components; without one, each is compiled anew.
pub(crate) struct CompileCache {
    folder: Option<PathBuf>,
}

impl CompileCache {
    /// Without a folder that can be written, nothing is kept.
    pub fn new(folder: Option<PathBuf>) -> CompileCache {
        let folder = folder.filter(|folder| match make_private_dir(folder) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!("no compiled policies are kept in {}: {error}", folder.display());
                false
            }
        });
        CompileCache { folder }
    }

    /// Everything that makes compiled code usable is in the name.
    fn path(&self, engine: &PolicyEngine, bytes: &[u8]) -> Option<PathBuf> {
        let mut hasher = DefaultHasher::new();
        engine.raw().precompile_compatibility_hash().hash(&mut hasher);
        let name = format!(
            "{}-{:016x}-{}.compiled",
            Digest::of(bytes),
            hasher.finish(),
            env!("CARGO_PKG_VERSION")
        );
        Some(self.folder.as_ref()?.join(name))
    }

    fn store(&self, path: &Path, component: &Component) {
        let code = match component.serialize() {
            Ok(code) => code,
            Err(error) => {
                tracing::warn!("a compiled policy cannot be kept: {error:#}");
                return;
            }
        };
        let file = [&Digest::of(&code).0[..], &code].concat();
        if let Err(error) = write_whole(path, &file) {
            tracing::warn!("{} cannot be written: {error}", path.display());
            return;
        }
        self.prune();
    }

    fn prune(&self) {
        let files = self.folder.as_ref().and_then(|folder| std::fs::read_dir(folder).ok());
        let mut files: Vec<(SystemTime, PathBuf)> = files
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let entry = entry.ok()?;
                Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
            })
            .collect();
        files.sort();
        for (_, path) in files.iter().rev().skip(MAX_FILES) {
            // What cannot be removed costs space only.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Compiler for CompileCache {
    fn compile(&self, engine: &PolicyEngine, bytes: &[u8]) -> Result<Component, Refusal> {
        let path = self.path(engine, bytes);
        if let Some(component) = path.as_ref().and_then(|path| load(path, engine)) {
            return Ok(component);
        }
        let component = Component::from_binary(engine.raw(), bytes)
            .map_err(|error| Refusal::new(Stage::Compile, format!("{error:#}")))?;
        if let Some(path) = &path {
            self.store(path, &component);
        }
        Ok(component)
    }
}

/// None: it is not there, or is not what was written.
fn load(path: &Path, engine: &PolicyEngine) -> Option<Component> {
    let file = std::fs::read(path).ok()?;
    let (checksum, code) = file.split_at_checked(CHECKSUM)?;
    if Digest::of(code).0 != checksum {
        return None;
    }
    // SAFETY: the bytes are those that `Component::serialize` gave: this host wrote them to a
    // folder that only its user can write, and the checksum shows that they are unchanged. The
    // version and settings of the engine are part of the file's name, and checked again by wasmtime.
    unsafe { Component::deserialize(engine.raw(), code) }.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_entry_is_a_miss_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompileCache::new(Some(folder.path().join("cache")));
        let engine = PolicyEngine::without_clock().unwrap();
        let bytes = wat::parse_str("(component)").unwrap();
        let path = cache.path(&engine, &bytes).unwrap();
        cache.compile(&engine, &bytes).unwrap();
        assert!(load(&path, &engine).is_some());
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        for damaged in [&whole[..whole.len() / 2], &flipped, &[]] {
            std::fs::write(&path, damaged).unwrap();
            assert!(load(&path, &engine).is_none());
            cache.compile(&engine, &bytes).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }
}
