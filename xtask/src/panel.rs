//! Builds the panel, which the host takes into its binary, with Node.js.

use crate::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

const FOLDER: &str = "host/server/panel";
/// What it is built from.
const SOURCES: [&str; 5] =
    ["src", "package.json", "package-lock.json", "build.mjs", "tsconfig.json"];

/// # Errors
/// If Node.js is missing, or a step fails.
pub fn build() -> Result<(), String> {
    let folder = folder();
    if !has_node() {
        return Err(
            "the panel is built with Node.js 20 or later and npm, which are not here".into()
        );
    }
    let npm = |args: &[&str]| {
        let mut command = Command::new("npm");
        command.args(args).current_dir(&folder);
        run(&mut command)
    };
    let installed = changed(&folder.join("node_modules/.package-lock.json"));
    if installed.is_none() || installed < newest(&folder, &["package-lock.json"]) {
        npm(&["ci", "--no-audit", "--no-fund", "--loglevel=error"])?;
    }
    // A file that is written anew makes the host be compiled anew.
    let built = changed(&folder.join("dist/index.html"));
    if built.is_none() || built < newest(&folder, &SOURCES) {
        npm(&["run", "--silent", "build"])?;
    }
    Ok(())
}

/// As [`build`], where it can be done; otherwise the host's first page says that it has none.
pub fn build_if_possible() {
    if let Err(problem) = build() {
        eprintln!("xtask: without the panel: {problem}");
    }
}

/// Of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it lies in the project").to_owned()
}

fn folder() -> PathBuf {
    root().join(FOLDER)
}

fn has_node() -> bool {
    ["node", "npm"].iter().all(|program| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    })
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// When something in these was changed last.
fn newest(folder: &Path, names: &[&str]) -> Option<SystemTime> {
    let within = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let mut left: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let mut newest = None;
    while let Some(path) = left.pop() {
        newest = newest.max(changed(&path));
        left.extend(within(&path));
    }
    newest
}
