//! Recorded workloads, against the values that their READMEs state; with policies in Rust and a
//! second, independent scheduler to compare with.

mod alibaba;
mod files;
mod lanl;
mod policies;
mod reference;
mod runs;
mod wfcommons;

use std::path::PathBuf;

/// A folder of recorded data beside the checkout; None, with a note, where there is none.
fn data(folder: &str) -> Option<PathBuf> {
    let all = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !all.is_dir() {
        println!("skipped: no folder {}", all.display());
        return None;
    }
    Some(all.join(folder))
}

/// The rows of the table in a README whose heading begins with `heading`, cell by cell.
fn table(readme: &str, heading: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = readme.lines().skip_while(|line| !line.starts_with(heading));
    assert!(lines.next().is_some(), "the README has a table that begins with {heading:?}");
    let rows: Vec<_> = lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(!rows.is_empty());
    rows
}
