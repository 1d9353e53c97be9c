//! Takes the built panel into the binary; without one, a page that says how to build it.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const FILES: [(&str, &str); 4] = [
    ("index.html", "text/html; charset=utf-8"),
    ("panel.js", "text/javascript; charset=utf-8"),
    ("panel.css", "text/css; charset=utf-8"),
    ("favicon.svg", "image/svg+xml"),
];

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let panel = Path::new(&root).join("panel");
    let built = panel.join("dist");
    let is_whole = FILES.iter().all(|(name, _)| built.join(name).is_file());
    let missing = panel.join("missing");
    let mut list = String::from("pub const FILES: &[File] = &[\n");
    for (name, kind) in FILES {
        let path = if is_whole { built.join(name) } else { missing.join(name) };
        if path.is_file() {
            let (path, name) = (path.display().to_string(), format!("/{name}"));
            writeln!(
                list,
                "File {{ path: {name:?}, kind: {kind:?}, bytes: include_bytes!({path:?}) }},"
            )
            .expect("a string takes everything");
        }
    }
    list.push_str("];\n");
    println!("cargo::rerun-if-changed={}", missing.display());
    // What is not there would count as changed each time.
    let watched = if built.is_dir() { &built } else { &panel };
    println!("cargo::rerun-if-changed={}", watched.display());
    let out = env::var("OUT_DIR").expect("cargo sets it");
    fs::write(Path::new(&out).join("panel.rs"), list).expect("the build's folder is writable");
}
