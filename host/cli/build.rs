//! Collects what a new policy project is made of, so that the binary carries it: the templates, the SDK
//! and the contract. Nothing is built here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Folders below the workspace's root that a policy is built from.
const SOURCE: [&str; 3] = ["plugins/sdk", "plugins/sdk-derive", "wit"];

fn main() {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let root = own.join("../..").canonicalize().expect("the workspace is two folders up");
    let mut source = Vec::new();
    for folder in SOURCE {
        collect(&root, &root.join(folder), &mut source);
    }
    let templates_folder = own.join("templates");
    let mut templates = Vec::new();
    collect(&templates_folder, &templates_folder, &mut templates);
    let mut text = String::new();
    table(&mut text, "SOURCE", &source);
    table(&mut text, "TEMPLATES", &templates);
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("project_files.rs"), text).expect("OUT_DIR is writable");
}

/// Files with their paths relative to `base`, in order. Released versions of the contract are for hosts.
fn collect(base: &Path, folder: &Path, files: &mut Vec<(String, PathBuf)>) {
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = fs::read_dir(folder).expect("the folder is part of the source tree");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("it is readable").path()).collect();
    paths.sort();
    for path in paths {
        let relative = path.strip_prefix(base).expect("it lies below").to_str();
        let relative = relative.expect("names in the source tree are text").to_owned();
        if path.is_dir() {
            let is_wanted = !relative.ends_with("tests") && !relative.starts_with("wit");
            if is_wanted {
                collect(base, &path, files);
            }
        } else {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push((relative, path));
        }
    }
}

fn table(text: &mut String, name: &str, files: &[(String, PathBuf)]) {
    writeln!(text, "/// Path and content.\npub static {name}: &[(&str, &str)] = &[")
        .expect("text grows");
    for (relative, path) in files {
        writeln!(text, "({relative:?}, include_str!({path:?})),").expect("text grows");
    }
    text.push_str("];\n");
}
