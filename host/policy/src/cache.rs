//! Compiled components kept on disk, so that a start does not compile again. Only files written
//! here are taken: the folder is private, and each file carries a checksum.

use crate::admission::{Compiler, Refusal, Stage};
use crate::disk::{make_private_dir, write_unsynced};
use crate::engine::PolicyEngine;
use crate::generation::Digest;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wasmtime::component::Component;

/// More files or bytes than this: those go that were not used for longest.
const MAX_FILES: usize = 64;
const MAX_BYTES: u64 = 1 << 30;
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
        // What a power cut leaves of it is told by the checksum.
        if let Err(error) = write_unsynced(path, &file) {
            tracing::warn!("{} cannot be written: {error}", path.display());
            return;
        }
        self.prune();
    }

    /// What is there, that used last first.
    fn files(&self) -> Vec<(SystemTime, u64, PathBuf)> {
        let files = self.folder.as_ref().and_then(|folder| std::fs::read_dir(folder).ok());
        let files = files.into_iter().flatten().filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        });
        let mut files: Vec<_> = files.collect();
        files.sort_by(|a, b| b.cmp(a));
        files
    }

    fn prune(&self) {
        let mut n_bytes = 0;
        for (at, (_, len, path)) in self.files().into_iter().enumerate() {
            n_bytes += len;
            if at >= MAX_FILES || n_bytes > MAX_BYTES {
                // What cannot be removed costs space only.
                let _ = std::fs::remove_file(path);
            }
        }
    }

    /// For policies that serve no slot: they drive out none that may.
    pub fn for_visitors(&self) -> Visitors<'_> {
        Visitors(self)
    }

    /// Compiles, or takes what is kept; `keeps` tells whether a new one is kept.
    fn obtain(
        &self,
        engine: &PolicyEngine,
        bytes: &[u8],
        keeps: impl FnOnce() -> bool,
    ) -> Result<Component, Refusal> {
        let path = self.path(engine, bytes);
        if let Some(component) = path.as_ref().and_then(|path| load(path, engine)) {
            return Ok(component);
        }
        let component = Component::from_binary(engine.raw(), bytes)
            .map_err(|error| Refusal::new(Stage::Compile, format!("{error:#}")))?;
        if let Some(path) = path.filter(|_| keeps()) {
            self.store(&path, &component);
        }
        Ok(component)
    }
}

impl Compiler for CompileCache {
    fn compile(&self, engine: &PolicyEngine, bytes: &[u8]) -> Result<Component, Refusal> {
        self.obtain(engine, bytes, || true)
    }
}

/// Keeps compiled code only while there is room.
pub(crate) struct Visitors<'a>(&'a CompileCache);

impl Compiler for Visitors<'_> {
    fn compile(&self, engine: &PolicyEngine, bytes: &[u8]) -> Result<Component, Refusal> {
        self.0.obtain(engine, bytes, || {
            let files = self.0.files();
            let n_bytes: u64 = files.iter().map(|(_, len, _)| len).sum();
            files.len() < MAX_FILES / 2 && n_bytes < MAX_BYTES / 2
        })
    }
}

/// None: it is not there, or is not what was written.
fn load(path: &Path, engine: &PolicyEngine) -> Option<Component> {
    let file = std::fs::read(path).ok()?;
    note_use(path);
    let (checksum, code) = file.split_at_checked(CHECKSUM)?;
    if Digest::of(code).0 != checksum {
        return None;
    }
    // SAFETY: the bytes are those that `Component::serialize` gave: this host wrote them to a
    // folder that only its user can write, and the checksum shows that they are unchanged. The
    // version and settings of the engine are part of the file's name, and checked again by wasmtime.
    unsafe { Component::deserialize(engine.raw(), code) }.ok()
}

/// The time of change is that of the last use.
fn note_use(path: &Path) {
    let file = std::fs::File::options().append(true).open(path);
    // Without it, the file goes earlier than it would have to.
    let _ = file.and_then(|file| file.set_modified(SystemTime::now()));
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
    #[test]
    fn code_of_another_engine_or_of_nobody_is_a_miss() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompileCache::new(Some(folder.path().join("cache")));
        let engine = PolicyEngine::without_clock().unwrap();
        let bytes = wat::parse_str("(component)").unwrap();
        let path = cache.path(&engine, &bytes).unwrap();
        cache.compile(&engine, &bytes).unwrap();
        let own = std::fs::read(&path).unwrap();
        let other = wasmtime::Engine::default();
        let foreign = Component::from_binary(&other, &bytes).unwrap().serialize().unwrap();
        let module = wasmtime::Module::new(&other, wat::parse_str("(module)").unwrap()).unwrap();
        let module = module.serialize().unwrap();
        for code in [foreign, module, b"not code".to_vec(), Vec::new()] {
            let file = [&Digest::of(&code).0[..], &code].concat();
            std::fs::write(&path, file).unwrap();
            assert!(load(&path, &engine).is_none());
            cache.compile(&engine, &bytes).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), own);
        }
    }

    #[test]
    fn no_number_of_visitors_drives_out_what_serves() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CompileCache::new(Some(folder.path().join("cache")));
        let engine = PolicyEngine::without_clock().unwrap();
        let numbered =
            |i: usize| wat::parse_str(format!("(component (@custom \"n\" \"{i}\"))")).unwrap();
        cache.compile(&engine, &numbered(0)).unwrap();
        for i in 1..=MAX_FILES {
            cache.for_visitors().compile(&engine, &numbered(i)).unwrap();
        }
        assert!(load(&cache.path(&engine, &numbered(0)).unwrap(), &engine).is_some());
        assert_eq!(cache.files().len(), MAX_FILES / 2);
        for i in 1..=2 * MAX_FILES {
            cache.compile(&engine, &numbered(i)).unwrap();
            // Used each time.
            assert!(load(&cache.path(&engine, &numbered(0)).unwrap(), &engine).is_some());
        }
        assert_eq!(cache.files().len(), MAX_FILES);
    }
}
