//! Builds the standard policies for WebAssembly, once, and turns each into a component.
//!
//! A nested cargo on the target folder of the outer one would wait for it for ever, so the guests
//! have a folder of their own.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Name of the crate in `plugins/`, slot.
const POLICIES: [(&str, &str); 15] = [
    ("weighted-score", "scoring"),
    ("least-connections", "scoring"),
    ("weighted-round-robin", "scoring"),
    ("best-fit", "scoring"),
    ("spread", "scoring"),
    ("fifo", "queue"),
    ("priority-ageing", "queue"),
    ("critical-path", "queue"),
    ("shortest-first", "queue"),
    ("fair-share", "queue"),
    ("threshold", "rescheduling"),
    ("trend", "rescheduling"),
    ("lstm-rescheduling", "rescheduling"),
    ("lstm-forecast", "forecasting"),
    ("holt-winters", "forecasting"),
];
/// What they are made with.
const SHARED: [(&str, &str); 3] = [("sdk", ""), ("sdk-derive", ""), ("forecast-models", "")];
const TARGET: &str = "wasm32-unknown-unknown";

fn main() {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().expect("the workspace is two folders up");
    watch(&root);
    check_target();
    let target_dir = guest_folder();
    build(&root, &target_dir);
    let out = PathBuf::from(variable("OUT_DIR"));
    // A static, not a constant: each use of a constant would bring its own copy of the bytes.
    let mut table = String::from("pub static POLICIES: &[Policy] = &[\n");
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
    // The workspace's manifest holds the profile.
    for shared in ["wit", "Cargo.lock", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(shared).display());
    }
    for (name, _) in POLICIES.into_iter().chain(SHARED) {
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

/// Asks the compiler first: cargo would build all macros before it noticed.
fn check_target() {
    let print = ["--print", "target-libdir", "--target", TARGET];
    let output = Command::new(variable("RUSTC")).args(print).output().expect("rustc can be run");
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let is_core = |entry: fs::DirEntry| {
        entry.file_name().to_str().is_some_and(|name| name.starts_with("libcore-"))
    };
    let is_there =
        fs::read_dir(folder).is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(is_core)));
    if !is_there {
        fail(&format!(
            "policies are WebAssembly, and this toolchain cannot compile for it yet; run\n\n    \
             rustup target add {TARGET}\n\nor `cargo xtask demo` or `cargo xtask test`, which do so by \
             themselves"
        ));
    }
}

/// Ends the build with a message instead of a backtrace.
fn fail(message: &str) -> ! {
    eprintln!("failed to build the standard policies: {message}");
    std::process::exit(1);
}

fn build(root: &Path, target_dir: &Path) {
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(root).args(["build", "--locked", "--profile", "guest", "--target", TARGET]);
    cargo.arg("--target-dir").arg(target_dir);
    for (name, _) in POLICIES {
        cargo.args(["--package", name]);
    }
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(is_for_outer_build) {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output().expect("cargo can be run");
    if !output.status.success() {
        fail(&String::from_utf8_lossy(&output.stderr));
    }
}

/// Flags and wrappers of the outer build, such as those of a coverage run.
fn is_for_outer_build(variable: &str) -> bool {
    const NAMES: [&str; 7] = [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_BUILD_BUILD_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
    ];
    const PREFIXES: [&str; 4] =
        ["CARGO_PROFILE_", "CARGO_FEATURE_", "CARGO_CFG_", "CARGO_TARGET_WASM32"];
    NAMES.contains(&variable) || PREFIXES.iter().any(|prefix| variable.starts_with(prefix))
}

fn componentise(name: &str, module: &[u8]) -> Vec<u8> {
    wit_component::ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .unwrap_or_else(|error| fail(&format!("{name} does not make a component: {error:#}")))
}
