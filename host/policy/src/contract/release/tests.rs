//! Lines of versions, and that what is released stays as it was.

use super::*;
use crate::contract::{FILES, VERSION};
use std::fs;
use std::path::Path;

fn version(text: &str) -> Version {
    Version::parse(text).unwrap()
}

#[test]
fn lines_are_told_by_their_first_number_that_is_not_zero() {
    let same = |a: &str, b: &str| is_same_line(&version(a), &version(b));
    assert!(same("0.1.0", "0.1.7") && same("1.0.0", "1.9.0") && same("0.0.3", "0.0.3"));
    assert!(!same("0.1.0", "0.2.0") && !same("1.0.0", "2.0.0") && !same("0.0.3", "0.0.4"));
    assert!(!same("0.1.0-draft", "0.1.0") && !same("0.1.0", "0.1.1-draft"));
    let next = |text: &str| next_line(&version(text)).to_string();
    assert_eq!([next("0.0.3"), next("0.1.7"), next("2.3.4")], ["0.0.4", "0.2.0", "3.0.0"]);
}

#[test]
fn what_is_released_is_as_it_was_and_today_keeps_its_promises() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/released"));
    let today = version(VERSION);
    for release in RELEASED {
        let written = fs::read_to_string(folder.join(release.version).join(SUMS)).unwrap();
        assert_eq!(written, sums(release.files), "{} was changed", release.version);
        let released = version(release.version);
        if is_same_line(&released, &today) {
            check_satisfies(release.files, &FILES).unwrap();
        }
        let mut files = FILES.to_vec();
        files.sort_unstable();
        let is_kept = released != today || files == release.files;
        assert!(is_kept, "wit/ says that it is {VERSION}, but that was released with another text");
    }
    let n_folders = fs::read_dir(folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().is_dir())
        .count();
    assert_eq!(n_folders, RELEASED.len(), "every release is carried");
}
