//! Puts the contract (the files in `wit/`) into a macro, so that bindings are generated in the
//! policy's own crate: each component carries the type of its own world and of no other.

use std::path::{Path, PathBuf};
use std::{env, fs};

const WORLDS: [(&str, &str); 4] = [
    ("scoring", "explained-scoring-policy"),
    ("queue", "queue-policy"),
    ("rescheduling", "rescheduling-policy"),
    ("forecasting", "forecasting-policy"),
];

fn main() {
    let wit = contract_folder();
    println!("cargo::rerun-if-changed={}", wit.display());
    let mut files: Vec<_> = fs::read_dir(&wit)
        .expect("the folder is readable")
        .map(|entry| entry.expect("the folder is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wit"))
        .collect();
    files.sort();
    let mut package = String::new();
    let mut contract = String::new();
    for path in &files {
        let text = fs::read_to_string(path).expect("a contract file is readable text");
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            if line.starts_with("package ") {
                package = format!("{line}\n");
            } else {
                contract.push_str(line);
                contract.push('\n');
            }
        }
    }
    let mut source = String::from(
        "/// The bindings of one world, in the crate that expands it.\n\
         #[doc(hidden)]\n#[macro_export]\nmacro_rules! generate_bindings {\n",
    );
    for (slot, world) in WORLDS {
        source.push_str(&format!(
            "({slot}) => {{ $crate::wit_bindgen::generate!({{ inline: r##\"{package}{contract}\"##, \
             world: \"{world}\", runtime_path: \"::pointsman_policy_sdk::wit_bindgen::rt\" }}); }};\n"
        ));
    }
    source.push_str("}\n");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("contract.rs"), source).expect("OUT_DIR is writable");
}

/// The nearest folder `wit`, here or above: that of the source tree, or one that was copied along.
fn contract_folder() -> PathBuf {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let folders = own.ancestors().map(|folder| folder.join("wit"));
    let found = folders.into_iter().find(|wit| wit.join("types.wit").is_file());
    found.unwrap_or_else(|| {
        panic!(
            "the contract is missing: copy Pointsman's folder `wit` to {} or a folder above it",
            own.display()
        )
    })
}
