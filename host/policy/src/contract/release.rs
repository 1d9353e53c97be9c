//! Released versions of the contract: each is kept unchanged in a folder of its own, and what was built
//! for one goes on working with every later one of its line.

use super::PACKAGE;
use semver::Version;
use sha2::{Digest as _, Sha256};
use wit_parser::{PackageId, Resolve, SourceMap, WorldId};

/// A version as it was released.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release {
    pub version: &'static str,
    /// Names and contents.
    pub files: &'static [(&'static str, &'static str)],
}

include!(concat!(env!("OUT_DIR"), "/released.rs"));

/// Beside the files of a release: their SHA-256, in the form that `sha256sum --check` reads.
pub(super) const SUMS: &str = "SHA256SUMS";

/// Whether a policy built for `earlier` is called as one for `later` is, if the text keeps what it
/// promises: the first number that is not 0 is the same, and neither is a draft.
pub(crate) fn is_same_line(earlier: &Version, later: &Version) -> bool {
    earlier.pre.is_empty() && later.pre.is_empty() && line(earlier) == line(later)
}

fn line(version: &Version) -> (u64, u64, u64) {
    match (version.major, version.minor, version.patch) {
        (0, 0, patch) => (0, 0, patch),
        (0, minor, _) => (0, minor, 0),
        (major, _, _) => (major, 0, 0),
    }
}

/// The first version of the line after that of `version`.
pub(super) fn next_line(version: &Version) -> Version {
    match line(version) {
        (0, 0, patch) => Version::new(0, 0, patch + 1),
        (0, minor, _) => Version::new(0, minor + 1, 0),
        (major, _, _) => Version::new(major + 1, 0, 0),
    }
}

/// Whether whatever fits `before` fits `now`, and is asked as much: no world of it is gone or changed,
/// but for functions that policies may call besides.
///
/// # Errors
/// The world that differs, and in what.
pub(super) fn check_satisfies(before: &[(&str, &str)], now: &[(&str, &str)]) -> Result<(), String> {
    let mut resolve = Resolve::default();
    let now = push(&mut resolve, now, "1.0.0-now")?;
    let before = push(&mut resolve, before, "1.0.0-before")?;
    let worlds = resolve.packages[before].worlds.clone();
    for (name, world) in worlds {
        let Some(later) = resolve.packages[now].worlds.get(&name).copied() else {
            return Err(format!("the world {name} is gone"));
        };
        if let Some(export) = missing_export(&resolve, world, later) {
            return Err(format!("the world {name} has no {export} any more"));
        }
        wit_component::semver_check(resolve.clone(), world, later)
            .map_err(|error| format!("the world {name} differs: {}", super::mismatch(&error)))?;
    }
    Ok(())
}

/// What policies of `before` export and nobody would call: allowed by the check of types.
fn missing_export(resolve: &Resolve, before: WorldId, now: WorldId) -> Option<String> {
    let exports = |world: WorldId| {
        let keys = resolve.worlds[world].exports.keys();
        keys.map(|key| bare(&resolve.name_world_key(key))).collect::<Vec<String>>()
    };
    let now = exports(now);
    exports(before).into_iter().find(|it| !now.contains(it))
}

/// `scoring` of `pointsman:policy/scoring@0.1.0`.
fn bare(name: &str) -> String {
    let name = name.split('@').next().unwrap_or_default();
    name.rsplit('/').next().unwrap_or_default().to_owned()
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

pub(super) fn sums(files: &[(&str, &str)]) -> String {
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
