//! Releasing a version of the contract, as its maintainers do it, in a copy.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A copy of `wit/`, and a file that names its version.
fn copy() -> TempDir {
    let root = TempDir::new().unwrap();
    let wit = root.path().join("wit");
    fs::create_dir_all(wit.join("released")).unwrap();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit")).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_file() {
            fs::copy(entry.path(), wit.join(entry.file_name())).unwrap();
        }
    }
    let names = format!("VERSION = {:?}", pointsman_policy::VERSION);
    fs::write(root.path().join("sdk.py"), names).unwrap();
    root
}

fn freeze(root: &TempDir, version: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freeze"));
    command.arg(version).arg("--wit").arg(root.path().join("wit"));
    command.output().unwrap()
}

/// What it says; it must have succeeded.
fn told(output: Output) -> String {
    let (said, refused) = (String::from_utf8(output.stdout), String::from_utf8(output.stderr));
    assert!(output.status.success(), "{}", refused.unwrap());
    said.unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn change(root: &TempDir, file: &str, from: &str, to: &str) {
    let path = root.path().join("wit").join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has {from:?}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn a_release_is_written_once_and_says_what_to_do_next() {
    let root = copy();
    let said = told(freeze(&root, "7.1.0"));
    assert!(said.contains("is the contract 7.1.0 from now on"), "{said}");
    let change_to =
        format!("Change {} to 7.1.0 in\n    sdk.py\n    wit/", pointsman_policy::VERSION);
    assert!(said.contains(&change_to), "{said}");
    assert!(said.contains("cargo xtask bless, then cargo xtask test"), "{said}");
    let released = root.path().join("wit/released/7.1.0");
    let text = fs::read_to_string(released.join("scoring.wit")).unwrap();
    assert!(text.starts_with("package pointsman:policy@7.1.0;\n"), "{text}");
    let sums = fs::read_to_string(released.join("SHA256SUMS")).unwrap();
    assert!(sums.lines().any(|line| line.ends_with("  scoring.wit")), "{sums}");
    let again = told(freeze(&root, "7.1.0"));
    assert!(again.contains("already"), "{again}");
}

#[test]
fn no_text_that_is_no_successor_is_released() {
    let root = copy();
    told(freeze(&root, "7.1.0"));
    change(&root, "queue.wit", "now-ms: f64", "now-ms: u64");
    for (version, because) in [
        ("7.1.0", "what is released stays as it is"),
        (
            "7.2.0",
            "policies built for 7.1.0 would not work with it: the world queue-policy differs",
        ),
        ("7.0.0", "7.1.0 is released already"),
        ("7.2.0-draft", "is no version of a release"),
    ] {
        let said = refused(&freeze(&root, version));
        assert!(said.contains(because), "{version}: {said}");
    }
    let said = told(freeze(&root, "8.0.0"));
    assert!(said.contains("policies built for 7.1.0 are served by an adapter"), "{said}");
}
