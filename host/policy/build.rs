//! Puts every released version of the contract (the folders of `wit/released/`) into a table.

use std::path::{Path, PathBuf};
use std::{env, fs};

const RELEASED: &str = "../../wit/released";

fn main() {
    println!("cargo::rerun-if-changed={RELEASED}");
    let folder = Path::new(RELEASED).canonicalize().expect("the folder of releases is there");
    let mut source = String::from("pub(crate) const RELEASED: &[Release] = &[\n");
    for version in entries(&folder).into_iter().filter(|path| path.is_dir()) {
        let name = name(&version);
        source.push_str(&format!("Release {{ version: {name:?}, files: &[\n"));
        let is_text = |path: &PathBuf| path.extension().is_some_and(|it| it == "wit");
        for file in entries(&version).into_iter().filter(is_text) {
            let name = self::name(&file);
            source.push_str(&format!("({name:?}, include_str!({file:?})),\n"));
        }
        source.push_str("] },\n");
    }
    source.push_str("];\n");
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    fs::write(Path::new(&out).join("released.rs"), source).expect("OUT_DIR is writable");
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().expect("an entry has a name").to_string_lossy().into_owned()
}
