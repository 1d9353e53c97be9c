//! Released versions of the contract: each is kept unchanged in a folder of its own, and what was built
//! for one goes on working with every later one of its line.

use super::PACKAGE;
use semver::Version;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use wit_parser::{PackageId, Resolve, SourceMap};

/// A version as it was released.
#[derive(Debug, Clone, Copy)]
pub struct Release {
    pub version: &'static str,
    /// Names and contents.
    pub files: &'static [(&'static str, &'static str)],
}

include!(concat!(env!("OUT_DIR"), "/released.rs"));

/// Beside the files of a release: their SHA-256, in the form that `sha256sum --check` reads.
const SUMS: &str = "SHA256SUMS";

/// Why a version is not released.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    #[error("{0} is a draft; give it its number in every file of wit/ first")]
    Draft(String),
    #[error("{0} is released already, and what is released stays as it is; raise the version")]
    Exists(PathBuf),
    #[error("{file} does not say `package {PACKAGE}@{version};`")]
    OtherVersion { file: String, version: String },
    #[error(
        "policies built for {released} would not work with it: {reason}; a break needs a new line"
    )]
    Breaks { released: String, reason: String },
    #[error("{path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// Whether a policy built for `earlier` is called as one for `later` is, if the text keeps what it
/// promises: the first number that is not 0 is the same, and neither is a draft.
pub(crate) fn is_same_line(earlier: &Version, later: &Version) -> bool {
    let line = |it: &Version| match (it.major, it.minor, it.patch) {
        (0, 0, patch) => (0, 0, patch),
        (0, minor, _) => (0, minor, 0),
        (major, _, _) => (major, 0, 0),
    };
    earlier.pre.is_empty() && later.pre.is_empty() && line(earlier) == line(later)
}

/// Whether whatever fits `before` fits `now`: no world of it is gone or changed, but for functions that
/// policies may call besides.
///
/// # Errors
/// The world that differs, and in what.
pub(crate) fn check_satisfies(before: &[(&str, &str)], now: &[(&str, &str)]) -> Result<(), String> {
    let mut resolve = Resolve::default();
    let now = push(&mut resolve, now, "1.0.0-now")?;
    let before = push(&mut resolve, before, "1.0.0-before")?;
    let worlds = resolve.packages[before].worlds.clone();
    for (name, world) in worlds {
        let Some(later) = resolve.packages[now].worlds.get(&name).copied() else {
            return Err(format!("the world {name} is gone"));
        };
        wit_component::semver_check(resolve.clone(), world, later)
            .map_err(|error| format!("the world {name} differs: {}", super::mismatch(&error)))?;
    }
    Ok(())
}

/// Parses a text under another version, so that two can stand side by side.
fn push(resolve: &mut Resolve, files: &[(&str, &str)], version: &str) -> Result<PackageId, String> {
    let mut map = SourceMap::new();
    for (name, text) in files {
        let line = |line: &str| match line.trim_start().starts_with("package ") {
            true => format!("package {PACKAGE}@{version};\n"),
            false => format!("{line}\n"),
        };
        map.push_str(name, text.lines().map(line).collect::<String>());
    }
    let group = map.parse().map_err(|(_, error)| format!("{error:#}"))?;
    resolve.push_group(group).map_err(|error| format!("{error:#}"))
}

/// Writes `files` as the release `version` below `folder`, which is `wit/released`.
///
/// # Errors
/// It is a draft, is there already, breaks a promise to an earlier one of `released`, or cannot be
/// written.
pub fn freeze(
    version: &str,
    files: &[(&str, &str)],
    released: &[Release],
    folder: &Path,
) -> Result<PathBuf, FreezeError> {
    let parsed = Version::parse(version).ok().filter(|it| it.pre.is_empty());
    let parsed = parsed.ok_or_else(|| FreezeError::Draft(version.to_owned()))?;
    let path = folder.join(version);
    if path.symlink_metadata().is_ok() {
        return Err(FreezeError::Exists(path));
    }
    let package = format!("package {PACKAGE}@{version};");
    if let Some((file, _)) = files.iter().find(|(_, text)| !text.lines().any(|it| it == package)) {
        let (file, version) = ((*file).to_owned(), version.to_owned());
        return Err(FreezeError::OtherVersion { file, version });
    }
    for earlier in released {
        let is_promised =
            Version::parse(earlier.version).is_ok_and(|it| is_same_line(&it, &parsed));
        if is_promised && let Err(reason) = check_satisfies(earlier.files, files) {
            return Err(FreezeError::Breaks { released: earlier.version.to_owned(), reason });
        }
    }
    write(&path, files).map_err(|source| FreezeError::Write { path: path.clone(), source })?;
    Ok(path)
}

fn write(path: &Path, files: &[(&str, &str)]) -> io::Result<()> {
    fs::create_dir(path)?;
    for (name, text) in files {
        fs::write(path.join(name), text)?;
    }
    fs::write(path.join(SUMS), sums(files))
}

fn sums(files: &[(&str, &str)]) -> String {
    let mut files = files.to_vec();
    files.sort();
    let sum = |(name, text): &(&str, &str)| {
        let digest = crate::generation::Digest(Sha256::digest(text.as_bytes()).into());
        format!("{digest}  {name}\n")
    };
    files.iter().map(sum).collect()
}

#[cfg(test)]
mod tests;
