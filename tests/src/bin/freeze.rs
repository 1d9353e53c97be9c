//! `cargo xtask freeze VERSION`: releases today's text of the contract, or says why not. With `--wit FOLDER`
//! that of a copy. Exits with 1 if it is refused.

use pointsman_policy::{Frozen, freeze};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask freeze VERSION [--wit FOLDER]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (version, wit) = match args.as_slice() {
        [version] if !version.starts_with('-') => (*version, PathBuf::from("wit")),
        [version, "--wit", folder] => (*version, PathBuf::from(folder)),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match freeze(version, &wit) {
        Ok(frozen) => {
            print!("{}", told(version, &wit, &frozen));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("failed to release {version}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What there is now, and what is to be done next.
fn told(version: &str, wit: &Path, frozen: &Frozen) -> String {
    let path = frozen.path.display();
    let mut text = match frozen.is_new {
        true => format!("{path} is the contract {version} from now on.\n\nNext:\n"),
        false => format!("{path} is the contract {version} already, with this text.\n\nStill:\n"),
    };
    if frozen.stated != version {
        text += &format!("- Change {} to {version} in\n", frozen.stated);
        let root = wit.canonicalize().ok().and_then(|it| it.parent().map(Path::to_owned));
        let root = root.unwrap_or_default();
        let mut files = Vec::new();
        name_version(&root, &frozen.stated, &mut files);
        files.sort();
        for file in files {
            text += &format!("    {}\n", file.strip_prefix(&root).unwrap_or(&file).display());
        }
    }
    if let Some(before) = &frozen.line_before {
        text += &format!(
            "- A new line begins: policies built for {before} are served by an adapter. Write it\n  \
             as the head of host/policy/src/spoken.rs says, and drop the one before it.\n"
        );
    }
    text += "- cargo xtask bless, then cargo xtask test\n";
    text += &format!("- Commit {path}; nothing in it changes afterwards.\n");
    text
}

/// The files below `folder` that name `version`; not what is built, generated or released.
fn name_version(folder: &Path, version: &str, found: &mut Vec<PathBuf>) {
    const OTHERS: [&str; 4] = ["target", "node_modules", "released", "CHANGELOG.md"];
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if name.starts_with('.') || OTHERS.contains(&&*name) {
            continue;
        }
        if path.is_dir() {
            name_version(&path, version, found);
        } else if fs::read_to_string(&path).is_ok_and(|text| text.contains(version)) {
            found.push(path);
        }
    }
}
