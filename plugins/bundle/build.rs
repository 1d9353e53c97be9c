//! Builds the standard policies for WebAssembly, once, and turns each into a component.
//!
//! A nested cargo on the target folder of the outer one would wait for it for ever, so the guests
//! have a folder of their own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name of the crate in `plugins/`, slot.
const POLICIES: [(&str, &str); 8] = [
    ("weighted-score", "scoring"),
    ("least-connections", "scoring"),
    ("weighted-round-robin", "scoring"),
    ("fifo", "queue"),
    ("priority-ageing", "queue"),
    ("critical-path", "queue"),
    ("shortest-first", "queue"),
    ("threshold", "rescheduling"),
];
const TARGET: &str = "wasm32-unknown-unknown";

fn main() {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().expect("the workspace is two folders up");
    watch(&root);
    let target_dir = guest_folder();
    build(&root, &target_dir);
    let out = PathBuf::from(variable("OUT_DIR"));
    let mut table = String::from("pub const POLICIES: &[Policy] = &[\n");
    for (name, slot) in POLICIES {
        let core = target_dir.join(TARGET).join("guest").join(name.replace('-', "_"));
        let core = core.with_extension("wasm");
        let module = fs::read(&core).expect("the nested build wrote the module");
        let path = out.join(name).with_extension("wasm");
        fs::write(&path, componentise(name, &module)).expect("OUT_DIR is writable");
        table.push_str(&format!(
            "Policy {{ name: {name:?}, slot: {slot:?}, bytes: include_bytes!({path:?}) }},\n"
        ));
    }
    table.push_str("];\n");
    fs::write(out.join("policies.rs"), table).expect("OUT_DIR is writable");
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

fn watch(root: &Path) {
    println!("cargo::rerun-if-changed={}", root.join("wit").display());
    println!("cargo::rerun-if-changed={}", root.join("Cargo.lock").display());
    for (name, _) in POLICIES.into_iter().chain([("sdk", "")]) {
        println!("cargo::rerun-if-changed={}", root.join("plugins").join(name).display());
    }
}

/// Beside the folders of the outer build's profiles: OUT_DIR is `<target>/<profile>/build/…/out`.
fn guest_folder() -> PathBuf {
    let out = PathBuf::from(variable("OUT_DIR"));
    let target =
        out.ancestors().nth(4).expect("OUT_DIR lies four folders deep in the target folder");
    target.join("guests")
}

fn build(root: &Path, target_dir: &Path) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(root).args(["build", "--locked", "--profile", "guest", "--target", TARGET]);
    cargo.arg("--target-dir").arg(target_dir);
    for (name, _) in POLICIES {
        cargo.args(["--package", name]);
    }
    // Flags and wrappers of the outer build are for the outer build.
    for (name, _) in env::vars() {
        let is_outer = name == "RUSTFLAGS"
            || name == "CARGO_ENCODED_RUSTFLAGS"
            || name == "RUSTC_WORKSPACE_WRAPPER"
            || name == "CARGO_BUILD_TARGET"
            || name.starts_with("CARGO_PROFILE_")
            || name.starts_with("CARGO_FEATURE_")
            || name.starts_with("CARGO_CFG_");
        if is_outer {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output().expect("cargo can be run");
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        let hint = if messages.contains("can't find crate for `core`") {
            format!(
                "\nPolicies are WebAssembly. Run `rustup target add {TARGET}`; `cargo xtask` does it by itself."
            )
        } else {
            String::new()
        };
        panic!("failed to build the standard policies:\n{messages}{hint}");
    }
}

fn componentise(name: &str, module: &[u8]) -> Vec<u8> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .unwrap_or_else(|error| panic!("failed to make a component of {name}: {error:#}"))
}
