//! Puts the contract (the files in `wit/`) into a macro, so that bindings are generated in the
//! policy's own crate: each component carries the type of its own world and of no other.

use std::{env, fs, path::Path};

const WIT: &str = "../../wit";
const WORLDS: [(&str, &str); 3] = [
    ("scoring", "explained-scoring-policy"),
    ("queue", "queue-policy"),
    ("rescheduling", "rescheduling-policy"),
];

fn main() {
    println!("cargo::rerun-if-changed={WIT}");
    let mut files: Vec<_> = fs::read_dir(WIT)
        .expect("the contract is in the folder `wit` of the same source tree")
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
