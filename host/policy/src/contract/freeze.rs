//! Releasing a version of the contract: today's text is copied to where nothing changes any more, if it
//! keeps what earlier releases of its line promise. Reads the folder and not what is compiled in, so
//! that it says the same of a copy.

use super::PACKAGE;
use super::release::{self, SUMS, check_satisfies, is_same_line};
use semver::Version;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A version that is released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frozen {
    /// Its folder.
    pub path: PathBuf,
    /// It was not there before.
    pub is_new: bool,
    /// What the files of `wit/` say that they are.
    pub stated: String,
    /// The newest release of the line before, if this one begins a line.
    pub line_before: Option<String>,
}

/// Why a version is not released.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    #[error("{0:?} is no version of a release; it takes three numbers, such as 0.1.0")]
    NoVersion(String),
    #[error(
        "{0} is released with another text, and what is released stays as it is; raise the version"
    )]
    Exists(PathBuf),
    #[error("{newest} is released already; a successor has a higher version")]
    NotNewer { newest: Version },
    #[error("{file} does not say `package {PACKAGE}@{stated};` as the others do")]
    NoPackage { file: String, stated: String },
    #[error("the text is no contract: {0}")]
    Text(String),
    #[error(
        "policies built for {released} would not work with it: {reason}; keep that, or begin a new \
         line with {next_line}"
    )]
    Breaks { released: Version, reason: String, next_line: Version },
    #[error("{path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
}

/// Names and contents.
type Files = Vec<(String, String)>;

/// Releases the text in `wit`, the folder of the contract, as `version`. Again, if nothing changed, does
/// nothing.
///
/// # Errors
/// It is no successor of what is released, or cannot be read or written. Then nothing is changed.
pub fn freeze(version: &str, wit: &Path) -> Result<Frozen, FreezeError> {
    let parsed = parse(version).ok_or_else(|| FreezeError::NoVersion(version.to_owned()))?;
    let (files, stated) = restated(read(wit)?, version)?;
    let folder = wit.join("released");
    let path = folder.join(version);
    let is_there = path.symlink_metadata().is_ok();
    if is_there && read(&path)? != files {
        return Err(FreezeError::Exists(path));
    }
    let earlier: Vec<Version> = releases(&folder)?.into_iter().filter(|it| *it != parsed).collect();
    let line_before = earlier.last().filter(|it| !is_same_line(it, &parsed));
    let line_before = line_before.map(Version::to_string);
    if !is_there {
        check_successor(&parsed, &files, &earlier, &folder)?;
        write(&path, &files).map_err(|source| {
            // What is half written is no release.
            let _ = fs::remove_dir_all(&path);
            FreezeError::Write { path: path.clone(), source }
        })?;
    }
    Ok(Frozen { path, is_new: !is_there, stated, line_before })
}

/// The version of a release; None: it is something else, or a draft.
fn parse(version: &str) -> Option<Version> {
    let parsed = Version::parse(version).ok()?;
    (parsed.pre.is_empty() && parsed.build.is_empty()).then_some(parsed)
}

fn check_successor(
    version: &Version,
    files: &Files,
    earlier: &[Version],
    folder: &Path,
) -> Result<(), FreezeError> {
    if let Some(newest) = earlier.last().filter(|it| *it > version) {
        return Err(FreezeError::NotNewer { newest: newest.clone() });
    }
    let now = refs(files);
    check_satisfies(&now, &now).map_err(FreezeError::Text)?;
    for released in earlier.iter().filter(|it| is_same_line(it, version)) {
        let before = read(&folder.join(released.to_string()))?;
        check_satisfies(&refs(&before), &now).map_err(|reason| FreezeError::Breaks {
            released: released.clone(),
            reason,
            next_line: release::next_line(version),
        })?;
    }
    Ok(())
}

/// The files as they are to be released, and the version that they state now.
fn restated(files: Files, version: &str) -> Result<(Files, String), FreezeError> {
    let stated = |text: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix("package "))?;
        let stated = rest.strip_prefix(PACKAGE)?.strip_prefix('@')?.strip_suffix(';')?;
        Some(stated.to_owned())
    };
    let first = files.iter().find_map(|(_, text)| stated(text)).unwrap_or_default();
    let (from, to) =
        (format!("package {PACKAGE}@{first};"), format!("package {PACKAGE}@{version};"));
    let restate = |(file, text): (String, String)| {
        if stated(&text).as_ref() != Some(&first) {
            return Err(FreezeError::NoPackage { file, stated: first.clone() });
        }
        Ok((file, text.replacen(&from, &to, 1)))
    };
    let files = files.into_iter().map(restate).collect::<Result<Files, FreezeError>>()?;
    if files.is_empty() {
        return Err(FreezeError::Text("the folder has no .wit files".to_owned()));
    }
    Ok((files, first))
}

/// The files of a text, by name.
fn read(folder: &Path) -> Result<Files, FreezeError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| FreezeError::Read { path, source }
    };
    let mut files = Files::new();
    for name in names(folder).map_err(failed(folder))?.into_iter().filter(|it| it.ends_with(".wit"))
    {
        let path = folder.join(&name);
        let text = fs::read_to_string(&path).map_err(failed(&path))?;
        files.push((name, text));
    }
    Ok(files)
}

/// The versions that are released, in their order.
fn releases(folder: &Path) -> Result<Vec<Version>, FreezeError> {
    let names = names(folder);
    let names = names.map_err(|source| FreezeError::Read { path: folder.to_owned(), source })?;
    let mut versions: Vec<Version> = names.iter().filter_map(|it| parse(it)).collect();
    versions.sort();
    Ok(versions)
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let name =
        |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    let mut names = fs::read_dir(folder)?.map(name).collect::<io::Result<Vec<String>>>()?;
    names.sort();
    Ok(names)
}

fn write(path: &Path, files: &Files) -> io::Result<()> {
    fs::create_dir(path)?;
    for (name, text) in files {
        fs::write(path.join(name), text)?;
    }
    fs::write(path.join(SUMS), release::sums(&refs(files)))
}

fn refs(files: &Files) -> Vec<(&str, &str)> {
    files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

#[cfg(test)]
mod tests;
